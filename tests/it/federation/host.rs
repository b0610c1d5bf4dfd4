//! A room on a fake server, which answers about it what the test has it answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use homeroom::event::SigningKey;
use http::Method;
use ruma::CanonicalJsonObject;
use serde_json::{Value, json};

use super::{
    Fake, Reply,
    guest::{id_of, rules},
};
use crate::harness::{Client, Server};

const FED: &str = "/_matrix/federation";

/// What the fake server knows of its room.
#[derive(Default)]
pub(crate) struct Known {
    /// Every event, by id.
    pub(crate) events: BTreeMap<String, Value>,
    /// The room's state: ids by type and key.
    pub(crate) state: BTreeMap<(String, String), String>,
    /// Told as part of the state besides, whatever it is.
    pub(crate) besides: Vec<Value>,
    /// The newest event.
    pub(crate) tip: String,
}

impl Known {
    fn add(&mut self, event: &Value) -> String {
        let id = id_of(event);
        if let Some(key) = event["state_key"].as_str() {
            self.state.insert((event["type"].as_str().unwrap().to_owned(), key.to_owned()), id.clone());
        }
        self.events.insert(id.clone(), event.clone());
        self.tip.clone_from(&id);
        id
    }

    fn state_events(&self) -> Vec<Value> {
        self.state.values().map(|id| self.events[id].clone()).chain(self.besides.iter().cloned()).collect()
    }

    fn state_ids(&self) -> Vec<String> {
        self.state.values().cloned().chain(self.besides.iter().map(id_of)).collect()
    }

    fn auth(&self, kind: &str, target: Option<&str>, sender: &str) -> Vec<String> {
        let mut pairs = vec![("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", sender)];
        if kind == "m.room.member" {
            pairs.push(("m.room.join_rules", ""));
            pairs.extend(target.filter(|target| *target != sender).map(|target| ("m.room.member", target)));
        }
        let known = |(kind, key): (&str, &str)| self.state.get(&(kind.to_owned(), key.to_owned())).cloned();
        pairs.into_iter().filter_map(known).collect()
    }
}

/// A public room of version 11 on a fake server, made by its user `host`.
pub(crate) struct Host<'a> {
    pub(crate) fake: &'a Fake,
    pub(crate) room: String,
    pub(crate) user: String,
    pub(crate) known: Arc<Mutex<Known>>,
}

impl<'a> Host<'a> {
    pub(crate) fn new(fake: &'a Fake) -> Self {
        let (room, user) = (format!("!hosted:{}", fake.name()), fake.user("host"));
        let host = Self { fake, room, user, known: Arc::default() };
        host.append("m.room.create", Some(""), json!({ "room_version": "11" }));
        host.append("m.room.member", Some(&host.user), json!({ "membership": "join" }));
        host.append("m.room.power_levels", Some(""), json!({ "users": { host.user.as_str(): 100 } }));
        host.append("m.room.join_rules", Some(""), json!({ "join_rule": "public" }));
        host.append("m.room.history_visibility", Some(""), json!({ "history_visibility": "shared" }));
        host.serve();
        host
    }

    /// An event of the host's after these, without hash and signature.
    pub(crate) fn draft(&self, kind: &str, key: Option<&str>, content: Value, prev: &[&str]) -> Value {
        let known = self.known.lock().unwrap();
        let depth = prev.iter().filter_map(|id| known.events.get(*id)?["depth"].as_u64()).max().unwrap_or(0);
        let mut event = json!({
            "type": kind, "room_id": self.room, "sender": self.user, "content": content, "prev_events": prev,
            "auth_events": known.auth(kind, key, &self.user), "depth": depth + 1, "origin_server_ts": 1_700_000_000_000_u64,
        });
        if let Some(key) = key {
            event["state_key"] = json!(key);
        }
        event
    }

    pub(crate) fn sign(&self, draft: Value) -> Value {
        self.fake.sign_event(draft, &rules())
    }

    pub(crate) fn tip(&self) -> String {
        self.known.lock().unwrap().tip.clone()
    }

    /// Adds an event after the newest one.
    pub(crate) fn append(&self, kind: &str, key: Option<&str>, content: Value) -> Value {
        let tip = self.tip();
        let prev: Vec<&str> = if tip.is_empty() { vec![] } else { vec![&tip] };
        let event = self.sign(self.draft(kind, key, content, &prev));
        self.known.lock().unwrap().add(&event);
        event
    }

    pub(crate) fn message(&self, text: &str) -> Value {
        self.append("m.room.message", None, json!({ "msgtype": "m.text", "body": text }))
    }

    /// Lets somebody of a server of ours join.
    pub(crate) async fn admit(&self, client: &Client) {
        client.join_via(&self.room, self.fake.name()).await.ok();
    }

    /// Sends events, and then a message: once somebody sees that one, the others have been dealt with.
    pub(crate) async fn send(&self, home: &Server, client: &Client, mut pdus: Vec<Value>, text: &str) {
        let last = self.message(text);
        let id = id_of(&last);
        pdus.push(last);
        let answer = self.fake.send(home, pdus, vec![]).await.ok();
        assert_eq!(answer["pdus"][&id], json!({}), "{answer}");
        super::guest::until_there(client, &self.room, &id).await;
    }

    fn serve(&self) {
        super::guest::oblige(self.fake);
        let answer = |method: Method, path: &str, reply: fn(&mut Known, &super::Received) -> Value| {
            let known = self.known.clone();
            self.fake.answer(method, &format!("{FED}/{path}"), move |received| {
                Reply::ok(reply(&mut known.lock().unwrap(), received))
            });
        };
        answer(Method::GET, "v1/make_join/", |known, received| {
            let user = received.segment(4);
            let depth = known.events[&known.tip]["depth"].as_u64().unwrap() + 1;
            let event = json!({
                "type": "m.room.member", "room_id": received.segment(3), "sender": user, "state_key": user,
                "content": { "membership": "join" }, "prev_events": [known.tip], "depth": depth,
                "auth_events": known.auth("m.room.member", None, &user), "origin_server_ts": 1,
            });
            json!({ "room_version": "11", "event": event })
        });
        answer(Method::PUT, "v2/send_join/", |known, received| {
            let state = known.state_events();
            known.add(&received.body);
            json!({ "origin": "x", "auth_chain": state, "state": state, "members_omitted": false })
        });
        answer(Method::GET, "v1/state/", |known, _| {
            let state = known.state_events();
            json!({ "auth_chain": state, "pdus": state })
        });
        answer(Method::GET, "v1/state_ids/", |known, _| {
            let ids = known.state_ids();
            json!({ "auth_chain_ids": ids, "pdu_ids": ids })
        });
        answer(Method::GET, "v1/event_auth/", |known, _| json!({ "auth_chain": known.state_events() }));
        let known = self.known.clone();
        self.fake.answer(Method::GET, "/_matrix/federation/v1/event/", move |received| {
            match known.lock().unwrap().events.get(&received.segment(3)) {
                Some(event) => Reply::ok(json!({ "origin": "x", "origin_server_ts": 1, "pdus": [event] })),
                None => Reply::Json(404, json!({ "errcode": "M_NOT_FOUND", "error": "no such event" })),
            }
        });
        answer(Method::POST, "v1/get_missing_events/", |_, _| json!({ "events": [] }));
        answer(Method::GET, "v1/backfill/", |_, _| json!({ "origin": "x", "origin_server_ts": 1, "pdus": [] }));
    }
}

/// A signature of an event by another key than the server's.
pub(crate) fn sign_wrongly(fake: &Fake, event: &Value) -> Value {
    let mut object: CanonicalJsonObject = serde_json::from_value(event.clone()).unwrap();
    object.remove("signatures");
    let other = SigningKey::from_seed(&[9; 32], fake.key.key_id().split_once(':').unwrap().1, fake.name().to_owned());
    let other = other.unwrap();
    ruma::signatures::hash_and_sign_event(fake.name().as_str(), &other, &mut object, &rules().redaction).unwrap();
    serde_json::to_value(object).unwrap()
}
