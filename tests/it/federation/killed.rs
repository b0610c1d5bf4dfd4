//! The program is killed while it joins a room, while it receives what others send, and while it asks for what it has
//! missed: what it had acknowledged is there afterwards, and nothing stands in the way of what it had not.

use std::path::PathBuf;

use http::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    Fake, Reply, authority,
    faults::is_sound,
    host::{Host, Hosted},
    pair::reserve,
};
use crate::harness::{Process, escape};

/// Times that the program is killed while it receives.
const ROUNDS: usize = 6;
/// Transactions that it acknowledges in each life, and events of one.
const TRANSACTIONS: usize = 12;
const EVENTS: usize = 20;

/// A server of its own process, over all its lives.
pub(super) struct Home {
    folder: tempfile::TempDir,
    config: PathBuf,
    pub(super) name: String,
    pub(super) token: String,
    pub(super) http: reqwest::Client,
    tls: reqwest::Client,
}

impl Home {
    pub(super) async fn new() -> (Self, Process) {
        let folder = tempfile::tempdir().unwrap();
        authority::certify(folder.path());
        let (name, socket) = reserve().await;
        let address = socket.local_addr().unwrap();
        drop(socket);
        let config = folder.path().join("homeroom.toml");
        let at = folder.path().display();
        let text = format!(
            "[server]\nname = \"{name}\"\n[listen]\nclient = \"127.0.0.1:0\"\nmetrics = \"127.0.0.1:0\"\n\
             federation = \"{address}\"\ntls_certificate = \"{at}/tls.crt\"\ntls_key = \"{at}/tls.key\"\n\
             [database]\npath = \"data\"\nmemory = \"16 MiB\"\ndurability = \"fsync\"\n\
             [registration]\nmode = \"open\"\n[limits]\nenabled = false\n\
             [passwords]\nmemory = \"8 KiB\"\niterations = 1\n[logging]\nformat = \"json\"\n\
             [federation]\nallow = [\"*\"]\nallow_private_addresses = true\ntrusted_ca = [\"{at}/ca.pem\"]\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut home = Self {
            folder,
            config,
            name: name.to_string(),
            token: String::new(),
            http: reqwest::Client::new(),
            tls: authority::client(),
        };
        let process = home.live().await;
        let body = json!({ "username": "anna", "password": "a long password", "auth": { "type": "m.login.dummy" } });
        let anna = home.ask(&process, Method::POST, "register", body).await.unwrap();
        home.token = anna["access_token"].as_str().unwrap().to_owned();
        (home, process)
    }

    /// Its next life.
    pub(super) async fn live(&mut self) -> Process {
        let process = Process::start(&self.config).await;
        // Connections of the last life are of no use.
        self.http = reqwest::Client::new();
        self.tls = authority::client();
        process
    }

    /// Somebody's request; `None` when it fails, or the program is gone.
    pub(super) async fn ask(&self, process: &Process, method: Method, path: &str, body: Value) -> Option<Value> {
        let url = format!("{}/_matrix/client/v3/{path}", process.base);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if !body.is_null() {
            request = request.json(&body);
        }
        request.send().await.ok()?.error_for_status().ok()?.json().await.ok()
    }

    async fn join(&self, process: &Process, fake: &Fake, room: &Host<'_>) -> Option<Value> {
        let path = format!("join/{}?via={}", escape(&room.id), escape(fake.name().as_str()));
        self.ask(process, Method::POST, &path, json!({})).await
    }

    /// Sends a transaction; whether it was acknowledged.
    pub(super) async fn take(&self, fake: &Fake, id: usize, pdus: &[Value], edus: &[Value]) -> bool {
        let path = format!("/_matrix/federation/v1/send/{id}");
        let body = json!({ "origin": fake.name(), "origin_server_ts": 1, "pdus": pdus, "edus": edus });
        let name = <&ruma::ServerName>::try_from(&*self.name).unwrap();
        let authorization = fake.authorization(name, &Method::PUT, &path, &body);
        let request = self.tls.put(format!("https://{}{path}", self.name)).header("authorization", authorization);
        let Ok(answer) = request.json(&body).send().await else { return false };
        answer.status().is_success()
    }

    async fn has(&self, process: &Process, room: &Host<'_>, id: &str) -> bool {
        let path = format!("rooms/{}/event/{}", escape(&room.id), escape(id));
        self.ask(process, Method::GET, &path, Value::Null).await.is_some()
    }

    /// Waits until somebody sees an event.
    async fn until(&self, process: &Process, room: &Host<'_>, id: &str) {
        let mut since = String::new();
        for _ in 0..60 {
            // Before the look, so that what comes after it is waited for.
            let path = format!("sync?timeout={}{since}", if since.is_empty() { 0 } else { 1_000 });
            let sync = self.ask(process, Method::GET, &path, Value::Null).await.unwrap();
            since = format!("&since={}", escape(sync["next_batch"].as_str().unwrap()));
            if self.has(process, room, id).await {
                return;
            }
        }
        panic!("{id} does not come");
    }

    /// `homeroom doctor --deep` has nothing to complain of; `settled` where nothing may wait in the inbox either.
    pub(super) async fn is_sound(&self, settled: bool) {
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_homeroom"));
        doctor.args(["doctor", "--deep", "--config"]).arg(&self.config);
        let said = doctor.output().await.unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
        if settled {
            is_sound(&self.folder.path().join("data/db"));
        }
    }
}

/// Where in a join the program is killed: when this question of it has come to another server.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_was_cut_short_is_made_again() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let hosted = Hosted::on(&fake);
    let people: Vec<_> = (0..300).map(|n| (&other, format!("person{n}"))).collect();
    let room = hosted.room(&fake, "room", &people);
    let (mut home, mut process) = Home::new().await;
    let moments = [
        (&fake, Method::GET, "/_matrix/federation/v1/make_join/"),
        (&fake, Method::PUT, "/_matrix/federation/v2/send_join/"),
        (&other, Method::GET, "/_matrix/key/v2/server"),
    ];
    for (server, method, path) in moments {
        let before = server.received(path).len();
        server.answer(method, path, |_| Reply::Stall);
        let joining = home.join(&process, &fake, &room);
        let asked = async {
            let mut seen = 0;
            let next = |received: &super::Received| {
                seen += usize::from(received.path.starts_with(path));
                (seen > before).then_some(())
            };
            server.until(next).await;
        };
        tokio::select! {
            answer = joining => panic!("it was not asked for {path}: {answer:?}"),
            () = asked => {}
        }
        process.kill().await;
        home.is_sound(true).await;
        process = home.live().await;
        // The servers behave again.
        let rooms = hosted.clone();
        fake.answer(Method::GET, "/_matrix/federation/v1/make_join/", move |received| rooms.template(received));
        let rooms = hosted.clone();
        fake.answer(Method::PUT, "/_matrix/federation/v2/send_join/", move |received| rooms.join(received));
        let document = other.key_document();
        other.answer(Method::GET, "/_matrix/key/v2/server", move |_| Reply::ok(document.clone()));
        let joined = home.ask(&process, Method::GET, "joined_rooms", Value::Null).await.unwrap();
        assert_eq!(joined["joined_rooms"], json!([]), "killed at {path}");
    }
    home.join(&process, &fake, &room).await.unwrap();
    // What was acknowledged outlasts the next death.
    process.kill().await;
    home.is_sound(true).await;
    let process = home.live().await;
    let path = format!("rooms/{}/joined_members", escape(&room.id));
    let members = home.ask(&process, Method::GET, &path, Value::Null).await.unwrap();
    assert_eq!(members["joined"].as_object().unwrap().len(), 302);
    let (id, event) = room.message("welcome");
    assert!(home.take(&fake, 1, &[event], &[]).await);
    home.until(&process, &room, &id).await;
    process.kill().await;
    home.is_sound(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_transactions_are_received_though_the_program_is_killed() {
    let fake = Fake::start().await;
    let hosted = Hosted::on(&fake);
    let room = hosted.room(&fake, "room", &[]);
    let (mut home, process) = Home::new().await;
    home.join(&process, &fake, &room).await.unwrap();
    process.kill().await;
    let (mut sent, mut transaction) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let process = home.live().await;
        for _ in 0..TRANSACTIONS {
            let events: Vec<_> = (0..EVENTS).map(|n| room.message(&format!("{transaction}-{n}"))).collect();
            let pdus: Vec<Value> = events.iter().map(|(_, event)| event.clone()).collect();
            assert!(home.take(&fake, transaction, &pdus, &[]).await);
            sent.extend(events.into_iter().map(|(id, _)| id));
            transaction += 1;
        }
        // One more is on its way, and comes once more in the next life, as it was not acknowledged.
        let (id, event) = room.message("on its way");
        let pdus = [event];
        tokio::join!(home.take(&fake, transaction, &pdus, &[]), process.kill());
        home.is_sound(false).await;
        let process = home.live().await;
        assert!(home.take(&fake, transaction, &pdus, &[]).await);
        process.kill().await;
        sent.push(id);
        transaction += 1;
    }
    let process = home.live().await;
    home.until(&process, &room, sent.last().unwrap()).await;
    for id in &sent {
        assert!(home.has(&process, &room, id).await, "{id} was acknowledged and is lost");
    }
    process.kill().await;
    home.is_sound(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_filled_though_the_program_is_killed_while_it_asks() {
    const MISSING: &str = "/_matrix/federation/v1/get_missing_events/";
    let fake = Fake::start().await;
    let hosted = Hosted::on(&fake);
    let room = hosted.room(&fake, "room", &[]);
    let (mut home, process) = Home::new().await;
    home.join(&process, &fake, &room).await.unwrap();
    let missed: Vec<_> = (0..8).map(|n| room.message(&format!("missed {n}"))).collect();
    let (last, event) = room.message("last");
    fake.answer(Method::POST, MISSING, |_| Reply::Stall);
    assert!(home.take(&fake, 1, &[event], &[]).await);
    fake.until(|received| received.path.starts_with(MISSING).then_some(())).await;
    process.kill().await;
    home.is_sound(false).await;
    let answer = json!({ "events": missed.iter().map(|(_, event)| event).collect::<Vec<_>>() });
    fake.answer(Method::POST, MISSING, move |_| Reply::ok(answer.clone()));
    // It was acknowledged, so nobody sends it again.
    let process = home.live().await;
    home.until(&process, &room, &last).await;
    for (id, _) in &missed {
        assert!(home.has(&process, &room, id).await, "{id}");
    }
    process.kill().await;
    home.is_sound(true).await;
}
