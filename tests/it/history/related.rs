//! Relations and threads: their pages, and what events tell of them.

use std::time::Duration;

use homeroom::clock::Clock;
use serde_json::{Value, json};

use super::{ids, v1};
use crate::harness::{Client, Server, escape};

async fn room() -> (Server, Client, Client, String, String) {
    room_at(Clock::system()).await
}

async fn room_at(clock: Clock) -> (Server, Client, Client, String, String) {
    let server = Server::at(clock, |_| {}).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.join(&room).await.ok();
    let top = alice.send(&room, "root").await;
    (server, alice, bob, room, top)
}

async fn relate(client: &Client, room: &str, kind: &str, rel_type: &str, parent: &str) -> String {
    let relates = json!({ "rel_type": rel_type, "event_id": parent });
    client.send_event(room, kind, json!({ "msgtype": "m.text", "body": "related", "m.relates_to": relates })).await
}

async fn edit(client: &Client, room: &str, parent: &str, text: &str) -> String {
    let content = json!({
        "msgtype": "m.text",
        "body": format!("* {text}"),
        "m.new_content": { "msgtype": "m.text", "body": text },
        "m.relates_to": { "rel_type": "m.replace", "event_id": parent },
    });
    client.send_event(room, "m.room.message", content).await
}

async fn bundled(client: &Client, room: &str, id: &str) -> Value {
    let event = client.room(room, &format!("event/{}", escape(id))).await.ok();
    event["unsigned"]["m.relations"].clone()
}

#[tokio::test]
async fn relations_are_paged_in_both_directions() {
    let (_server, alice, _, room, top) = room().await;
    let mut replies = Vec::new();
    for _ in 0..7 {
        replies.push(relate(&alice, &room, "m.room.message", "m.thread", &top).await);
    }
    let newest_first: Vec<_> = replies.iter().rev().cloned().collect();
    for (dir, expected) in [("b", &newest_first), ("f", &replies)] {
        for kind in ["", "/m.thread", "/m.thread/m.room.message"] {
            let (mut found, mut from) = (Vec::new(), String::new());
            loop {
                let path = format!("relations/{}{kind}?dir={dir}&limit=3{from}", escape(&top));
                let page = v1(&alice, &room, &path).await.ok();
                found.extend(ids(&page["chunk"]));
                match page["next_batch"].as_str() {
                    Some(next) => from = format!("&from={next}"),
                    None => break,
                }
            }
            assert_eq!(&found, expected, "{dir} {kind}");
        }
    }
}

#[tokio::test]
async fn relations_are_chosen_by_kind_and_followed_when_asked() {
    let (_server, alice, bob, room, top) = room().await;
    let reply = relate(&alice, &room, "m.room.message", "m.thread", &top).await;
    let other = relate(&alice, &room, "org.example.note", "m.thread", &top).await;
    let reaction = relate(&bob, &room, "m.reaction", "m.annotation", &reply).await;
    let list = async |rest: &str| {
        let page = v1(&alice, &room, &format!("relations/{}{rest}", escape(&top))).await.ok();
        ids(&page["chunk"])
    };
    assert_eq!(list("").await, [other.clone(), reply.clone()]);
    assert_eq!(list("/m.thread/org.example.note").await, std::slice::from_ref(&other));
    assert!(list("/m.annotation").await.is_empty());
    assert_eq!(list("?recurse=true").await, [reaction.clone(), other, reply]);
    assert_eq!(list("/m.annotation?recurse=true").await, [reaction]);
}

#[tokio::test]
async fn the_newest_edit_of_the_author_is_told() {
    // Of edits made in the same millisecond the greater event id would count.
    let clock = Clock::test(1_800_000_000_000);
    let (_server, alice, bob, room, top) = room_at(clock.clone()).await;
    assert!(bundled(&alice, &room, &top).await.is_null());
    edit(&alice, &room, &top, "first").await;
    clock.advance(Duration::from_millis(1));
    let second = edit(&alice, &room, &top, "second").await;
    edit(&bob, &room, &top, "somebody else's").await;
    relate(&alice, &room, "m.room.message", "m.replace", &top).await;
    let told = bundled(&bob, &room, &top).await;
    assert_eq!(told["m.replace"]["event_id"], second.as_str());
    assert_eq!(told["m.replace"]["content"]["m.new_content"]["body"], "second");
    let event = bob.room(&room, &format!("event/{}", escape(&top))).await.ok();
    assert_eq!(event["content"]["body"], "root", "the original stays as it was");
    // An edit cannot be edited, and what is redacted has no edits.
    edit(&alice, &room, &second, "of an edit").await;
    assert!(bundled(&alice, &room, &second).await["m.replace"].is_null());
    alice.redact(&room, &top).await.ok();
    assert!(bundled(&alice, &room, &top).await["m.replace"].is_null());
}

#[tokio::test]
async fn a_redacted_edit_gives_way_to_the_one_before() {
    let (_server, alice, _, room, top) = room().await;
    let first = edit(&alice, &room, &top, "first").await;
    let second = edit(&alice, &room, &top, "second").await;
    alice.redact(&room, &second).await.ok();
    assert_eq!(bundled(&alice, &room, &top).await["m.replace"]["event_id"], first.as_str());
}

#[tokio::test]
async fn references_are_listed() {
    let (_server, alice, _, room, top) = room().await;
    let reference = relate(&alice, &room, "org.example.vote", "m.reference", &top).await;
    assert_eq!(bundled(&alice, &room, &top).await["m.reference"]["chunk"], json!([{ "event_id": reference }]));
}

#[tokio::test]
async fn a_thread_is_counted() {
    let (_server, alice, bob, room, top) = room().await;
    let mut replies = Vec::new();
    for client in [&bob, &bob, &alice] {
        replies.push(relate(client, &room, "m.room.message", "m.thread", &top).await);
        let told = bundled(&bob, &room, &top).await;
        assert_eq!(told["m.thread"]["count"], replies.len());
        assert_eq!(told["m.thread"]["latest_event"]["event_id"], replies.last().unwrap().as_str());
        assert_eq!(told["m.thread"]["current_user_participated"], true);
    }
    let edited = edit(&alice, &room, &replies[2], "better").await;
    let told = bundled(&bob, &room, &top).await;
    let relations = &told["m.thread"]["latest_event"]["unsigned"]["m.relations"];
    assert_eq!(relations["m.replace"]["event_id"], edited.as_str());
    alice.redact(&room, &replies[2]).await.ok();
    let told = bundled(&bob, &room, &top).await;
    assert_eq!(told["m.thread"]["count"], 2);
    assert_eq!(told["m.thread"]["latest_event"]["event_id"], replies[1].as_str());
    // One goes, another comes: the number is the same, who took part is not.
    bob.redact(&room, &replies[1]).await.ok();
    bob.redact(&room, &replies[0]).await.ok();
    relate(&alice, &room, "m.room.message", "m.thread", &top).await;
    let told = bundled(&bob, &room, &top).await;
    assert_eq!(told["m.thread"]["count"], 1);
    assert_eq!(told["m.thread"]["current_user_participated"], false);
}

#[tokio::test]
async fn ignored_people_do_not_count_in_threads() {
    let (_server, alice, bob, room, top) = room().await;
    let reply = relate(&alice, &room, "m.room.message", "m.thread", &top).await;
    relate(&bob, &room, "m.room.message", "m.thread", &top).await;
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", escape(&alice.user_id));
    alice.put(&path, json!({ "ignored_users": { &bob.user_id: {} } })).await.ok();
    let told = bundled(&alice, &room, &top).await;
    assert_eq!(told["m.thread"]["count"], 1);
    assert_eq!(told["m.thread"]["latest_event"]["event_id"], reply.as_str());
}

#[tokio::test]
async fn threads_are_listed_by_their_newest_reply() {
    let (_server, alice, bob, room, first) = room().await;
    let second = alice.send(&room, "second root").await;
    let third = alice.send(&room, "third root").await;
    for (client, top) in [(&alice, &first), (&bob, &second), (&alice, &third), (&alice, &first)] {
        relate(client, &room, "m.room.message", "m.thread", top).await;
    }
    let list = async |client: &Client, query: &str| {
        let page = v1(client, &room, &format!("threads{query}")).await.ok();
        (ids(&page["chunk"]), page["next_batch"].as_str().map(str::to_owned))
    };
    assert_eq!(list(&alice, "").await, (vec![first.clone(), third.clone(), second.clone()], None));
    assert_eq!(list(&bob, "?include=participated").await.0, std::slice::from_ref(&second));
    let (page, next) = list(&alice, "?limit=2").await;
    assert_eq!(page, [first, third]);
    let (page, next) = list(&alice, &format!("?limit=2&from={}", next.unwrap())).await;
    assert_eq!((page, next), (vec![second], None));
}
