//! Rooms with a policy server, which a fake server plays (specification v1.19, "Policy servers").

use http::Method;
use serde_json::{Value, json};

use super::{
    Fake, Reply,
    guest::{Guest, id_of, rules},
    server,
};
use crate::harness::{Answer, Client, PASSWORD, Server, escape};

const SIGN: &str = "/_matrix/policy/v1/sign";

/// Has the fake server sign every event that it is asked about.
fn agree(fake: &Fake) {
    let (key, name) = (fake.key.clone(), fake.name().to_owned());
    fake.answer(Method::POST, SIGN, move |received| {
        let mut event = serde_json::from_value(received.body.clone()).unwrap();
        ruma::signatures::hash_and_sign_event(name.as_str(), &*key, &mut event, &rules().redaction).unwrap();
        let signed = serde_json::to_value(event).unwrap();
        let signature = &signed["signatures"][name.as_str()][key.key_id()];
        Reply::ok(json!({ name.as_str(): { "ed25519:policy_server": signature } }))
    });
}

/// Has it answer so.
fn answer(fake: &Fake, status: u16, errcode: &str) {
    let body = json!({ "errcode": errcode, "error": "not here" });
    fake.answer(Method::POST, SIGN, move |_| Reply::Json(status, body.clone()));
}

/// What it was asked about: the texts of messages, and the types of other events.
fn asked(fake: &Fake) -> Vec<String> {
    let text = |event: &Value| event["content"]["body"].as_str().or(event["type"].as_str()).unwrap().to_owned();
    fake.received(SIGN).iter().map(|received| text(&received.body)).collect()
}

/// A room of ours with somebody of a fake server in it, which is the room's policy server.
async fn guarded<'a>(fake: &'a Fake, home: &'a Server, ada: &Client) -> Guest<'a> {
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let guest = Guest::enter(fake, home, &room, "eve").await;
    ada.send(&room, "before").await;
    let policy = json!({ "via": fake.name(), "public_keys": { "ed25519": fake.key.verify_key() } });
    ada.set_state(&room, "m.room.policy", "", policy).await.ok();
    assert_eq!(asked(fake), Vec::<String>::new(), "neither earlier events nor the one that names it");
    guest
}

async fn says(client: &Client, room: &str, transaction: &str, text: &str) -> Answer {
    let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{transaction}", escape(room));
    client.put(&path, json!({ "msgtype": "m.text", "body": text })).await
}

async fn is_there(client: &Client, room: &str, id: &str) -> bool {
    client.room(room, &format!("event/{}", escape(id))).await.status.is_success()
}

#[tokio::test]
async fn what_the_policy_server_signs_is_sent_with_its_signature() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let guest = guarded(&fake, &home, &ada).await;
    agree(&fake);
    let id = ada.send(&guest.room, "agreed").await;
    ada.set_state(&guest.room, "m.room.topic", "", json!({ "topic": "agreed" })).await.ok();
    let sent = fake.until_pdu("m.room.topic").await;
    assert!(sent["signatures"][fake.name().as_str()]["ed25519:policy_server"].is_string(), "{sent}");
    assert!(sent["signatures"][home.name().as_str()].is_object(), "{sent}");
    assert_eq!(asked(&fake), ["agreed", "m.room.topic"]);
    assert!(is_there(&ada, &guest.room, &id).await);
    // The name and the picture of somebody in the room are events too.
    ada.put(
        &format!("/_matrix/client/v3/profile/{}/displayname", escape(&ada.user_id)),
        json!({ "displayname": "Ada" }),
    )
    .await
    .ok();
    assert_eq!(asked(&fake).last().unwrap(), "m.room.member");
}

#[tokio::test]
async fn what_it_refuses_is_not_sent_until_it_is_no_policy_server() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let guest = guarded(&fake, &home, &ada).await;
    answer(&fake, 400, "M_FORBIDDEN");
    says(&ada, &guest.room, "1", "refused").await.refused(403, "M_FORBIDDEN");
    let topic = ada.set_state(&guest.room, "m.room.topic", "", json!({ "topic": "refused" })).await;
    topic.refused(403, "M_FORBIDDEN");
    let invited = ada.invite(&guest.room, &fake.user("mallory")).await;
    invited.refused(403, "M_FORBIDDEN");
    assert_eq!(asked(&fake), ["refused", "m.room.topic", "m.room.member"]);
    assert!(fake.received("/_matrix/federation/v2/invite/").is_empty());
    // A signature with another key is none.
    let other = fake.name().to_owned();
    fake.answer(Method::POST, SIGN, move |_| {
        Reply::ok(json!({ other.as_str(): { "ed25519:policy_server": "c2lnbmF0dXJl" } }))
    });
    says(&ada, &guest.room, "2", "wrongly signed").await.refused(403, "M_FORBIDDEN");
    ada.set_state(&guest.room, "m.room.policy", "", json!({})).await.ok();
    says(&ada, &guest.room, "3", "free").await.ok();
    assert_eq!(asked(&fake).len(), 4);
}

#[tokio::test]
async fn while_it_is_down_nothing_is_sent_and_the_same_request_works_later() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let guest = guarded(&fake, &home, &ada).await;
    answer(&fake, 503, "M_UNKNOWN");
    assert_eq!(says(&ada, &guest.room, "1", "later").await.status, 502);
    agree(&fake);
    let first = says(&ada, &guest.room, "1", "later").await.ok();
    let again = says(&ada, &guest.room, "1", "later").await.ok();
    assert_eq!(first, again);
    assert_eq!(asked(&fake).len(), 2, "a request that is repeated is not asked about");
}

#[tokio::test]
async fn many_may_wait_for_it_at_once() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let guest = guarded(&fake, &home, &ada).await;
    agree(&fake);
    let texts: Vec<_> = (0..8).map(|n| format!("message {n}")).collect();
    let sent = futures_util::future::join_all(texts.iter().map(|text| ada.send(&guest.room, text))).await;
    let last = ada.send(&guest.room, "last").await;
    for id in sent.iter().chain([&last]) {
        assert!(is_there(&ada, &guest.room, id).await, "{id}");
    }
    // Each was made where the room stood; the last one brings all of them together.
    let mut ahead = texts.clone();
    fake.until(|received| {
        for pdu in received.body["pdus"].as_array().into_iter().flatten() {
            ahead.retain(|text| pdu["content"]["body"] != text.as_str());
        }
        ahead.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_event_that_comes_unsigned_is_asked_about_and_shown_only_when_it_is_signed() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let guest = guarded(&fake, &home, &ada).await;
    answer(&fake, 400, "M_FORBIDDEN");
    let refused = guest.message("refused");
    let id = id_of(&refused);
    guest.send(vec![refused]).await.ok();
    fake.until(|received| (received.path == SIGN && received.body["content"]["body"] == "refused").then_some(())).await;
    agree(&fake);
    let agreed = guest.say(&ada, "agreed").await;
    assert!(is_there(&ada, &guest.room, &agreed).await);
    assert!(!is_there(&ada, &guest.room, &id).await);
    assert_eq!(asked(&fake), ["refused", "agreed"]);
}

#[tokio::test]
async fn a_room_that_names_this_server_is_one_without() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let guest = Guest::enter(&fake, &home, &room, "eve").await;
    let policy = json!({ "via": home.name(), "public_keys": { "ed25519": fake.key.verify_key() } });
    ada.set_state(&room, "m.room.policy", "", policy).await.ok();
    says(&ada, &room, "1", "as ever").await.ok();
    let heard = guest.say(&ada, "from elsewhere, too").await;
    assert!(is_there(&ada, &room, &heard).await);
    ada.set_state(&room, "m.room.policy", "", json!({})).await.ok();
}

#[tokio::test]
async fn the_end_of_a_room_is_asked_about_and_a_new_one_is_free() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let guest = guarded(&fake, &home, &ada).await;
    agree(&fake);
    let alias = format!("#old:{}", home.name());
    let path = format!("/_matrix/client/v3/directory/room/{}", escape(&alias));
    ada.put(&path, json!({ "room_id": guest.room })).await.ok();
    ada.set_state(&guest.room, "m.room.canonical_alias", "", json!({ "alias": alias })).await.ok();
    let upgrade = async || {
        let path = format!("/_matrix/client/v3/rooms/{}/upgrade", escape(&guest.room));
        ada.post(&path, json!({ "new_version": "11" })).await
    };
    answer(&fake, 400, "M_FORBIDDEN");
    upgrade().await.refused(403, "M_FORBIDDEN");
    assert_eq!(ada.room(&guest.room, "state/m.room.tombstone").await.status, 404);
    agree(&fake);
    let new = upgrade().await.ok()["replacement_room"].as_str().unwrap().to_owned();
    let last = ["This room has been replaced", "m.room.canonical_alias", "m.room.power_levels"];
    assert!(asked(&fake).ends_with(&last.map(Into::into)), "{:?}", asked(&fake));
    for kind in ["m.room.tombstone", "m.room.power_levels"] {
        let sent = fake.until_pdu(kind).await;
        assert!(sent["signatures"][fake.name().as_str()]["ed25519:policy_server"].is_string(), "{sent}");
    }
    let count = asked(&fake).len();
    ada.send(&new, "nobody of the policy server is here").await;
    assert_eq!(asked(&fake).len(), count);
}

#[tokio::test]
async fn an_alias_goes_and_an_account_leaves_whatever_it_says() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let (ada, bert) = (home.register("ada").await, home.register("bert").await);
    let guest = guarded(&fake, &home, &ada).await;
    agree(&fake);
    bert.join(&guest.room).await.ok();
    let (kept, gone) = (format!("#kept:{}", home.name()), format!("#gone:{}", home.name()));
    let path = |alias: &str| format!("/_matrix/client/v3/directory/room/{}", escape(alias));
    for alias in [&kept, &gone] {
        ada.put(&path(alias), json!({ "room_id": guest.room })).await.ok();
    }
    let names = json!({ "alias": kept, "alt_aliases": [gone] });
    ada.set_state(&guest.room, "m.room.canonical_alias", "", names.clone()).await.ok();
    answer(&fake, 400, "M_FORBIDDEN");
    ada.delete(&path(&gone)).await.ok();
    ada.get(&path(&gone)).await.refused(404, "M_NOT_FOUND");
    assert_eq!(ada.room(&guest.room, "state/m.room.canonical_alias").await.ok(), names, "it has refused the change");
    agree(&fake);
    ada.delete(&path(&kept)).await.ok();
    assert_eq!(ada.room(&guest.room, "state/m.room.canonical_alias").await.ok(), json!({ "alt_aliases": [gone] }));

    answer(&fake, 400, "M_FORBIDDEN");
    let close = async |auth: Value| bert.post("/_matrix/client/v3/account/deactivate", json!({ "auth": auth })).await;
    let session = close(Value::Null).await.body["session"].clone();
    let who = json!({ "type": "m.id.user", "user": "bert" });
    let auth = json!({ "type": "m.login.password", "identifier": who, "password": PASSWORD, "session": session });
    close(auth).await.ok();
    let told = |received: &super::Received| {
        let pdus = received.body["pdus"].as_array()?;
        pdus.iter().find(|pdu| pdu["state_key"] == *bert.user_id && pdu["content"]["membership"] == "leave").cloned()
    };
    let left = fake.until(told).await;
    assert_eq!(left["signatures"].as_object().unwrap().len(), 1, "{left}");
    let members = ada.room(&guest.room, "joined_members").await.ok();
    assert_eq!(members["joined"].get(&bert.user_id), None);
}
