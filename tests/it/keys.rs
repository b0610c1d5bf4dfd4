//! Keys, device lists and messages to devices, over HTTP.

use serde_json::{Value, json};

use crate::harness::{Client, PASSWORD, Server, escape};

const V3: &str = "/_matrix/client/v3";

/// Identity keys of a device; unsigned, as the protocol's acceptance suite uploads them too.
fn device_keys(client: &Client, key: &str) -> Value {
    json!({
        "user_id": client.user_id,
        "device_id": client.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": { format!("ed25519:{}", client.device_id): key, format!("curve25519:{}", client.device_id): key },
        "signatures": {},
    })
}

async fn upload(client: &Client, key: &str) -> Value {
    client.post(&format!("{V3}/keys/upload"), json!({ "device_keys": device_keys(client, key) })).await.ok()
}

async fn query(client: &Client, user_id: &str) -> Value {
    client.post(&format!("{V3}/keys/query"), json!({ "device_keys": { user_id: [] } })).await.ok()
}

fn next(answer: &Value) -> String {
    answer["next_batch"].as_str().unwrap().to_owned()
}

fn lists<'a>(answer: &'a Value, list: &str) -> Vec<&'a str> {
    let users = answer["device_lists"][list].as_array();
    users.into_iter().flatten().map(|user| user.as_str().unwrap()).collect()
}

#[tokio::test]
async fn keys_are_published_and_claimed() {
    let server = Server::start().await;
    let (anna, ben) = (Client::register(&server, "anna").await, Client::register(&server, "ben").await);
    let empty = upload(&anna, "AAAA").await;
    assert_eq!(empty["one_time_key_counts"]["signed_curve25519"], 0);

    let key = json!({ "key": "MTIz", "signatures": { &anna.user_id: { "ed25519:X": "c2ln" } } });
    let keys = json!({ "one_time_keys": { "signed_curve25519:A": key } });
    let counts = anna.post(&format!("{V3}/keys/upload"), keys).await.ok();
    assert_eq!(counts["one_time_key_counts"]["signed_curve25519"], 1);
    assert_eq!(anna.sync(None).await["device_one_time_keys_count"]["signed_curve25519"], 1);
    let other = json!({ "one_time_keys": { "signed_curve25519:A": { "key": "OTk5", "signatures": {} } } });
    anna.post(&format!("{V3}/keys/upload"), other).await.refused(400, "M_UNKNOWN");
    let bare = json!({ "device_keys": { "user_id": anna.user_id, "device_id": anna.device_id } });
    anna.post(&format!("{V3}/keys/upload"), bare).await.refused(400, "M_BAD_JSON");
    let foreign = json!({ "device_keys": device_keys(&anna, "AAAA") });
    ben.post(&format!("{V3}/keys/upload"), foreign).await.refused(400, "M_INVALID_PARAM");

    let found = query(&ben, &anna.user_id).await;
    let device = &found["device_keys"][&anna.user_id][&anna.device_id];
    assert_eq!(device["keys"][format!("ed25519:{}", anna.device_id)], "AAAA");
    assert_eq!(query(&anna, &ben.user_id).await["device_keys"][&ben.user_id], json!({}));
    let away = query(&anna, "@someone:elsewhere.example").await;
    assert!(away["failures"]["elsewhere.example"].is_object());

    let wanted = json!({ "one_time_keys": { &anna.user_id: { &anna.device_id: "signed_curve25519" } } });
    let claimed = ben.post(&format!("{V3}/keys/claim"), wanted.clone()).await.ok();
    assert_eq!(claimed["one_time_keys"][&anna.user_id][&anna.device_id]["signed_curve25519:A"], key);
    assert!(ben.post(&format!("{V3}/keys/claim"), wanted).await.ok()["one_time_keys"].get(&anna.user_id).is_none());
    assert_eq!(anna.sync(None).await["device_one_time_keys_count"]["signed_curve25519"], 0);
}

#[tokio::test]
async fn those_who_share_a_room_learn_of_changed_devices() {
    let server = Server::start().await;
    let (anna, ben) = (Client::register(&server, "anna").await, Client::register(&server, "ben").await);
    let cora = Client::register(&server, "cora").await;
    upload(&ben, "AAAA").await;
    let room = anna.create_room(json!({ "preset": "public_chat" })).await;
    let before = next(&anna.sync(None).await);
    ben.join(&room).await.ok();
    let ((), joined) =
        anna.sync_until(&before, |answer| lists(answer, "changed").contains(&ben.user_id.as_str()).then_some(())).await;

    let coras = next(&cora.sync(None).await);
    // Anna waits, and is woken though nothing happens in the room.
    let waiting = tokio::spawn({
        let (anna, joined) = (anna.clone(), joined.clone());
        async move { anna.wait(&joined).await }
    });
    upload(&ben, "BBBB").await;
    let woken = waiting.await.unwrap();
    assert_eq!(lists(&woken, "changed"), [ben.user_id.as_str()]);
    assert_eq!(lists(&cora.sync(Some(&coras)).await, "changed"), Vec::<&str>::new());

    let after = next(&woken);
    let changes = anna.get(&format!("{V3}/keys/changes?from={}&to={}", escape(&joined), escape(&after))).await.ok();
    assert_eq!(changes["changed"], json!([ben.user_id]));
    let changes = anna.get(&format!("{V3}/keys/changes?from={}&to={}", escape(&before), escape(&joined))).await.ok();
    assert_eq!(changes["changed"], json!([ben.user_id]), "he came into the room");

    ben.leave(&room).await.ok();
    let ((), gone) =
        anna.sync_until(&after, |answer| lists(answer, "left").contains(&ben.user_id.as_str()).then_some(())).await;
    let changes = anna.get(&format!("{V3}/keys/changes?from={}&to={}", escape(&after), escape(&gone))).await.ok();
    assert_eq!(changes["left"], json!([ben.user_id]));
    upload(&ben, "CCCC").await;
    assert_eq!(lists(&anna.sync(Some(&gone)).await, "changed"), Vec::<&str>::new());
}

#[tokio::test]
async fn messages_to_devices_arrive_once() {
    let server = Server::start().await;
    let (anna, ben) = (Client::register(&server, "anna").await, Client::register(&server, "ben").await);
    let since = next(&ben.sync(None).await);
    let waiting = tokio::spawn({
        let (ben, since) = (ben.clone(), since.clone());
        async move { ben.wait(&since).await }
    });
    let body = json!({ "messages": { &ben.user_id: { "*": { "n": 1 } } } });
    for _ in 0..2 {
        anna.put(&format!("{V3}/sendToDevice/m.test/t1"), body.clone()).await.ok();
    }
    let answer = waiting.await.unwrap();
    let expected = json!([{ "type": "m.test", "sender": anna.user_id, "content": { "n": 1 } }]);
    assert_eq!(answer["to_device"]["events"], expected);
    assert_eq!(ben.sync(Some(&since)).await["to_device"]["events"], expected, "the answer was lost");
    let after = ben.sync(Some(&next(&answer))).await;
    assert!(after["to_device"]["events"].as_array().is_none_or(Vec::is_empty), "{after}");
}

#[tokio::test]
async fn new_cross_signing_keys_need_the_password() {
    let server = Server::start().await;
    let anna = Client::register(&server, "anna").await;
    let master = |key: &str| {
        json!({ "master_key": {
            "user_id": anna.user_id, "usage": ["master"], "keys": { format!("ed25519:{key}"): key },
        } })
    };
    let path = format!("{V3}/keys/device_signing/upload");
    anna.post(&path, master("AAAA")).await.ok();
    anna.post(&path, master("AAAA")).await.ok();
    let challenge = anna.post(&path, master("BBBB")).await;
    assert_eq!(challenge.status, 401, "{}", challenge.body);
    let mut proven = master("BBBB");
    proven["auth"] = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": anna.user_id },
        "password": PASSWORD,
        "session": challenge.body["session"],
    });
    anna.post(&path, proven.clone()).await.ok();
    // The same once more changes nothing, so its ended session does not matter.
    anna.post(&path, proven).await.ok();
    let keys = query(&anna, &anna.user_id).await;
    assert_eq!(keys["master_keys"][&anna.user_id]["keys"], json!({ "ed25519:BBBB": "BBBB" }));
    let unsigned = json!({ "self_signing_key": {
        "user_id": anna.user_id, "usage": ["self_signing"], "keys": { "ed25519:CCCC": "CCCC" },
    } });
    let challenge = anna.post(&path, unsigned.clone()).await;
    let mut proven = unsigned;
    proven["auth"] = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": anna.user_id },
        "password": PASSWORD,
        "session": challenge.body["session"],
    });
    anna.post(&path, proven).await.refused(400, "M_INVALID_SIGNATURE");
    let signed = json!({ &anna.user_id: { "NODEVICE": { "user_id": anna.user_id } } });
    let failed = anna.post(&format!("{V3}/keys/signatures/upload"), signed).await.ok();
    assert_eq!(failed["failures"][&anna.user_id]["NODEVICE"]["errcode"], "M_NOT_FOUND");
}

#[tokio::test]
async fn backups_are_kept_and_read_back() {
    let server = Server::start().await;
    let anna = Client::register(&server, "anna").await;
    let keys = format!("{V3}/room_keys");
    anna.get(&format!("{keys}/version")).await.refused(404, "M_NOT_FOUND");
    let description = json!({ "algorithm": "m.megolm_backup.v1", "auth_data": { "foo": "bar" } });
    let version = anna.post(&format!("{keys}/version"), description).await.ok()["version"].as_str().unwrap().to_owned();
    let session = |n: u64| json!({ "first_message_index": n, "forwarded_count": 0, "is_verified": true, "session_data": { "a": "b" } });
    let rooms: serde_json::Map<String, Value> = (0..3)
        .map(|room| {
            let sessions: serde_json::Map<_, _> = (0..300).map(|n| (format!("S{n}"), session(n))).collect();
            (format!("!{room}:school.example"), json!({ "sessions": sessions }))
        })
        .collect();
    let all = json!({ "rooms": rooms });
    let written = anna.put(&format!("{keys}/keys?version={version}"), all.clone()).await.ok();
    assert_eq!(written["count"], 900);
    assert_eq!(anna.get(&format!("{keys}/keys?version={version}")).await.ok(), all);
    let room = format!("{keys}/keys/{}", escape("!1:school.example"));
    assert_eq!(anna.get(&format!("{room}?version={version}")).await.ok(), all["rooms"]["!1:school.example"]);
    assert_eq!(anna.get(&format!("{room}/S7?version={version}")).await.ok(), session(7));
    anna.get(&format!("{room}/none?version={version}")).await.refused(404, "M_NOT_FOUND");
    assert_eq!(anna.get(&format!("{keys}/keys/!none?version={version}")).await.ok(), json!({ "sessions": {} }));
    assert_eq!(anna.delete(&format!("{room}?version={version}")).await.ok()["count"], 600);
    assert_eq!(anna.delete(&format!("{keys}/keys?version={version}")).await.ok()["count"], 0);
    assert_eq!(anna.get(&format!("{keys}/keys?version={version}")).await.ok(), json!({ "rooms": {} }));

    let current = anna.get(&format!("{keys}/version")).await.ok();
    assert_eq!((&current["version"], &current["auth_data"]), (&json!(version), &json!({ "foo": "bar" })));
    let description = json!({ "algorithm": "m.megolm_backup.v1", "auth_data": {} });
    let newer = anna.post(&format!("{keys}/version"), description).await.ok();
    let refused = anna.put(&format!("{room}/S1?version={version}"), session(1)).await;
    assert_eq!(refused.refused(403, "M_WRONG_ROOM_KEYS_VERSION")["current_version"], newer["version"]);
    anna.delete(&format!("{keys}/version/{version}")).await.ok();
    anna.get(&format!("{keys}/version/{version}")).await.refused(404, "M_NOT_FOUND");
    anna.get(&format!("{keys}/keys?version={version}")).await.refused(404, "M_NOT_FOUND");
}
