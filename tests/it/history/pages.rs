//! `/messages`, `/context`, and the event nearest to a time.

use serde_json::json;

use super::{all_texts, ids, texts, v1};
use crate::harness::{Client, Server, escape};

async fn chatter(count: usize) -> (Server, Client, String, Vec<String>) {
    let server = Server::start().await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let mut sent = Vec::new();
    for number in 0..count {
        sent.push(alice.send(&room, &number.to_string()).await);
    }
    (server, alice, room, sent)
}

fn numbers(range: impl Iterator<Item = usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn pages_join_without_gap_or_overlap() {
    let (_server, alice, room, _) = chatter(23).await;
    for limit in [1, 4, 22, 23, 24, 100] {
        assert_eq!(all_texts(&alice, &room, limit).await, numbers((0..23).rev()), "pages of {limit}");
    }
}

#[tokio::test]
async fn pages_begin_and_end_where_a_sync_did() {
    let (_server, alice, room, _) = chatter(3).await;
    let before = alice.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    for number in 3..8 {
        alice.send(&room, &number.to_string()).await;
    }
    let after = alice.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    alice.send(&room, "later").await;
    let between = alice.room(&room, &format!("messages?dir=f&from={before}&to={after}")).await.ok();
    assert_eq!(texts(&between["chunk"]), numbers(3..8));
    assert_eq!(between["start"], before.as_str());
    assert!(between["end"].is_null(), "nothing is left before `to`");
    let between = alice.room(&room, &format!("messages?dir=b&from={after}&to={before}&limit=3")).await.ok();
    assert_eq!(texts(&between["chunk"]), ["7", "6", "5"]);
    let end = between["end"].as_str().unwrap();
    let rest = alice.room(&room, &format!("messages?dir=b&from={end}&to={before}&limit=3")).await.ok();
    assert_eq!(texts(&rest["chunk"]), ["4", "3"]);
}

#[tokio::test]
async fn the_place_before_a_timeline_leads_to_what_is_missing() {
    let (_server, alice, room, _) = chatter(30).await;
    let sync = alice.sync(None).await;
    let timeline = &sync["rooms"]["join"][&room]["timeline"];
    let shown = texts(&timeline["events"]);
    let from = timeline["prev_batch"].as_str().unwrap();
    let page = alice.room(&room, &format!("messages?dir=b&limit=5&from={}", escape(from))).await.ok();
    let next = 30 - shown.len();
    assert_eq!(texts(&page["chunk"]), numbers((next - 5..next).rev()));
}

#[tokio::test]
async fn filters_choose_events_and_bring_their_senders() {
    let (server, alice, room, _) = chatter(3).await;
    let bob = server.register("bob").await;
    bob.join(&room).await.ok();
    bob.send(&room, "bob's").await;
    alice
        .send_event(&room, "m.room.message", json!({ "msgtype": "m.image", "body": "picture", "url": "mxc://a/b" }))
        .await;
    let page = async |filter: serde_json::Value| {
        let filter = escape(&filter.to_string());
        alice.room(&room, &format!("messages?dir=b&limit=50&filter={filter}")).await.ok()
    };
    assert_eq!(texts(&page(json!({ "senders": [bob.user_id] })).await["chunk"]), ["bob's"]);
    let pictures = page(json!({ "contains_url": true })).await;
    assert_eq!(texts(&pictures["chunk"]), ["picture"]);
    // Where a filter left events out, the next page says that there are no more.
    let end = pictures["end"].as_str().unwrap();
    let rest = alice.room(&room, &format!("messages?dir=b&from={end}")).await.ok();
    assert!(rest["chunk"].as_array().unwrap().is_empty() && rest["end"].is_null());
    let kinds = page(json!({ "types": ["m.room.*"], "not_types": ["m.room.message"] })).await;
    assert!(texts(&kinds["chunk"]).is_empty() && !kinds["chunk"].as_array().unwrap().is_empty());
    assert!(page(json!({ "not_rooms": [room] })).await["chunk"].as_array().unwrap().is_empty());

    let lazy = page(json!({ "lazy_load_members": true, "senders": [bob.user_id] })).await;
    let state = lazy["state"].as_array().unwrap();
    assert_eq!(state.len(), 1);
    assert_eq!(state[0]["state_key"], bob.user_id.as_str());
    assert_eq!(state[0]["content"]["membership"], "join");
}

#[tokio::test]
async fn what_is_no_token_or_filter_is_refused() {
    let (_server, alice, room, _) = chatter(1).await;
    for query in
        ["dir=b&from=5", "dir=b&from=x5", "dir=b&to=s", "dir=f&from=s99999999999999999999", "dir=b&filter=%5B%5D"]
    {
        alice.room(&room, &format!("messages?{query}")).await.refused(400, "M_INVALID_PARAM");
    }
    alice.room(&room, "messages").await.refused(400, "M_MISSING_PARAM");
    assert_eq!(alice.room(&room, "messages?dir=sideways").await.status, 400);
    for query in ["dir=b&from=s-9223372036854775808", "dir=f&from=s9223372036854775807", "dir=b&limit=0"] {
        let page = alice.room(&room, &format!("messages?{query}")).await.ok();
        assert!(page["chunk"].as_array().unwrap().is_empty());
    }
    let all = alice.room(&room, "messages?dir=b&from=s9223372036854775807&limit=99999999").await.ok();
    assert_eq!(texts(&all["chunk"]), ["0"]);
}

#[tokio::test]
async fn the_messages_of_ignored_people_are_left_out() {
    let (server, alice, room, _) = chatter(2).await;
    let bob = server.register("bob").await;
    bob.join(&room).await.ok();
    let noise = bob.send(&room, "noise").await;
    let ignored = json!({ "ignored_users": { &bob.user_id: {} } });
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", escape(&alice.user_id));
    alice.put(&path, ignored).await.ok();
    assert_eq!(all_texts(&alice, &room, 1).await, ["1", "0"]);
    alice.room(&room, &format!("event/{}", escape(&noise))).await.refused(404, "M_NOT_FOUND");
    // That they are in the room is shown all the same.
    let page = alice.room(&room, "messages?dir=b&limit=1").await.ok();
    assert_eq!(page["chunk"][0]["type"], "m.room.member");
}

#[tokio::test]
async fn context_is_what_happened_around() {
    let (_server, alice, room, sent) = chatter(11).await;
    let around = alice.room(&room, &format!("context/{}?limit=5", escape(&sent[5]))).await.ok();
    assert_eq!(around["event"]["event_id"], sent[5].as_str());
    assert_eq!(texts(&around["events_before"]), ["4", "3"]);
    assert_eq!(texts(&around["events_after"]), ["6", "7", "8"]);
    let kinds: Vec<_> =
        around["state"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"m.room.create") && kinds.contains(&"m.room.member"));
    let (start, end) = (around["start"].as_str().unwrap(), around["end"].as_str().unwrap());
    let before = alice.room(&room, &format!("messages?dir=b&limit=2&from={start}")).await.ok();
    assert_eq!(texts(&before["chunk"]), ["2", "1"]);
    let after = alice.room(&room, &format!("messages?dir=f&limit=9&from={end}")).await.ok();
    assert_eq!(texts(&after["chunk"]), ["9", "10"]);
    let alone = alice.room(&room, &format!("context/{}?limit=0", escape(&sent[5]))).await.ok();
    assert!(ids(&alone["events_before"]).is_empty() && ids(&alone["events_after"]).is_empty());
}

#[tokio::test]
async fn a_time_leads_to_the_event_next_to_it() {
    let (_server, alice, room, sent) = chatter(12).await;
    let mut times = Vec::new();
    for event in &sent {
        let event = alice.room(&room, &format!("event/{}", escape(event))).await.ok();
        times.push(event["origin_server_ts"].as_u64().unwrap());
    }
    let ask = async |ts: u64, dir: &str| v1(&alice, &room, &format!("timestamp_to_event?ts={ts}&dir={dir}")).await;
    for (event, ts) in sent.iter().zip(&times) {
        let first = sent.iter().zip(&times).find(|(_, other)| *other == ts).unwrap().0;
        let last = sent.iter().zip(&times).rfind(|(_, other)| *other == ts).unwrap().0;
        let (forwards, backwards) = (ask(*ts, "f").await.ok(), ask(*ts, "b").await.ok());
        assert_eq!(forwards["origin_server_ts"].as_u64(), Some(*ts), "{event}");
        assert_eq!(backwards["event_id"], last.as_str());
        if *ts > times[0] {
            assert_eq!(forwards["event_id"], first.as_str());
        }
    }
    ask(times[11] + 1, "f").await.refused(404, "M_NOT_FOUND");
    ask(1, "b").await.refused(404, "M_NOT_FOUND");
    assert_eq!(ask(times[11] + 1000, "b").await.ok()["event_id"], sent[11].as_str());
}
