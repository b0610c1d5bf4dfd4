//! Somebody of a fake server in a room of ours, who makes events as that server likes.

use std::{collections::BTreeMap, sync::Mutex};

use http::Method;
use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};
use serde_json::{Value, json};

use super::{Fake, Reply};
use crate::harness::{Answer, Server, escape};

/// The rules of version 11, in which all of this happens.
pub(crate) fn rules() -> RoomVersionRules {
    RoomVersionId::V11.rules().unwrap()
}

/// The id of an event.
pub(crate) fn id_of(event: &Value) -> String {
    let object = serde_json::from_value(event.clone()).unwrap();
    format!("${}", ruma::signatures::reference_hash(&object, &rules()).unwrap())
}

/// Path and body of an invitation for somebody into a room on the fake server.
pub(crate) fn invitation(fake: &Fake, target: &str, room: &str) -> (String, Value) {
    let event = json!({
        "type": "m.room.member", "room_id": room, "sender": fake.user("eve"), "state_key": target,
        "content": { "membership": "invite" }, "prev_events": ["$a"], "auth_events": ["$b"], "depth": 3,
        "origin_server_ts": 1,
    });
    let event = fake.sign_event(event, &rules());
    let path = format!("/_matrix/federation/v2/invite/{}/{}", escape(room), escape(&id_of(&event)));
    (path, json!({ "room_version": "11", "event": event, "invite_room_state": [] }))
}

/// Has the fake server sign every invitation that it is sent, and take every transaction.
pub(crate) fn oblige(fake: &Fake) {
    let (key, name) = (fake.key.clone(), fake.name().to_owned());
    fake.answer(Method::PUT, "/_matrix/federation/v2/invite/", move |received| {
        let mut event = serde_json::from_value(received.body["event"].clone()).unwrap();
        ruma::signatures::hash_and_sign_event(name.as_str(), &*key, &mut event, &rules().redaction).unwrap();
        Reply::ok(json!({ "event": event }))
    });
    fake.answer(Method::PUT, "/_matrix/federation/v1/send/", |_| Reply::ok(json!({ "pdus": {} })));
}

/// Somebody of a fake server in a room of version 11.
pub(crate) struct Guest<'a> {
    pub(crate) fake: &'a Fake,
    pub(crate) home: &'a Server,
    pub(crate) room: String,
    pub(crate) user: String,
    /// The ids of the room's state when they came, by type and key, their own membership included.
    pub(crate) state: BTreeMap<(String, String), String>,
    /// The newest event of theirs, and its depth.
    tip: Mutex<(String, u64)>,
}

impl<'a> Guest<'a> {
    /// A join made from the room's template, under its id.
    pub(crate) async fn join_event(fake: &Fake, home: &Server, room: &str, user: &str) -> (String, Value) {
        let path = format!("/_matrix/federation/v1/make_join/{}/{}?ver=11", escape(room), escape(user));
        let template = fake.get(home, &path).await.ok()["event"].clone();
        let event = fake.sign_event(template, &rules());
        (id_of(&event), event)
    }

    /// Lets them join.
    pub(crate) async fn enter(fake: &'a Fake, home: &'a Server, room: &str, localpart: &str) -> Self {
        oblige(fake);
        let user = fake.user(localpart);
        let (id, event) = Self::join_event(fake, home, room, &user).await;
        let path = format!("/_matrix/federation/v2/send_join/{}/{}", escape(room), escape(&id));
        let answer = fake.call(home, Method::PUT, &path, event.clone()).await.ok();
        let mut state = BTreeMap::new();
        for one in answer["state"].as_array().unwrap().iter().chain([&event]) {
            let text = |field: &str| one[field].as_str().unwrap().to_owned();
            state.insert((text("type"), text("state_key")), id_of(one));
        }
        let tip = Mutex::new((id, event["depth"].as_u64().unwrap()));
        Self { fake, home, room: room.to_owned(), user, state, tip }
    }

    /// The id of the room's state of a type, as it was when they came.
    pub(crate) fn state_id(&self, kind: &str, key: &str) -> &str {
        &self.state[&(kind.to_owned(), key.to_owned())]
    }

    /// An event of theirs after their newest one, without hash and signature.
    pub(crate) fn draft(&self, kind: &str, content: Value) -> Value {
        let (tip, depth) = self.tip.lock().unwrap().clone();
        let auth = ["m.room.create", "m.room.power_levels"].map(|kind| self.state_id(kind, "").to_owned());
        let own = self.state_id("m.room.member", &self.user).to_owned();
        json!({
            "type": kind, "room_id": self.room, "sender": self.user, "content": content,
            "prev_events": [tip], "auth_events": [&auth[0], &auth[1], &own], "depth": depth + 1,
            "origin_server_ts": 1_700_000_000_000_u64,
        })
    }

    /// The same about somebody's membership.
    pub(crate) fn member(&self, target: &str, membership: &str) -> Value {
        let mut event = self.draft("m.room.member", json!({ "membership": membership }));
        event["state_key"] = json!(target);
        if membership == "invite" {
            let rules = self.state_id("m.room.join_rules", "").to_owned();
            event["auth_events"].as_array_mut().unwrap().push(json!(rules));
        }
        event
    }

    /// Signs an event of theirs.
    pub(crate) fn sign(&self, draft: Value) -> Value {
        self.fake.sign_event(draft, &rules())
    }

    pub(crate) fn message(&self, text: &str) -> Value {
        self.sign(self.draft("m.room.message", json!({ "msgtype": "m.text", "body": text })))
    }

    /// Sends events in a transaction: what is answered for each.
    pub(crate) async fn send(&self, pdus: Vec<Value>) -> Answer {
        self.fake.send(self.home, pdus, vec![]).await
    }

    /// Says something after everything that was sent before; `true` once it has been received.
    pub(crate) async fn say(&self, client: &crate::harness::Client, text: &str) -> String {
        let event = self.message(text);
        let (id, depth) = (id_of(&event), event["depth"].as_u64().unwrap());
        let answer = self.send(vec![event]).await.ok();
        assert_eq!(answer["pdus"][&id], json!({}), "{answer}");
        until_there(client, &self.room, &id).await;
        *self.tip.lock().unwrap() = (id.clone(), depth);
        id
    }
}

/// Waits until somebody sees an event in a room; at most a minute.
pub(crate) async fn until_there(client: &crate::harness::Client, room: &str, id: &str) {
    let seen = |sync: &Value| {
        let events = sync["rooms"]["join"][room]["timeline"]["events"].as_array()?;
        events.iter().any(|event| event["event_id"] == id).then_some(())
    };
    let first = client.sync(None).await;
    if seen(&first).is_none() {
        let wait = client.sync_until(first["next_batch"].as_str().unwrap(), seen);
        let waited = tokio::time::timeout(std::time::Duration::from_mins(1), wait).await;
        waited.unwrap_or_else(|_| panic!("{id} did not come"));
    }
}
