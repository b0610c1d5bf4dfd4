//! Rooms that stand on a fake server: whoever asks may join, and its people say what the test wants.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use http::Method;
use ruma::{CanonicalJsonObject, RoomVersionId, room_version_rules::RoomVersionRules};
use serde_json::{Value, json};

use super::fake::{Fake, Received, Reply};

/// All rooms of a fake server.
#[derive(Clone, Default)]
pub(crate) struct Hosted(Arc<Mutex<HashMap<String, Arc<Standing>>>>);

/// What is known of one.
struct Standing {
    /// The answer to who joins, as JSON.
    answer: Vec<u8>,
    /// The ids of what allows a join: the create event, the power levels, the join rules.
    allows: [String; 3],
    /// The newest event, and its depth.
    tip: Mutex<(String, u64)>,
}

impl Hosted {
    /// Has a fake server answer who wants to join its rooms.
    pub(crate) fn on(fake: &Fake) -> Self {
        let rooms = Self::default();
        let (asked, told) = (rooms.clone(), rooms.clone());
        fake.answer(Method::GET, "/_matrix/federation/v1/make_join/", move |received| asked.template(received));
        fake.answer(Method::PUT, "/_matrix/federation/v2/send_join/", move |received| told.join(received));
        fake.answer(Method::PUT, "/_matrix/federation/v1/send/", |_| Reply::ok(json!({ "pdus": {} })));
        rooms
    }

    /// Makes a room. `members` of other servers are in it too, a fake server each, under these localparts.
    pub(crate) fn room(&self, fake: &Fake, name: &str, members: &[(&Fake, String)]) -> Host {
        let id = format!("!{name}:{}", fake.name());
        let owner = fake.user("owner");
        let mut room =
            Host { id, owner, rules: RoomVersionId::V11.rules().unwrap(), allowed: Vec::new(), standing: None };
        let mut state = Vec::with_capacity(members.len() + 5);
        let mut before = Vec::new();
        let mut add = |room: &Host, by: &Fake, kind: &str, key: &str, sender: &str, auth: &[&str], content: Value| {
            let mut event = room.draft(kind, sender, content);
            event["state_key"] = json!(key);
            (event["auth_events"], event["prev_events"]) = (json!(auth), json!(before));
            event["depth"] = json!(state.len() + 1);
            let event = by.sign_event(event, &room.rules);
            let id = room.id_of(&event);
            before = vec![id.clone()];
            state.push(event);
            id
        };
        let owner = room.owner.clone();
        let create = add(&room, fake, "m.room.create", "", &owner, &[], json!({ "room_version": "11" }));
        let joined = json!({ "membership": "join", "displayname": "Owner" });
        let member = add(&room, fake, "m.room.member", &owner, &owner, &[&create], joined);
        let levels = json!({ "users": { &owner: 100 } });
        let power = add(&room, fake, "m.room.power_levels", "", &owner, &[&create, &member], levels);
        let by_owner = [&*create, &*power, &*member];
        let rules = json!({ "join_rule": "public" });
        let rules = add(&room, fake, "m.room.join_rules", "", &owner, &by_owner, rules);
        let shared = json!({ "history_visibility": "shared" });
        add(&room, fake, "m.room.history_visibility", "", &owner, &by_owner, shared);
        for (n, (server, localpart)) in members.iter().enumerate() {
            let user = server.user(localpart);
            let content = json!({ "membership": "join", "displayname": format!("Person {n}") });
            add(&room, server, "m.room.member", &user, &user, &[&create, &power, &rules], content);
        }
        let tip = (before.remove(0), u64::try_from(state.len()).unwrap());
        let answer = json!({
            "origin": fake.name(), "members_omitted": false, "auth_chain": &state[..4], "state": state,
        });
        room.allowed = vec![create.clone(), power.clone(), member];
        let standing =
            Standing { answer: answer.to_string().into_bytes(), allows: [create, power, rules], tip: Mutex::new(tip) };
        let standing = Arc::new(standing);
        self.0.lock().unwrap().insert(room.id.clone(), standing.clone());
        room.standing = Some(standing);
        room
    }

    fn standing(&self, received: &Received) -> Option<Arc<Standing>> {
        self.0.lock().unwrap().get(&received.segment(3)).cloned()
    }

    /// What is answered to who wants to make a join.
    pub(crate) fn template(&self, received: &Received) -> Reply {
        let Some(room) = self.standing(received) else { return unknown() };
        let (tip, depth) = room.tip.lock().unwrap().clone();
        let user = received.segment(4);
        Reply::ok(json!({ "room_version": "11", "event": {
            "type": "m.room.member", "room_id": received.segment(3), "sender": user, "state_key": user,
            "content": { "membership": "join" }, "prev_events": [tip], "auth_events": room.allows,
            "depth": depth + 1, "origin_server_ts": 1_700_000_000_000_u64,
        } }))
    }

    /// What is answered to who has made a join: the whole state.
    pub(crate) fn join(&self, received: &Received) -> Reply {
        let Some(room) = self.standing(received) else { return unknown() };
        *room.tip.lock().unwrap() = (received.segment(4), received.body["depth"].as_u64().unwrap());
        Reply::Raw(200, room.answer.clone())
    }
}

/// One room of a fake server.
pub(crate) struct Host {
    pub(crate) id: String,
    owner: String,
    rules: RoomVersionRules,
    /// The ids of what allows its owner to speak.
    allowed: Vec<String>,
    standing: Option<Arc<Standing>>,
}

impl Host {
    /// The id of an event.
    pub(crate) fn id_of(&self, event: &Value) -> String {
        let object: CanonicalJsonObject = serde_json::from_value(event.clone()).unwrap();
        format!("${}", ruma::signatures::reference_hash(&object, &self.rules).unwrap())
    }

    fn draft(&self, kind: &str, sender: &str, content: Value) -> Value {
        json!({
            "type": kind, "room_id": self.id, "sender": sender, "content": content,
            "auth_events": self.allowed, "origin_server_ts": 1_700_000_000_000_u64,
        })
    }

    /// Somebody's membership that `by` has signed, whose it may be or not.
    pub(crate) fn forgery(&self, by: &Fake, user: &str) -> Value {
        let standing = self.standing.as_ref().unwrap();
        let (tip, depth) = standing.tip.lock().unwrap().clone();
        let mut event = self.draft("m.room.member", user, json!({ "membership": "join" }));
        (event["state_key"], event["auth_events"]) = (json!(user), json!(standing.allows));
        (event["prev_events"], event["depth"]) = (json!([tip]), json!(depth));
        by.sign_event(event, &self.rules)
    }

    /// What the owner says after the newest event; it is the newest then.
    pub(crate) fn message(&self, fake: &Fake, text: &str) -> (String, Value) {
        let mut tip = self.standing.as_ref().unwrap().tip.lock().unwrap();
        let mut event = self.draft("m.room.message", &self.owner, json!({ "msgtype": "m.text", "body": text }));
        (event["prev_events"], event["depth"]) = (json!([tip.0]), json!(tip.1 + 1));
        let event = fake.sign_event(event, &self.rules);
        let id = self.id_of(&event);
        *tip = (id.clone(), tip.1 + 1);
        (id, event)
    }
}

fn unknown() -> Reply {
    Reply::Json(404, json!({ "errcode": "M_NOT_FOUND", "error": "Unknown room." }))
}
