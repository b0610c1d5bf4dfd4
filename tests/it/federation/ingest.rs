//! One way in for all events: whatever way a damaged one comes, nothing of it is believed.
//!
//! Each path is given the same five: wrongly signed, with another content than was hashed, of another room, allowed by an
//! event that was refused, allowed by an event of another room. Something whole comes beside them, so that a path that is
//! not taken at all fails.

use http::Method;
use serde_json::{Value, json};

use super::{
    Fake, Reply,
    guest::id_of,
    host::{Host, sign_wrongly},
    server,
};
use crate::harness::{Client, Server};

/// What nobody may ever read.
const EVIL: &str = "evil";

/// A room on a fake server in which somebody of ours is, and what damaged events are made of.
struct Story<'a> {
    host: Host<'a>,
    bert: &'a Client,
    /// An event that was refused.
    refused: String,
    /// An event of another room on our server.
    elsewhere: String,
}

impl<'a> Story<'a> {
    async fn start(fake: &'a Fake, home: &'a Server, bert: &'a Client) -> Self {
        let host = Host::new(fake);
        host.message("before");
        host.admit(bert).await;
        Self::of(host, home, bert).await
    }

    async fn of(host: Host<'a>, home: &'a Server, bert: &'a Client) -> Self {
        let own = bert.create_room(json!({ "room_version": "11" })).await;
        let create = bert.room(&own, "state/m.room.create?format=event").await.ok();
        let mut refused = host.draft("m.room.power_levels", Some(""), json!({}), &[&host.tip()]);
        refused["sender"] = json!(host.fake.user("nobody"));
        let refused = host.sign(refused);
        let story =
            Self { bert, refused: id_of(&refused), elsewhere: create["event_id"].as_str().unwrap().into(), host };
        story.host.send(home, bert, vec![refused], "refused").await;
        story
    }

    /// The five, after an event.
    fn damaged(&self, kind: &str, state: bool, prev: &str) -> Vec<Value> {
        let host = &self.host;
        let one = |name: &str, change: &dyn Fn(&mut Value)| {
            let content = json!({ "msgtype": "m.text", "body": format!("{EVIL} {name}") });
            let mut draft = host.draft(kind, state.then_some(name), content, &[prev]);
            change(&mut draft);
            host.sign(draft)
        };
        let allowed_by = |id: &str| {
            let id = id.to_owned();
            move |draft: &mut Value| draft["auth_events"].as_array_mut().unwrap().push(json!(id))
        };
        let signature = sign_wrongly(host.fake, &one("signature", &|_| {}));
        let mut hash = one("hash", &|_| {});
        hash["content"]["body"] = json!(format!("{EVIL} after hashing"));
        let other = one("room", &|draft| draft["room_id"] = json!(format!("!other:{}", host.fake.name())));
        let refused = one("refused", &allowed_by(&self.refused));
        let elsewhere = one("elsewhere", &allowed_by(&self.elsewhere));
        vec![signature, hash, other, refused, elsewhere]
    }

    /// Nothing evil can be read, in the room's history or in its state.
    async fn is_clean(&self) -> String {
        let state = self.bert.room(&self.host.id, "state").await.ok().to_string();
        let history = self.bert.room(&self.host.id, "messages?dir=b&limit=100").await.ok().to_string();
        assert!(!state.contains(EVIL), "{state}");
        assert!(!history.contains(EVIL), "{history}");
        format!("{state}{history}")
    }
}

#[tokio::test]
async fn damaged_events_of_transactions_are_not_believed() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let story = Story::start(&fake, &home, &bert).await;
    let tip = story.host.tip();
    let mut pdus = story.damaged("m.room.message", false, &tip);
    pdus.extend(story.damaged("org.example.state", true, &tip));
    story.host.send(&home, &bert, pdus, "good").await;
    assert!(story.is_clean().await.contains("good"));
}

#[tokio::test]
async fn damaged_missing_events_are_not_believed() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let story = Story::start(&fake, &home, &bert).await;
    let host = &story.host;
    let tip = host.tip();
    let mut missing = story.damaged("m.room.message", false, &tip);
    missing.extend(story.damaged("org.example.state", true, &tip));
    let good = host.sign(host.draft("m.room.message", None, json!({ "body": "good" }), &[&tip]));
    {
        let mut known = host.known.lock().unwrap();
        known.tip = id_of(&good);
        known.events.insert(id_of(&good), good.clone());
    }
    missing.push(good);
    fake.answer(Method::POST, "/_matrix/federation/v1/get_missing_events/", move |_| {
        Reply::ok(json!({ "events": missing }))
    });
    host.send(&home, &bert, vec![], "after").await;
    assert!(story.is_clean().await.contains("good"));
    assert!(!fake.received("/_matrix/federation/v1/get_missing_events/").is_empty());
}

#[tokio::test]
async fn damaged_events_of_a_state_are_not_believed() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let story = Story::start(&fake, &home, &bert).await;
    let host = &story.host;
    let tip = host.tip();
    let mut besides = story.damaged("org.example.state", true, &tip);
    besides.push(host.sign(host.draft("org.example.fine", Some(""), json!({ "body": "good" }), &[&tip])));
    {
        let mut known = host.known.lock().unwrap();
        known.events.extend(besides.iter().map(|event| (id_of(event), event.clone())));
        known.besides = besides;
    }
    // What came before this one is not told, so the state there is asked for.
    let untold = host.sign(host.draft("m.room.message", None, json!({ "body": "untold" }), &[&tip]));
    host.known.lock().unwrap().events.insert(id_of(&untold), untold.clone());
    let bridge = host.sign(host.draft("m.room.message", None, json!({ "body": "bridge" }), &[&id_of(&untold)]));
    host.known.lock().unwrap().tip = id_of(&bridge);
    host.known.lock().unwrap().events.insert(id_of(&bridge), bridge.clone());
    fake.answer(Method::POST, "/_matrix/federation/v1/get_missing_events/", move |_| {
        Reply::ok(json!({ "events": [bridge] }))
    });
    host.send(&home, &bert, vec![], "after").await;
    let read = story.is_clean().await;
    assert!(read.contains("bridge") && read.contains("good"), "{read}");
    assert!(!fake.received("/_matrix/federation/v1/state").is_empty());
}

#[tokio::test]
async fn damaged_history_is_not_believed() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let host = Host::new(&fake);
    let start = host.tip();
    host.message("good");
    host.admit(&bert).await;
    let story = Story::of(host, &home, &bert).await;
    let host = &story.host;
    let mut pdus: Vec<Value> = host.known.lock().unwrap().events.values().cloned().collect();
    pdus.retain(|event| event["content"]["body"] == "good" || event["depth"].as_u64().unwrap() < 6);
    pdus.extend(story.damaged("m.room.message", false, &start));
    pdus.extend(story.damaged("org.example.state", true, &start));
    fake.answer(Method::GET, "/_matrix/federation/v1/backfill/", move |_| {
        Reply::ok(json!({ "origin": "x", "origin_server_ts": 1, "pdus": pdus }))
    });
    assert!(story.is_clean().await.contains("good"));
    assert!(!fake.received("/_matrix/federation/v1/backfill/").is_empty());
}

#[tokio::test]
async fn damaged_events_of_an_answer_to_a_join_are_not_believed() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let (bert, ada) = (home.register("bert").await, home.register("ada").await);
    // What is refused is known from an earlier stay.
    let story = Story::start(&fake, &home, &bert).await;
    let host = &story.host;
    bert.leave(&host.id).await.ok();
    let tip = host.tip();
    let mut besides = story.damaged("org.example.state", true, &tip);
    besides.push(host.sign(host.draft("org.example.fine", Some(""), json!({ "body": "good" }), &[&tip])));
    host.known.lock().unwrap().besides = besides;
    host.admit(&ada).await;
    let state = ada.room(&host.id, "state").await.ok().to_string();
    assert!(state.contains("good") && !state.contains(EVIL), "{state}");
}
