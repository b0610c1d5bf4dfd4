//! Rooms of a fake server: whoever asks may join, its people say what the test wants, and it answers about them what the
//! test has it answer.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use homeroom::event::SigningKey;
use http::Method;
use ruma::CanonicalJsonObject;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    fake::{Fake, Received, Reply},
    guest::{id_of, oblige, rules, until_there},
};
use crate::harness::{Client, Server};

const FED: &str = "/_matrix/federation";

/// What the fake server knows of a room.
#[derive(Default)]
pub(crate) struct Known {
    /// Every event, by id.
    pub(crate) events: BTreeMap<String, Value>,
    /// The room's state: ids by type and key.
    pub(crate) state: BTreeMap<(String, String), String>,
    /// Told as part of the state besides, whatever it is.
    pub(crate) besides: Vec<Value>,
    /// Servers that are said to be in the room besides, where members are left out.
    pub(crate) named: Vec<String>,
    /// Servers that such an answer does not name though they are in the room.
    pub(crate) unnamed: Vec<String>,
    /// The newest event.
    pub(crate) tip: String,
}

/// The answer to who has joined. Its events are not copied: there may be many.
#[derive(Serialize)]
struct Joined<'a> {
    origin: &'a str,
    members_omitted: bool,
    servers_in_room: BTreeSet<&'a str>,
    auth_chain: Vec<&'a Value>,
    state: Vec<&'a Value>,
}

impl Known {
    pub(crate) fn add(&mut self, event: &Value) -> String {
        let id = id_of(event);
        if let Some(key) = event["state_key"].as_str() {
            self.state.insert((event["type"].as_str().unwrap().to_owned(), key.to_owned()), id.clone());
        }
        self.events.insert(id.clone(), event.clone());
        self.tip.clone_from(&id);
        id
    }

    pub(crate) fn state_events(&self) -> Vec<&Value> {
        self.state.values().map(|id| &self.events[id]).chain(&self.besides).collect()
    }

    /// What allows the state, and what is told besides.
    pub(crate) fn auth_chain(&self) -> Vec<&Value> {
        self.chain_of(self.state_events()).into_iter().chain(&self.besides).collect()
    }

    /// What allows events.
    pub(crate) fn chain_of<'k>(&'k self, mut open: Vec<&'k Value>) -> Vec<&'k Value> {
        let mut chain = BTreeSet::new();
        while let Some(event) = open.pop() {
            let allowed_by = event["auth_events"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let found = allowed_by.filter_map(|id| self.events.get_key_value(id));
            open.extend(found.filter(|(id, _)| chain.insert(*id)).map(|(_, event)| event));
        }
        chain.into_iter().map(|id| &self.events[id]).collect()
    }

    /// The events between those that are known and the latest, the oldest first.
    fn missing(&self, asked: &Value) -> Vec<&Value> {
        let ids = |field: &str| asked[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        let limit = usize::try_from(asked["limit"].as_u64().unwrap_or(10)).unwrap();
        let (mut seen, mut found): (HashSet<&str>, Vec<&Value>) = (ids("earliest_events").collect(), Vec::new());
        let mut next: VecDeque<&str> = ids("latest_events").collect();
        while let Some(event) = next.pop_front().and_then(|id| self.events.get(id)).filter(|_| found.len() < limit) {
            for id in event["prev_events"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if let Some(before) = self.events.get(id)
                    && seen.insert(id)
                {
                    found.push(before);
                    next.push_back(id);
                }
            }
        }
        found.truncate(limit);
        found.reverse();
        found
    }

    /// The ids of what allows an event of this type; `target` is its state key.
    fn auth(&self, kind: &str, target: Option<&str>, sender: &str, content: &Value) -> Vec<String> {
        let mut pairs = vec![("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", sender)];
        if kind == "m.room.member" {
            if matches!(content["membership"].as_str(), Some("join" | "invite" | "knock")) {
                pairs.push(("m.room.join_rules", ""));
            }
            pairs.extend(target.filter(|target| *target != sender).map(|target| ("m.room.member", target)));
        }
        let known = |(kind, key): (&str, &str)| self.state.get(&(kind.to_owned(), key.to_owned())).cloned();
        pairs.into_iter().filter_map(known).collect()
    }
}

/// All rooms of a fake server, by id.
#[derive(Clone, Default)]
pub(crate) struct Hosted {
    rooms: Arc<Mutex<HashMap<String, Arc<Mutex<Known>>>>>,
    /// Members are left out of the answer for whoever asks for that.
    omits: Arc<AtomicBool>,
}

impl Hosted {
    /// Has a fake server answer whatever is asked about its rooms, and take what it is sent.
    pub(crate) fn on(fake: &Fake) -> Self {
        oblige(fake);
        let rooms = Self::default();
        let (asked, told, read) = (rooms.clone(), rooms.clone(), rooms.clone());
        fake.answer(Method::GET, &format!("{FED}/v1/make_join/"), move |received| asked.template(received));
        fake.answer(Method::PUT, &format!("{FED}/v2/send_join/"), move |received| told.join(received));
        fake.answer(Method::GET, &format!("{FED}/v1/event/"), move |received| read.event(received));
        let answer = |method: Method, path: &str, reply: fn(&Known) -> Value| {
            let rooms = rooms.clone();
            fake.answer(method, &format!("{FED}/{path}"), move |received| {
                rooms.with(received, |known| Reply::ok(reply(known)))
            });
        };
        answer(
            Method::GET,
            "v1/state/",
            |known| json!({ "auth_chain": known.auth_chain(), "pdus": known.state_events() }),
        );
        answer(Method::GET, "v1/state_ids/", |known| {
            let ids = |events: Vec<&Value>| events.into_iter().map(id_of).collect::<Vec<_>>();
            json!({ "auth_chain_ids": ids(known.auth_chain()), "pdu_ids": ids(known.state_events()) })
        });
        let allowed = rooms.clone();
        fake.answer(Method::GET, &format!("{FED}/v1/event_auth/"), move |received| {
            let id = received.segment(4);
            allowed.with(received, |known| {
                let event: Vec<_> = known.events.get(&id).into_iter().collect();
                Reply::ok(json!({ "auth_chain": known.chain_of(event) }))
            })
        });
        let missed = rooms.clone();
        fake.answer(Method::POST, &format!("{FED}/v1/get_missing_events/"), move |received| {
            missed.with(received, |known| Reply::ok(json!({ "events": known.missing(&received.body) })))
        });
        answer(Method::GET, "v1/backfill/", |_| json!({ "origin": "x", "origin_server_ts": 1, "pdus": [] }));
        rooms
    }

    /// Makes a public room of version 11; its owner is the server's user `host`. `members` of other servers are in it
    /// too, a fake server each, under these localparts.
    pub(crate) fn room<'a>(&self, fake: &'a Fake, name: &str, members: &[(&Fake, String)]) -> Host<'a> {
        let (id, user) = (format!("!{name}:{}", fake.name()), fake.user("host"));
        let host = Host { fake, id, user, known: Arc::default() };
        self.rooms.lock().unwrap().insert(host.id.clone(), host.known.clone());
        host.append("m.room.create", Some(""), json!({ "room_version": "11" }));
        host.append("m.room.member", Some(&host.user), json!({ "membership": "join" }));
        host.append("m.room.power_levels", Some(""), json!({ "users": { host.user.as_str(): 100 } }));
        host.append("m.room.join_rules", Some(""), json!({ "join_rule": "public" }));
        host.append("m.room.history_visibility", Some(""), json!({ "history_visibility": "shared" }));
        for (n, (server, localpart)) in members.iter().enumerate() {
            let user = server.user(localpart);
            let content = json!({ "membership": "join", "displayname": format!("Person {n}") });
            host.append_by((server, &user), "m.room.member", Some(&user), content);
        }
        host
    }

    /// What is answered to who wants to make a join.
    pub(crate) fn template(&self, received: &Received) -> Reply {
        self.with(received, |known| {
            let (user, content) = (received.segment(4), json!({ "membership": "join" }));
            let depth = known.events[&known.tip]["depth"].as_u64().unwrap() + 1;
            Reply::ok(json!({ "room_version": "11", "event": {
                "type": "m.room.member", "room_id": received.segment(3), "sender": user, "state_key": user,
                "content": content, "prev_events": [known.tip], "depth": depth,
                "auth_events": known.auth("m.room.member", None, &user, &content), "origin_server_ts": 1,
            } }))
        })
    }

    /// From now on members are left out of the answer to who asks for less.
    pub(crate) fn omit_members(&self) {
        self.omits.store(true, Ordering::Relaxed);
    }

    /// From now on they are not.
    pub(crate) fn name_members(&self) {
        self.omits.store(false, Ordering::Relaxed);
    }

    /// What is answered to who has made a join: the state.
    pub(crate) fn join(&self, received: &Received) -> Reply {
        self.with(received, |known| {
            let (auth_chain, mut state) = (known.auth_chain(), known.state_events());
            let members_omitted = self.omits.load(Ordering::Relaxed) && received.path.contains("omit_members=true");
            let mut servers_in_room = BTreeSet::new();
            if members_omitted {
                let is_member = |event: &&Value| event["type"] == "m.room.member";
                let members = state.iter().filter(|event| is_member(event));
                servers_in_room = members
                    .filter_map(|event| event["sender"].as_str()?.split_once(':'))
                    .map(|(_, server)| server)
                    .filter(|server| !known.unnamed.iter().any(|unnamed| unnamed == server))
                    .chain(known.named.iter().map(String::as_str))
                    .collect();
                state.retain(|event| !is_member(event));
            }
            let joined = Joined { origin: "x", members_omitted, servers_in_room, auth_chain, state };
            let answer = serde_json::to_vec(&joined).unwrap();
            known.add(&received.body);
            Reply::Raw(200, answer)
        })
    }

    fn event(&self, received: &Received) -> Reply {
        let (id, rooms) = (received.segment(3), self.rooms.lock().unwrap());
        let found = rooms.values().find_map(|known| known.lock().unwrap().events.get(&id).cloned());
        found.map_or_else(unknown, |event| Reply::ok(json!({ "origin": "x", "origin_server_ts": 1, "pdus": [event] })))
    }

    /// The answer about the room that a request names.
    fn with(&self, received: &Received, reply: impl FnOnce(&mut Known) -> Reply) -> Reply {
        let room = self.rooms.lock().unwrap().get(&received.segment(3)).cloned();
        room.map_or_else(unknown, |known| reply(&mut known.lock().unwrap()))
    }
}

fn unknown() -> Reply {
    Reply::Json(404, json!({ "errcode": "M_NOT_FOUND", "error": "neither such a room nor such an event" }))
}

/// A room of a fake server.
pub(crate) struct Host<'a> {
    pub(crate) fake: &'a Fake,
    /// The room's id.
    pub(crate) id: String,
    /// Whose room it is.
    pub(crate) user: String,
    pub(crate) known: Arc<Mutex<Known>>,
}

impl<'a> Host<'a> {
    /// The only room of its server.
    pub(crate) fn new(fake: &'a Fake) -> Self {
        Hosted::on(fake).room(fake, "hosted", &[])
    }

    /// An event of the owner's after these, without hash and signature.
    pub(crate) fn draft(&self, kind: &str, key: Option<&str>, content: Value, prev: &[&str]) -> Value {
        self.draft_by(&self.user, kind, key, content, prev)
    }

    pub(crate) fn draft_by(&self, sender: &str, kind: &str, key: Option<&str>, content: Value, prev: &[&str]) -> Value {
        let known = self.known.lock().unwrap();
        let depth = prev.iter().filter_map(|id| known.events.get(*id)?["depth"].as_u64()).max().unwrap_or(0);
        let mut event = json!({
            "type": kind, "room_id": self.id, "sender": sender, "content": content, "prev_events": prev,
            "auth_events": known.auth(kind, key, sender, &content), "depth": depth + 1, "origin_server_ts": 1_700_000_000_000_u64,
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

    /// Adds an event of the owner's after the newest one, which it is then: its id, and itself.
    pub(crate) fn append(&self, kind: &str, key: Option<&str>, content: Value) -> (String, Value) {
        self.append_by((self.fake, &self.user), kind, key, content)
    }

    pub(crate) fn append_by(
        &self,
        by: (&Fake, &str),
        kind: &str,
        key: Option<&str>,
        content: Value,
    ) -> (String, Value) {
        let (server, sender) = by;
        let tip = self.tip();
        let prev: Vec<&str> = if tip.is_empty() { vec![] } else { vec![&tip] };
        let event = server.sign_event(self.draft_by(sender, kind, key, content, &prev), &rules());
        let id = self.known.lock().unwrap().add(&event);
        (id, event)
    }

    /// What the owner says after the newest event.
    pub(crate) fn message(&self, text: &str) -> (String, Value) {
        self.append("m.room.message", None, json!({ "msgtype": "m.text", "body": text }))
    }

    /// Somebody's membership that `by` has signed, whose it may be or not. It is not kept.
    pub(crate) fn forgery(&self, by: &Fake, user: &str) -> Value {
        let content = json!({ "membership": "join" });
        by.sign_event(self.draft_by(user, "m.room.member", Some(user), content, &[&self.tip()]), &rules())
    }

    /// Lets somebody of a server of ours join.
    pub(crate) async fn admit(&self, client: &Client) {
        client.join_via(&self.id, self.fake.name()).await.ok();
    }

    /// Sends events, and then a message: once somebody sees that one, the others have been dealt with.
    pub(crate) async fn send(&self, home: &Server, client: &Client, mut pdus: Vec<Value>, text: &str) {
        let (id, last) = self.message(text);
        pdus.push(last);
        let answer = self.fake.send(home, pdus, vec![]).await.ok();
        assert_eq!(answer["pdus"][&id], json!({}), "{answer}");
        until_there(client, &self.id, &id).await;
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
