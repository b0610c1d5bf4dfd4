use ruma::{EventId, events::StateEventType};
use serde_json::json;

use super::{ALICE, BOB, CAROL, TestRoom};
use crate::event::resolve::{StateMap, auth_chain, resolve};

fn resolved(rooms: &[&TestRoom]) -> StateMap {
    let find = |id: &EventId| rooms.iter().find_map(|room| room.events.get(id).cloned());
    let states: Vec<StateMap> = rooms.iter().map(|room| room.state_map()).collect();
    let forward = resolve(&rooms[0].rules, &states, find).unwrap();
    let backward: Vec<StateMap> = states.into_iter().rev().collect();
    assert_eq!(forward, resolve(&rooms[0].rules, &backward, find).unwrap(), "the order does not matter");
    forward
}

fn room_of_three(version: u8) -> TestRoom {
    let mut room = TestRoom::new(version);
    room.join(BOB);
    room.join(CAROL);
    let mut levels = json!({ "users": { BOB: 50 } });
    if version < 12 {
        levels["users"][ALICE] = json!(100);
    }
    room.send(ALICE, "m.room.power_levels", Some(""), &levels).unwrap();
    room
}

#[test]
fn a_ban_beats_what_the_banned_did_meanwhile() {
    for version in 2..=12 {
        let base = room_of_three(version);
        let (mut left, mut right) = (base.clone(), base.clone());
        let ban = left.send(ALICE, "m.room.member", Some(BOB), &json!({ "membership": "ban" })).unwrap();
        right.send(BOB, "m.room.topic", Some(""), &json!({ "topic": "mine" })).unwrap();
        right.send(BOB, "m.room.member", Some(CAROL), &json!({ "membership": "leave" })).unwrap();
        let state = resolved(&[&left, &right]);
        assert_eq!(state[&(StateEventType::RoomMember, BOB.to_owned())], ban.event_id, "version {version}");
        assert!(!state.contains_key(&(StateEventType::RoomTopic, String::new())));
        let carol = (StateEventType::RoomMember, CAROL.to_owned());
        assert_eq!(state[&carol], base.state_map()[&carol]);
    }
}

#[test]
fn independent_changes_are_both_kept() {
    for version in [3, 6, 11, 12] {
        let base = room_of_three(version);
        let (mut left, mut right) = (base.clone(), base);
        let name = left.send(ALICE, "m.room.name", Some(""), &json!({ "name": "n" })).unwrap();
        let topic = right.send(BOB, "m.room.topic", Some(""), &json!({ "topic": "t" })).unwrap();
        let state = resolved(&[&left, &right]);
        assert_eq!(state[&(StateEventType::RoomName, String::new())], name.event_id);
        assert_eq!(state[&(StateEventType::RoomTopic, String::new())], topic.event_id);
        assert_eq!(state.len(), left.state.len() + 1);
    }
}

#[test]
fn the_chain_leads_to_the_start_of_the_room() {
    for version in [11, 12] {
        let room = room_of_three(version);
        let topic = room.clone().send(BOB, "m.room.topic", Some(""), &json!({})).unwrap();
        let mut events = room.events.clone();
        events.insert(topic.event_id.clone(), topic.clone());
        let chain = auth_chain([&topic.event_id], |id| events.get(id).cloned());
        let create = &room.state[&(StateEventType::RoomCreate, String::new())].event_id;
        assert_eq!(chain.contains(create), version < 12, "from version 12 nothing lists the create event");
        assert!(chain.contains(&room.state[&(StateEventType::RoomMember, BOB.to_owned())].event_id));
        assert!(!chain.contains(&room.state[&(StateEventType::RoomMember, CAROL.to_owned())].event_id));
    }
}
