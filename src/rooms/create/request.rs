//! What a client wants of a new room, put into the order of the specification.

use ruma::{OwnedUserId, RoomAliasId, RoomVersionId, events::StateEventType};
use serde_json::{json, value::RawValue};

use super::defaults::{Defaults, topic_content};
use crate::{
    event::{Content, content::CanonicalAlias},
    rooms::{ByAddress, RoomsError, Unbound},
};

/// Most people a new room invites.
pub(super) const INVITES_MAX: usize = 1000;
/// Most events of `initial_state`.
const INITIAL_STATE_MAX: usize = 250;

/// Defaults by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// By invitation only.
    Private,
    /// The same, and those invited have the creator's power.
    TrustedPrivate,
    /// Anybody can join.
    Public,
}

/// A state event of a new room.
#[derive(Debug, Clone)]
pub struct InitialState {
    /// Its type.
    pub kind: StateEventType,
    /// Its state key.
    pub state_key: String,
    /// Its content, as the client sent it.
    pub content: Box<RawValue>,
}

/// A room to be made. Spec v1.19, `POST /createRoom`.
#[derive(Debug, Clone)]
pub struct CreateRoom {
    /// The room version.
    pub version: RoomVersionId,
    /// Defaults of the state.
    pub preset: Preset,
    /// Whether it is in the published directory.
    pub published: bool,
    /// More keys of `m.room.create`: an object.
    pub creation_content: Option<Box<RawValue>>,
    /// State events, in their order.
    pub initial_state: Vec<InitialState>,
    /// Keys that replace those of the default `m.room.power_levels`: an object.
    pub power_levels: Option<Box<RawValue>>,
    /// The local part of an alias to be made with the room.
    pub alias_localpart: Option<String>,
    /// The room's name.
    pub name: Option<String>,
    /// The room's topic.
    pub topic: Option<String>,
    /// Whom to invite.
    pub invites: Vec<OwnedUserId>,
    /// Whom to invite by their addresses; [`crate::rooms::Rooms::look_up_addresses`] finds out who that is.
    pub by_address: Vec<ByAddress>,
    /// Addresses that are nobody's yet.
    pub unbound: Vec<Unbound>,
    /// Whether the invitations say that it is a direct chat.
    pub is_direct: bool,
}

impl CreateRoom {
    /// An empty private room.
    pub fn new(version: RoomVersionId) -> Self {
        Self {
            version,
            preset: Preset::Private,
            published: false,
            creation_content: None,
            initial_state: Vec::new(),
            power_levels: None,
            alias_localpart: None,
            name: None,
            topic: None,
            invites: Vec::new(),
            by_address: Vec::new(),
            unbound: Vec::new(),
            is_direct: false,
        }
    }

    /// The state after the creator's join, in the order of the specification. What comes later in it would replace what
    /// came before; events that would be replaced at once are not made.
    pub(super) fn state(
        &self,
        defaults: Defaults,
        alias: Option<&RoomAliasId>,
    ) -> Result<Vec<(StateEventType, String, Content)>, RoomsError> {
        let initial = self.read_initial_state(alias)?;
        let given = |kind: &StateEventType| initial.iter().any(|(k, key, _)| k == kind && key.is_empty());
        let mut state = Vec::with_capacity(initial.len() + 8);
        let mut add = |kind: StateEventType, content: Content| state.push((kind, String::new(), content));
        // Power levels of `initial_state` stand where they belong: everything after is decided by them.
        match initial.iter().find(|(kind, key, _)| *kind == StateEventType::RoomPowerLevels && key.is_empty()) {
            Some((kind, _, content)) => add(kind.clone(), content.clone()),
            None => add(StateEventType::RoomPowerLevels, defaults.power_levels),
        }
        if let Some(alias) = alias.filter(|_| !given(&StateEventType::RoomCanonicalAlias)) {
            add(StateEventType::RoomCanonicalAlias, Content::from_serialize(&json!({ "alias": alias }))?);
        }
        for (kind, content) in defaults.preset {
            if !given(&kind) {
                add(kind, content);
            }
        }
        let overwritten = |kind: &StateEventType| match kind {
            StateEventType::RoomPowerLevels => true,
            StateEventType::RoomName => self.name.is_some(),
            StateEventType::RoomTopic => self.topic.is_some(),
            _ => false,
        };
        state.extend(initial.into_iter().filter(|(kind, key, _)| !key.is_empty() || !overwritten(kind)));
        let mut add = |kind: StateEventType, content: Content| state.push((kind, String::new(), content));
        if let Some(name) = &self.name {
            add(StateEventType::RoomName, Content::from_serialize(&json!({ "name": name }))?);
        }
        if let Some(topic) = &self.topic {
            add(StateEventType::RoomTopic, topic_content(topic)?);
        }
        Ok(state)
    }

    fn read_initial_state(
        &self,
        alias: Option<&RoomAliasId>,
    ) -> Result<Vec<(StateEventType, String, Content)>, RoomsError> {
        if self.initial_state.len() > INITIAL_STATE_MAX {
            return Err(RoomsError::Invalid(format!("`initial_state` has at most {INITIAL_STATE_MAX} events")));
        }
        let read = |event: &InitialState| {
            let content = Content::parse(event.content.get().as_bytes())?;
            match &event.kind {
                StateEventType::RoomCreate | StateEventType::RoomMember => {
                    return Err(RoomsError::Invalid(format!("`initial_state` cannot have {} events", event.kind)));
                }
                StateEventType::RoomCanonicalAlias => {
                    let announced = CanonicalAlias::read(content.raw());
                    if announced.all().any(|announced| Some(&**announced) != alias) {
                        return Err(RoomsError::BadAlias("an announced alias does not point to the new room".into()));
                    }
                }
                _ => {}
            }
            Ok((event.kind.clone(), event.state_key.clone(), content))
        };
        self.initial_state.iter().map(read).collect()
    }
}
