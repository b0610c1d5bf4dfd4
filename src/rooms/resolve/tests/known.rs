//! Known cases, each with the answer written down, on trees and in the plain form.

use std::sync::Arc;

use serde_json::json;

use super::{
    super::graph::Graph,
    room::{ALICE, BOB, CAROL, DAVE, Point, TestRoom},
    stored::{StoredRoom, Storing},
};

/// What two branches come to. That the tree says the same is checked here.
async fn met(room: &mut TestRoom, points: &[&Point]) -> Point {
    let met = room.meet(points);
    StoredRoom::check(room, Storing::default()).await;
    met
}

#[tokio::test]
async fn a_ban_beats_a_concurrent_join() {
    for version in [2, 6, 10, 11, 12] {
        let (mut room, base) = TestRoom::new(version);
        let (mut left, mut right) = (base.clone(), base);
        let ban = room.member(&mut left, ALICE, CAROL, "ban").unwrap();
        room.member(&mut right, CAROL, CAROL, "join").unwrap();
        let state = met(&mut room, &[&left, &right]).await;
        assert_eq!(state.get("m.room.member", CAROL), Some(&ban.event_id), "version {version}");
    }
}

#[tokio::test]
async fn what_the_banned_did_meanwhile_is_undone() {
    for version in [2, 6, 10, 11, 12] {
        let (mut room, mut base) = TestRoom::new(version);
        room.levels(&mut base, ALICE, &[(BOB, 50)]).unwrap();
        room.member(&mut base, CAROL, CAROL, "join").unwrap();
        let carol = base.get("m.room.member", CAROL).cloned();
        let (mut left, mut right) = (base.clone(), base);
        room.send(&mut right, BOB, "m.room.topic", "", &json!({ "topic": "mine" })).unwrap();
        room.member(&mut right, BOB, CAROL, "ban").unwrap();
        let ban = room.member(&mut left, ALICE, BOB, "ban").unwrap();
        let state = met(&mut room, &[&left, &right]).await;
        assert_eq!(state.get("m.room.member", BOB), Some(&ban.event_id), "version {version}");
        assert_eq!(state.get("m.room.member", CAROL), carol.as_ref());
        assert_eq!(state.get("m.room.topic", ""), None);
    }
}

#[tokio::test]
async fn of_two_power_levels_the_one_of_greater_power_is_tried_first() {
    for version in [2, 6, 10, 11, 12] {
        let (mut room, mut base) = TestRoom::new(version);
        room.levels(&mut base, ALICE, &[(BOB, 50), (CAROL, 50)]).unwrap();
        room.member(&mut base, CAROL, CAROL, "join").unwrap();
        let (mut left, mut right) = (base.clone(), base);
        // Carol is earlier; but Alice has more power, so hers counts when Carol's is tried.
        room.levels(&mut right, CAROL, &[(BOB, 50), (CAROL, 50), (DAVE, 50)]).unwrap();
        let down = room.levels(&mut left, ALICE, &[(BOB, 50)]).unwrap();
        let state = met(&mut room, &[&left, &right]).await;
        assert_eq!(state.get("m.room.power_levels", ""), Some(&down.event_id), "version {version}");
    }
}

#[tokio::test]
async fn changes_that_do_not_touch_each_other_are_both_kept() {
    for version in [1, 2, 6, 10, 11, 12] {
        let (mut room, mut base) = TestRoom::new(version);
        room.levels(&mut base, ALICE, &[(BOB, 50)]).unwrap();
        let (mut left, mut right) = (base.clone(), base);
        let name = room.send(&mut left, ALICE, "m.room.name", "", &json!({ "name": "n" })).unwrap();
        let topic = room.send(&mut right, BOB, "m.room.topic", "", &json!({ "topic": "t" })).unwrap();
        let state = met(&mut room, &[&left, &right]).await;
        assert_eq!(state.get("m.room.name", ""), Some(&name.event_id), "version {version}");
        assert_eq!(state.get("m.room.topic", ""), Some(&topic.event_id));
    }
}

#[tokio::test]
async fn an_old_state_that_returns_does_not_undo_what_followed() {
    // One server has never heard of anything since Bob was moderator; Bob has long been demoted and gone.
    for version in [2, 6, 10, 11, 12] {
        let (mut room, mut base) = TestRoom::new(version);
        room.levels(&mut base, ALICE, &[(BOB, 50)]).unwrap();
        let mut old = base.clone();
        room.levels(&mut base, ALICE, &[]).unwrap();
        room.member(&mut base, ALICE, BOB, "leave").unwrap();
        room.levels(&mut base, ALICE, &[(CAROL, 50)]).unwrap();
        let levels = base.get("m.room.power_levels", "").cloned();
        let bob = base.get("m.room.member", BOB).cloned();
        room.clock += 100;
        room.send(&mut old, BOB, "m.room.topic", "", &json!({ "topic": "late" })).unwrap();
        let state = met(&mut room, &[&base, &old]).await;
        assert_eq!(state.get("m.room.power_levels", ""), levels.as_ref(), "version {version}");
        assert_eq!(state.get("m.room.member", BOB), bob.as_ref());
        assert_eq!(state.get("m.room.topic", ""), None);
    }
}

#[tokio::test]
async fn version_12_replays_what_lies_between_conflicting_events() {
    // Two servers disagree on Carol's membership only: one has the first of her two joins, though it knows all that
    // happened between them. Nothing in between is in conflict, nor in the auth difference; only the subgraph has it.
    let (mut room, mut base) = TestRoom::new(12);
    room.member(&mut base, CAROL, CAROL, "join").unwrap();
    let first = base.clone();
    room.levels(&mut base, ALICE, &[(CAROL, 50)]).unwrap();
    room.send(&mut base, CAROL, "m.room.join_rules", "", &json!({ "join_rule": "invite" })).unwrap();
    let again = room
        .send(&mut base, CAROL, "m.room.member", CAROL, &json!({ "membership": "join", "displayname": "C" }))
        .unwrap();
    let mut damaged = base.clone();
    let carol = ("m.room.member".into(), CAROL.to_owned());
    damaged.state.insert(carol.clone(), first.state[&carol].clone());
    let state = met(&mut room, &[&base, &damaged]).await;
    assert_eq!(state.get("m.room.member", CAROL), Some(&again.event_id));
    assert_eq!(state.state, base.state);
}

#[tokio::test]
async fn a_key_that_no_state_has_can_come_back() {
    // Both states lack the topic that their members' auth chains do not lead to; what is only in one auth chain does.
    for version in [2, 11, 12] {
        let (mut room, base) = TestRoom::new(version);
        let mut left = base.clone();
        room.member(&mut left, CAROL, CAROL, "join").unwrap();
        room.levels(&mut left, ALICE, &[(CAROL, 50)]).unwrap();
        room.send(&mut left, CAROL, "m.room.topic", "", &json!({ "topic": "t" })).unwrap();
        // This state has the topic, but neither Carol nor her power.
        for (kind, key) in [("m.room.member", CAROL), ("m.room.power_levels", "")] {
            let pair = (kind.into(), key.to_owned());
            match base.state.get(&pair) {
                Some(id) => left.state.insert(pair, id.clone()),
                None => left.state.remove(&pair),
            };
        }
        let state = met(&mut room, &[&left, &base]).await;
        assert!(state.get("m.room.member", CAROL).is_some(), "version {version}");
    }
}

#[tokio::test]
async fn a_rejected_event_in_a_chain_never_becomes_state() {
    for version in [2, 6, 10, 11, 12] {
        let (mut room, base) = TestRoom::new(version);
        let (mut left, mut right) = (base.clone(), base);
        let topic = room.send(&mut right, ALICE, "m.room.topic", "", &json!({ "topic": "t" })).unwrap();
        // Allowed by itself, rejected for another reason; and an event that leads to it all the same.
        let mut levels = room.build(&left, ALICE, "m.room.power_levels", "", &json!({ "users_default": 100 })).unwrap();
        levels.rejected = true;
        room.keep(&mut left, &Arc::new(levels));
        let name = room.build(&left, ALICE, "m.room.name", "", &json!({ "name": "n" })).unwrap();
        room.keep(&mut left, &Arc::new(name));
        let pair = ("m.room.power_levels".into(), String::new());
        let rejected = left.state.insert(pair.clone(), right.state[&pair].clone());

        let mut stored = StoredRoom::new(&room, Storing::default()).await;
        let roots = [stored.root(&left.state).await, stored.root(&right.state).await];
        let resolver = stored.resolver();
        let state = stored.resolve(&room, &resolver, &roots).await;
        assert_ne!(state.get(&pair), rejected.as_ref(), "version {version}");
        assert_eq!(state.get(&pair), right.state.get(&pair));
        assert_eq!(state[&("m.room.topic".into(), String::new())], topic.event_id);
    }
}

#[tokio::test]
async fn one_state_is_itself_and_unknown_states_do_not_count() {
    let (mut room, base) = TestRoom::new(11);
    let mut left = base.clone();
    room.send(&mut left, ALICE, "m.room.name", "", &json!({ "name": "n" })).unwrap();
    let mut stored = StoredRoom::new(&room, Storing::default()).await;
    let known = stored.root(&left.state).await;
    let resolver = stored.resolver();
    let mut batch = crate::store::Batch::new();
    let unknown = crate::store::state_tree::StateRoot::EMPTY;
    for roots in [vec![known], vec![known, known], vec![unknown, known], vec![known, unknown, known]] {
        assert_eq!(resolver.resolve(stored.room, &room.rules, &roots, &mut batch).await.unwrap(), known);
    }
    assert_eq!(resolver.resolve(stored.room, &room.rules, &[], &mut batch).await.unwrap(), unknown);
    assert!(batch.is_empty(), "nothing is written");
}

#[tokio::test]
async fn much_is_not_sorted_on_the_thread_of_whoever_waits() {
    let (room, _) = TestRoom::new(11);
    let resolver = StoredRoom::new(&room, Storing::default()).await.resolver();
    for (events, elsewhere) in [(10, false), (100_000, true)] {
        let graph = Arc::<tokio::sync::Mutex<Graph>>::default().lock_owned().await;
        let (_, thread) = resolver.sort(graph, events, |_| std::thread::current().id()).await.unwrap();
        assert_eq!(thread != std::thread::current().id(), elsewhere, "{events}");
    }
}
