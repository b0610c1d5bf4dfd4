//! Where an event of another server's user would stand.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ruma::{
    OwnedEventId, RoomId, RoomVersionId, ServerName, UserId,
    events::{StateEventType, TimelineEventType, room::member::MembershipState},
};
use serde_json::{Value, json, value::RawValue};

use crate::{
    event::{Content, Pdu, auth, format::PREV_EVENTS_MAX},
    rooms::{Actor, Room, RoomView, Rooms, RoomsError},
};

/// What a server makes its event of.
#[derive(Debug)]
pub struct Template {
    /// The room's version.
    pub version: RoomVersionId,
    /// The event, without hashes and signatures.
    pub event: Box<RawValue>,
}

/// The largest depth that canonical JSON can hold.
const DEPTH_MAX: u64 = (1 << 53) - 1;

impl Rooms {
    /// A room that a server may be told of: somebody of this server has joined it, and it is open to other servers.
    /// Its access list is asked about the server.
    pub(super) async fn resident_room(&self, room_id: &RoomId, origin: &ServerName) -> Result<Arc<Room>, RoomsError> {
        let room = self.by_id(room_id).await?.filter(|room| {
            let view = room.view();
            view.created.federate && !view.joined.is_empty()
        });
        let room = room.ok_or(RoomsError::NoRoom)?;
        if room.view().admits(origin) {
            return Ok(room);
        }
        Err(RoomsError::Forbidden("Your server is denied by the access list of this room".to_owned()))
    }

    /// The same, for those who want to come in: who may, and into what, is not known as long as members are missing.
    /// Another server knows.
    pub(in crate::rooms::membership) async fn whole_resident_room(
        &self,
        room_id: &RoomId,
        origin: &ServerName,
    ) -> Result<Arc<Room>, RoomsError> {
        let room = self.resident_room(room_id, origin).await?;
        if room.view().partial { Err(RoomsError::NoRoom) } else { Ok(room) }
    }

    /// Where the join, leave or knock of a user of another server would stand, if the room allows it. `versions` are the
    /// room versions that their server knows; `None` where it does not say.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`] also for rooms that are not open to other servers; [`RoomsError::IncompatibleVersion`];
    /// [`RoomsError::Forbidden`]; [`RoomsError::UnableToAuthorise`] and [`RoomsError::UnableToGrant`] for restricted
    /// joins that another server might let through.
    pub async fn member_template(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user_id: &UserId,
        membership: MembershipState,
        versions: Option<&[RoomVersionId]>,
    ) -> Result<Template, RoomsError> {
        if user_id.server_name() != origin {
            return Err(RoomsError::Forbidden("the user is of another server".to_owned()));
        }
        let room = match membership {
            MembershipState::Leave => self.resident_room(room_id, origin).await?,
            _ => self.whole_resident_room(room_id, origin).await?,
        };
        self.check_newcomer(&room, user_id).await?;
        if versions.is_some_and(|versions| !versions.contains(&room.version)) {
            return Err(RoomsError::IncompatibleVersion(room.version.clone()));
        }
        let view = room.view();
        let mut content = json!({ "membership": membership.as_str() });
        if membership == MembershipState::Join
            && let Some(voucher) = self.voucher_for(&room, &view, user_id).await?
            && let Some(content) = content.as_object_mut()
        {
            content.insert("join_authorised_via_users_server".to_owned(), voucher.to_string().into());
        }
        let event = self.template_event(&room, &view, user_id, &content).await?;
        let event = RawValue::from_string(event.to_string()).map_err(|error| RoomsError::Invalid(error.to_string()))?;
        Ok(Template { version: room.version.clone(), event })
    }

    /// Refuses users of other servers who have nothing to do with a room, and whom the policy shows none such.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`], as if there were none.
    pub(super) async fn check_newcomer(&self, room: &Room, user_id: &UserId) -> Result<(), RoomsError> {
        let user = self.number_or_nobody(user_id).await?;
        let actor = Actor { user_id, user, device_id: "", guest: false };
        if self.knows_room(room, &actor).await? { Ok(()) } else { Err(RoomsError::NoRoom) }
    }

    async fn template_event(
        &self,
        room: &Arc<Room>,
        view: &RoomView,
        user_id: &UserId,
        content: &Value,
    ) -> Result<Value, RoomsError> {
        let kind = TimelineEventType::RoomMember;
        let raw = Content::from_serialize(content)?;
        let kinds = auth::auth_types(&kind, user_id, Some(user_id.as_str()), raw.raw(), &room.rules)?;
        let mut state: HashMap<(StateEventType, String), Arc<Pdu>> = HashMap::new();
        let mut auth_events = Vec::new();
        for (kind, key) in kinds {
            if let Some(event) = self.state_event(room.number, view.state, &kind, &key).await? {
                auth_events.push(event.pdu.clone());
                state.insert((kind, key), event.pdu.clone());
            }
        }
        state.insert((StateEventType::RoomCreate, String::new()), view.create.pdu.clone());
        let mut ends: Vec<_> = view.extremities.iter().collect();
        ends.sort_by_key(|end| std::cmp::Reverse(end.depth));
        let mut prev_events = Vec::new();
        for end in ends.iter().take(PREV_EVENTS_MAX) {
            prev_events.push(self.parts.events.require(room.number, end.number).await?.pdu.clone());
        }
        let depth = ends.first().map_or(0, |end| end.depth).saturating_add(1).min(DEPTH_MAX);
        let event = json!({
            "type": "m.room.member",
            "sender": user_id,
            "state_key": user_id,
            "room_id": room.id,
            "content": content,
            "origin": user_id.server_name(),
            "origin_server_ts": self.parts.clock.now(),
            "depth": depth,
            "prev_events": references(room, &prev_events)?,
            "auth_events": references(room, &auth_events)?,
        });
        // It has no hashes and no id yet: under a name that no event has, the rules can be asked about it.
        let id = OwnedEventId::try_from(format!("$template:{}", self.parts.server_name))
            .map_err(|error| RoomsError::Invalid(error.to_string()))?;
        let draft = Pdu::from_stored(id, event.to_string()).map_err(|error| RoomsError::Invalid(error.to_string()))?;
        auth::check_own(&draft, &room.rules, |kind, key| state.get(&(kind.clone(), key.to_owned())).cloned())?;
        Ok(event)
    }
}

/// Events as others name them: by id, in room versions 1 and 2 with their hashes.
fn references(room: &Room, events: &[Arc<Pdu>]) -> Result<Vec<Value>, RoomsError> {
    let named = |pdu: &Arc<Pdu>| {
        if !room.rules.event_format.require_event_id {
            return Ok(json!(pdu.event_id));
        }
        let hash = STANDARD_NO_PAD.encode(pdu.reference_hash(&room.rules)?);
        Ok(json!([pdu.event_id, { "sha256": hash }]))
    };
    events.iter().map(named).collect()
}
