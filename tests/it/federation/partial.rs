//! Rooms that are joined before all of their members are known (MSC3706, MSC3902).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use homeroom::clock::Clock;
use http::Method;
use ruma::RoomId;
use serde_json::{Value, json};

use super::{
    Fake, Reply,
    guest::id_of,
    host::{Host, Hosted},
    server_at,
};
use crate::harness::{Client, Server, escape};

pub(super) const FED: &str = "/_matrix/federation/v1";
pub(super) const MEMBERS: usize = 30;

/// A room of a fake server, and how far its server says who is in it.
pub(super) struct Large<'a> {
    pub(super) host: Host<'a>,
    /// Whether it tells who is in the room.
    pub(super) tells: Arc<AtomicBool>,
}

impl<'a> Large<'a> {
    /// A room with many members, who are left out of the answer to a join and not told until the test says so. `besides`
    /// may do more to it.
    pub(super) fn new(fake: &'a Fake, besides: impl FnOnce(&Host<'_>)) -> Self {
        let hosted = Hosted::on(fake);
        let members: Vec<_> = (0..MEMBERS).map(|n| (fake, format!("p{n}"))).collect();
        let host = hosted.room(fake, "large", &members);
        besides(&host);
        let (whole, chain) = {
            let known = host.known.lock().unwrap();
            let cloned = |events: Vec<&Value>| events.into_iter().cloned().collect::<Vec<_>>();
            (cloned(known.state_events()), cloned(known.auth_chain()))
        };
        hosted.omit_members();
        let tells = Arc::new(AtomicBool::new(false));
        let ids = |events: &[Value]| events.iter().map(id_of).collect::<Vec<_>>();
        let state_ids = json!({ "pdu_ids": ids(&whole), "auth_chain_ids": ids(&chain) });
        let state = json!({ "pdus": whole, "auth_chain": chain });
        for (path, answer) in [("state_ids", state_ids), ("state", state)] {
            let tells = tells.clone();
            fake.answer(Method::GET, &format!("{FED}/{path}/"), move |_| {
                if tells.load(Ordering::SeqCst) {
                    Reply::ok(answer.clone())
                } else {
                    Reply::Json(404, json!({ "errcode": "M_NOT_FOUND", "error": "later" }))
                }
            });
        }
        Self { host, tells }
    }

    /// An event of one of the members.
    pub(super) fn say(&self, member: usize, kind: &str, key: Option<&str>, content: Value) -> (String, Value) {
        let fake = self.host.fake;
        self.host.append_by((fake, &fake.user(&format!("p{member}"))), kind, key, content)
    }

    /// Its server tells who is in the room from now on, and has been asked.
    pub(super) async fn tell(&self, clock: &Clock, home: &Server) {
        let path = format!("{FED}/state_ids/");
        let before = self.host.fake.received(&path).len();
        self.tells.store(true, Ordering::SeqCst);
        loop {
            // It is asked again after a pause, which may be about to begin.
            clock.advance(Duration::from_secs(6));
            let mut asked = 0;
            let again = self.host.fake.until(|received| {
                asked += usize::from(received.path.starts_with(&path));
                (asked > before).then_some(())
            });
            if tokio::time::timeout(Duration::from_millis(300), again).await.is_ok() {
                break;
            }
        }
        let rooms = &home.app().services().rooms;
        let room = rooms.by_id(<&RoomId>::try_from(&*self.host.id).unwrap()).await.unwrap().unwrap();
        rooms.whole(&room).await.unwrap();
    }
}

fn eager(since: Option<&str>) -> String {
    let since = since.map(|since| format!("&since={}", escape(since))).unwrap_or_default();
    format!("/_matrix/client/v3/sync?timeout=0{since}")
}

fn lazy(since: Option<&str>) -> String {
    let filter = escape(r#"{"room":{"state":{"lazy_load_members":true}}}"#);
    format!("{}&filter={filter}", eager(since))
}

/// Waits until somebody who loads members lazily sees an event.
pub(super) async fn until_seen(client: &Client, room: &str, id: &str) {
    let mut sync = client.get(&lazy(None)).await.ok();
    for _ in 0..10 {
        let events = sync["rooms"]["join"][room]["timeline"]["events"].as_array();
        if events.is_some_and(|events| events.iter().any(|event| event["event_id"] == id)) {
            return;
        }
        let since = lazy(sync["next_batch"].as_str()).replace("timeout=0", "timeout=5000");
        sync = client.get(&since).await.ok();
    }
    panic!("{id} was not seen");
}

fn members_shown(room: &Value) -> Vec<&str> {
    let events = room["state"]["events"].as_array().into_iter().chain(room["timeline"]["events"].as_array()).flatten();
    let members = events.filter(|event| event["type"] == "m.room.member");
    members.filter_map(|event| event["state_key"].as_str()).collect()
}

pub(super) async fn bert(clock: &Clock) -> (Server, Client) {
    let home = server_at(clock.clone(), |_| {}).await;
    let bert = home.register("bert").await;
    (home, bert)
}

pub(super) fn clock() -> Clock {
    Clock::test(1_700_000_100_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_room_can_be_used_before_its_members_are_known() {
    let (clock, fake) = (clock(), Fake::start().await);
    let large = Large::new(&fake, |_| {});
    let (home, bert) = bert(&clock).await;
    let room = &large.host.id;
    bert.join_via(room, fake.name()).await.ok();

    // One says something, and hears what others say, with who they are.
    let said = bert.send(room, "good morning").await;
    let pdu = fake.until_pdu("m.room.message").await;
    assert_eq!(pdu["content"]["body"], "good morning");
    let (heard, event) = large.say(7, "m.room.message", None, json!({ "msgtype": "m.text", "body": "hello" }));
    fake.send(&home, vec![event], vec![]).await.ok();
    until_seen(&bert, room, &heard).await;
    let sync = bert.get(&lazy(None)).await.ok();
    let shown = &sync["rooms"]["join"][room.as_str()];
    let ids: Vec<_> = shown["timeline"]["events"].as_array().unwrap().iter().map(|event| &event["event_id"]).collect();
    assert!(ids.contains(&&json!(said)) && ids.contains(&&json!(heard)), "{ids:?}");
    assert!(members_shown(shown).contains(&fake.user("p7").as_str()), "{shown}");

    // Who wants all members is not shown a room without them; other servers are not told half of it, but wait.
    let early = bert.get(&eager(None)).await.ok();
    assert_eq!(early["rooms"]["join"].get(room.as_str()), None, "{early}");
    let path = format!("{FED}/make_join/{}/{}?ver=11", escape(room), escape(&fake.user("new")));
    assert_eq!(fake.get(&home, &path).await.status, 404);
    let path = format!("{FED}/state_ids/{}?event_id={}", escape(room), escape(&heard));
    let state = fake.get(&home, &path);

    let (waiting, id) = (bert.at(&home), room.clone());
    let waiting = tokio::spawn(async move { waiting.room(&id, "joined_members").await });
    let (state, ()) = tokio::join!(state, large.tell(&clock, &home));
    let state = state.ok()["pdu_ids"].as_array().unwrap().len();
    assert!(state > MEMBERS, "{state}");
    let members = waiting.await.unwrap().ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), MEMBERS + 2, "the owner and who has joined besides");
    let state = bert.room(room, &format!("state/m.room.member/{}", escape(&fake.user("p3")))).await.ok();
    assert_eq!(state["membership"], "join");
    let since = |sync: &Value| sync["next_batch"].as_str().unwrap().to_owned();
    let whole = bert.get(&eager(Some(&since(&early)))).await.ok();
    let shown = &whole["rooms"]["join"][room.as_str()];
    assert_eq!(members_shown(shown).len(), MEMBERS + 2, "{shown}");
    let more = bert.get(&lazy(Some(&since(&sync)))).await.ok();
    assert_eq!(
        more["device_lists"]["changed"].as_array().unwrap().len(),
        MEMBERS + 2,
        "whose keys are to be asked for"
    );
    assert_eq!(more["rooms"]["join"][room.as_str()]["summary"]["m.joined_member_count"], MEMBERS + 2);
    let later = bert.get(&eager(Some(&since(&whole)))).await.ok();
    assert_eq!(later["rooms"]["join"].get(room.as_str()), None, "{later}");

    // And after a restart it is what it was.
    let home = home.restart().await;
    let bert = bert.at(&home);
    let members = bert.room(room, "joined_members").await.ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), MEMBERS + 2);
    bert.send(room, "still here").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_members_do_not_allow_is_taken_back() {
    let (clock, fake) = (clock(), Fake::start().await);
    let banned = fake.user("p5");
    let mut before = Value::Null;
    let large = Large::new(&fake, |host| {
        let users = json!({ host.user.as_str(): 100, banned.as_str(): 50 });
        host.append("m.room.power_levels", Some(""), json!({ "users": users }));
        host.append("m.room.topic", Some(""), json!({ "topic": "true" }));
        let joined = host.known.lock().unwrap().state[&("m.room.member".to_owned(), banned.clone())].clone();
        before = json!(joined);
        host.append("m.room.member", Some(&banned), json!({ "membership": "ban" }));
    });
    let (home, bert) = bert(&clock).await;
    let room = &large.host.id;
    bert.join_via(room, fake.name()).await.ok();

    // Who was banned names the membership they had, and nobody here knows better yet.
    let mut topic =
        large.host.draft_by(&banned, "m.room.topic", Some(""), json!({ "topic": "false" }), &[&large.host.tip()]);
    let auth = topic["auth_events"].as_array_mut().unwrap();
    let last = auth.len() - 1;
    auth[last] = before;
    let topic = large.host.sign(topic);
    fake.send(&home, vec![topic.clone()], vec![]).await.ok();
    until_seen(&bert, room, &id_of(&topic)).await;
    assert_eq!(bert.room(room, "state/m.room.topic/").await.ok()["topic"], "false");

    large.tell(&clock, &home).await;
    assert_eq!(bert.room(room, "state/m.room.topic/").await.ok()["topic"], "true");
    let member = bert.room(room, &format!("state/m.room.member/{}", escape(&banned))).await.ok();
    assert_eq!(member["membership"], "ban");
    let home = home.restart().await;
    assert_eq!(bert.at(&home).room(room, "state/m.room.topic/").await.ok()["topic"], "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_fetched_after_a_restart_too() {
    let (clock, fake) = (clock(), Fake::start().await);
    let large = Large::new(&fake, |_| {});
    let (home, bert) = bert(&clock).await;
    let room = &large.host.id;
    bert.join_via(room, fake.name()).await.ok();
    bert.send(room, "before").await;
    let home = home.restart().await;
    let bert = bert.at(&home);
    bert.send(room, "after").await;
    large.tell(&clock, &home).await;
    let members = bert.room(room, "joined_members").await.ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), MEMBERS + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_before_the_members_are_known_can_come_back() {
    let (clock, fake) = (clock(), Fake::start().await);
    let large = Large::new(&fake, |_| {});
    let (home, bert) = bert(&clock).await;
    let room = &large.host.id;
    bert.join_via(room, fake.name()).await.ok();
    bert.leave(room).await.ok();
    fake.until_pdu("m.room.member").await;
    bert.join_via(room, fake.name()).await.ok();
    bert.send(room, "again").await;
    large.tell(&clock, &home).await;
    let members = bert.room(room, "joined_members").await.ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), MEMBERS + 2);
}
