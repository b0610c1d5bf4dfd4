//! Joining a room through a server that is in it.

use std::{collections::HashSet, fmt::Write as _, sync::Arc};

use ruma::{
    OwnedRoomId, OwnedServerName, RoomId, ServerName,
    api::federation::membership::{
        create_join_event::v2::{self as create_join_event, RoomState},
        prepare_join_event::v1 as prepare_join_event,
    },
    events::room::member::MembershipState,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::join::Join,
    ask::{Failures, Person, SEND_TIME, TEMPLATE_TIME},
    template::Template,
};
use crate::{
    event::{Pdu, room_version, sign::same_but_signatures},
    remote::{RemoteError, Terms},
    rooms::{
        Room, Rooms, RoomsError,
        membership::MemberContent,
        receive::{Entrance, Outcome, ReceiveError, Verified},
    },
};

/// Events of a state or of an auth chain that are looked at.
const EVENTS_MAX: usize = 200_000;
/// Names of servers in an answer without members that are looked at.
const NAMES_MAX: usize = 10_000;
/// Servers that are taken to be in the room because an answer without members names them. Each is told of everything that is
/// sent here until the members are known, and whoever answers can name whom they like and never tell the members: one event
/// costs this server, and those who did not ask for it, no more requests than this. Servers beyond it lose nothing: they
/// ask for what they missed, as after any failure, and are told by us once a member of theirs is known.
const SERVERS_MAX: usize = 1_000;

/// A join that another server has accepted.
struct Accepted {
    template: Template,
    join: Verified,
    answer: RoomState,
}

impl Rooms {
    /// Joins a room through other servers, one after the other. It goes on when whoever waits for it goes away: the
    /// others may have accepted the join already.
    pub(in crate::rooms::membership) async fn join_abroad(
        &self,
        person: Person,
        room_id: &RoomId,
        join: Join,
    ) -> Result<(), RoomsError> {
        let (rooms, room_id) = (self.clone(), room_id.to_owned());
        let task = tokio::spawn(async move { rooms.join_in_turn(&person, room_id, join).await });
        task.await.map_err(|_| RoomsError::Unreachable("the join was cut short".to_owned()))?
    }

    async fn join_in_turn(&self, person: &Person, room_id: OwnedRoomId, join: Join) -> Result<(), RoomsError> {
        let _turn = self.writes.crossings.joining(&room_id).await;
        let here = self.by_id(&room_id).await?.filter(|room| Self::stands_in(room));
        if let Some(room) = &here {
            // Somebody else has brought the room here meanwhile.
            match self.join_event(&person.actor(), room, join.clone()).await {
                Err(RoomsError::UnableToGrant) => {}
                other => return other.map(drop),
            }
        }
        let outside = self.outside(person.user, &room_id).await?;
        let servers = self.servers_to_try(&room_id, &join.via, outside.as_ref()).await?;
        let mut failures = Failures::default();
        for server in servers {
            match self.join_through(&server, person, &room_id, &join, here.as_ref()).await {
                Ok(()) => return Ok(()),
                Err(error) => failures.note(&server, error)?,
            }
        }
        Err(match failures.told() {
            RoomsError::NoRoom if here.is_some() => {
                RoomsError::Forbidden("no member of this server's can vouch for you".into())
            }
            told => told,
        })
    }

    async fn join_through(
        &self,
        server: &ServerName,
        person: &Person,
        room_id: &RoomId,
        join: &Join,
        here: Option<&Arc<Room>>,
    ) -> Result<(), RoomsError> {
        self.check_abroad(&person.user_id, server)?;
        self.check_company(person, here, join).await?;
        let template = self.ask_for_join(server, person, room_id).await?;
        let accepted = self.ask_in(server, person, room_id, join, template).await?;
        match here {
            Some(room) => self.receive_join(room, server, accepted.join).await,
            None => self.enter_with(server, room_id, accepted).await,
        }
    }

    /// Where the join would stand.
    async fn ask_for_join(
        &self,
        server: &ServerName,
        person: &Person,
        room_id: &RoomId,
    ) -> Result<Template, RoomsError> {
        let mut request = prepare_join_event::Request::new(room_id.to_owned(), person.user_id.clone());
        request.ver = room_version::SUPPORTED.to_vec();
        let terms = Terms::anyway().within(TEMPLATE_TIME);
        let answer = self.parts.remote.send_with(server, request, terms).await?;
        let template = Template::read(&answer.event, answer.room_version)?;
        if template.authorised_via.as_ref().is_some_and(|voucher| voucher.server_name() != server) {
            return Err(RoomsError::Unreachable("it names a voucher of another server".to_owned()));
        }
        Ok(template)
    }

    /// Makes the join and has it accepted.
    async fn ask_in(
        &self,
        server: &ServerName,
        person: &Person,
        room_id: &RoomId,
        join: &Join,
        template: Template,
    ) -> Result<Accepted, RoomsError> {
        let profile = self.profile_of(&person.user_id).await?;
        let mut content =
            MemberContent::new(MembershipState::Join).with_profile(profile).with_reason(join.reason.clone());
        content.extra.clone_from(&join.extra);
        content.authorised_via.clone_from(&template.authorised_via);
        let event = self.build_member(&person.user_id, room_id, content, &template)?;
        let answer = self.send_join(server, room_id, &event).await?;
        if answer.state.len() > EVENTS_MAX || answer.auth_chain.len() > EVENTS_MAX {
            return Err(RoomsError::Unreachable("it answers with a state of no use".to_owned()));
        }
        let join = match (&answer.event, &template.authorised_via) {
            // Only the other server can have signed for the one who vouches.
            (Some(signed), Some(_)) => {
                let signed = self.verify_one(room_id, &template.rules, signed.get()).await;
                let signed = signed.map_err(|error| RoomsError::Unreachable(format!("it has not vouched: {error}")))?;
                if signed.pdu().event_id != event.event_id || !same_but_signatures(signed.pdu(), &event) {
                    return Err(RoomsError::Unreachable("it has signed another event".to_owned()));
                }
                signed
            }
            (None, Some(_)) => return Err(RoomsError::Unreachable("it has not vouched".to_owned())),
            (_, None) => self.own_verified(event).ok_or(RoomsError::NoRoom)?,
        };
        Ok(Accepted { template, join, answer })
    }

    async fn send_join(&self, server: &ServerName, room_id: &RoomId, event: &Pdu) -> Result<RoomState, RoomsError> {
        let terms = Terms::large().within(SEND_TIME);
        let raw = raw(event)?;
        let mut request = create_join_event::Request::new(room_id.to_owned(), event.event_id.clone(), raw);
        request.omit_members = true;
        match self.parts.remote.send_with(server, request, terms).await {
            Ok(answer) => Ok(answer.room_state),
            Err(error) if is_unrecognized(&error) => {
                let path = path_v1("send_join", room_id, event);
                let answer = self.parts.remote.send_raw(server, put(&path, event)?, terms).await?;
                let (_, answer): (u16, FirstAnswer) = serde_json::from_slice(answer.body())
                    .map_err(|error| RoomsError::Unreachable(format!("its answer makes no sense: {error}")))?;
                let mut state = RoomState::new();
                (state.state, state.auth_chain) = (answer.state, answer.auth_chain);
                Ok(state)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// This server comes into the room.
    async fn enter_with(&self, server: &ServerName, room_id: &RoomId, accepted: Accepted) -> Result<(), RoomsError> {
        let Accepted { template, join, answer } = accepted;
        let RoomState { state, auth_chain, members_omitted, servers_in_room, .. } = answer;
        let partial = members_omitted.then(|| {
            let allowed = |name: &ServerName| self.parts.outbox.allows(name);
            in_room(server, servers_in_room.unwrap_or_default(), &self.parts.server_name, allowed)
        });
        let state = self.verified_of(room_id, &template, &state).await;
        let auth_chain = self.verified_of(room_id, &template, &auth_chain).await;
        let entrance =
            Entrance { room_id: room_id.to_owned(), version: template.version, join, state, auth_chain, partial };
        self.enter(entrance).await?;
        Ok(())
    }

    /// The events that pass the first checks: others are as good as never sent.
    async fn verified_of(&self, room_id: &RoomId, template: &Template, events: &[Box<RawValue>]) -> Vec<Verified> {
        let checked = self.verify(room_id, &template.rules, events.iter().map(|event| event.get())).await;
        let left_out = checked.iter().filter(|checked| checked.is_err()).count();
        if left_out > 0 {
            tracing::warn!(room = %room_id, left_out, "a room lacks state here that could not be verified");
        }
        checked
            .into_iter()
            .filter_map(|checked| match checked {
                Ok(event) => Some(event),
                Err(error) => {
                    tracing::debug!(room = %room_id, %error, "an event of a room's state is left out");
                    None
                }
            })
            .collect()
    }

    /// A join that another server vouches for, of a room that this server is in: an event like any that comes from it.
    async fn receive_join(&self, room: &Arc<Room>, server: &ServerName, join: Verified) -> Result<(), RoomsError> {
        match self.receive_from(room, server, join).await? {
            Outcome::Known | Outcome::Accepted => Ok(()),
            Outcome::SoftFailed(reason) | Outcome::Rejected(reason) => Err(RoomsError::Forbidden(reason)),
        }
    }
}

/// The servers in a room as the answer to a join names them, the one that gave it first. Left out are those that may not be
/// talked to (`allowed`), this one, and addresses: no school is called one, and one that is in the room all the same is told
/// when its members are known.
fn in_room(
    answered: &ServerName,
    named: Vec<String>,
    own: &ServerName,
    allowed: impl Fn(&ServerName) -> bool,
) -> Vec<OwnedServerName> {
    let mut servers = vec![answered.to_owned()];
    let mut seen: HashSet<OwnedServerName> = servers.iter().cloned().collect();
    for name in named.into_iter().take(NAMES_MAX) {
        let Ok(name) = OwnedServerName::try_from(name.to_ascii_lowercase()) else { continue };
        if *name != *own && !name.is_ip_literal() && allowed(&name) && seen.insert(name.clone()) {
            servers.push(name);
        }
        if servers.len() == SERVERS_MAX {
            break;
        }
    }
    servers
}

/// The first version's answer.
#[derive(Deserialize)]
struct FirstAnswer {
    #[serde(default)]
    auth_chain: Vec<Box<RawValue>>,
    #[serde(default)]
    state: Vec<Box<RawValue>>,
}

/// Whether a server does not know an endpoint.
pub(super) fn is_unrecognized(error: &RemoteError) -> bool {
    let Some(refused) = error.refused() else { return false };
    matches!(refused.status.as_u16(), 404 | 405) && matches!(&*refused.errcode, "M_UNRECOGNIZED" | "")
}

/// An event as the body of a request.
pub(super) fn raw(event: &Pdu) -> Result<Box<RawValue>, RoomsError> {
    RawValue::from_string(event.json.to_string()).map_err(|error| RoomsError::Invalid(error.to_string()))
}

/// The path of the first version of an endpoint that ruma only knows the second of.
pub(super) fn path_v1(endpoint: &str, room_id: &RoomId, event: &Pdu) -> String {
    let encode = |text: &str| -> String {
        let mut out = String::with_capacity(text.len() + 16);
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
                other => drop(write!(out, "%{other:02X}")),
            }
        }
        out
    };
    format!("/_matrix/federation/v1/{endpoint}/{}/{}", encode(room_id.as_str()), encode(event.event_id.as_str()))
}

/// A request that puts an event somewhere.
pub(super) fn put(path: &str, event: &Pdu) -> Result<http::Request<Vec<u8>>, RoomsError> {
    let request = http::Request::put(format!("https://server.invalid{path}"));
    let request = request.body(event.json.as_bytes().to_vec());
    request.map_err(|error| RoomsError::Invalid(error.to_string()))
}

impl From<ReceiveError> for RoomsError {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Store(error) => Self::Store(error),
            ReceiveError::Remote(error) => error.into(),
            ReceiveError::Rooms(error) => error,
            ReceiveError::NotInRoom => Self::NoRoom,
            other => Self::Unreachable(other.to_string()),
        }
    }
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use ruma::server_name;

    use super::*;

    fn taken(named: Vec<String>) -> Vec<String> {
        let allowed = |name: &ServerName| !name.as_str().ends_with("stranger.example");
        let servers = in_room(server_name!("b.example"), named, server_name!("a.example"), allowed);
        servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_that_are_of_no_use_take_no_place() {
        let useless = [
            "a.example",
            "b.example",
            "B.example",
            "stranger.example",
            "192.0.2.1",
            "10.0.0.1:8448",
            "[2001:db8::1]",
            "",
            "no name",
            "x/y",
            "A.EXAMPLE",
        ];
        let mut named: Vec<_> = useless.iter().cycle().take(5_000).map(ToString::to_string).collect();
        named.extend(["c.example", "c.example", "C.example", "d.example:8448"].map(str::to_owned));
        assert_eq!(taken(named), ["b.example", "c.example", "d.example:8448"]);
    }

    #[test]
    fn no_more_servers_are_told_than_a_room_may_be_said_to_have() {
        let named = |count: usize| (0..count).map(|n| format!("s{n}.example")).collect::<Vec<_>>();
        assert_eq!(taken(named(SERVERS_MAX - 1)).len(), SERVERS_MAX);
        assert_eq!(taken(named(SERVERS_MAX * 5)).len(), SERVERS_MAX);
        // Nor are more names looked at than that.
        let mut late = vec!["stranger.example".to_owned(); NAMES_MAX];
        late.extend(named(1));
        assert_eq!(taken(late), ["b.example"]);
    }
}
