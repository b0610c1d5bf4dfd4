//! Joining rooms of other servers.

use std::sync::Arc;

use http::Method;
use ruma::RoomVersionId;
use serde_json::{Value, json};

use super::{Fake, Pair, Reply, server};
use crate::harness::escape;

/// The membership that a room's state gives somebody.
pub(super) fn membership(sync: &Value, room: &str, user: &str) -> Option<String> {
    let entry = &sync["rooms"]["join"][room];
    let events = |key: &str| entry[key]["events"].as_array().cloned().unwrap_or_default();
    let all = events("state").into_iter().chain(events("timeline"));
    let mut mine = all.filter(|event| event["type"] == "m.room.member" && event["state_key"] == user);
    mine.next_back().and_then(|event| event["content"]["membership"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn a_room_of_another_server_is_joined_and_both_talk_in_it() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat", "name": "Over there" })).await;
    ada.send(&room, "before").await;
    let since = ada.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    bert.join_via(&room, a.name()).await.ok();

    let (_, since) =
        ada.sync_until(&since, |sync| membership(sync, &room, &bert.user_id).filter(|is| is == "join")).await;
    let members = bert.room(&room, "joined_members").await.ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), 2, "{members}");
    assert_eq!(bert.room(&room, "state/m.room.name").await.ok()["name"], "Over there");
    let first = bert.sync(None).await;
    assert_eq!(membership(&first, &room, &ada.user_id).as_deref(), Some("join"));

    // Back and forth.
    let back = bert.send(&room, "from b").await;
    ada.sync_until(&since, |sync| has_event(sync, &room, &back)).await;
    let forth = ada.send(&room, "from a").await;
    bert.sync_until(first["next_batch"].as_str().unwrap(), |sync| has_event(sync, &room, &forth)).await;

    // Joining again changes nothing.
    bert.join_via(&room, a.name()).await.ok();
}

pub(super) fn has_event(sync: &Value, room: &str, id: &str) -> Option<()> {
    let events = sync["rooms"]["join"][room]["timeline"]["events"].as_array()?;
    events.iter().any(|event| event["event_id"] == id).then_some(())
}

#[tokio::test]
async fn rooms_of_every_version_are_joined() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    for version in 1..=12 {
        let body = json!({ "preset": "public_chat", "room_version": version.to_string() });
        let room = ada.create_room(body).await;
        bert.join_via(&room, a.name()).await.ok();
        let members = bert.room(&room, "joined_members").await.ok();
        assert_eq!(members["joined"].as_object().unwrap().len(), 2, "version {version}");
    }
}

#[tokio::test]
async fn servers_are_tried_one_after_the_other() {
    let Pair { a, b } = Pair::start().await;
    let fake = Fake::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    let nothing = json!({ "errcode": "M_NOT_FOUND", "error": "Unknown room." });
    fake.answer(Method::GET, "/_matrix/federation/v1/make_join/", move |_| Reply::Json(404, nothing.clone()));
    let alone = bert.join_via(&room, fake.name()).await;
    alone.refused(404, "M_NOT_FOUND");
    let path = format!(
        "/_matrix/client/v3/join/{}?server_name={}&server_name={}",
        escape(&room),
        escape(fake.name().as_str()),
        escape(a.name().as_str())
    );
    bert.post(&path, json!({})).await.ok();
    assert_eq!(fake.received("/_matrix/federation/v1/make_join/").len(), 2);
}

#[tokio::test]
async fn many_join_at_once() {
    let Pair { a, b } = Pair::start().await;
    let ada = a.register("ada").await;
    let room = Arc::new(ada.create_room(json!({ "preset": "public_chat" })).await);
    let mut joins = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (client, room, via) = (b.register(&format!("b{n}")).await, room.clone(), a.name().to_owned());
        joins.spawn(async move {
            client.join_via(&room, &via).await.ok();
        });
    }
    joins.join_all().await;
    let since = ada.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let count = async || ada.room(&room, "joined_members").await.ok()["joined"].as_object().unwrap().len();
    let mut since = since;
    while count().await < 9 {
        since = ada.wait(&since).await["next_batch"].as_str().unwrap().to_owned();
    }
}

#[tokio::test]
async fn who_has_left_comes_back_to_what_the_room_is_now() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat", "name": "Old" })).await;
    bert.join_via(&room, a.name()).await.ok();
    bert.leave(&room).await.ok();
    let since = ada.sync(None).await;
    if membership(&since, &room, &bert.user_id).as_deref() == Some("join") {
        let since = since["next_batch"].as_str().unwrap();
        ada.sync_until(since, |sync| membership(sync, &room, &bert.user_id).filter(|is| is == "leave")).await;
    }
    // Nobody tells the other server of this.
    ada.set_state(&room, "m.room.name", "", json!({ "name": "New" })).await.ok();
    bert.join_via(&room, a.name()).await.ok();
    assert_eq!(bert.room(&room, "state/m.room.name").await.ok()["name"], "New");
    let members = ada.room(&room, "joined_members").await.ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn a_room_that_does_not_federate_is_as_if_it_were_not_there() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let body = json!({ "preset": "public_chat", "creation_content": { "m.federate": false } });
    let room = ada.create_room(body).await;
    bert.join_via(&room, a.name()).await.refused(404, "M_NOT_FOUND");
    let fake = Fake::start().await;
    let make = format!("/_matrix/federation/v1/make_join/{}/{}?ver=12", escape(&room), escape(&fake.user("eve")));
    fake.get(&a, &make).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn templates_are_given_to_whom_they_are_due() {
    let (a, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = a.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let make =
        |user: &str, query: &str| format!("/_matrix/federation/v1/make_join/{}/{}{query}", escape(&room), escape(user));
    let eve = fake.user("eve");
    let answer = fake.get(&a, &make(&eve, "?ver=10&ver=11")).await.ok();
    assert_eq!((&answer["room_version"], &answer["event"]["sender"]), (&json!("11"), &json!(eve)));
    assert!(answer["event"].get("signatures").is_none(), "nothing of another server's is signed");
    let refused = fake.get(&a, &make(&eve, "?ver=10")).await.refused(400, "M_INCOMPATIBLE_ROOM_VERSION");
    assert_eq!(refused["room_version"], "11");
    fake.get(&a, &make(&eve, "")).await.refused(400, "M_INCOMPATIBLE_ROOM_VERSION");
    fake.get(&a, &make("@eve:other.example", "?ver=11")).await.refused(403, "M_FORBIDDEN");
    ada.post(&format!("/_matrix/client/v3/rooms/{}/ban", escape(&room)), json!({ "user_id": eve })).await.ok();
    fake.get(&a, &make(&eve, "?ver=11")).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_server_that_the_room_shuts_out_does_not_come_in() {
    let by_number = |config: &mut homeroom::config::Config| {
        let name = format!("127.0.0.1:{}", config.server.name.port().unwrap());
        config.server.name = ruma::ServerName::parse(name).unwrap();
    };
    let Pair { a, b } = Pair::with(|_| {}, by_number).await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    let acl = json!({ "allow": ["*"], "allow_ip_literals": false });
    ada.set_state(&room, "m.room.server_acl", "", acl).await.ok();
    bert.join_via(&room, a.name()).await.refused(403, "M_FORBIDDEN");
    ada.set_state(&room, "m.room.server_acl", "", json!({ "allow": ["*"] })).await.ok();
    bert.join_via(&room, a.name()).await.ok();
}

/// A join of a room on `a`, made by the fake server.
async fn made(
    fake: &Fake,
    a: &crate::harness::Server,
    room: &str,
    user: &str,
    change: impl FnOnce(&mut Value),
) -> (String, Value) {
    let path = format!("/_matrix/federation/v1/make_join/{}/{}?ver=11", escape(room), escape(user));
    let mut event = fake.get(a, &path).await.ok()["event"].clone();
    change(&mut event);
    let rules = RoomVersionId::V11.rules().unwrap();
    let event = fake.sign_event(event, &rules);
    let object = serde_json::from_value(event.clone()).unwrap();
    let id = format!("${}", ruma::signatures::reference_hash(&object, &rules).unwrap());
    (id, event)
}

#[tokio::test]
async fn only_joins_of_the_sender_are_taken_by_send_join() {
    let (a, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = a.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = fake.user("eve");
    let send =
        |version: &str, id: &str| format!("/_matrix/federation/{version}/send_join/{}/{}", escape(&room), escape(id));
    type Change = fn(&mut Value);
    let changes: [(Change, u16); 7] = [
        (|event| event["type"] = json!("m.room.message"), 400),
        (|event| event["content"]["membership"] = json!("leave"), 400),
        (|event| event["content"]["membership"] = json!("knock"), 400),
        (|event| event["state_key"] = json!("@doris:other.example"), 400),
        (|event| drop(event.as_object_mut().unwrap().remove("state_key")), 400),
        (|event| event["room_id"] = json!("!other:other.example"), 400),
        (
            |event| {
                event["sender"] = json!("@doris:other.example");
                event["state_key"] = json!("@doris:other.example");
            },
            403,
        ),
    ];
    for (change, status) in changes {
        let (id, event) = made(&fake, &a, &room, &eve, change).await;
        for version in ["v1", "v2"] {
            let answer = fake.call(&a, Method::PUT, &send(version, &id), event.clone()).await;
            assert_eq!(answer.status, status, "{event}");
        }
    }
    let (_, event) = made(&fake, &a, &room, &eve, |_| {}).await;
    let other = fake.call(&a, Method::PUT, &send("v2", "$other"), event.clone()).await;
    assert_eq!(other.status, 400);
    let (id, mut forged) = made(&fake, &a, &room, &eve, |_| {}).await;
    forged["signatures"] = json!({ fake.name().as_str(): { "ed25519:x": "AAAA" } });
    fake.call(&a, Method::PUT, &send("v2", &id), forged).await.refused(403, "M_FORBIDDEN");
    let members = ada.room(&room, "joined_members").await.ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), 1);

    // And the first form of the answer to what is right.
    let (id, event) = made(&fake, &a, &room, &eve, |_| {}).await;
    let answer = fake.call(&a, Method::PUT, &send("v1", &id), event).await.ok();
    assert_eq!(answer[0], 200);
    assert!(!answer[1]["state"].as_array().unwrap().is_empty());
    assert!(answer[1].get("event").is_none(), "nothing of another server's is signed: {answer}");
}

#[tokio::test]
async fn a_banned_user_cannot_join_with_somebody_elses_template() {
    let (a, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = a.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let eve = fake.user("eve");
    ada.post(&format!("/_matrix/client/v3/rooms/{}/ban", escape(&room)), json!({ "user_id": eve })).await.ok();
    let (id, event) = made(&fake, &a, &room, &fake.user("eva"), |event| {
        event["sender"] = json!(eve);
        event["state_key"] = json!(eve);
    })
    .await;
    let path = format!("/_matrix/federation/v2/send_join/{}/{}", escape(&room), escape(&id));
    fake.call(&a, Method::PUT, &path, event).await.refused(403, "M_FORBIDDEN");
    let state = ada.room(&room, &format!("state/m.room.member/{}", escape(&eve))).await.ok();
    assert_eq!(state["membership"], "ban");
}

#[tokio::test]
async fn members_of_a_large_room_are_left_out_for_who_asks_for_less() {
    let (a, fake) = (server(|_| {}).await, Fake::start().await);
    let (ada, anna) = (a.register("ada").await, a.register("anna").await);
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    anna.join(&room).await.ok();
    let ask = async |name: &str| {
        let (id, event) = made(&fake, &a, &room, &fake.user(name), |_| {}).await;
        let path = format!("/_matrix/federation/v2/send_join/{}/{}?omit_members=true", escape(&room), escape(&id));
        fake.call(&a, Method::PUT, &path, event).await.ok()
    };
    let members = |answer: &Value| {
        let state = answer["state"].as_array().unwrap().iter();
        state.filter(|event| event["type"] == "m.room.member").count()
    };
    let small = ask("first").await;
    assert_eq!(small["members_omitted"], false, "to ask again would cost more than they do");
    assert_eq!(members(&small), 2);
    for n in 0..98 {
        ask(&format!("p{n}")).await;
    }
    let large = ask("last").await;
    assert_eq!(large["members_omitted"], true);
    assert_eq!(large["servers_in_room"], json!([a.name(), fake.name()]));
    assert_eq!(large["auth_chain"], json!([]), "all of it is in the state");
    assert_eq!(members(&large), 5, "those by whom a room without a name is called");
}

#[tokio::test]
async fn a_template_decides_only_where_an_event_stands() {
    let Pair { a, b } = Pair::start().await;
    let fake = Fake::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    drop(ada);
    fake.answer(Method::GET, "/_matrix/federation/v1/make_join/", |_| {
        Reply::ok(json!({ "room_version": "11", "event": {
            "type": "m.room.power_levels", "sender": "@root:other.example", "state_key": "",
            "room_id": "!other:other.example", "content": { "membership": "ban", "users": {} },
            "prev_events": ["$a"], "auth_events": ["$b"], "depth": 5,
        } }))
    });
    let refused = bert.join_via(&room, fake.name()).await;
    assert!(refused.status.as_u16() >= 400);
    let sent = fake.received("/_matrix/federation/v2/send_join/");
    let event = &sent[0].body;
    assert_eq!((&event["type"], &event["sender"]), (&json!("m.room.member"), &json!(bert.user_id)));
    assert_eq!((&event["state_key"], &event["room_id"]), (&json!(bert.user_id), &json!(room)));
    assert_eq!(event["content"]["membership"], "join");
    assert_eq!((&event["prev_events"], &event["depth"]), (&json!(["$a"]), &json!(5)));
}
