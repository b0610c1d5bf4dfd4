//! What other servers may ask for without end, and get bounded: invitations and their answers, joins that are given up.

use homeroom::store::{Order, schema::rooms::OUTSIDE};
use http::Method;
use ruma::UserId;
use serde_json::{Value, json};

use super::{
    Fake, Reply,
    guest::{Guest, id_of, invitation, oblige, rules},
    host::Host,
    join::membership,
    server,
};
use crate::harness::{Answer, Client, Server, escape};

async fn invite(fake: &Fake, home: &Server, target: &Client, room: usize) -> Answer {
    let (path, body) = invitation(fake, &target.user_id, &format!("!r{room}:{}", fake.name()));
    fake.call(home, Method::PUT, &path, body).await
}

#[tokio::test]
async fn one_server_cannot_fill_somebody_s_syncs_with_invitations() {
    let (home, fake, other) = (server(|_| {}).await, Fake::start().await, Fake::elsewhere().await);
    let (ada, bert) = (home.register("ada").await, home.register("bert").await);
    for n in 0..50 {
        invite(&fake, &home, &ada, n).await.ok();
    }
    let refused = invite(&fake, &home, &ada, 50).await.refused(403, "M_FORBIDDEN");
    assert!(refused["error"].as_str().unwrap().contains("answer other invitations"), "{refused}");
    let same = Fake::start().await;
    invite(&same, &home, &ada, 0).await.refused(403, "M_FORBIDDEN");
    invite(&fake, &home, &ada, 7).await.ok();
    invite(&fake, &home, &bert, 50).await.ok();
    invite(&other, &home, &ada, 0).await.ok();
    let invited = ada.sync(None).await["rooms"]["invite"].as_object().unwrap().len();
    assert_eq!(invited, 51);
    // Who answers one gets the next.
    ada.leave(&format!("!r3:{}", fake.name())).await.ok();
    invite(&fake, &home, &ada, 50).await.ok();
}

#[tokio::test]
async fn invitations_that_are_taken_back_again_and_again_leave_little_behind() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    for n in 0..105 {
        let room = format!("!r{n}:{}", fake.name());
        let (path, mut body) = invitation(&fake, &ada.user_id, &room);
        let name = json!({ "name": "x".repeat(1_000) });
        body["invite_room_state"] =
            json!([{ "type": "m.room.name", "state_key": "", "sender": fake.user("eve"), "content": name }]);
        fake.call(&home, Method::PUT, &path, body).await.ok();
        let leave = json!({
            "type": "m.room.member", "room_id": room, "sender": fake.user("eve"), "state_key": ada.user_id,
            "content": { "membership": "leave" }, "prev_events": ["$a"], "auth_events": ["$b"], "depth": 4,
            "origin_server_ts": 1,
        });
        fake.send(&home, vec![fake.sign_event(leave, &rules())], vec![]).await.ok();
    }
    let sync = ada.sync(None).await;
    assert!(sync["rooms"].get("invite").is_none(), "{sync}");
    let store = &home.app().services().store;
    let user = store.user(&UserId::parse(&ada.user_id).unwrap()).await.unwrap().unwrap();
    let rows = store.prefix(&OUTSIDE, &user, Order::Ascending, 1_000).await.unwrap();
    assert_eq!(rows.len(), 100);
    assert!(rows.iter().all(|(_, record)| record.state == "[]"));
    let newest = store.room(&ruma::RoomId::parse(format!("!r104:{}", fake.name())).unwrap()).await.unwrap().unwrap();
    assert!(rows.iter().any(|((_, room), _)| *room == newest), "the oldest have gone");
}

#[tokio::test]
async fn an_invitation_comes_back_with_another_content_and_is_not_made() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "private_chat", "room_version": "11" })).await;
    let (key, name) = (fake.key.clone(), fake.name().to_owned());
    fake.answer(Method::PUT, "/_matrix/federation/v2/invite/", move |received| {
        let mut event = serde_json::from_value(received.body["event"].clone()).unwrap();
        ruma::signatures::hash_and_sign_event(name.as_str(), &*key, &mut event, &rules().redaction).unwrap();
        let mut event = serde_json::to_value(event).unwrap();
        event["content"]["displayname"] = json!("Somebody else");
        Reply::ok(json!({ "event": event }))
    });
    // It is more than a redaction would leave of it.
    let invite = json!({ "user_id": fake.user("eve"), "reason": "because" });
    let path = format!("/_matrix/client/v3/rooms/{}/invite", escape(&room));
    assert_eq!(ada.post(&path, invite.clone()).await.status, 502);
    let member = format!("state/m.room.member/{}", escape(&fake.user("eve")));
    assert_eq!(ada.room(&room, &member).await.status, 404, "nobody is invited");
    // One that comes back as it was sent is made.
    oblige(&fake);
    ada.post(&path, invite).await.ok();
    assert_eq!(ada.room(&room, &member).await.ok()["reason"], "because");
}

#[tokio::test]
async fn a_join_that_was_vouched_for_comes_back_with_another_content_and_is_not_made() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let host = Host::new(&fake);
    let (tip, voucher) = (host.tip(), host.user.clone());
    let template = host.draft_by(&bert.user_id, "m.room.member", Some(&bert.user_id), json!({}), &[&tip]);
    fake.answer(Method::GET, "/_matrix/federation/v1/make_join/", move |_| {
        let mut event = template.clone();
        event["content"] = json!({ "membership": "join", "join_authorised_via_users_server": voucher });
        Reply::ok(json!({ "room_version": "11", "event": event }))
    });
    let state: Vec<Value> = host.known.lock().unwrap().state_events().into_iter().cloned().collect();
    let answer =
        move |signed: Value| Reply::ok(json!({ "origin": "x", "auth_chain": state, "state": state, "event": signed }));
    let (key, name, honest) = (fake.key.clone(), fake.name().to_owned(), answer.clone());
    let sign = move |event: &Value| {
        let mut event = serde_json::from_value(event.clone()).unwrap();
        ruma::signatures::hash_and_sign_event(name.as_str(), &*key, &mut event, &rules().redaction).unwrap();
        serde_json::to_value(event).unwrap()
    };
    let signing = sign.clone();
    fake.answer(Method::PUT, "/_matrix/federation/v2/send_join/", move |received| {
        let mut event = signing(&received.body);
        event["content"]["displayname"] = json!("Somebody else");
        answer(event)
    });
    let path = format!("/_matrix/client/v3/join/{}?via={}", escape(&host.id), escape(fake.name().as_str()));
    assert_eq!(bert.post(&path, json!({ "reason": "because" })).await.status, 502);
    fake.answer(Method::PUT, "/_matrix/federation/v2/send_join/", move |received| honest(sign(&received.body)));
    bert.post(&path, json!({ "reason": "because" })).await.ok();
    let member = format!("state/m.room.member/{}", escape(&bert.user_id));
    assert_eq!(bert.room(&host.id, &member).await.ok()["reason"], "because");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_join_is_made_and_told_though_its_server_hangs_up_meanwhile() {
    let (home, friend, fake) = (server(|_| {}).await, Fake::start().await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let watcher = Guest::enter(&friend, &home, &room, "wanda").await;
    let policy = json!({ "via": friend.name(), "public_keys": { "ed25519": friend.key.verify_key() } });
    ada.set_state(&room, "m.room.policy", "", policy).await.ok();
    // The policy server takes its time, and then agrees.
    let (asked, mut is_asked) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    let (told, key, name) = (std::sync::Mutex::new(told), friend.key.clone(), friend.name().to_owned());
    friend.answer(Method::POST, "/_matrix/policy/v1/sign", move |received| {
        asked.send(()).unwrap();
        let _ = told.lock().unwrap().recv_timeout(std::time::Duration::from_secs(5));
        let mut event = serde_json::from_value(received.body.clone()).unwrap();
        ruma::signatures::hash_and_sign_event(name.as_str(), &*key, &mut event, &rules().redaction).unwrap();
        let signed = serde_json::to_value(event).unwrap();
        let signature = &signed["signatures"][name.as_str()][key.key_id()];
        Reply::ok(json!({ name.as_str(): { "ed25519:policy_server": signature } }))
    });
    let user = fake.user("eve");
    let (id, event) = Guest::join_event(&fake, &home, &room, &user).await;
    let path = format!("/_matrix/federation/v2/send_join/{}/{}", escape(&room), escape(&id));
    tokio::select! {
        answer = fake.call(&home, Method::PUT, &path, event) => panic!("nobody was asked: {answer:?}"),
        asked = is_asked.recv() => asked.unwrap(),
    }
    // It has hung up. What it asks next comes after that.
    for _ in 0..5 {
        fake.get(&home, "/_matrix/federation/v1/version").await.ok();
    }
    let since = ada.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    go_on.send(()).unwrap();
    ada.sync_until(&since, |sync| membership(sync, &room, &user).filter(|is| is == "join")).await;
    let passed_on = friend.until(|received| {
        let pdus = received.body["pdus"].as_array()?;
        pdus.iter().any(|pdu| id_of(pdu) == id).then_some(())
    });
    passed_on.await;
    drop(watcher);
}
