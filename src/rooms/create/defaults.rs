//! What a new room is when the client does not say otherwise.

use ruma::{OwnedUserId, UserId, events::StateEventType, room_version_rules::RoomVersionRules};
use serde_json::{Map, Value, json, value::RawValue};

use super::{CreateRoom, Preset};
use crate::{
    event::Content,
    rooms::{RoomsError, send::listed_creator},
};

/// Additional creators a room may have; far fewer fit into an event.
pub(in crate::rooms) const ADDITIONAL_CREATORS_MAX: usize = 1000;

/// The power of a room's creator before version 12, and of those who share it.
const CREATOR_LEVEL: i64 = 100;
/// The power needed to set state.
const STATE_LEVEL: i64 = 50;
/// From version 12 only creators may end a room unless they say otherwise: above every level given by default.
const TOMBSTONE_LEVEL: i64 = 150;

/// The contents that a new room begins with.
pub(super) struct Defaults {
    /// `m.room.create` without `room_version` and `creator`.
    pub(super) create: Content,
    /// `m.room.power_levels`.
    pub(super) power_levels: Content,
    /// The events of the preset.
    pub(super) preset: Vec<(StateEventType, Content)>,
}

impl Defaults {
    pub(super) fn new(request: &CreateRoom, creator: &UserId, rules: &RoomVersionRules) -> Result<Self, RoomsError> {
        let trusted: &[OwnedUserId] = if request.preset == Preset::TrustedPrivate { &request.invites } else { &[] };
        let (create, others) = create_content(request.creation_content.as_deref(), creator, trusted, rules)?;
        let creators: Vec<&UserId> = std::iter::once(creator).chain(others.iter().map(AsRef::as_ref)).collect();
        let power_levels = power_levels(request, &creators, trusted, rules)?;
        Ok(Self { create, power_levels, preset: preset_state(request.preset)? })
    }
}

/// The content of `m.room.create`, and the creators besides the sender.
fn create_content(
    more: Option<&RawValue>,
    creator: &UserId,
    trusted: &[OwnedUserId],
    rules: &RoomVersionRules,
) -> Result<(Content, Vec<OwnedUserId>), RoomsError> {
    let mut content = object("creation_content", more)?;
    // The server says these.
    content.remove("creator");
    content.remove("room_version");
    let fits = |key: &str, fits: fn(&Value) -> bool| match content.get(key) {
        Some(value) if !fits(value) => {
            Err(RoomsError::BadJson(format!("`{key}` of the creation content has the wrong type")))
        }
        _ => Ok(()),
    };
    fits("m.federate", Value::is_boolean)?;
    fits("type", Value::is_string)?;
    fits("predecessor", Value::is_object)?;
    let mut others = Vec::new();
    if rules.authorization.additional_room_creators {
        let named = content.remove("additional_creators").unwrap_or_else(|| json!([]));
        let named: Vec<OwnedUserId> = serde_json::from_value(named)
            .map_err(|_| RoomsError::Invalid("`additional_creators` has to be a list of user ids".into()))?;
        if named.len() > ADDITIONAL_CREATORS_MAX {
            return Err(RoomsError::Invalid("there are too many additional creators".into()));
        }
        for user in named.into_iter().chain(trusted.iter().cloned()) {
            if user != creator && !others.contains(&user) {
                others.push(user);
            }
        }
        if !others.is_empty() {
            content.insert("additional_creators".into(), json!(others));
        }
    }
    Ok((Content::from_serialize(&content)?, others))
}

/// The content of `m.room.power_levels`.
fn power_levels(
    request: &CreateRoom,
    creators: &[&UserId],
    trusted: &[OwnedUserId],
    rules: &RoomVersionRules,
) -> Result<Content, RoomsError> {
    let infinite = rules.authorization.explicitly_privilege_room_creators;
    let mut users = Map::new();
    if !infinite {
        users.extend(creators.iter().map(|user| (user.to_string(), CREATOR_LEVEL.into())));
        users.extend(trusted.iter().map(|user| (user.to_string(), CREATOR_LEVEL.into())));
    }
    let invite = if request.preset == Preset::Public { STATE_LEVEL } else { 0 };
    let content = json!({
        "ban": STATE_LEVEL,
        "events": {
            "m.room.avatar": STATE_LEVEL,
            "m.room.canonical_alias": STATE_LEVEL,
            "m.room.encryption": CREATOR_LEVEL,
            "m.room.history_visibility": CREATOR_LEVEL,
            "m.room.name": STATE_LEVEL,
            "m.room.power_levels": CREATOR_LEVEL,
            "m.room.server_acl": CREATOR_LEVEL,
            "m.room.tombstone": if infinite { TOMBSTONE_LEVEL } else { CREATOR_LEVEL },
        },
        "events_default": 0,
        "invite": invite,
        "kick": STATE_LEVEL,
        "notifications": { "room": STATE_LEVEL },
        "redact": STATE_LEVEL,
        "state_default": STATE_LEVEL,
        "users": users,
        "users_default": 0,
    });
    let Value::Object(mut content) = content else { return Ok(Content::empty()) };
    // Each key that the client names replaces the whole default of that key.
    content.extend(object("power_level_content_override", request.power_levels.as_deref())?);
    if infinite {
        raise_tombstone(&mut content);
    }
    let content = Content::from_serialize(&content)?;
    if infinite {
        listed_creator(content.raw(), |user| creators.contains(&user))?;
    }
    Ok(content)
}

/// From version 12 the level of `m.room.tombstone` has to be named, and above `state_default`.
pub(in crate::rooms) fn raise_tombstone(content: &mut Map<String, Value>) {
    let state_default = content.get("state_default").and_then(Value::as_i64).unwrap_or(STATE_LEVEL);
    let Some(events) = content.entry("events").or_insert_with(|| json!({})).as_object_mut() else { return };
    let named = events.get("m.room.tombstone").and_then(Value::as_i64);
    if named.is_none_or(|level| level <= state_default) {
        events.insert("m.room.tombstone".into(), TOMBSTONE_LEVEL.max(state_default.saturating_add(1)).into());
    }
}

fn preset_state(preset: Preset) -> Result<Vec<(StateEventType, Content)>, RoomsError> {
    let join_rule = match preset {
        Preset::Private | Preset::TrustedPrivate => "invite",
        Preset::Public => "public",
    };
    let mut state = vec![
        (StateEventType::RoomJoinRules, Content::from_serialize(&json!({ "join_rule": join_rule }))?),
        (StateEventType::RoomHistoryVisibility, Content::from_serialize(&json!({ "history_visibility": "shared" }))?),
    ];
    // Without the event guests are kept out, as a public room wants it.
    if preset != Preset::Public {
        state.push((StateEventType::RoomGuestAccess, Content::from_serialize(&json!({ "guest_access": "can_join" }))?));
    }
    Ok(state)
}

/// A topic in both its forms (spec v1.15, `m.topic`).
pub(in crate::rooms) fn topic_content(topic: &str) -> Result<Content, RoomsError> {
    Ok(Content::from_serialize(&json!({ "topic": topic, "m.topic": { "m.text": [{ "body": topic }] } }))?)
}

/// The keys of an object that a client sent.
pub(super) fn object(what: &str, raw: Option<&RawValue>) -> Result<Map<String, Value>, RoomsError> {
    let Some(raw) = raw else { return Ok(Map::new()) };
    serde_json::from_str(raw.get()).map_err(|_| RoomsError::BadJson(format!("`{what}` has to be an object")))
}
