//! Which servers are asked, and what is told when none of them agrees.

use ruma::{OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};
use std::time::Duration;

use crate::{
    remote::RemoteError,
    rooms::{Room, Rooms, RoomsError, membership::outside::Outside, policy::Verb},
    store::StoreError,
};

/// Servers that are asked for one join, knock or leave.
pub(super) const SERVERS_MAX: usize = 12;
/// Servers of a room's members that are among them.
const MEMBERS_MAX: usize = 8;
/// How long a server may take to say where an event would stand.
pub(super) const TEMPLATE_TIME: Duration = Duration::from_secs(20);
/// How long a server may take to accept an event, and to answer with the room's state.
pub(super) const SEND_TIME: Duration = Duration::from_mins(3);

/// A user of this server, owned: what is begun goes on when the client has hung up.
#[derive(Debug, Clone)]
pub(in crate::rooms::membership) struct Person {
    pub(in crate::rooms::membership) user_id: OwnedUserId,
    pub(in crate::rooms::membership) user: crate::store::UserNo,
    pub(in crate::rooms::membership) guest: bool,
}

impl Person {
    /// The same as the one who acts.
    pub(in crate::rooms::membership) fn of(actor: &crate::rooms::Actor<'_>) -> Self {
        Self { user_id: actor.user_id.to_owned(), user: actor.user, guest: actor.guest }
    }

    /// The one who acts, without a device.
    pub(in crate::rooms::membership) fn actor(&self) -> crate::rooms::Actor<'_> {
        crate::rooms::Actor { user_id: &self.user_id, user: self.user, device_id: "", guest: self.guest }
    }
}

/// What servers have answered that were asked in vain: the most telling of it is told.
#[derive(Default)]
pub(super) struct Failures(Option<RoomsError>);

impl Failures {
    /// Notes a failure; the store's is the end.
    pub(super) fn note(&mut self, server: &ServerName, error: RoomsError) -> Result<(), StoreError> {
        tracing::debug!(%server, %error, "a server has not let somebody in or out");
        let rank = |error: &RoomsError| match error {
            RoomsError::Unreachable(_) => 0,
            RoomsError::Refused(refused) if refused.errcode == "M_NOT_FOUND" => 1,
            RoomsError::Refused(refused) if refused.errcode == "M_UNABLE_TO_AUTHORISE_JOIN" => 2,
            RoomsError::Refused(_) => 4,
            _ => 3,
        };
        match error {
            RoomsError::Store(error) => Err(error),
            error => {
                if self.0.as_ref().is_none_or(|known| rank(known) <= rank(&error)) {
                    self.0 = Some(error);
                }
                Ok(())
            }
        }
    }

    /// What to tell. Without any failure there was nobody to ask.
    pub(super) fn told(self) -> RoomsError {
        self.0.unwrap_or(RoomsError::NoRoom)
    }
}

impl From<RemoteError> for RoomsError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Store(error) => Self::Store(error),
            RemoteError::Answer(refused) if refused.status.is_client_error() && !refused.is_down() => {
                Self::Refused(refused)
            }
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl Rooms {
    /// Whether this server is in a room: somebody of it has joined, or nobody of any other has. Of a room whose members
    /// never came nobody can say the latter.
    pub(in crate::rooms) fn stands_in(room: &Room) -> bool {
        let view = room.view();
        !view.joined.is_empty() || (view.servers.is_empty() && !view.partial)
    }

    /// The servers to ask about a room, the most promising first: those the client names, and those an invitation came
    /// from. Without any, those of its members as far as they are known, and the one in its id.
    pub(super) async fn servers_to_try(
        &self,
        room_id: &RoomId,
        named: &[OwnedServerName],
        outside: Option<&Outside>,
    ) -> Result<Vec<OwnedServerName>, StoreError> {
        let mut servers: Vec<OwnedServerName> = named.to_vec();
        let known = outside.iter().flat_map(|outside| &outside.record.servers);
        servers.extend(known.filter_map(|server| ServerName::parse(server.as_str()).ok()));
        servers.retain(|server| self.parts.remote.check(server).is_ok());
        if servers.is_empty() {
            if let Some(room) = self.by_id(room_id).await? {
                for (number, _) in room.view().servers.iter().take(MEMBERS_MAX) {
                    servers.push(self.parts.store.server_name(*number).await?);
                }
            }
            servers.extend(room_id.server_name().map(ToOwned::to_owned));
        }
        let mut tried: Vec<OwnedServerName> = Vec::new();
        for server in servers {
            let askable = self.parts.remote.check(&server).is_ok();
            if askable && !tried.contains(&server) && tried.len() < SERVERS_MAX {
                tried.push(server);
            }
        }
        Ok(tried)
    }

    /// Asks the policy whether a user may have to do with rooms of another server.
    pub(super) fn check_abroad(&self, user: &UserId, server: &ServerName) -> Result<(), RoomsError> {
        let Ok(somebody) = UserId::parse(format!("@nobody:{server}")) else { return Err(RoomsError::NoRoom) };
        match self.parts.policy.decide(user, &somebody, Verb::See) {
            Ok(()) => Ok(()),
            Err(denial) if denial.hidden => Err(RoomsError::NoRoom),
            Err(denial) => Err(denial.into()),
        }
    }
}
