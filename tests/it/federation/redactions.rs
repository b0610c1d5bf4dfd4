//! Redactions that come in whatever order: before what they redact, and before what they themselves are redacted by.

use homeroom::store::check::check;
use http::Method;
use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};
use serde_json::{Value, json};

use super::{
    Fake,
    guest::{oblige, until_there},
    server,
};
use crate::harness::{Client, Server, escape};

/// Somebody of a fake server in a room of any version.
struct Voice<'a> {
    fake: &'a Fake,
    home: &'a Server,
    room: String,
    user: String,
    rules: RoomVersionRules,
    /// What allows them to speak, and the event they speak after, as events of the room's version name others.
    auth: Vec<Value>,
    tip: Value,
    depth: u64,
}

impl<'a> Voice<'a> {
    async fn enter(fake: &'a Fake, home: &'a Server, ada: &Client, version: &str) -> Self {
        oblige(fake);
        let room = ada.create_room(json!({ "preset": "public_chat", "room_version": version })).await;
        let rules = RoomVersionId::try_from(version).unwrap().rules().unwrap();
        let user = fake.user("eve");
        let path = format!("/_matrix/federation/v1/make_join/{}/{}?ver={version}", escape(&room), escape(&user));
        let mut join = fake.get(home, &path).await.ok()["event"].clone();
        let mut voice = Self { fake, home, room, user, rules, auth: vec![], tip: Value::Null, depth: 0 };
        if voice.names_its_events() {
            join["event_id"] = json!(format!("$join{}:{}", home.unique(), fake.name()));
        }
        let join = fake.sign_event(join, &voice.rules);
        let (room, id) = (escape(&voice.room), escape(&voice.id_of(&join)));
        let path = format!("/_matrix/federation/v2/send_join/{room}/{id}");
        let answer = fake.call(home, Method::PUT, &path, join.clone());
        let state = answer.await.ok()["state"].as_array().unwrap().clone();
        let allows = |event: &&Value| matches!(event["type"].as_str(), Some("m.room.create" | "m.room.power_levels"));
        voice.auth = state.iter().filter(allows).chain([&join]).map(|event| voice.reference(event)).collect();
        voice.tip = voice.reference(&join);
        voice.depth = join["depth"].as_u64().unwrap();
        voice
    }

    /// In room versions 1 and 2 events have the names that their servers give them.
    fn names_its_events(&self) -> bool {
        self.rules.event_format.require_event_id
    }

    fn hash(&self, event: &Value) -> String {
        let object = serde_json::from_value(event.clone()).unwrap();
        ruma::signatures::reference_hash(&object, &self.rules).unwrap()
    }

    fn id_of(&self, event: &Value) -> String {
        match event["event_id"].as_str().filter(|_| self.names_its_events()) {
            Some(id) => id.to_owned(),
            None => format!("${}", self.hash(event)),
        }
    }

    fn reference(&self, event: &Value) -> Value {
        let id = self.id_of(event);
        if self.names_its_events() { json!([id, { "sha256": self.hash(event) }]) } else { json!(id) }
    }

    /// An event after the join, beside all others.
    fn event(&self, name: &str, kind: &str, content: Value, redacts: Option<&str>) -> Value {
        let mut event = json!({
            "type": kind, "room_id": self.room, "sender": self.user, "content": content, "prev_events": [self.tip],
            "auth_events": self.auth, "depth": self.depth + 1, "origin_server_ts": 1_700_000_000_000_u64,
        });
        if self.names_its_events() {
            event["event_id"] = json!(format!("${name}:{}", self.fake.name()));
        }
        match redacts {
            Some(id) if self.rules.redaction.content_field_redacts => event["content"]["redacts"] = json!(id),
            Some(id) => event["redacts"] = json!(id),
            None => {}
        }
        self.fake.sign_event(event, &self.rules)
    }

    fn redaction(&self, name: &str, target: &str) -> Value {
        self.event(name, "m.room.redaction", json!({ "reason": name }), Some(target))
    }

    /// Sends events, all at once or one after the other, and waits until they are there.
    async fn send(&self, ada: &Client, events: &[&Value], at_once: bool) {
        let events: Vec<Value> = events.iter().map(|event| (*event).clone()).collect();
        for part in events.chunks(if at_once { events.len() } else { 1 }) {
            let answer = self.fake.send(self.home, part.to_vec(), vec![]).await.ok();
            for event in part {
                assert_eq!(answer["pdus"][self.id_of(event)], json!({}), "{answer}");
                until_there(ada, &self.room, &self.id_of(event)).await;
            }
        }
    }

    async fn read(&self, client: &Client, event: &Value) -> Value {
        client.room(&self.room, &format!("event/{}", escape(&self.id_of(event)))).await.ok()
    }
}

/// All orders of three.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_of_a_redaction_undoes_nothing_in_whatever_order_they_come() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    for version in ["2", "10", "11"] {
        for at_once in [false, true] {
            for order in ORDERS {
                let voice = Voice::enter(&fake, &home, &ada, version).await;
                let tag: String =
                    format!("{version}{at_once}{order:?}").chars().filter(char::is_ascii_alphanumeric).collect();
                let said = voice.event(&format!("s{tag}"), "m.room.message", json!({ "body": "said" }), None);
                let first = voice.redaction(&format!("f{tag}"), &voice.id_of(&said));
                let second = voice.redaction(&format!("g{tag}"), &voice.id_of(&first));
                let all = [&said, &first, &second];
                voice.send(&ada, &order.map(|n| all[n]), at_once).await;
                let case = format!("version {version}, at once: {at_once}, order {order:?}");
                let read = voice.read(&ada, &said).await;
                assert_eq!(read["content"], json!({}), "{case}: {read}");
                assert_eq!(read["unsigned"]["redacted_because"]["event_id"], voice.id_of(&first), "{case}: {read}");
                let read = voice.read(&ada, &first).await;
                assert!(read["content"].get("reason").is_none(), "{case}: {read}");
                assert_eq!(read["unsigned"]["redacted_because"]["event_id"], voice.id_of(&second), "{case}: {read}");
                let read = voice.read(&ada, &second).await;
                assert!(read["content"]["reason"].is_string(), "{case}: {read}");
            }
        }
    }
    assert_eq!(check(&home.app().services().store).unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_chain_of_redactions_is_read_like_any_other_event() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let voice = Voice::enter(&fake, &home, &ada, "11").await;
    let mut chain = vec![voice.event("said", "m.room.message", json!({ "body": "said" }), None)];
    for n in 0..500 {
        let target = voice.id_of(chain.last().unwrap());
        chain.push(voice.redaction(&n.to_string(), &target));
    }
    for part in chain.chunks(50) {
        fake.send(&home, part.to_vec(), vec![]).await.ok();
    }
    // There are more of them than waits of an ordinary test.
    let (last, mut since) = (voice.id_of(chain.last().unwrap()), None::<String>);
    while !ada.room(&voice.room, &format!("event/{}", escape(&last))).await.status.is_success() {
        let sync = match since {
            None => ada.sync(None).await,
            Some(since) => ada.wait(&since).await,
        };
        since = Some(sync["next_batch"].as_str().unwrap().to_owned());
    }
    let read = voice.read(&ada, &chain[0]).await;
    let because = &read["unsigned"]["redacted_because"];
    assert_eq!(because["event_id"], voice.id_of(&chain[1]), "{read}");
    assert!(because["unsigned"].get("redacted_because").is_none(), "{read}");
    ada.room(&voice.room, "messages?dir=b&limit=1000").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn redactions_that_redact_each_other_or_themselves_are_an_end_of_nothing() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let mut rooms = Vec::new();
    for (n, (at_once, order)) in
        [(false, [0, 1, 2]), (false, [2, 1, 0]), (true, [0, 1, 2]), (true, [1, 2, 0])].into_iter().enumerate()
    {
        // Only here can two events name each other: elsewhere their names are their hashes.
        let voice = Voice::enter(&fake, &home, &ada, "2").await;
        let name = |which: &str| format!("${which}{n}:{}", fake.name());
        let one = voice.redaction(&format!("one{n}"), &name("two"));
        let two = voice.redaction(&format!("two{n}"), &name("one"));
        let own = voice.redaction(&format!("own{n}"), &name("own"));
        let all = [&one, &two, &own];
        voice.send(&ada, &order.map(|n| all[n]), at_once).await;
        for (event, by) in [(&one, "two"), (&two, "one")] {
            let read = voice.read(&ada, event).await;
            assert!(read["content"].get("reason").is_none(), "{n}: {read}");
            assert_eq!(read["unsigned"]["redacted_because"]["event_id"], name(by), "{n}: {read}");
        }
        rooms.push(voice.room);
    }
    assert_eq!(check(&home.app().services().store).unwrap().findings, []);
    let home = home.restart().await;
    let ada = ada.at(&home);
    for room in rooms {
        let page = ada.room(&room, "messages?dir=b&limit=3").await.ok();
        let kinds: Vec<_> = page["chunk"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
        assert_eq!(kinds, ["m.room.redaction"; 3], "{page}");
        ada.send(&room, "after").await;
    }
}
