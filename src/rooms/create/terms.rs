//! Rooms made under terms: what a client asks for otherwise is dropped, so that its request succeeds.

use ruma::events::StateEventType;
use serde_json::{Value, json, value::to_raw_value};

use super::{CreateRoom, InitialState, Preset, defaults::object};
use crate::{
    event::content::JoinRules,
    rooms::{RoomsError, policy::TERMS},
};

/// State that is not the client's to set in a room of families: what it would say is given, or there is none.
const GIVEN: [StateEventType; 7] = [
    StateEventType::RoomCanonicalAlias,
    StateEventType::RoomEncryption,
    StateEventType::RoomGuestAccess,
    StateEventType::RoomHistoryVisibility,
    StateEventType::RoomJoinRules,
    StateEventType::RoomServerAcl,
    StateEventType::RoomThirdPartyInvite,
];

impl CreateRoom {
    /// Whether anybody could find or enter the room that is asked for.
    pub(super) fn is_public(&self) -> bool {
        let open = |event: &InitialState| {
            let rule = JoinRules::read(&event.content).rule.to_string();
            event.kind == StateEventType::RoomJoinRules && !matches!(rule.as_str(), "invite" | "private")
        };
        self.published || self.preset == Preset::Public || self.initial_state.iter().any(open)
    }

    /// The same room under [`Terms::Family`](crate::rooms::policy::Terms::Family).
    pub(super) fn for_family(mut self) -> Result<Self, RoomsError> {
        let bad = |_| RoomsError::BadJson("the room cannot be made like this".into());
        let mut creation = object("creation_content", self.creation_content.as_deref())?;
        creation.insert("m.federate".into(), false.into());
        creation.insert(TERMS.into(), "family".into());
        self.creation_content = Some(to_raw_value(&creation).map_err(bad)?);
        self.preset = Preset::Private;
        self.published = false;
        self.alias_localpart = None;
        self.initial_state.retain(|event| !GIVEN.contains(&event.kind));
        for (kind, content) in family_state() {
            let content = to_raw_value(&content).map_err(bad)?;
            self.initial_state.push(InitialState { kind, state_key: String::new(), content });
        }
        Ok(self)
    }
}

/// The state of a room of families that other rooms can have otherwise.
pub(in crate::rooms) fn family_state() -> [(StateEventType, Value); 3] {
    [
        (StateEventType::RoomJoinRules, json!({ "join_rule": "invite" })),
        (StateEventType::RoomHistoryVisibility, json!({ "history_visibility": "joined" })),
        (StateEventType::RoomGuestAccess, json!({ "guest_access": "forbidden" })),
    ]
}
