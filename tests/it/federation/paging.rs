//! History that other servers have, read forwards: a gap is filled before what follows it is shown.

use std::time::Duration;

use homeroom::clock::Clock;
use serde_json::{Value, json};

use super::{Fake, Pair, host::Hosted, server, server_at};
use crate::harness::{Client, Server, escape};

/// Pages to the end, in one direction; no page goes backwards.
async fn all(client: &Client, room: &str, direction: &str, limit: usize, from: Option<&str>) -> Vec<Value> {
    let (mut from, mut events) = (from.map(str::to_owned), Vec::new());
    for _ in 0..1000 {
        let after = from.as_ref().map(|token| format!("&from={token}")).unwrap_or_default();
        let page = client.room(room, &format!("messages?dir={direction}&limit={limit}{after}")).await.ok();
        events.extend(page["chunk"].as_array().unwrap().iter().cloned());
        let Some(end) = page["end"].as_str() else { return events };
        from = Some(end.to_owned());
    }
    panic!("the history of {room} has no end");
}

/// One page forwards: its events, and the token behind it.
async fn page(client: &Client, room: &str, from: Option<&str>) -> (Vec<Value>, Option<String>) {
    let after = from.map(|token| format!("&from={token}")).unwrap_or_default();
    let page = client.room(room, &format!("messages?dir=f&limit=50{after}")).await.ok();
    (page["chunk"].as_array().unwrap().clone(), page["end"].as_str().map(str::to_owned))
}

fn ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

fn texts(events: &[Value]) -> Vec<String> {
    events.iter().filter_map(|event| event["content"]["body"].as_str().map(str::to_owned)).collect()
}

/// The whole history as the server has it that was there from the beginning.
async fn whole(client: &Client, room: &str) -> Vec<String> {
    ids(&all(client, room, "f", 100, None).await)
}

/// A room of `ada`'s with messages.
async fn room_with(ada: &Client, messages: usize) -> String {
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    for n in 0..messages {
        ada.send(&room, &format!("message {n}")).await;
    }
    room
}

/// A room that `bert` has read, left, and joined again after 20 messages: they are missing on his server.
async fn with_a_gap(a: &Server, ada: &Client, bert: &Client) -> String {
    let room = room_with(ada, 1).await;
    bert.join_via(&room, a.name()).await.ok();
    assert_eq!(texts(&all(bert, &room, "b", 50, None).await), ["message 0"]);
    bert.leave(&room).await.ok();
    let left = |sync: &Value| {
        let timeline = sync["rooms"]["join"][&room]["timeline"]["events"].as_array()?;
        let left = |event: &&Value| event["state_key"] == *bert.user_id && event["content"]["membership"] == "leave";
        timeline.iter().find(left).map(drop)
    };
    // A transaction that came later would put the leaving behind the messages.
    let first = ada.sync(None).await;
    if left(&first).is_none() {
        ada.sync_until(first["next_batch"].as_str().unwrap(), left).await;
    }
    for n in 1..=20 {
        ada.send(&room, &format!("message {n}")).await;
    }
    bert.join_via(&room, a.name()).await.ok();
    room
}

#[tokio::test]
async fn a_gap_is_filled_before_a_page_forwards_goes_on() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = room_with(&ada, 130).await;
    bert.join_via(&room, a.name()).await.ok();
    ada.send(&room, "afterwards").await;
    let expected = whole(&ada, &room).await;
    super::guest::until_there(&bert, &room, expected.last().unwrap()).await;
    let forwards = all(&bert, &room, "f", 20, None).await;
    assert_eq!(ids(&forwards), expected, "nothing is missing, and nothing comes twice");
    let mut backwards = ids(&all(&bert, &room, "b", 20, None).await);
    backwards.reverse();
    assert_eq!(backwards, expected);
    assert_eq!(ids(&all(&bert, &room, "f", 7, None).await), expected);
}

#[tokio::test]
async fn a_gap_in_the_middle_is_filled_from_either_side_at_once() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = with_a_gap(&a, &ada, &bert).await;
    let expected = whole(&ada, &room).await;
    let (f, g, h, i) = tokio::join!(
        all(&bert, &room, "f", 3, None),
        all(&bert, &room, "b", 4, None),
        all(&bert, &room, "f", 100, None),
        all(&bert, &room, "b", 100, None),
    );
    for events in [f, h] {
        assert_eq!(ids(&events), expected);
    }
    for mut events in [g, i] {
        events.reverse();
        assert_eq!(ids(&events), expected);
    }
}

#[tokio::test]
async fn what_is_fetched_of_a_gap_so_far_is_not_shown_before_the_rest() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = room_with(&ada, 150).await;
    bert.join_via(&room, a.name()).await.ok();
    let expected = whole(&ada, &room).await;
    // The newest hundred are fetched, and those before are not.
    let back = bert.room(&room, "messages?dir=b&limit=30").await.ok();
    assert_eq!(back["chunk"][29]["content"]["body"], "message 121", "{back}");
    let back = back["end"].as_str().unwrap().to_owned();
    let a = a.stop().await;
    let (events, end) = page(&bert, &room, None).await;
    assert_eq!((events, end.is_some()), (vec![], true), "it begins with what is missing");
    let (events, again) = page(&bert, &room, end.as_deref()).await;
    assert_eq!((events, again.is_some()), (vec![], true));
    // From within what was fetched the missing part is behind.
    let ahead = all(&bert, &room, "f", 100, Some(&back)).await;
    assert_eq!(ids(&ahead), expected[expected.len() - 30..]);
    let _a = a.start().await;
    assert_eq!(ids(&all(&bert, &room, "f", 40, again.as_deref()).await), expected);
    let mut before = ids(&all(&bert, &room, "b", 40, Some(&back)).await);
    before.reverse();
    assert_eq!(before, expected[..expected.len() - 30]);
}

#[tokio::test]
async fn while_nobody_gives_history_a_page_forwards_ends_before_it() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = with_a_gap(&a, &ada, &bert).await;
    let expected = whole(&ada, &room).await;
    let a = a.stop().await;
    let (before, end) = page(&bert, &room, None).await;
    assert_eq!(before.last().unwrap()["content"]["membership"], "leave", "{before:?}");
    let (nothing, end) = page(&bert, &room, Some(&end.expect("the history goes on"))).await;
    assert_eq!(nothing, Vec::<Value>::new());
    let end = end.expect("the history still goes on");

    let root = before.iter().find(|event| event["content"]["body"] == "message 0").unwrap();
    let path = format!("context/{}?limit=20", escape(root["event_id"].as_str().unwrap()));
    let context = bert.room(&room, &path).await.ok();
    let after = context["events_after"].as_array().unwrap();
    assert_eq!(after.last().unwrap()["content"]["membership"], "leave", "{context}");

    let _a = a.start().await;
    let rest = all(&bert, &room, "f", 50, Some(&end)).await;
    assert_eq!([ids(&before), ids(&rest)].concat(), expected);
    let rest = all(&bert, &room, "f", 50, context["end"].as_str()).await;
    assert_eq!(ids(&rest), expected[before.len()..]);
}

#[tokio::test]
async fn what_follows_an_event_is_fetched_too() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = with_a_gap(&a, &ada, &bert).await;
    let expected = all(&ada, &room, "f", 100, None).await;
    let at = expected.iter().position(|event| event["content"]["body"] == "message 0").unwrap();
    let path = format!("context/{}?limit=20", escape(expected[at]["event_id"].as_str().unwrap()));
    let (mut after, mut end) = (Vec::new(), None);
    // A slow machine may take longer to fetch it than one who asks waits.
    for _ in 0..20 {
        let context = bert.room(&room, &path).await.ok();
        after = ids(context["events_after"].as_array().unwrap());
        end = context["end"].as_str().map(str::to_owned);
        if after.len() == 10 {
            break;
        }
    }
    assert_eq!(after, ids(&expected[at + 1..at + 11]));
    assert_eq!(ids(&all(&bert, &room, "f", 50, end.as_deref()).await), ids(&expected[at + 11..]));
}

#[tokio::test]
async fn nobody_waits_for_the_history_of_a_server_that_is_gone() {
    let clock = Clock::test(1_700_000_000_000);
    let (a, b) = (server_at(clock.clone(), |_| {}).await, server_at(clock.clone(), |_| {}).await);
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = with_a_gap(&a, &ada, &bert).await;
    let expected = whole(&ada, &room).await;
    let a = a.stop().await;
    let (before, end) = page(&bert, &room, None).await;
    let end = end.expect("the history goes on");
    clock.advance(Duration::from_hours(25));
    let (rest, _) = page(&bert, &room, Some(&end)).await;
    assert_eq!(ids(&rest), expected[expected.len() - 1..], "what is here");
    // It is back after all, and nothing is lost. Who has failed for long is asked no more than twice a minute.
    let _a = a.start().await;
    let mut rest = rest;
    for _ in 0..5 {
        clock.advance(Duration::from_mins(1));
        rest = all(&bert, &room, "f", 50, Some(&end)).await;
        if rest.len() > 1 {
            break;
        }
    }
    assert_eq!([ids(&before), ids(&rest)].concat(), expected);
}

#[tokio::test]
async fn history_that_nobody_has_is_passed_over() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let host = Hosted::on(&fake).room(&fake, "room", &[]);
    bert.join_via(&host.id, fake.name()).await.ok();
    bert.send(&host.id, "hello").await;
    let events = all(&bert, &host.id, "f", 50, None).await;
    assert_eq!(events[0]["content"]["membership"], "join", "{events:?}");
    assert_eq!(texts(&events), ["hello"]);
}

#[tokio::test]
async fn history_that_one_may_not_see_stays_hidden_forwards_too() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let hidden = json!({
        "preset": "public_chat",
        "initial_state": [
            { "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": "joined" } },
        ],
    });
    let room = ada.create_room(hidden).await;
    ada.send(&room, "before").await;
    bert.join_via(&room, a.name()).await.ok();
    bert.send(&room, "since").await;
    let events = all(&bert, &room, "f", 50, None).await;
    assert_eq!(texts(&events), ["since"]);
    // It is here; he does not see it.
    assert!(ids(&events).len() < 8, "{events:?}");
    let carla = b.register("carla").await;
    carla.join(&room).await.ok();
    assert_eq!(texts(&all(&carla, &room, "f", 50, None).await), Vec::<String>::new());
}
