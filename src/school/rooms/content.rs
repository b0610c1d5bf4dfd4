//! What the school's rooms say of themselves: contents of their state.

use ruma::{ServerName, UserId, room_version_rules::RoomVersionRules};
use serde_json::{Map, Value, json};

use crate::store::schema::school::RoomKind;

/// The state event in which a room of the school says what it is. Its content: `kind` as in [`RoomKind`], `mode`,
/// `frozen` and `archived`.
pub const ROOM_STATE: &str = "org.homeroom.room";

/// The power nobody has but the school.
const NOBODY: i64 = 100;
/// Above every other level, as room version 12 wants it.
const TOMBSTONE: i64 = 150;

/// Who may write in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All members.
    #[default]
    Open,
    /// Those with power.
    OneWay,
    /// Nobody.
    Closed,
}

impl Mode {
    /// The power it takes to write.
    fn power(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::OneWay => super::wanted::ADULT_POWER,
            Self::Closed => NOBODY,
        }
    }

    /// The mode of a power.
    pub(super) fn of_power(power: i64) -> Self {
        match power {
            ..=0 => Self::Open,
            1..=super::wanted::ADULT_POWER => Self::OneWay,
            _ => Self::Closed,
        }
    }
}

/// The content of `m.room.create`.
pub(super) fn create(kind: RoomKind, family: bool) -> Value {
    let mut content = Map::new();
    if kind.is_space() {
        content.insert("type".into(), "m.space".into());
    }
    if family {
        content.insert("m.federate".into(), false.into());
        content.insert(crate::rooms::policy::TERMS.into(), "family".into());
    }
    Value::Object(content)
}

/// The content of `m.room.power_levels`: only the school changes the room; `users` have what power they have over
/// messages.
pub(super) fn power_levels(
    service: &UserId,
    users: impl Iterator<Item = (String, i64)>,
    (mode, kind): (Mode, RoomKind),
    staff_only: bool,
    rules: &RoomVersionRules,
) -> Value {
    let mut named: Map<String, Value> =
        users.filter(|(_, power)| *power != 0).map(|(user, power)| (user, power.into())).collect();
    // From version 12 the room's creator stands above all levels, and must not be listed.
    if !rules.authorization.explicitly_privilege_room_creators {
        named.insert(service.to_string(), NOBODY.into());
    }
    let adults = super::wanted::ADULT_POWER;
    json!({
        "ban": NOBODY,
        "events": {
            "m.room.encryption": if staff_only { adults } else { NOBODY },
            "m.room.pinned_events": adults,
            // Teachers close a class's room and open it; the policy holds them to that.
            "m.room.power_levels": if kind == RoomKind::Class { adults } else { NOBODY },
            "m.room.tombstone": TOMBSTONE,
            "m.room.topic": adults,
        },
        "events_default": mode.power(),
        "invite": NOBODY,
        "kick": NOBODY,
        "notifications": { "room": adults },
        "redact": adults,
        "state_default": NOBODY,
        "users": named,
        "users_default": 0,
    })
}

/// The content of [`ROOM_STATE`].
pub(super) fn room_state(kind: RoomKind, mode: Mode, frozen: bool, archived: bool) -> Value {
    json!({ "kind": kind, "mode": mode, "frozen": frozen, "archived": archived })
}

/// The content of `m.room.server_acl` of a room of the staff: this server and its neighbours.
pub(super) fn server_acl(server: &ServerName, neighbours: &[&str]) -> Value {
    let allow: Vec<&str> = std::iter::once(server.host()).chain(neighbours.iter().copied()).collect();
    json!({ "allow": allow, "allow_ip_literals": false, "deny": [] })
}

/// The content of `m.room.topic`, in both its forms.
pub(super) fn topic(topic: &str) -> Value {
    json!({ "topic": topic, "m.topic": { "m.text": [{ "body": topic }] } })
}

/// The content of a space's child.
pub(super) fn child(server: &ServerName) -> Value {
    json!({ "via": [server] })
}

/// The content of a child's parent.
pub(super) fn parent(server: &ServerName) -> Value {
    json!({ "via": [server], "canonical": true })
}

/// A notice of the school.
pub(super) fn notice(text: &str) -> Value {
    json!({ "msgtype": "m.notice", "body": text })
}
