//! State resolution, version 1: the passes, their order, and the two orders within them.

use std::collections::HashMap;

use ruma::{EventId, OwnedEventId, events::StateEventType};
use serde_json::json;
use sha1::{Digest as _, Sha1};

use super::{ALICE, BOB, CAROL, TestRoom};
use crate::event::resolve::{Conflicts, StateMap, resolve, resolve_conflicts_v1};

fn resolved(rooms: &[&TestRoom]) -> StateMap {
    let find = |id: &EventId| rooms.iter().find_map(|room| room.events.get(id).cloned());
    let states: Vec<StateMap> = rooms.iter().map(|room| room.state_map()).collect();
    let forward = resolve(&rooms[0].rules, &states, find).unwrap();
    let backward: Vec<StateMap> = states.iter().rev().cloned().collect();
    assert_eq!(forward, resolve(&rooms[0].rules, &backward, find).unwrap(), "the order does not matter");

    // The same with only the conflicts at hand.
    let mut all: HashMap<_, std::collections::BTreeSet<OwnedEventId>> = HashMap::new();
    for (pair, id) in states.iter().flatten() {
        all.entry(pair.clone()).or_default().insert(id.clone());
    }
    let conflicts: Conflicts =
        all.iter().filter(|(_, ids)| ids.len() > 1).map(|(pair, ids)| (pair.clone(), ids.clone())).collect();
    let agreed = |kind: &StateEventType, key: &str| {
        let ids = all.get(&(kind.clone(), key.to_owned())).filter(|ids| ids.len() == 1)?;
        find(ids.first()?)
    };
    let part = resolve_conflicts_v1(&rooms[0].rules, &conflicts, agreed, find).unwrap();
    assert_eq!(part.len(), conflicts.len());
    assert!(part.iter().all(|(pair, id)| forward[pair] == *id));
    forward
}

fn pair(kind: StateEventType, key: &str) -> (StateEventType, String) {
    (kind, key.to_owned())
}

fn sha1(id: &OwnedEventId) -> [u8; 20] {
    Sha1::digest(id.as_bytes()).into()
}

fn room_of_three() -> TestRoom {
    let mut room = TestRoom::new(1);
    room.join(BOB);
    room.join(CAROL);
    room.send(ALICE, "m.room.power_levels", Some(""), &json!({ "users": { ALICE: 100, BOB: 50 } })).unwrap();
    room
}

#[test]
fn what_only_one_state_has_is_kept() {
    let base = room_of_three();
    let (mut left, mut right) = (base.clone(), base);
    let name = left.send(ALICE, "m.room.name", Some(""), &json!({ "name": "n" })).unwrap();
    let topic = right.send(BOB, "m.room.topic", Some(""), &json!({ "topic": "t" })).unwrap();
    let state = resolved(&[&left, &right]);
    assert_eq!(state[&pair(StateEventType::RoomName, "")], name.event_id);
    assert_eq!(state[&pair(StateEventType::RoomTopic, "")], topic.event_id);
    assert_eq!(state.len(), left.state.len() + 1);
}

#[test]
fn the_deepest_stands_and_then_the_lowest_hash() {
    let mut base = room_of_three();
    base.send(ALICE, "m.room.topic", Some(""), &json!({ "topic": "first" })).unwrap();
    for number in 0..8 {
        let (mut left, mut right) = (base.clone(), base.clone());
        let one = left.send(ALICE, "m.room.topic", Some(""), &json!({ "topic": format!("left {number}") })).unwrap();
        let two = right.send(BOB, "m.room.topic", Some(""), &json!({ "topic": format!("right {number}") })).unwrap();
        assert_eq!(one.depth, two.depth);
        let lower = if sha1(&one.event_id) < sha1(&two.event_id) { &one } else { &two };
        assert_eq!(resolved(&[&left, &right])[&pair(StateEventType::RoomTopic, "")], lower.event_id);
        // One deeper: the hash no longer matters.
        let deeper = right.send(BOB, "m.room.topic", Some(""), &json!({ "topic": "deeper" })).unwrap();
        assert_eq!(resolved(&[&left, &right])[&pair(StateEventType::RoomTopic, "")], deeper.event_id);
    }
}

#[test]
fn power_comes_first_and_decides_the_rest() {
    let mut base = room_of_three();
    let first = base.send(ALICE, "m.room.topic", Some(""), &json!({ "topic": "first" })).unwrap();
    let (mut left, mut right) = (base.clone(), base.clone());
    // On the left Bob loses his power; on the right he goes on, deeper and deeper.
    let levels = left.send(ALICE, "m.room.power_levels", Some(""), &json!({ "users": { ALICE: 100 } })).unwrap();
    right.send(BOB, "m.room.name", Some(""), &json!({ "name": "n" })).unwrap();
    right.send(BOB, "m.room.topic", Some(""), &json!({ "topic": "mine" })).unwrap();
    right.send(BOB, "m.room.member", Some(CAROL), &json!({ "membership": "leave" })).unwrap();
    let state = resolved(&[&left, &right]);
    assert_eq!(state[&pair(StateEventType::RoomPowerLevels, "")], levels.event_id);
    assert_eq!(state[&pair(StateEventType::RoomTopic, "")], first.event_id, "Bob may not any more");
    let carol = pair(StateEventType::RoomMember, CAROL);
    assert_eq!(state[&carol], base.state_map()[&carol]);
    // The name was never in conflict, so it stays: the known weakness of this version.
    assert!(state.contains_key(&pair(StateEventType::RoomName, "")));
}

#[test]
fn a_ban_stands_against_what_is_deeper() {
    let base = room_of_three();
    let (mut left, mut right) = (base.clone(), base);
    let ban = left.send(ALICE, "m.room.member", Some(CAROL), &json!({ "membership": "ban" })).unwrap();
    right.send(CAROL, "m.room.member", Some(CAROL), &json!({ "membership": "join", "displayname": "1" })).unwrap();
    right.send(CAROL, "m.room.member", Some(CAROL), &json!({ "membership": "join", "displayname": "2" })).unwrap();
    // Sorted by depth, the ban is followed by Carol's second change, which it does not allow.
    let state = resolved(&[&left, &right]);
    assert_eq!(state[&pair(StateEventType::RoomMember, CAROL)], ban.event_id);
}

#[test]
fn join_rules_go_before_members() {
    let mut base = room_of_three();
    base.send(CAROL, "m.room.member", Some(CAROL), &json!({ "membership": "leave" })).unwrap();
    let (mut left, mut right) = (base.clone(), base.clone());
    let closed = left.send(ALICE, "m.room.join_rules", Some(""), &json!({ "join_rule": "invite" })).unwrap();
    right.join(CAROL);
    let state = resolved(&[&left, &right]);
    assert_eq!(state[&pair(StateEventType::RoomJoinRules, "")], closed.event_id);
    let carol = pair(StateEventType::RoomMember, CAROL);
    assert_eq!(state[&carol], base.state_map()[&carol], "the room was closed before Carol came back");
}

#[test]
fn an_unknown_event_in_conflict_is_an_error() {
    let base = room_of_three();
    let (mut left, mut right) = (base.clone(), base);
    left.send(ALICE, "m.room.topic", Some(""), &json!({ "topic": "l" })).unwrap();
    let lost = right.send(ALICE, "m.room.topic", Some(""), &json!({ "topic": "r" })).unwrap();
    let states = [left.state_map(), right.state_map()];
    let mut events = right.events.clone();
    events.extend(left.events.clone());
    events.remove(&lost.event_id);
    assert!(resolve(&left.rules, &states, |id| events.get(id).cloned()).is_err());
}
