//! Rooms that are joined before their members are known, where somebody means harm, or does not hold to the rules.

use std::{sync::atomic::Ordering, time::Duration};

use http::Method;
use ruma::RoomId;
use serde_json::{Value, json};

use super::{
    Fake, Reply,
    guest::{id_of, oblige},
    partial::{FED, Large, MEMBERS, bert, clock, until_seen},
};
use crate::harness::{Server, escape};

/// How many servers are told of what is sent to a room.
async fn told(home: &Server, room: &str) -> usize {
    let room = home.app().services().rooms.by_id(<&RoomId>::try_from(room).unwrap()).await.unwrap().unwrap();
    room.view().servers.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_refused_event_counts_once_the_members_are_known() {
    let (clock, fake) = (clock(), Fake::start().await);
    let large = Large::new(&fake, |_| {});
    let (home, bert) = bert(&clock).await;
    let room = &large.host.id;
    bert.join_via(room, fake.name()).await.ok();

    // One without the power to do it changes the topic, and somebody else follows: what they do does count.
    let (refused, topic) = large.say(7, "m.room.topic", Some(""), json!({ "topic": "mine" }));
    let (heard, message) = large.say(8, "m.room.message", None, json!({ "msgtype": "m.text", "body": "no" }));
    fake.send(&home, vec![topic, message], vec![]).await.ok();
    until_seen(&bert, room, &heard).await;
    assert_eq!(bert.room(room, "state/m.room.topic/").await.status, 404);
    large.tell(&clock, &home).await;

    // Somebody of whom nothing was known then has not seen what came in between.
    let content = json!({ "msgtype": "m.text", "body": "hello" });
    let late = large.host.draft_by(&fake.user("p9"), "m.room.message", None, content, &[&refused]);
    let late = large.host.sign(late);
    fake.send(&home, vec![late.clone()], vec![]).await.ok();
    until_seen(&bert, room, &id_of(&late)).await;
    assert_eq!(bert.room(room, "state/m.room.topic/").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_round_a_ban_by_way_of_a_refused_event() {
    let (clock, fake) = (clock(), Fake::start().await);
    let (banned, mole) = (fake.user("p5"), fake.user("p6"));
    let (mut member, mut powers, mut create) = (Value::Null, Value::Null, Value::Null);
    let large = Large::new(&fake, |host| {
        let users = json!({ host.user.as_str(): 100, banned.as_str(): 100 });
        powers = json!(host.append("m.room.power_levels", Some(""), json!({ "users": users })).0);
        let users = json!({ host.user.as_str(): 100, banned.as_str(): 50 });
        host.append_by((&fake, &banned), "m.room.power_levels", Some(""), json!({ "users": users }));
        let of = |kind: &str, key: &str| json!(host.known.lock().unwrap().state[&(kind.to_owned(), key.to_owned())]);
        (member, create) = (of("m.room.member", &banned), of("m.room.create", ""));
        host.append("m.room.member", Some(&banned), json!({ "membership": "ban" }));
    });
    let (home, bert) = bert(&clock).await;
    let room = &large.host.id;
    bert.join_via(room, fake.name()).await.ok();

    // What is refused carries the membership they once had; what stands on it names the power they once had.
    let change = |levels: Value, prev: &str, ts: u64, powers: Option<&Value>| {
        let mut event = large.host.draft_by(&banned, "m.room.power_levels", Some(""), levels, &[prev]);
        let auth = event["auth_events"].as_array_mut().unwrap();
        auth[2] = member.clone();
        if let Some(powers) = powers {
            auth[1] = powers.clone();
        }
        assert_eq!(auth[0], create);
        event["origin_server_ts"] = json!(ts);
        large.host.sign(event)
    };
    let users = |own: u8, mole_has: u8| json!({ "users": { large.host.user.as_str(): 100, banned.as_str(): own, mole.as_str(): mole_has } });
    let refused = change(users(100, 50), &large.host.tip(), 1_700_000_000_000, None);
    let change = change(users(50, 50), &id_of(&refused), 1, Some(&powers));
    fake.send(&home, vec![refused, change.clone()], vec![]).await.ok();
    until_seen(&bert, room, &id_of(&change)).await;
    let path = "state/m.room.power_levels/";
    assert_eq!(bert.room(room, path).await.ok()["users"][&mole], 50);

    large.tell(&clock, &home).await;
    let levels = bert.room(room, path).await.ok();
    assert_eq!(levels["users"].get(&mole), None, "{levels}");
    let home = home.restart().await;
    assert_eq!(bert.at(&home).room(room, path).await.ok(), levels);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tells_the_members_says_nothing_else_of_the_room() {
    let (clock, fake) = (clock(), Fake::start().await);
    let large = Large::new(&fake, |host| drop(host.append("m.room.topic", Some(""), json!({ "topic": "true" }))));
    let (home, bert) = bert(&clock).await;
    let room = &large.host.id;
    bert.join_via(room, fake.name()).await.ok();
    let path = "state/m.room.power_levels/";
    let levels = bert.room(room, path).await.ok();
    let (people, chain): (Vec<_>, Vec<_>) = {
        let known = large.host.known.lock().unwrap();
        let state = known.state.iter().filter(|((kind, key), _)| {
            (kind == "m.room.member" && !key.starts_with("@bert")) || kind == "m.room.create"
        });
        (state.map(|(_, id)| id.clone()).collect(), known.auth_chain().into_iter().map(id_of).collect())
    };
    let tells = large.tells.clone();
    fake.answer(Method::GET, &format!("{FED}/state_ids/"), move |_| {
        if tells.load(Ordering::SeqCst) {
            Reply::ok(json!({ "pdu_ids": people, "auth_chain_ids": chain }))
        } else {
            Reply::Json(404, json!({ "errcode": "M_NOT_FOUND", "error": "later" }))
        }
    });
    large.tell(&clock, &home).await;
    assert_eq!(bert.room(room, "state/m.room.topic/").await.ok()["topic"], "true");
    assert_eq!(bert.room(room, path).await.ok(), levels);
    let members = bert.room(room, "joined_members").await.ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), MEMBERS + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_do_not_allow_the_join_are_not_taken() {
    let (clock, fake) = (clock(), Fake::start().await);
    let large = Large::new(&fake, |_| {});
    let (_home, bert) = bert(&clock).await;
    let room = &large.host.id;
    let (_, ban) = large.host.append("m.room.member", Some(&bert.user_id), json!({ "membership": "ban" }));
    let ids: Vec<_> = large.host.known.lock().unwrap().state.values().cloned().collect();
    assert!(ids.contains(&id_of(&ban)));
    fake.answer(Method::GET, &format!("{FED}/state_ids/"), move |_| {
        Reply::ok(json!({ "pdu_ids": ids, "auth_chain_ids": [] }))
    });
    bert.join_via(room, fake.name()).await.ok();
    // It asks again.
    for _ in 0..20 {
        if fake.received(&format!("{FED}/state_ids/")).len() > 1 {
            break;
        }
        clock.advance(Duration::from_secs(6));
        tokio::task::yield_now().await;
        let again = fake.until(|_| None::<()>);
        drop(tokio::time::timeout(Duration::from_millis(100), again).await);
    }
    assert!(fake.received(&format!("{FED}/state_ids/")).len() > 1);
    bert.send(room, "still here").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_does_not_wait_for_the_pause_of_the_time_before() {
    let (clock, fake) = (clock(), Fake::start().await);
    let large = Large::new(&fake, |_| {});
    let (_home, bert) = bert(&clock).await;
    let (room, path) = (&large.host.id, format!("{FED}/state_ids/"));
    let asked = async |times: usize| {
        for _ in 0..50 {
            if fake.received(&path).len() >= times {
                return true;
            }
            drop(tokio::time::timeout(Duration::from_millis(100), fake.until(|_| None::<()>)).await);
        }
        false
    };
    bert.join_via(room, fake.name()).await.ok();
    assert!(asked(1).await);
    bert.leave(room).await.ok();
    fake.until_pdu("m.room.member").await;
    bert.join_via(room, fake.name()).await.ok();
    assert!(asked(2).await, "it waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_only_named_are_told_nothing_once_the_members_are_known() {
    let (clock, fake, other) = (clock(), Fake::start().await, Fake::start().await);
    oblige(&other);
    let (home, bert) = bert(&clock).await;
    let own = bert.user_id.split_once(':').unwrap().1.to_owned();
    let large = Large::new(&fake, |_| {});
    let named = [other.name().as_str(), &own, "192.0.2.1", "[2001:db8::1]:8448", "no name"];
    large.host.known.lock().unwrap().named = named.map(str::to_owned).to_vec();
    let room = &large.host.id;
    bert.join_via(room, fake.name()).await.ok();
    assert_eq!(told(&home, room).await, 2);
    bert.send(room, "early").await;
    assert_eq!(other.until_pdu("m.room.message").await["content"]["body"], "early");

    large.tell(&clock, &home).await;
    assert_eq!(told(&home, room).await, 1, "nobody of the other server is in the room");
    let home = home.restart().await;
    assert_eq!(told(&home, room).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_only_named_are_told_nothing_when_nobody_is_left() {
    let (clock, fake, other) = (clock(), Fake::start().await, Fake::start().await);
    oblige(&other);
    let (home, bert) = bert(&clock).await;
    let large = Large::new(&fake, |_| {});
    let room = &large.host.id;
    large.host.known.lock().unwrap().named = vec![other.name().to_string()];
    bert.join_via(room, fake.name()).await.ok();
    assert_eq!(told(&home, room).await, 2);
    bert.leave(room).await.ok();
    fake.until_pdu("m.room.member").await;
    // What is named the next time counts, and nothing of the time before.
    large.host.known.lock().unwrap().named.clear();
    bert.join_via(room, fake.name()).await.ok();
    assert_eq!(told(&home, room).await, 1);
    large.tell(&clock, &home).await;
    assert_eq!(told(&home, room).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_false_claim_had_refused_counts_once_the_members_are_known() {
    let (clock, fake) = (clock(), Fake::start().await);
    let (banned, heard) = (fake.user("p5"), fake.user("p6"));
    let (mut joined, mut ban) = (Value::Null, String::new());
    let large = Large::new(&fake, |host| {
        let users = json!({ host.user.as_str(): 100, banned.as_str(): 60, heard.as_str(): 50 });
        host.append("m.room.power_levels", Some(""), json!({ "users": users }));
        joined = json!(host.known.lock().unwrap().state[&("m.room.member".to_owned(), banned.clone())]);
        ban = host.append("m.room.member", Some(&banned), json!({ "membership": "ban" })).0;
    });
    let (home, bert) = bert(&clock).await;
    let room = &large.host.id;
    bert.join_via(room, fake.name()).await.ok();

    // Who was banned claims the membership they had, and bans somebody, who is not heard any more here, and only here.
    let content = json!({ "membership": "ban" });
    let mut claim = large.host.draft_by(&banned, "m.room.member", Some(&heard), content, &[&large.host.tip()]);
    for id in claim["auth_events"].as_array_mut().unwrap().iter_mut().filter(|id| **id == json!(ban)) {
        *id = joined.clone();
    }
    let claim = large.host.sign(claim);
    let content = json!({ "topic": "what was said" });
    let topic = large.host.draft_by(&heard, "m.room.topic", Some(""), content, &[&id_of(&claim)]);
    let topic = large.host.sign(topic);
    let content = json!({ "msgtype": "m.text", "body": "after it" });
    let after = large.host.draft_by(&fake.user("p8"), "m.room.message", None, content, &[&id_of(&topic)]);
    let after = large.host.sign(after);
    fake.send(&home, vec![claim, topic, after.clone()], vec![]).await.ok();
    until_seen(&bert, room, &id_of(&after)).await;
    assert_eq!(bert.room(room, "state/m.room.topic/").await.status, 404);

    large.tell(&clock, &home).await;
    let member = bert.room(room, &format!("state/m.room.member/{}", escape(&heard))).await.ok();
    assert_eq!(member["membership"], "join");
    assert_eq!(bert.room(room, "state/m.room.topic/").await.ok()["topic"], "what was said");
    let home = home.restart().await;
    assert_eq!(bert.at(&home).room(room, "state/m.room.topic/").await.ok()["topic"], "what was said");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_nobody_named_are_told_of_devices_once_the_members_are_known() {
    let (clock, fake, other) = (clock(), Fake::start().await, Fake::start().await);
    oblige(&other);
    let (home, bert) = bert(&clock).await;
    let large = Large::new(&fake, |host| {
        let user = other.user("x");
        host.append_by((&other, &user), "m.room.member", Some(&user), json!({ "membership": "join" }));
    });
    large.host.known.lock().unwrap().unnamed.push(other.name().to_string());
    let room = &large.host.id;
    bert.join_via(room, fake.name()).await.ok();
    assert_eq!(told(&home, room).await, 1);
    large.tell(&clock, &home).await;
    assert_eq!(told(&home, room).await, 2);
    let told = other.until_edu("m.device_list_update").await;
    assert_eq!(told["content"]["user_id"], bert.user_id);
}
