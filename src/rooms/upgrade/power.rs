//! Power levels of a room that is replaced, and of the one that replaces it.

use ruma::{OwnedUserId, UserId, events::StateEventType, room_version_rules::RoomVersionRules};
use serde_json::{Map, Value, json};

use super::super::{NewEvent, RoomsError, Writer, create::raise_tombstone};
use crate::{event::Content, store::StoreError};

/// The power of somebody who is to do anything in a room before version 12.
const FULL_LEVEL: i64 = 100;
/// From version 12 a room is ended by its creators, unless somebody is given more than the usual power.
const TOMBSTONE_LEVEL: i64 = 150;

/// The power levels of the new room.
pub(super) struct Transferred {
    /// While it is being made: the creator may do everything.
    pub(super) during: Content,
    /// From then on.
    pub(super) after: Content,
}

/// The old room's levels as the new room's version wants them.
pub(super) async fn transferred(
    old: &Writer,
    creator: &UserId,
    others: &[OwnedUserId],
    rules: &RoomVersionRules,
) -> Result<Transferred, RoomsError> {
    let mut levels = current(old).await?;
    integers(&mut levels);
    let mut users = match levels.remove("users") {
        Some(Value::Object(users)) => users,
        _ => Map::new(),
    };
    if rules.authorization.explicitly_privilege_room_creators {
        users.retain(|user, _| user != creator.as_str() && others.iter().all(|other| other.as_str() != user));
        levels.insert("users".into(), Value::Object(users));
        if let Some(Value::Object(events)) = levels.get_mut("events")
            && events.get("m.room.tombstone").and_then(Value::as_i64).is_some_and(|level| level < TOMBSTONE_LEVEL)
        {
            events.remove("m.room.tombstone");
        }
        raise_tombstone(&mut levels);
        let content = Content::from_serialize(&levels)?;
        return Ok(Transferred { during: content.clone(), after: content });
    }
    if old.room().rules.authorization.explicitly_privilege_room_creators {
        // Creators had infinite power, which the new room cannot express.
        users.extend(old.view().power.creators().iter().map(|user| (user.to_string(), FULL_LEVEL.into())));
    }
    levels.insert("users".into(), Value::Object(users.clone()));
    let after = Content::from_serialize(&levels)?;
    let full = highest(&levels).max(FULL_LEVEL);
    users.insert(creator.to_string(), full.into());
    levels.insert("users".into(), Value::Object(users));
    Ok(Transferred { during: Content::from_serialize(&levels)?, after })
}

/// The event by which nobody but moderators may write to or invite into the old room any more. `None` where it cannot be
/// made: levels of old room versions may hold numbers that this server does not write, and are left alone.
pub(super) async fn quiet(old: &Writer, user: &UserId) -> Result<Option<NewEvent>, StoreError> {
    let mut levels = current(old).await?;
    let power = &old.view().power;
    let quiet = power.users_default().saturating_add(1).max(50);
    let events_default = levels.get("events_default").and_then(Value::as_i64).unwrap_or(0);
    levels.insert("events_default".into(), events_default.max(quiet).into());
    levels.insert("invite".into(), power.invite().max(quiet).into());
    let content = Content::from_serialize(&levels).ok();
    Ok(content.map(|content| NewEvent::state(user, StateEventType::RoomPowerLevels, "", content)))
}

async fn current(room: &Writer) -> Result<Map<String, Value>, StoreError> {
    let event = room.state_event(&StateEventType::RoomPowerLevels, "").await?;
    let content = event.and_then(|event| serde_json::from_str(event.pdu.content.get()).ok());
    // A room without the event has its creator's word alone.
    Ok(content.unwrap_or_else(|| {
        let creators = room.view().power.creators();
        let users: Map<_, _> = creators.iter().map(|user| (user.to_string(), json!(FULL_LEVEL))).collect();
        let infinite = room.room().rules.authorization.explicitly_privilege_room_creators;
        if infinite { Map::new() } else { Map::from_iter([("users".to_owned(), Value::Object(users))]) }
    }))
}

/// Old room versions let levels be strings and fractions.
fn integers(levels: &mut Map<String, Value>) {
    for value in levels.values_mut() {
        match value {
            Value::Object(inner) => integers(inner),
            Value::String(text) => {
                if let Ok(number) = text.trim().parse::<i64>() {
                    *value = number.into();
                }
            }
            Value::Number(number) if number.as_i64().is_none() => {
                #[expect(clippy::cast_possible_truncation, reason = "the fraction is cut, as the specification says")]
                let cut = number.as_f64().unwrap_or_default() as i64;
                *value = cut.into();
            }
            _ => {}
        }
    }
}

/// The highest level that anything needs.
fn highest(levels: &Map<String, Value>) -> i64 {
    let inner = |value: &Value| match value {
        Value::Object(inner) => inner.values().filter_map(Value::as_i64).max(),
        value => value.as_i64(),
    };
    levels.values().filter_map(inner).max().unwrap_or(FULL_LEVEL)
}
