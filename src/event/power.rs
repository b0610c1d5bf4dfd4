//! Who may do what in a room, according to `m.room.power_levels` and the create event.
//!
//! A lenient reader for the server's own questions ("may this user ping the room?", "who can invite?"). Whether an
//! *event* stands is decided by [`super::auth`] alone. Source: spec v1.19, Client-Server API `m.room.power_levels`;
//! room version 10 (integers only) and 12 (creators).

use std::collections::BTreeMap;

use ruma::{
    OwnedUserId, UserId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
};
use serde_json::{Map, Value, value::RawValue};

use super::{content, pdu::Pdu};

/// The power of a user. Infinite is above every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserLevel {
    /// A level from the event or its defaults.
    Int(i64),
    /// A creator of a room of version 12 or later.
    Infinite,
}

impl UserLevel {
    /// Whether this power reaches a required level.
    pub fn reaches(self, required: i64) -> bool {
        self >= Self::Int(required)
    }
}

/// The power levels in force, read once; asking costs a map look-up.
#[derive(Debug, Clone)]
pub struct PowerLevels {
    users: BTreeMap<OwnedUserId, i64>,
    events: BTreeMap<Box<str>, i64>,
    notifications: BTreeMap<Box<str>, i64>,
    users_default: i64,
    events_default: i64,
    state_default: i64,
    invite: i64,
    kick: i64,
    ban: i64,
    redact: i64,
    creators: Vec<OwnedUserId>,
    creators_infinite: bool,
}

impl PowerLevels {
    /// Reads the levels; without an `m.room.power_levels` event the specification's defaults hold.
    ///
    /// Damaged entries count as absent. Before room version 10 a level may be a string with an integer in it, or a
    /// float.
    pub fn read(rules: &RoomVersionRules, create: &Pdu, power_levels: Option<&Pdu>) -> Self {
        let creators = content::Create::read(&create.content, &create.sender, rules).creators;
        Self::from_content(rules, creators, power_levels.map(|pdu| &*pdu.content))
    }

    /// The same from a content that is not an event yet, for example the one of a room about to be made.
    pub fn from_content(rules: &RoomVersionRules, creators: Vec<OwnedUserId>, power_levels: Option<&RawValue>) -> Self {
        let object: Map<String, Value> =
            power_levels.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let reader = Reader { object: &object, integers_only: rules.authorization.integer_power_levels };
        let creators_infinite = rules.authorization.explicitly_privilege_room_creators;
        let mut users: BTreeMap<OwnedUserId, i64> = reader
            .levels("users")
            .filter_map(|(user, level)| Some((OwnedUserId::try_from(user).ok()?, level)))
            .collect();
        if power_levels.is_none() && !creators_infinite {
            users.extend(creators.iter().map(|creator| (creator.clone(), 100)));
        }
        Self {
            users,
            events: reader.levels("events").map(|(kind, level)| (kind.into(), level)).collect(),
            notifications: reader.levels("notifications").map(|(key, level)| (key.into(), level)).collect(),
            users_default: reader.level("users_default").unwrap_or(0),
            events_default: reader.level("events_default").unwrap_or(0),
            state_default: reader.level("state_default").unwrap_or(50),
            invite: reader.level("invite").unwrap_or(0),
            kick: reader.level("kick").unwrap_or(50),
            ban: reader.level("ban").unwrap_or(50),
            redact: reader.level("redact").unwrap_or(50),
            creators,
            creators_infinite,
        }
    }

    /// The power of a user, member or not.
    pub fn user_level(&self, user: &UserId) -> UserLevel {
        if self.creators_infinite && self.is_creator(user) {
            return UserLevel::Infinite;
        }
        UserLevel::Int(self.users.get(user).copied().unwrap_or(self.users_default))
    }

    /// The room's creators: the sender of the create event (its `creator` before version 11) and, from version 12, the
    /// additional ones.
    pub fn creators(&self) -> &[OwnedUserId] {
        &self.creators
    }

    /// Whether the user is one of [`PowerLevels::creators`].
    pub fn is_creator(&self, user: &UserId) -> bool {
        self.creators.iter().any(|creator| creator == user)
    }

    /// Users with a level of their own, in id order. Infinite creators are not among them.
    pub fn users(&self) -> impl Iterator<Item = (&UserId, i64)> {
        self.users.iter().map(|(user, level)| (&**user, *level))
    }

    /// The level a user has who is not named.
    pub fn users_default(&self) -> i64 {
        self.users_default
    }

    /// The level needed to send a state event of this type.
    pub fn required_for_state(&self, kind: &StateEventType) -> i64 {
        self.events.get(kind.to_string().as_str()).copied().unwrap_or(self.state_default)
    }

    /// The level needed to send a message event of this type.
    pub fn required_for_message(&self, kind: &TimelineEventType) -> i64 {
        self.events.get(kind.to_string().as_str()).copied().unwrap_or(self.events_default)
    }

    /// The level needed to invite.
    pub fn invite(&self) -> i64 {
        self.invite
    }

    /// The level needed to kick.
    pub fn kick(&self) -> i64 {
        self.kick
    }

    /// The level needed to ban and unban.
    pub fn ban(&self) -> i64 {
        self.ban
    }

    /// The level needed to redact other people's events.
    pub fn redact(&self) -> i64 {
        self.redact
    }

    /// The level needed to trigger a notification for all, `room` being the only key the specification knows.
    pub fn notification(&self, key: &str) -> i64 {
        self.notifications.get(key).copied().unwrap_or(50)
    }
}

/// Reads levels out of a content, taking damaged ones for absent.
struct Reader<'a> {
    object: &'a Map<String, Value>,
    integers_only: bool,
}

impl<'a> Reader<'a> {
    fn level(&self, key: &str) -> Option<i64> {
        self.number(self.object.get(key)?)
    }

    fn levels(&self, key: &str) -> impl Iterator<Item = (&'a str, i64)> {
        let entries = self.object.get(key).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(name, value)| Some((name.as_str(), self.number(value)?)))
    }

    fn number(&self, value: &Value) -> Option<i64> {
        match value {
            Value::Number(number) => match number.as_i64() {
                Some(number) => Some(number),
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "old rooms: the fraction is cut, as the specification says"
                )]
                None if !self.integers_only => number.as_f64().map(|number| number as i64),
                None => None,
            },
            Value::String(text) if !self.integers_only => text.trim().parse().ok(),
            _ => None,
        }
    }
}
