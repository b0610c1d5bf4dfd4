//! Devices and their keys across servers.

use homeroom::{
    clock::Clock,
    store::schema::{federation::REMOTE_DEVICE_LISTS, keys::DEVICE_KEYS},
};
use http::Method;
use serde_json::{Value, json};

use super::{Fake, Pair, Reply, guest::Guest, reading::enter, server, server_at};
use crate::harness::{Client, Server, escape};

const V3: &str = "/_matrix/client/v3";
const V1: &str = "/_matrix/federation/v1";

/// Identity keys, unsigned.
fn identity(user: &str, device: &str, key: &str) -> Value {
    json!({
        "user_id": user,
        "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": { format!("ed25519:{device}"): key, format!("curve25519:{device}"): key },
        "signatures": {},
    })
}

async fn upload(client: &Client, key: &str) {
    let keys = identity(&client.user_id, &client.device_id, key);
    client.post(&format!("{V3}/keys/upload"), json!({ "device_keys": keys })).await.ok();
}

async fn query(client: &Client, user: &str) -> Value {
    client.post(&format!("{V3}/keys/query"), json!({ "device_keys": { user: [] }, "timeout": 5000 })).await.ok()
}

/// The key of a device as a query shows it.
fn key(answer: &Value, user: &str, device: &str) -> Value {
    answer["device_keys"][user][device]["keys"][format!("ed25519:{device}")].clone()
}

async fn key_of(reader: &Client, owner: &Client) -> Value {
    key(&query(reader, &owner.user_id).await, &owner.user_id, &owner.device_id)
}

fn token(answer: &Value) -> String {
    answer["next_batch"].as_str().unwrap().to_owned()
}

fn named(answer: &Value, list: &str, user: &str) -> bool {
    answer["device_lists"][list].as_array().is_some_and(|users| users.iter().any(|one| one == user))
}

async fn until_list(client: &Client, since: &str, list: &str, user: &str) -> String {
    client.sync_until(since, |answer| named(answer, list, user).then_some(())).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_devices_are_told_and_their_keys_found() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    upload(&ada, "AAAA").await;
    upload(&bert, "BBBB").await;
    assert_eq!(key_of(&bert, &ada).await, "AAAA", "a stranger's keys are asked for, and not kept");
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    let (adas, berts) = (token(&ada.sync(None).await), token(&bert.sync(None).await));
    bert.join_via(&room, a.name()).await.ok();
    let adas = until_list(&ada, &adas, "changed", &bert.user_id).await;
    let berts = until_list(&bert, &berts, "changed", &ada.user_id).await;
    assert_eq!(key_of(&bert, &ada).await, "AAAA");
    assert_eq!(key_of(&ada, &bert).await, "BBBB");

    upload(&ada, "CCCC").await;
    let berts = until_list(&bert, &berts, "changed", &ada.user_id).await;
    assert_eq!(key_of(&bert, &ada).await, "CCCC");
    upload(&bert, "DDDD").await;
    until_list(&ada, &adas, "changed", &bert.user_id).await;
    assert_eq!(key_of(&ada, &bert).await, "DDDD");

    // A new device, and the end of it.
    let phone = Client::login(&a, "ada").await;
    upload(&phone, "EEEE").await;
    let berts = until_list(&bert, &berts, "changed", &ada.user_id).await;
    let mut found = query(&bert, &ada.user_id).await;
    let mut since = berts;
    while key(&found, &ada.user_id, &phone.device_id) != "EEEE" {
        since = until_list(&bert, &since, "changed", &ada.user_id).await;
        found = query(&bert, &ada.user_id).await;
    }
    phone.post(&format!("{V3}/logout"), json!({})).await.ok();
    until_list(&bert, &since, "changed", &ada.user_id).await;
    assert_eq!(key(&query(&bert, &ada.user_id).await, &ada.user_id, &phone.device_id), Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_forgotten_when_no_room_is_shared_any_more() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    upload(&bert, "AAAA").await;
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    let since = token(&ada.sync(None).await);
    bert.join_via(&room, a.name()).await.ok();
    let since = until_list(&ada, &since, "changed", &bert.user_id).await;
    assert_eq!(key_of(&ada, &bert).await, "AAAA");
    bert.leave(&room).await.ok();
    let since = until_list(&ada, &since, "left", &bert.user_id).await;
    upload(&bert, "BBBB").await;
    assert_eq!(key_of(&ada, &bert).await, "BBBB", "what was kept does not hold any more");
    assert!(!named(&ada.sync(Some(&since)).await, "changed", &bert.user_id));
    upload(&bert, "CCCC").await;
    bert.join_via(&room, a.name()).await.ok();
    let since = until_list(&ada, &since, "changed", &bert.user_id).await;
    assert_eq!(key_of(&ada, &bert).await, "CCCC");
    // The other way round: she goes.
    ada.leave(&room).await.ok();
    until_list(&ada, &since, "left", &bert.user_id).await;
    upload(&bert, "DDDD").await;
    assert_eq!(key_of(&ada, &bert).await, "DDDD");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_made_while_a_server_is_down_are_told_later() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    bert.join_via(&room, a.name()).await.ok();
    let since = token(&bert.sync(None).await);
    let stopped = b.stop().await;
    upload(&ada, "AAAA").await;
    // Whoever was to tell it is killed.
    let a = a.restart().await;
    let b = stopped.start().await;
    let bert = bert.at(&b);
    until_list(&bert, &since, "changed", &ada.user_id).await;
    assert_eq!(key_of(&bert, &ada.at(&a)).await, "AAAA");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_keys_are_given_once_over_all_servers() {
    let Pair { a, b } = Pair::start().await;
    let c = server(|_| {}).await;
    let (ada, bert, cleo) = (a.register("ada").await, b.register("bert").await, c.register("cleo").await);
    let key = json!({ "key": "MTIz", "signatures": { &ada.user_id: { "ed25519:X": "c2ln" } } });
    let keys = json!({ "one_time_keys": { "signed_curve25519:A": key } });
    ada.post(&format!("{V3}/keys/upload"), keys).await.ok();
    let wanted = json!({ "one_time_keys": { &ada.user_id: { &ada.device_id: "signed_curve25519" } } });
    let claim = async |client: &Client| client.post(&format!("{V3}/keys/claim"), wanted.clone()).await.ok();
    let (one, other) = tokio::join!(claim(&bert), claim(&cleo));
    let given = [&one, &other].iter().filter(|answer| answer["one_time_keys"].get(&ada.user_id).is_some()).count();
    assert_eq!(given, 1, "{one} {other}");
    assert!(claim(&bert).await["one_time_keys"].get(&ada.user_id).is_none());
    a.stop().await;
    assert!(claim(&bert).await["failures"].as_object().unwrap().len() == 1);
    assert!(query(&bert, &ada.user_id).await["failures"].as_object().unwrap().len() == 1);
}

/// What the fake server answers when it is asked for the devices of one of its users.
fn answer_devices(fake: &Fake, user: &str, stream: u64, devices: &[(&str, &str)]) {
    let devices: Vec<Value> = devices
        .iter()
        .map(|(device, key)| json!({ "device_id": device, "keys": identity(user, device, key) }))
        .collect();
    let answer = json!({ "user_id": user, "stream_id": stream, "devices": devices });
    fake.answer(Method::GET, &format!("{V1}/user/devices/"), move |_| Reply::ok(answer.clone()));
}

fn update(user: &str, device: &str, key: &str, (prev, stream): (u64, u64)) -> Value {
    json!({ "edu_type": "m.device_list_update", "content": {
        "user_id": user, "device_id": device, "stream_id": stream, "prev_id": [prev],
        "keys": identity(user, device, key),
    } })
}

/// A server, somebody there, and somebody of a fake server in a room with them.
async fn company(fake: &Fake, home: &Server) -> (Client, String) {
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    enter(fake, home, &room, "eve").await;
    (ada, fake.user("eve"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_follows_is_taken_and_one_that_does_not_has_the_list_fetched() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    answer_devices(&fake, &fake.user("eve"), 5, &[("E1", "AAAA")]);
    let (ada, eve) = company(&fake, &home).await;
    assert_eq!(key(&query(&ada, &eve).await, &eve, "E1"), "AAAA");
    let since = token(&ada.sync(None).await);
    let asked = fake.received(&format!("{V1}/user/devices/")).len();
    fake.send(&home, vec![], vec![update(&eve, "E2", "BBBB", (5, 6))]).await.ok();
    let since = until_list(&ada, &since, "changed", &eve).await;
    assert_eq!(key(&query(&ada, &eve).await, &eve, "E2"), "BBBB");
    assert_eq!(fake.received(&format!("{V1}/user/devices/")).len(), asked, "nothing had to be fetched");
    // Of a number that was taken in already nothing is heard.
    fake.send(&home, vec![], vec![update(&eve, "E2", "OLD0", (5, 6))]).await.ok();
    assert_eq!(key(&query(&ada, &eve).await, &eve, "E2"), "BBBB");

    answer_devices(&fake, &eve, 9, &[("E3", "CCCC")]);
    fake.send(&home, vec![], vec![update(&eve, "E3", "EVIL", (8, 9))]).await.ok();
    until_list(&ada, &since, "changed", &eve).await;
    let found = query(&ada, &eve).await;
    assert_eq!((key(&found, &eve, "E3"), key(&found, &eve, "E1")), (json!("CCCC"), Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_fetched_is_tried_again() {
    let clock = Clock::test(1_800_000_000_000);
    let (home, fake) = (server_at(clock.clone(), |_| {}).await, Fake::start().await);
    let path = format!("{V1}/user/devices/");
    fake.answer(Method::GET, &path, |_| Reply::Json(500, json!({ "errcode": "M_UNKNOWN" })));
    let (ada, eve) = company(&fake, &home).await;
    // The first comes with her joining, and nobody has asked yet.
    fake.send(&home, vec![], vec![update(&eve, "E1", "AAAA", (0, 1)), update(&eve, "E1", "AAAA", (1, 2))]).await.ok();
    fake.until(|received| received.path.starts_with(&path).then_some(())).await;
    answer_devices(&fake, &eve, 1, &[("E1", "AAAA")]);
    let store = &home.app().services().store;
    let number = store.user(eve.as_str().try_into().unwrap()).await.unwrap().unwrap();
    let fetched = async {
        loop {
            if store.get(&REMOTE_DEVICE_LISTS, &number).await.unwrap().is_some_and(|list| !list.stale) {
                return;
            }
            // Requests end by this clock too: they get the time of a few others before it goes on.
            for _ in 0..4 {
                ada.get("/_matrix/client/versions").await.ok();
            }
            clock.advance(std::time::Duration::from_secs(1));
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), fetched).await.unwrap();
    assert!(store.get(&DEVICE_KEYS, &(number, "E1".to_owned())).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_tells_of_its_own_users_only() {
    let (home, fake, liar) = (server(|_| {}).await, Fake::start().await, Fake::start().await);
    answer_devices(&fake, &fake.user("eve"), 5, &[("E1", "AAAA")]);
    let (ada, eve) = company(&fake, &home).await;
    upload(&ada, "REAL").await;
    assert_eq!(key(&query(&ada, &eve).await, &eve, "E1"), "AAAA");
    let edus = vec![update(&eve, "E1", "EVIL", (5, 6)), update(&ada.user_id, &ada.device_id, "EVIL", (0, 1))];
    liar.send(&home, vec![], edus.clone()).await.ok();
    fake.send(&home, vec![], vec![edus[1].clone()]).await.ok();
    assert_eq!(key(&query(&ada, &eve).await, &eve, "E1"), "AAAA");
    assert_eq!(key_of(&ada, &ada).await, "REAL");
    // Nor do keys count that name another user or device than they are said to be of.
    let mut forged = update(&eve, "E1", "EVIL", (5, 6));
    forged["content"]["keys"]["user_id"] = json!(ada.user_id);
    fake.send(&home, vec![], vec![forged]).await.ok();
    assert_ne!(key(&query(&ada, &eve).await, &eve, "E1"), "EVIL");
    // Answers about others than those who were asked for are dropped too.
    let other = fake.user("other");
    let answer = json!({ "device_keys": {
        &ada.user_id: { &ada.device_id: identity(&ada.user_id, &ada.device_id, "EVIL") },
        &other: { "O1": identity(&eve, "O1", "EVIL"), "O2": identity(&other, "O2", "GOOD") },
    } });
    fake.answer(Method::POST, &format!("{V1}/user/keys/query"), move |_| Reply::ok(answer.clone()));
    let found = query(&ada, &other).await;
    assert_eq!(found["device_keys"].as_object().unwrap().len(), 1);
    assert_eq!(found["device_keys"][&other].as_object().unwrap().keys().collect::<Vec<_>>(), ["O2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_other_servers_users_are_not_given_to_a_third() {
    let (home, fake, third) = (server(|_| {}).await, Fake::start().await, Fake::start().await);
    answer_devices(&fake, &fake.user("eve"), 5, &[("E1", "AAAA")]);
    let (ada, eve) = company(&fake, &home).await;
    upload(&ada, "BBBB").await;
    assert_eq!(key(&query(&ada, &eve).await, &eve, "E1"), "AAAA");
    third.get(&home, &format!("{V1}/user/devices/{}", escape(&eve))).await.refused(404, "M_NOT_FOUND");
    let nobody = format!("@nobody:{}", home.name());
    third.get(&home, &format!("{V1}/user/devices/{}", escape(&nobody))).await.refused(404, "M_NOT_FOUND");
    let wanted = json!({ "device_keys": { &eve: [], &ada.user_id: [], &nobody: [] } });
    let found = third.call(&home, Method::POST, &format!("{V1}/user/keys/query"), wanted).await.ok();
    assert_eq!(found["device_keys"].as_object().unwrap().keys().collect::<Vec<_>>(), [&ada.user_id]);
    let devices = third.get(&home, &format!("{V1}/user/devices/{}", escape(&ada.user_id))).await.ok();
    assert_eq!(devices["devices"][0]["keys"]["keys"][format!("ed25519:{}", ada.device_id)], "BBBB");
    assert!(found.get("user_signing_keys").is_none() && devices["devices"][0].get("device_display_name").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_devices_are_told_only_where_that_is_wanted() {
    for wanted in [false, true] {
        let home = server(|config| config.federation.device_names = wanted).await;
        let fake = Fake::start().await;
        let ada = home.register("ada").await;
        upload(&ada, "AAAA").await;
        let device = format!("{V3}/devices/{}", ada.device_id);
        ada.put(&device, json!({ "display_name": "Ada's phone" })).await.ok();
        let devices = fake.get(&home, &format!("{V1}/user/devices/{}", escape(&ada.user_id))).await.ok();
        let query = json!({ "device_keys": { &ada.user_id: [] } });
        let found = fake.call(&home, Method::POST, &format!("{V1}/user/keys/query"), query).await.ok();
        let shown = if wanted { json!("Ada's phone") } else { Value::Null };
        assert_eq!(devices["devices"][0]["device_display_name"], shown);
        let keys = &found["device_keys"][&ada.user_id][&ada.device_id];
        assert_eq!(keys["unsigned"]["device_display_name"], shown);
    }
}

/// Server after server would wait for those that answer nothing.
#[tokio::test(flavor = "multi_thread")]
async fn lists_of_a_server_that_stalls_keep_nobody_from_those_of_others() {
    let home = server_at(Clock::test(1_800_000_000_000), |_| {}).await;
    let (stalling, quick) = (Fake::start().await, Fake::elsewhere().await);
    let same = Fake::start().await;
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let asked = format!("{V1}/user/devices/");
    for fake in [&stalling, &same] {
        fake.answer(Method::GET, &asked, |_| Reply::Stall);
    }
    // The first one only tells that there is a list.
    let missed = |user: &str| [(6, 7), (8, 9)].map(|stream| update(user, "PHONE", "AAAA", stream));
    let mut news = Vec::new();
    for n in 0..10 {
        let guest = Guest::enter(&stalling, &home, &room, &format!("eve{n}")).await;
        news.extend(missed(&guest.user));
    }
    let also = Guest::enter(&same, &home, &room, "eve").await;
    let bert = Guest::enter(&quick, &home, &room, "bert").await;
    stalling.send(&home, vec![], news).await.ok();
    stalling.until(|received| received.path.starts_with(&asked).then_some(())).await;
    same.send(&home, vec![], missed(&also.user).to_vec()).await.ok();
    quick.send(&home, vec![], missed(&bert.user).to_vec()).await.ok();
    quick.until(|received| received.path.starts_with(&asked).then_some(())).await;
    let few = stalling.received(&asked).len() + same.received(&asked).len();
    assert!(few <= 2, "{few} at once of one server, whatever its names are");
}
