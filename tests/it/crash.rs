//! Nothing that was acknowledged is lost by `kill -9`.
//!
//! The program serves a data folder; sixteen people write to it at once, everything a room can hold; it is killed at a
//! random moment, a hundred times, on the same folder. After each time every event whose id a client was told must be
//! in the store, and account data must be no older than acknowledged. Every tenth time the tables are checked whole.

use std::{path::Path, time::Duration};

use homeroom::store::{
    Durability, Store, StoreOptions,
    check::check,
    schema::rooms::{EVENT_IDS, TIMELINE},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Process, write_config};

const CLIENTS: usize = 16;
const ROOMS: usize = 4;
const ROUNDS: usize = 100;

/// One person, over all rounds.
struct Writer {
    number: usize,
    http: reqwest::Client,
    base: String,
    token: String,
    user_id: String,
    room: String,
    /// The first message of the room, on which everybody answers in a thread.
    thread: String,
    /// Requests made, acknowledged or not: transaction ids and state keys come from it.
    made: u64,
    /// Event ids that the server told.
    acknowledged: Vec<String>,
    /// The last account data that the server took.
    noted: u64,
}

impl Writer {
    async fn ask(&self, method: Method, path: &str, body: Value) -> Option<Value> {
        let url = format!("{}/_matrix/client/v3{path}", self.base);
        let response = self.http.request(method, url).bearer_auth(&self.token).json(&body).send().await.ok()?;
        let status = response.status();
        let answer: Value = response.json().await.ok()?;
        assert!(status.is_success(), "{path}: {status} {answer}");
        Some(answer)
    }

    async fn register(number: usize, base: &str) -> Self {
        let mut writer = Self {
            number,
            http: reqwest::Client::new(),
            base: base.to_owned(),
            token: String::new(),
            user_id: String::new(),
            room: String::new(),
            thread: String::new(),
            made: 0,
            acknowledged: Vec::new(),
            noted: 0,
        };
        let body = json!({ "username": format!("user{number}"), "password": "a long password", "auth": { "type": "m.login.dummy" } });
        let answer = writer.ask(Method::POST, "/register", body).await.unwrap();
        writer.token = answer["access_token"].as_str().unwrap().to_owned();
        writer.user_id = answer["user_id"].as_str().unwrap().to_owned();
        writer
    }

    /// Writes until the server is gone.
    async fn write(mut self) -> Self {
        // Account data that was acknowledged is there, or newer that was not.
        let path = format!("/user/{}/account_data/org.example.note", self.user_id);
        if self.noted > 0 {
            let Some(note) = self.ask(Method::GET, &path, Value::Null).await else { return self };
            assert!(note["n"].as_u64().unwrap() >= self.noted, "account data went back to {note} from {}", self.noted);
        }
        while self.step(&path).await.is_some() {}
        self
    }

    async fn step(&mut self, note_path: &str) -> Option<()> {
        self.made += 1;
        let (n, room) = (self.made, self.room.clone());
        let last = self.acknowledged.last().cloned();
        let send = |kind: &str| format!("/rooms/{room}/send/{kind}/{n}");
        let answer = match (n % 10, last) {
            (0, _) => {
                self.ask(Method::PUT, note_path, json!({ "n": n })).await?;
                self.noted = n;
                return Some(());
            }
            (1, Some(last)) => {
                let content =
                    json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": last, "key": format!("{n}") } });
                self.ask(Method::PUT, &send("m.reaction"), content).await?
            }
            (2, _) => {
                let path = format!("/rooms/{room}/state/org.example.seat/{}.{}", self.number, n % 64);
                self.ask(Method::PUT, &path, json!({ "n": n })).await?
            }
            (3, Some(last)) => {
                self.ask(Method::POST, &format!("/rooms/{room}/receipt/m.read/{last}"), json!({})).await?;
                return Some(());
            }
            (4 | 5, _) => {
                let relates = json!({ "rel_type": "m.thread", "event_id": self.thread });
                let content = json!({ "msgtype": "m.text", "body": "thread", "m.relates_to": relates });
                self.ask(Method::PUT, &send("m.room.message"), content).await?
            }
            (6, Some(last)) => self.ask(Method::PUT, &format!("/rooms/{room}/redact/{last}/{n}"), json!({})).await?,
            (7, _) => {
                let path = format!("/profile/{}/displayname", self.user_id);
                self.ask(Method::PUT, &path, json!({ "displayname": format!("{n}") })).await?;
                return Some(());
            }
            _ => {
                self.ask(Method::PUT, &send("m.room.message"), json!({ "msgtype": "m.text", "body": format!("{n}") }))
                    .await?
            }
        };
        self.acknowledged.push(answer["event_id"].as_str().unwrap().to_owned());
        Some(())
    }
}

/// A fresh folder with people and rooms.
async fn prepare(config: &Path) -> Vec<Writer> {
    let process = Process::start(config).await;
    let mut writers = Vec::new();
    let (mut rooms, mut threads) = (Vec::new(), Vec::new());
    for number in 0..CLIENTS {
        let mut writer = Writer::register(number, &process.base).await;
        if number < ROOMS {
            let power = json!({ "events_default": 0, "state_default": 0, "redact": 0 });
            let body = json!({ "preset": "public_chat", "power_level_content_override": power });
            let answer = writer.ask(Method::POST, "/createRoom", body).await.unwrap();
            let room = answer["room_id"].as_str().unwrap().to_owned();
            let body = json!({ "msgtype": "m.text", "body": "first" });
            let first =
                writer.ask(Method::PUT, &format!("/rooms/{room}/send/m.room.message/first"), body).await.unwrap();
            threads.push(first["event_id"].as_str().unwrap().to_owned());
            rooms.push(room);
        } else {
            writer.ask(Method::POST, &format!("/join/{}", rooms[number % ROOMS]), json!({})).await.unwrap();
        }
        writer.room = rooms[number % ROOMS].clone();
        writer.thread = threads[number % ROOMS].clone();
        writers.push(writer);
    }
    process.kill().await;
    writers
}

/// One life of the server.
async fn round(config: &Path, mut writers: Vec<Writer>) -> Vec<Writer> {
    let process = Process::start(config).await;
    let mut tasks = Vec::new();
    for mut writer in writers.drain(..) {
        writer.base.clone_from(&process.base);
        // Connections of the last life are of no use.
        writer.http = reqwest::Client::new();
        tasks.push(tokio::spawn(writer.write()));
    }
    // The point is that nobody knows when it happens; nothing waits for this moment.
    tokio::time::sleep(Duration::from_millis(rand::random_range(10..100))).await;
    process.kill().await;
    for task in tasks {
        writers.push(task.await.unwrap());
    }
    writers
}

fn open(database: &Path) -> Store {
    Store::open(database, &StoreOptions { memory_bytes: 16 << 20, durability: Durability::Fsync }).unwrap()
}

/// Every acknowledged event is in the store.
async fn all_there(store: &Store, ids: &[String]) {
    for (id, found) in ids.iter().zip(store.multi_get(&EVENT_IDS, ids).await.unwrap()) {
        assert!(found.is_some(), "{id} was acknowledged and is lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (config, database) = (write_config(folder.path()), folder.path().join("data/db"));
    let mut writers = prepare(&config).await;
    let mut all = 0;
    let mut checked = vec![0; CLIENTS];
    for number in 1..=ROUNDS {
        if number % 5 == 0 {
            // Also while it starts, which includes its repair of the log.
            let mut child = Process::spawn(&config);
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..60))).await;
            child.kill().await.unwrap();
        }
        writers = round(&config, writers).await;
        writers.sort_by_key(|writer| writer.number);
        let store = open(&database);
        for (writer, from) in writers.iter().zip(&mut checked) {
            let whole = number % 10 == 0;
            all_there(&store, &writer.acknowledged[if whole { 0 } else { *from }..]).await;
            *from = writer.acknowledged.len();
        }
        if number % 10 == 0 {
            let report = check(&store).unwrap();
            assert_eq!(report.findings, [], "after {number} lives");
            all = report.rows;
        }
    }
    let acknowledged: usize = writers.iter().map(|writer| writer.acknowledged.len()).sum();
    // Each client was served in nearly every life, or the test has tested little.
    assert!(acknowledged > ROUNDS * CLIENTS, "only {acknowledged} events were acknowledged");
    let store = open(&database);
    let mut placed = 0;
    store
        .walk_blocking(&TIMELINE, |_, _| {
            placed += 1;
            Ok(())
        })
        .unwrap();
    assert!(placed >= acknowledged);
    eprintln!("{acknowledged} events acknowledged, {placed} in timelines, {all} rows");
}
