//! A room whose servers tell truthfully who was in it at any event, once the test lets them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use homeroom::{clock::Clock, rooms::Room};
use http::Method;
use ruma::RoomId;
use serde_json::{Value, json};

use super::{
    Fake, Received, Reply,
    faults::is_sound,
    guest::id_of,
    host::{Host, Hosted, Known},
    partial::{FED, until_seen},
};
use crate::harness::{Client, Server, escape};

/// People of the server whose room it is, besides its owner.
const PEOPLE: usize = 5;

/// A room that keeps what every server sends, and is told truthfully of by all of them: but only who joins learns its state,
/// without members, until the test lets them tell.
pub(super) struct Play<'a> {
    pub(super) host: Host<'a>,
    pub(super) hosted: Hosted,
    pub(super) tells: Arc<AtomicBool>,
    /// How often somebody was told a state.
    pub(super) told: Arc<AtomicUsize>,
}

impl<'a> Play<'a> {
    /// Somebody (`x`) of each other server is in it, too.
    pub(super) fn new(fake: &'a Fake, others: &[&'a Fake]) -> Self {
        let hosted = Hosted::on(fake);
        let own = (0..PEOPLE).map(|n| (fake, format!("p{n}")));
        let members: Vec<_> = own.chain(others.iter().map(|other| (*other, "x".to_owned()))).collect();
        let host = hosted.room(fake, "again", &members);
        hosted.omit_members();
        let play = Self { host, hosted, tells: Arc::default(), told: Arc::default() };
        for server in [fake].iter().chain(others) {
            play.is_resident(server);
        }
        play
    }

    /// A server answers for the room.
    pub(super) fn is_resident(&self, fake: &Fake) {
        let (template, join) = (self.hosted.clone(), self.hosted.clone());
        fake.answer(Method::GET, &format!("{FED}/make_join/"), move |received| template.template(received));
        fake.answer(Method::PUT, "/_matrix/federation/v2/send_join/", move |received| join.join(received));
        let (known, id) = (self.host.known.clone(), self.host.id.clone());
        fake.answer(Method::PUT, &format!("{FED}/send/"), move |received| {
            let mut known = known.lock().unwrap();
            for pdu in received.body["pdus"].as_array().into_iter().flatten().filter(|pdu| pdu["room_id"] == *id) {
                if !known.events.contains_key(&id_of(pdu)) {
                    known.add(pdu);
                }
            }
            Reply::ok(json!({ "pdus": {} }))
        });
        let known = self.host.known.clone();
        fake.answer(Method::GET, &format!("{FED}/event/"), move |received| {
            let event = known.lock().unwrap().events.get(&received.segment(3)).cloned();
            event.map_or(later(), |event| Reply::ok(json!({ "origin": "x", "origin_server_ts": 1, "pdus": [event] })))
        });
        for (path, ids) in [("state_ids", true), ("state", false)] {
            let (known, tells, told) = (self.host.known.clone(), self.tells.clone(), self.told.clone());
            fake.answer(Method::GET, &format!("{FED}/{path}/"), move |received| {
                if !tells.load(Ordering::SeqCst) {
                    return later();
                }
                told.fetch_add(1, Ordering::SeqCst);
                state(&known.lock().unwrap(), received, ids)
            });
        }
    }

    /// Somebody of the room's server says something, and it has come.
    pub(super) async fn heard(&self, home: &Server, client: &Client, member: usize) -> String {
        let sender = self.host.fake.user(&format!("p{member}"));
        let content = json!({ "msgtype": "m.text", "body": "hello" });
        let (id, event) = self.host.append_by((self.host.fake, &sender), "m.room.message", None, content);
        self.host.fake.send(home, vec![event], vec![]).await.ok();
        until_seen(client, &self.host.id, &id).await;
        id
    }

    /// Somebody of ours says something, and it has gone out.
    pub(super) async fn said(&self, client: &Client) -> String {
        let id = client.send(&self.host.id, "good morning").await;
        self.until_known(&id).await;
        id
    }

    pub(super) async fn until_known(&self, id: &str) {
        // It is kept before it counts as received.
        self.host.fake.until(|_| self.host.known.lock().unwrap().events.contains_key(id).then_some(())).await;
    }

    /// Somebody of ours joins through a server; the id of the join.
    pub(super) async fn joined(&self, client: &Client, via: &Fake) -> String {
        client.join_via(&self.host.id, via.name()).await.ok();
        self.membership(client)
    }

    pub(super) async fn left(&self, client: &Client) -> String {
        client.leave(&self.host.id).await.ok();
        let user = &client.user_id;
        let left = |known: &Known| {
            let id = &known.state[&("m.room.member".to_owned(), user.clone())];
            (known.events[id]["content"]["membership"] == "leave").then(|| id.clone())
        };
        self.host.fake.until(|_| left(&self.host.known.lock().unwrap())).await
    }

    fn membership(&self, client: &Client) -> String {
        self.host.known.lock().unwrap().state[&("m.room.member".to_owned(), client.user_id.clone())].clone()
    }

    /// What happens while nobody of ours is there.
    pub(super) fn goes_on(&self) {
        let (gone, new) = (self.host.fake.user("p2"), self.host.fake.user("new"));
        for (user, membership) in [(&gone, "leave"), (&new, "join")] {
            let content = json!({ "membership": membership });
            self.host.append_by((self.host.fake, user), "m.room.member", Some(user), content);
        }
        self.host.append("m.room.topic", Some(""), json!({ "topic": "what you missed" }));
    }

    /// The servers tell from now on, and have been asked.
    pub(super) async fn tell(&self, clock: &Clock) {
        let before = self.told.load(Ordering::SeqCst);
        self.tells.store(true, Ordering::SeqCst);
        for _ in 0..200 {
            if self.told.load(Ordering::SeqCst) > before {
                return;
            }
            // They are asked again after a pause, which may be about to begin.
            clock.advance(Duration::from_secs(6));
            a_moment().await;
        }
        panic!("nobody asks");
    }

    pub(super) async fn room(&self, home: &Server) -> Arc<Room> {
        let id = <&RoomId>::try_from(&*self.host.id).unwrap();
        home.app().services().rooms.by_id(id).await.unwrap().unwrap()
    }

    /// Servers that are told of what is sent here.
    pub(super) async fn servers(&self, home: &Server) -> usize {
        self.room(home).await.view().servers.len()
    }

    /// Waits until only so many servers are told; time passes.
    pub(super) async fn until_servers(&self, clock: &Clock, home: &Server, count: usize) {
        for _ in 0..200 {
            if self.servers(home).await == count {
                return;
            }
            clock.advance(Duration::from_secs(6));
            a_moment().await;
        }
        panic!("{} servers are told", self.servers(home).await);
    }

    /// Of which of these events this server has another state than it should.
    async fn wrong(&self, home: &Server, ids: &[String]) -> Vec<String> {
        let mut wrong = Vec::new();
        for id in ids {
            let path = format!("{FED}/state_ids/{}?event_id={}", escape(&self.host.id), escape(id));
            let answer = self.host.fake.get(home, &path).await;
            let right: Vec<_> = {
                let known = self.host.known.lock().unwrap();
                let mut right: Vec<_> = before(&known, id).into_values().collect();
                right.sort();
                right
            };
            let mut told = if answer.status.is_success() {
                serde_json::from_value(answer.ok()["pdu_ids"].clone()).unwrap()
            } else {
                Vec::<String>::new()
            };
            told.sort();
            if told != right {
                let known = self.host.known.lock().unwrap();
                let lacks = right.iter().filter(|id| !told.contains(id)).map(|id| &known.events[id]["content"]);
                wrong.push(format!("{id}: {} of {}, without {:?}", told.len(), right.len(), lacks.collect::<Vec<_>>()));
            }
        }
        wrong
    }

    /// Sooner or later the state at all of these events is what it should be, and who is in the room, too.
    pub(super) async fn all_right(&self, home: &Server, client: &Client, ids: &[&String]) {
        let ids: Vec<_> = ids.iter().map(|id| (*id).clone()).collect();
        let mut wrong = Vec::new();
        for _ in 0..300 {
            // Not asked before: other servers would wait for it as long as a client does.
            if !self.room(home).await.view().partial {
                wrong = self.wrong(home, &ids).await;
                if wrong.is_empty() {
                    break;
                }
            }
            a_moment().await;
        }
        assert!(!self.room(home).await.view().partial);
        assert_eq!(wrong, [""; 0]);
        let members = client.room(&self.host.id, "joined_members").await.ok();
        assert_eq!(members["joined"].as_object().unwrap().len(), self.members());
    }

    pub(super) fn members(&self) -> usize {
        let known = self.host.known.lock().unwrap();
        let members = known.state.iter().filter(|((kind, _), _)| kind == "m.room.member");
        members.filter(|(_, id)| known.events[*id]["content"]["membership"] == "join").count()
    }

    /// Nothing is left of it that should not be, also on the disk.
    pub(super) async fn is_sound(home: Server) {
        let database = home.folder().join("db");
        let stopped = home.stop().await;
        is_sound(&database);
        drop(stopped);
    }
}

fn later() -> Reply {
    Reply::Json(404, json!({ "errcode": "M_NOT_FOUND", "error": "later" }))
}

/// The state before an event of a room without forks.
pub(super) fn before(known: &Known, id: &str) -> BTreeMap<(String, String), String> {
    let mut state = BTreeMap::new();
    let prev = |id: &str| known.events[id]["prev_events"][0].as_str();
    let mut at = prev(id);
    while let Some(id) = at {
        let event = &known.events[id];
        if let Some(key) = event["state_key"].as_str() {
            let pair = (event["type"].as_str().unwrap().to_owned(), key.to_owned());
            state.entry(pair).or_insert_with(|| id.to_owned());
        }
        at = prev(id);
    }
    state
}

fn state(known: &Known, received: &Received, ids: bool) -> Reply {
    let (_, asked) = received.path.split_once("event_id=").unwrap();
    let asked = percent_encoding::percent_decode_str(asked).decode_utf8().unwrap();
    if !known.events.contains_key(&*asked) {
        return later();
    }
    let state: Vec<_> = before(known, &asked).into_values().map(|id| &known.events[&id]).collect();
    let chain = known.chain_of(state.clone());
    if ids {
        let ids = |events: Vec<&Value>| events.into_iter().map(id_of).collect::<Vec<_>>();
        Reply::ok(json!({ "pdu_ids": ids(state), "auth_chain_ids": ids(chain) }))
    } else {
        Reply::ok(json!({ "pdus": state, "auth_chain": chain }))
    }
}

/// Others are let go on.
pub(super) async fn a_moment() {
    drop(tokio::time::timeout(Duration::from_millis(200), std::future::pending::<()>()).await);
}
