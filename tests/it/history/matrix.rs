//! Every endpoint that reads a room × everyone who is or is not in it × every history visibility.

use serde_json::json;

use super::{all_texts, v1};
use crate::harness::{Client, Server, escape};

/// Who asks.
const WHO: [&str; 6] = ["member", "never", "left", "banned", "invited", "later"];
/// What was said, and when: before anybody else came; while those who left were there; after they left and before the
/// late one came; at the end.
const SAID: [&str; 4] = ["before", "during", "between", "end"];

struct Scene {
    server: Server,
    alice: Client,
    people: Vec<Client>,
    room: String,
    events: Vec<String>,
}

async fn scene(visibility: &str) -> Scene {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let mut people = vec![alice.clone()];
    for name in &WHO[1..] {
        people.push(server.register(name).await);
    }
    let history = json!({
        "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": visibility },
    });
    let body = json!({ "preset": "private_chat", "name": "first name", "initial_state": [history] });
    let room = alice.create_room(body).await;
    let mut events = vec![alice.send(&room, SAID[0]).await];
    for guest in &people[2..4] {
        alice.invite(&room, &guest.user_id).await.ok();
        guest.join(&room).await.ok();
    }
    events.push(alice.send(&room, SAID[1]).await);
    people[2].leave(&room).await.ok();
    let ban = format!("/_matrix/client/v3/rooms/{}/ban", escape(&room));
    alice.post(&ban, json!({ "user_id": people[3].user_id })).await.ok();
    alice.set_state(&room, "m.room.name", "", json!({ "name": "second name" })).await.ok();
    events.push(alice.send(&room, SAID[2]).await);
    for guest in &people[4..] {
        alice.invite(&room, &guest.user_id).await.ok();
    }
    people[5].join(&room).await.ok();
    events.push(alice.send(&room, SAID[3]).await);
    Scene { server, alice, people, room, events }
}

/// What each of [`WHO`] sees of [`SAID`]; `None` for those who may not read the room at all.
fn expected(visibility: &str) -> [Option<&'static [&'static str]>; 6] {
    let all: Option<&[&str]> = Some(&SAID);
    match visibility {
        "world_readable" => [all; 6],
        "shared" => [all, None, Some(&SAID[..2]), Some(&SAID[..2]), None, all],
        // The late one was invited before they came, after "between".
        _ => [all, None, Some(&SAID[1..2]), Some(&SAID[1..2]), None, Some(&SAID[3..])],
    }
}

async fn check(visibility: &str) {
    let scene = scene(visibility).await;
    for (who, (client, seen)) in WHO.iter().zip(scene.people.iter().zip(expected(visibility))) {
        let case = format!("{who} in {visibility}");
        match seen {
            None => refused(&scene, client).await,
            Some(seen) => sees(&scene, client, seen, &case).await,
        }
    }
    assert!(scene.server.folder().exists());
}

/// Nothing of the room is told.
async fn refused(scene: &Scene, client: &Client) {
    let (room, event) = (&scene.room, escape(&scene.events[1]));
    for path in ["messages?dir=b", "messages?dir=f", "state", "state/m.room.name", "members", "joined_members"] {
        client.room(room, path).await.refused(403, "M_FORBIDDEN");
    }
    client.room(room, &format!("context/{event}")).await.refused(403, "M_FORBIDDEN");
    client.room(room, &format!("event/{event}")).await.refused(404, "M_NOT_FOUND");
    for path in [format!("relations/{event}"), "threads".into(), "timestamp_to_event?ts=0&dir=f".into()] {
        v1(client, room, &path).await.refused(403, "M_FORBIDDEN");
    }
}

/// Exactly what is to be seen is told, by every endpoint.
async fn sees(scene: &Scene, client: &Client, seen: &[&str], case: &str) {
    let room = &scene.room;
    let mut newest_first: Vec<_> = seen.to_vec();
    newest_first.reverse();
    for limit in [1, 3, 100] {
        assert_eq!(all_texts(client, room, limit).await, newest_first, "{case}, pages of {limit}");
    }
    let forwards = client.room(room, "messages?dir=f&limit=100").await.ok();
    assert_eq!(super::texts(&forwards["chunk"]), seen, "{case}, forwards");
    for (text, event) in SAID.iter().zip(&scene.events) {
        let id = escape(event);
        let answers = [
            client.room(room, &format!("event/{id}")).await,
            client.room(room, &format!("context/{id}?limit=20")).await,
            v1(client, room, &format!("relations/{id}")).await,
        ];
        for answer in answers {
            let asked = answer.asked.clone();
            if seen.contains(text) {
                let body = answer.ok();
                for list in ["events_before", "events_after"] {
                    let around = body[list].as_array().map(|_| super::texts(&body[list])).unwrap_or_default();
                    assert!(
                        around.iter().all(|text| seen.contains(&text.as_str())),
                        "{case}: {asked} tells {around:?}"
                    );
                }
            } else {
                answer.refused(404, "M_NOT_FOUND");
            }
        }
    }
    let now = client.user_id == scene.alice.user_id || seen.contains(&"end");
    let name = if now { "second name" } else { "first name" };
    let state = client.room(room, "state/m.room.name").await.ok();
    assert_eq!(state["name"], name, "{case}");
    let state = client.room(room, "state").await.ok();
    let named = state.as_array().unwrap().iter().find(|event| event["type"] == "m.room.name").unwrap();
    assert_eq!(named["content"]["name"], name, "{case}");
    let members = client.room(room, "members").await.ok();
    let late = members["chunk"].as_array().unwrap().iter().any(|event| event["state_key"] == scene.people[5].user_id);
    assert_eq!(late, now, "{case}: the late one among the members");
    v1(client, room, "threads").await.ok();
    let event = v1(client, room, "timestamp_to_event?ts=0&dir=f").await.ok();
    let first = event["event_id"].as_str().unwrap().to_owned();
    client.room(room, &format!("event/{}", escape(&first))).await.ok();
}

#[tokio::test]
async fn world_readable_rooms_are_open_to_everyone() {
    check("world_readable").await;
}

#[tokio::test]
async fn shared_history_is_for_those_who_came() {
    check("shared").await;
}

#[tokio::test]
async fn joined_history_is_for_those_who_were_there() {
    check("joined").await;
}

#[tokio::test]
async fn invited_history_begins_with_the_invitation() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let history = json!({
        "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": "invited" },
    });
    let room = alice.create_room(json!({ "preset": "private_chat", "initial_state": [history] })).await;
    alice.send(&room, "before").await;
    alice.invite(&room, &bob.user_id).await.ok();
    alice.send(&room, "invited").await;
    bob.join(&room).await.ok();
    alice.send(&room, "joined").await;
    assert_eq!(all_texts(&bob, &room, 2).await, ["joined", "invited"]);
}

#[tokio::test]
async fn what_counts_is_the_visibility_at_the_event() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let visibility = |value: &str| json!({ "history_visibility": value });
    alice.send(&room, "shared").await;
    alice.set_state(&room, "m.room.history_visibility", "", visibility("joined")).await.ok();
    let hidden = alice.send(&room, "hidden").await;
    alice.set_state(&room, "m.room.history_visibility", "", visibility("shared")).await.ok();
    alice.send(&room, "shared again").await;
    bob.join(&room).await.ok();
    assert_eq!(all_texts(&bob, &room, 2).await, ["shared again", "shared"]);
    bob.room(&room, &format!("event/{}", escape(&hidden))).await.refused(404, "M_NOT_FOUND");
    // Both changes can be seen, because the history was shared on one side of each.
    let page = bob.room(&room, "messages?dir=b&limit=50").await.ok();
    let changes = page["chunk"].as_array().unwrap().iter().filter(|e| e["type"] == "m.room.history_visibility");
    assert_eq!(changes.count(), 3);
}

#[tokio::test]
async fn a_ban_after_leaving_shows_nothing_more() {
    let server = Server::start().await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat", "name": "old" })).await;
    bob.join(&room).await.ok();
    bob.leave(&room).await.ok();
    alice.set_state(&room, "m.room.name", "", json!({ "name": "new" })).await.ok();
    alice.send(&room, "secret").await;
    let ban = format!("/_matrix/client/v3/rooms/{}/ban", escape(&room));
    alice.post(&ban, json!({ "user_id": bob.user_id })).await.ok();
    assert_eq!(bob.room(&room, "state/m.room.name").await.ok()["name"], "old");
    assert!(all_texts(&bob, &room, 10).await.is_empty());
}

#[tokio::test]
async fn an_event_of_another_room_is_not_found() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let (one, other) = (alice.create_room(json!({})).await, alice.create_room(json!({})).await);
    let event = escape(&alice.send(&one, "here").await);
    alice.room(&one, &format!("event/{event}")).await.ok();
    alice.room(&other, &format!("event/{event}")).await.refused(404, "M_NOT_FOUND");
    alice.room(&other, &format!("context/{event}")).await.refused(404, "M_NOT_FOUND");
    v1(&alice, &other, &format!("relations/{event}")).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_room_that_is_forgotten_or_never_was_cannot_be_read() {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    alice.leave(&room).await.ok();
    alice.room(&room, "messages?dir=b").await.ok();
    alice.post(&format!("/_matrix/client/v3/rooms/{}/forget", escape(&room)), json!({})).await.ok();
    // Also without the direction that the request should have.
    alice.room(&room, "messages").await.refused(403, "M_FORBIDDEN");
    alice.room("!nowhere:school.example", "messages?dir=b").await.refused(403, "M_FORBIDDEN");
    alice.room("!nowhere:school.example", "event/%24none").await.refused(404, "M_NOT_FOUND");
}
