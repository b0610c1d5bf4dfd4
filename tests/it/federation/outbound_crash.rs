//! What was acknowledged reaches other servers, though the program is killed on the way.

use std::{collections::HashSet, io::Write as _};

use homeroom::store::{
    Batch, Durability, Store, StoreOptions,
    schema::rooms::{ROOM_SERVERS, SERVER_ROOMS, ServerRoomRecord},
};
use reqwest::Method;
use ruma::RoomId;
use serde_json::{Value, json};

use super::{
    Fake, Reply, authority,
    outbound::{SEND, all_texts, texts},
};
use crate::harness::{Process, write_config};

const ROUNDS: usize = 2;
const MESSAGES: usize = 20;

async fn ask(process: &Process, token: &str, method: Method, path: &str, body: Value) -> Value {
    let url = format!("{}/_matrix/client/v3/{path}", process.base);
    let answer = reqwest::Client::new().request(method, url).bearer_auth(token).json(&body).send().await.unwrap();
    answer.error_for_status().unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_program_is_killed() {
    let fake = Fake::start().await;
    // What comes is never answered, so there is always something on its way, and more that waits.
    fake.answer(Method::PUT, SEND, |_| Reply::Stall);
    let folder = tempfile::tempdir().unwrap();
    authority::certify(folder.path());
    let config = write_config(folder.path());
    let mut file = std::fs::OpenOptions::new().append(true).open(&config).unwrap();
    let ca = folder.path().join("ca.pem");
    writeln!(file, "[federation]\nallow = [\"*\"]\nallow_private_addresses = true\ntrusted_ca = [{:?}]", ca.display())
        .unwrap();

    let process = Process::start(&config).await;
    let body = json!({ "username": "anna", "password": "a long password", "auth": { "type": "m.login.dummy" } });
    let anna = ask(&process, "", Method::POST, "register", body).await;
    let token = anna["access_token"].as_str().unwrap();
    let room =
        ask(&process, token, Method::POST, "createRoom", json!({})).await["room_id"].as_str().unwrap().to_owned();
    process.kill().await;
    share(&folder.path().join("data/db"), &room, &fake).await;

    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let process = Process::start(&config).await;
        for n in 0..MESSAGES {
            let text = format!("{round}-{n}");
            let path = format!("rooms/{room}/send/m.room.message/{text}");
            ask(&process, token, Method::PUT, &path, json!({ "msgtype": "m.text", "body": text })).await;
            acknowledged.push(text);
        }
        process.kill().await;
    }
    let came: HashSet<String> = all_texts(&fake).into_iter().collect();
    let is_missing = acknowledged.iter().any(|text| !came.contains(text));
    assert!(is_missing, "it was killed when everything had arrived, which proves nothing");
    fake.answer(Method::PUT, SEND, |_| Reply::ok(json!({ "pdus": {} })));
    let process = Process::start(&config).await;
    let mut came = HashSet::new();
    fake.until(|received| {
        came.extend(texts(received));
        acknowledged.iter().all(|text| came.contains(text)).then_some(())
    })
    .await;
    process.kill().await;
}

async fn share(database: &std::path::Path, room: &str, fake: &Fake) {
    let store = Store::open(database, &StoreOptions { memory_bytes: 16 << 20, durability: Durability::Fsync }).unwrap();
    let mut batch = Batch::new();
    let room = store.room(&RoomId::parse(room).unwrap()).await.unwrap().unwrap();
    let number = store.mint_server(fake.name(), &mut batch).await.unwrap();
    batch.put(&ROOM_SERVERS, &(room, number), &1);
    batch.put(&SERVER_ROOMS, &(number, room), &ServerRoomRecord { since: store.position(), left: None });
    store.commit(batch).await.unwrap();
    let closed = store.closed();
    drop(store);
    closed.await;
}
