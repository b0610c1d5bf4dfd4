//! A user's push rules, compiled once and evaluated without waiting.
//!
//! Specification v1.19, client-server API, "Push rules": kinds in the order override, content, room, sender,
//! underride; within a kind in the order of the list; the first rule that is enabled and matches decides. A condition
//! this server does not know never matches.

use std::ops::RangeBounds as _;

use ruma::{
    UInt, UserId,
    power_levels::NotificationPowerLevelsKey,
    push::{Action, AnyPushRuleRef, PushCondition, RoomMemberCountIs, Ruleset, ScalarJsonValue},
};
use serde_json::Value;

use super::{
    facts::{Facts, lower},
    glob::Glob,
};
use crate::event::PowerLevels;

/// Rules that guess from the text who is meant. They do not hold where the sender says it (`m.mentions`).
const GUESSING: [&str; 3] = [".m.rule.contains_display_name", ".m.rule.roomnotif", ".m.rule.contains_user_name"];

/// What the rules say of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    /// It counts as a notification.
    pub notify: bool,
    /// It also counts as a highlight.
    pub highlight: bool,
}

/// What rules ask besides the event: the room, as it is when they are evaluated.
pub(super) struct Context<'a> {
    /// The room's id.
    pub(super) room_id: &'a str,
    /// How many have joined.
    pub(super) joined: u64,
    /// The power levels in force.
    pub(super) power: &'a PowerLevels,
    /// The reader's name in the room; only needed where [`Rules::wants_display_name`].
    pub(super) display_name: Option<&'a str>,
}

/// Compiled rules.
pub(super) struct Rules {
    rules: Box<[Rule]>,
}

struct Rule {
    conditions: Box<[Condition]>,
    outcome: Outcome,
    guessing: bool,
}

enum Condition {
    Match(Field, Glob),
    /// `event_match` on `content.body`: words, not the whole text.
    Words(Glob),
    Room(Box<str>),
    Sender(Box<str>),
    DisplayName,
    Members(RoomMemberCountIs),
    MayNotifyRoom,
    Is(Field, Value),
    Contains(Field, Value),
    Never,
}

/// A property of the event.
enum Field {
    Kind,
    Sender,
    StateKey,
    RoomId,
    EventId,
    Sent,
    /// The keys to follow inside the content.
    Content(Box<[Box<str>]>),
    Absent,
}

/// A property's value.
enum Found<'a> {
    Text(&'a str),
    Json(&'a Value),
}

impl Rules {
    /// Compiles the enabled rules.
    pub(super) fn compile(rules: &Ruleset) -> Self {
        Self { rules: rules.iter().filter(|rule| rule.enabled()).map(Rule::compile).collect() }
    }

    /// Whether a rule asks for the reader's name in the room.
    pub(super) fn wants_display_name(&self) -> bool {
        let asks = |rule: &Rule| rule.conditions.iter().any(|condition| matches!(condition, Condition::DisplayName));
        self.rules.iter().any(asks)
    }

    /// What the rules say of an event of somebody else.
    pub(super) fn evaluate(&self, facts: &Facts, context: &Context<'_>) -> Outcome {
        if facts.redacted {
            return Outcome::default();
        }
        let applies = |rule: &&Rule| {
            !(rule.guessing && facts.says_mentions())
                && rule.conditions.iter().all(|condition| condition.holds(facts, context))
        };
        self.rules.iter().find(applies).map(|rule| rule.outcome).unwrap_or_default()
    }
}

impl Rule {
    fn compile(rule: AnyPushRuleRef<'_>) -> Self {
        let conditions = match rule {
            AnyPushRuleRef::Override(rule) | AnyPushRuleRef::Underride(rule) => {
                rule.conditions.iter().map(Condition::compile).collect()
            }
            AnyPushRuleRef::Content(rule) => Box::new([Condition::Words(Glob::new(&rule.pattern))]) as Box<[_]>,
            AnyPushRuleRef::Room(rule) => Box::new([Condition::Room(rule.rule_id.as_str().into())]),
            AnyPushRuleRef::Sender(rule) => Box::new([Condition::Sender(rule.rule_id.as_str().into())]),
        };
        let notify = rule.actions().iter().any(|action| matches!(action, Action::Notify));
        let highlight = notify && rule.actions().iter().any(Action::is_highlight);
        Self { conditions, outcome: Outcome { notify, highlight }, guessing: GUESSING.contains(&rule.rule_id()) }
    }
}

impl Condition {
    fn compile(condition: &PushCondition) -> Self {
        #[expect(deprecated, reason = "users keep rules of before v1.17")]
        match condition {
            PushCondition::EventMatch(data) if data.key == "content.body" => Self::Words(Glob::new(&data.pattern)),
            PushCondition::EventMatch(data) => Self::Match(Field::read(&data.key), Glob::new(&data.pattern)),
            PushCondition::ContainsDisplayName => Self::DisplayName,
            PushCondition::RoomMemberCount(data) => Self::Members(data.is),
            PushCondition::SenderNotificationPermission(data) if data.key == NotificationPowerLevelsKey::Room => {
                Self::MayNotifyRoom
            }
            PushCondition::EventPropertyIs(data) => Self::Is(Field::read(&data.key), scalar(&data.value)),
            PushCondition::EventPropertyContains(data) => Self::Contains(Field::read(&data.key), scalar(&data.value)),
            _ => Self::Never,
        }
    }

    fn holds(&self, facts: &Facts, context: &Context<'_>) -> bool {
        match self {
            Self::Match(field, glob) => field.text(facts, context).is_some_and(|text| glob.matches(&lower(text))),
            Self::Words(glob) => facts.body().is_some_and(|body| glob.matches_words(body)),
            Self::Room(room) => **room == *context.room_id,
            Self::Sender(sender) => **sender == *facts.sender_id.as_str(),
            Self::DisplayName => match (context.display_name, facts.body()) {
                (Some(name), Some(body)) if !name.is_empty() => Glob::literal(name).matches_words(body),
                _ => false,
            },
            Self::Members(is) => is.contains(&UInt::new_saturating(context.joined)),
            Self::MayNotifyRoom => may_notify_room(&facts.sender_id, context.power),
            Self::Is(field, wanted) => match field.find(facts, context) {
                Some(Found::Text(text)) => wanted.as_str() == Some(text),
                Some(Found::Json(value)) => value == wanted,
                None => false,
            },
            Self::Contains(field, wanted) => match field.find(facts, context) {
                Some(Found::Json(Value::Array(items))) => items.contains(wanted),
                _ => false,
            },
            Self::Never => false,
        }
    }
}

impl Field {
    /// Reads a dot-separated path; `\.` is a dot within a key, `\\` a backslash (specification v1.19, appendices,
    /// "Dot-separated property paths").
    fn read(path: &str) -> Self {
        let mut keys = vec![String::new()];
        let mut chars = path.chars().peekable();
        while let Some(char) = chars.next() {
            let Some(key) = keys.last_mut() else { return Self::Absent };
            match (char, chars.peek()) {
                ('\\', Some(escaped @ ('.' | '\\'))) => {
                    key.push(*escaped);
                    chars.next();
                }
                ('.', _) => keys.push(String::new()),
                _ => key.push(char),
            }
        }
        let mut keys = keys.into_iter().map(String::into_boxed_str);
        let first = keys.next().unwrap_or_default();
        let rest: Box<[_]> = keys.collect();
        match (&*first, rest.is_empty()) {
            ("content", false) => Self::Content(rest),
            ("type", true) => Self::Kind,
            ("sender", true) => Self::Sender,
            ("state_key", true) => Self::StateKey,
            ("room_id", true) => Self::RoomId,
            ("event_id", true) => Self::EventId,
            ("origin_server_ts", true) => Self::Sent,
            _ => Self::Absent,
        }
    }

    fn find<'a>(&self, facts: &'a Facts, context: &Context<'a>) -> Option<Found<'a>> {
        Some(match self {
            Self::Kind => Found::Text(&facts.kind),
            Self::Sender => Found::Text(facts.sender_id.as_str()),
            Self::StateKey => Found::Text(facts.state_key.as_deref()?),
            Self::RoomId => Found::Text(context.room_id),
            Self::EventId => Found::Text(facts.event_id.as_str()),
            Self::Sent => Found::Json(&facts.sent),
            Self::Content(keys) => {
                Found::Json(keys.iter().try_fold(&facts.content, |value, key| value.as_object()?.get(&**key))?)
            }
            Self::Absent => return None,
        })
    }

    fn text<'a>(&self, facts: &'a Facts, context: &Context<'a>) -> Option<&'a str> {
        match self.find(facts, context)? {
            Found::Text(text) => Some(text),
            Found::Json(value) => value.as_str(),
        }
    }
}

fn scalar(value: &ScalarJsonValue) -> Value {
    match value {
        ScalarJsonValue::Null => Value::Null,
        ScalarJsonValue::Bool(value) => Value::Bool(*value),
        ScalarJsonValue::Integer(value) => i64::from(*value).into(),
        ScalarJsonValue::String(text) => Value::String(text.clone()),
    }
}

fn may_notify_room(sender: &UserId, power: &PowerLevels) -> bool {
    power.user_level(sender).reaches(power.notification("room"))
}
