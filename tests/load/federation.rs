//! What other servers' events and rooms cost: events of one room and of a hundred, and the join of a large room.
//!
//!     cargo bench --bench federation                           20,000 events, 10,000 members
//!     cargo bench --bench federation -- 2000 1000              another: events, members
//!     cargo bench --bench federation -- --with <program> ...   another server
//!
//! The server runs in a process of its own, with TLS on loopback and every write synced. Another server is played here;
//! it signs everything before the clock starts, and sends transactions of 50 events, one at a time.
//!
//! A program for `--with` serves in the foreground, in the folder of `$LOAD_FOLDER` (certificate `tls.crt` and key
//! `tls.key`, `ca.pem` to believe), clients in clear at `$LOAD_CLIENT_PORT` and other servers at
//! `$LOAD_FEDERATION_PORT`, as `localhost:$LOAD_FEDERATION_PORT`; anybody may register and nothing is limited.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]
#![allow(clippy::needless_pass_by_value, reason = "JSON is made for the call")]

#[allow(dead_code, reason = "what the tests need besides")]
#[path = "../it/federation/authority.rs"]
mod authority;
#[allow(dead_code, reason = "what the tests need besides")]
#[path = "../it/federation/fake.rs"]
mod fake;
#[allow(dead_code, reason = "what the tests need besides")]
#[path = "../it/federation/guest.rs"]
mod guest;
#[allow(dead_code, unused_imports, reason = "what the tests need besides")]
#[path = "../it/harness/mod.rs"]
mod harness;
#[allow(dead_code, reason = "what the tests need besides")]
#[path = "../it/federation/host.rs"]
mod host;
#[allow(dead_code, reason = "what the tests need besides")]
#[path = "../it/federation/pair.rs"]
mod pair;
mod usage;

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use http::Method;
use serde_json::{Value, json};

use self::{
    fake::{Fake, Reply},
    harness::escape,
    host::{Host, Hosted},
    usage::Usage,
};

/// Other servers that have members in the large room.
const SERVERS: usize = 20;
const ROOMS: usize = 100;
/// Between two looks at whether something is there.
const LOOK: Duration = Duration::from_millis(5);
/// The longest that is waited for anything.
const PATIENCE: Duration = Duration::from_mins(20);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut program, mut sizes) = (None, Vec::new());
    while let Some(argument) = arguments.next() {
        if argument == "--with" {
            program = arguments.next();
        }
        sizes.extend(argument.parse::<usize>());
    }
    let (events, members) = match sizes.as_slice() {
        [events, members] => (*events, *members),
        _ => (20_000, 10_000),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let program = program.as_deref();
        let other = Fake::start().await;
        let hosted = Hosted::on(&other);
        inbound(Subject::start(program).await, &other, &hosted, 1, events).await;
        inbound(Subject::start(program).await, &other, &hosted, ROOMS, events).await;
        large(Subject::start(program).await, &other, &hosted, ("whole", members)).await;
        hosted.omit_members();
        large(Subject::start(program).await, &other, &hosted, ("few", members)).await;
    });
}

/// Events of so many rooms, in turns.
async fn inbound(subject: Subject, other: &Fake, hosted: &Hosted, rooms: usize, events: usize) {
    let rooms: Vec<Host<'_>> = (0..rooms).map(|n| hosted.room(other, &format!("r{rooms}x{n}"), &[])).collect();
    for room in &rooms {
        subject.join(other, room).await;
    }
    let mut last = HashMap::new();
    let signed: Vec<Value> = (0..events)
        .map(|n| {
            let room = &rooms[n % rooms.len()];
            let (id, event) = room.message(&format!("message {n}"));
            last.insert(room.id.clone(), id);
            event
        })
        .collect();
    let before = Usage::of(subject.child.id());
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for pdus in signed.chunks(50) {
        let sent = Instant::now();
        subject.take(other, pdus).await;
        slowest = slowest.max(sent.elapsed());
    }
    let answered = began.elapsed();
    for (room, id) in &last {
        subject.until_there(room, id).await;
    }
    let (took, after) = (began.elapsed(), Usage::of(subject.child.id()));
    println!("{events} events over {} rooms: {:.0} a second", rooms.len(), events as f64 / took.as_secs_f64());
    println!("  answered in {answered:.2?}, the slowest transaction in {slowest:.2?}; all there after {took:.2?}");
    println!("  CPU: {:.0} µs an event", (after.cpu_s - before.cpu_s) * 1e6 / events as f64);
    println!("  resident before: {:.1} MiB, after: {:.1}, peak: {:.1}", before.now, after.now, after.peak);
}

/// The join of a room with so many members, whole or with few of them told at first.
async fn large(subject: Subject, other: &Fake, hosted: &Hosted, (name, members): (&str, usize)) {
    let mut others = Vec::new();
    for _ in 0..SERVERS {
        others.push(Fake::start().await);
        let last = others.last().unwrap();
        last.answer(Method::PUT, "/_matrix/federation/v1/send/", |_| Reply::ok(json!({ "pdus": {} })));
    }
    let people: Vec<_> = (0..members).map(|n| (&others[n % SERVERS], format!("person{n}"))).collect();
    let room = hosted.room(other, name, &people);
    let before = Usage::of(subject.child.id());
    let began = Instant::now();
    subject.join(other, &room).await;
    let joined = began.elapsed();
    let body = json!({ "msgtype": "m.text", "body": "hello" });
    let path = format!("rooms/{}/send/m.room.message/1", escape(&room.id));
    subject.ask(reqwest::Method::PUT, &path, body).await;
    let said = began.elapsed();
    let said_before = Instant::now();
    other.until_pdu("m.room.message").await;
    println!(
        "a room of {members} members on {SERVERS} servers, told {name}: joined after {joined:.2?}, spoken after {said:.2?}"
    );
    println!("  heard {:.2?} later; CPU until then: {:.2} s", said_before.elapsed(), {
        Usage::of(subject.child.id()).cpu_s - before.cpu_s
    });
    let path = format!("rooms/{}/joined_members", escape(&room.id));
    let known = subject.ask(reqwest::Method::GET, &path, Value::Null).await;
    assert_eq!(known["joined"].as_object().unwrap().len(), members + 2);
    let (complete, after) = (began.elapsed(), Usage::of(subject.child.id()));
    println!("  all members known after {complete:.2?}; CPU: {:.2} s", after.cpu_s - before.cpu_s);
    println!("  resident before: {:.1} MiB, after: {:.1}, peak: {:.1}", before.now, after.now, after.peak);
    for (what, filter) in [("lazy", r#"{"room":{"state":{"lazy_load_members":true}}}"#), ("whole", "{}")] {
        let began = Instant::now();
        let sync = subject.ask(reqwest::Method::GET, &format!("sync?filter={}", escape(filter)), Value::Null).await;
        assert!(sync["rooms"]["join"].get(&room.id).is_some());
        println!("  a first sync, {what}: {:.2?}, {} bytes", began.elapsed(), sync.to_string().len());
    }
    println!("  peak: {:.1} MiB", Usage::of(subject.child.id()).peak);
}

/// The server that is measured, and somebody on it.
struct Subject {
    child: Child,
    name: String,
    base: String,
    token: String,
    /// For requests of clients.
    http: reqwest::Client,
    /// For requests of other servers.
    tls: reqwest::Client,
    folder: tempfile::TempDir,
}

impl Subject {
    async fn start(program: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        authority::certify(folder.path());
        let ((name, federation), (_, client)) = (pair::reserve().await, pair::reserve().await);
        // Given back at once, for the server to listen at.
        let [federation, client] = [federation, client].map(|socket| socket.local_addr().unwrap().port());
        let mut command = match program {
            Some(program) => Command::new(program),
            None => homeroom(folder.path(), name.as_str(), client, federation),
        };
        command.env("LOAD_FOLDER", folder.path());
        command.env("LOAD_CLIENT_PORT", client.to_string()).env("LOAD_FEDERATION_PORT", federation.to_string());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let mut subject = Self {
            child,
            name: name.to_string(),
            base: format!("http://127.0.0.1:{client}"),
            token: String::new(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            tls: authority::client(),
            folder,
        };
        let versions = format!("{}/_matrix/client/versions", subject.base);
        let began = Instant::now();
        while subject.http.get(&versions).send().await.is_err() {
            assert!(began.elapsed() < PATIENCE && subject.child.try_wait().unwrap().is_none(), "{}", subject.log());
            tokio::time::sleep(LOOK).await;
        }
        let body = json!({ "username": "anna", "password": "a long password", "auth": { "type": "m.login.dummy" } });
        let anna = subject.ask(reqwest::Method::POST, "register", body).await;
        anna["access_token"].as_str().unwrap().clone_into(&mut subject.token);
        subject
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Somebody's request that must succeed.
    async fn ask(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let url = format!("{}/_matrix/client/v3/{path}", self.base);
        let mut request = self.http.request(method, url);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}\n{}", self.log());
        body
    }

    async fn join(&self, other: &Fake, room: &Host<'_>) {
        let via = escape(other.name().as_str());
        let path = format!("join/{}?via={via}&server_name={via}", escape(&room.id));
        self.ask(reqwest::Method::POST, &path, json!({})).await;
    }

    /// Sends a transaction of the other server's; again, while it is told to come back.
    async fn take(&self, other: &Fake, pdus: &[Value]) {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = format!("/_matrix/federation/v1/send/{number}");
        let body = json!({ "origin": other.name(), "origin_server_ts": 1_700_000_000_000_u64, "pdus": pdus });
        let name = <&ruma::ServerName>::try_from(&*self.name).unwrap();
        let authorization = other.authorization(name, &Method::PUT, &path, &body);
        loop {
            let request = self.tls.put(format!("https://{}{path}", self.name)).header("authorization", &authorization);
            let answer = request.json(&body).send().await.unwrap();
            if answer.status() == 429 {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            assert!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await.unwrap());
            return;
        }
    }

    /// Waits until somebody sees an event.
    async fn until_there(&self, room: &str, id: &str) {
        let url = format!("{}/_matrix/client/v3/rooms/{}/event/{}", self.base, escape(room), escape(id));
        let began = Instant::now();
        while !self.http.get(&url).bearer_auth(&self.token).send().await.unwrap().status().is_success() {
            assert!(began.elapsed() < PATIENCE, "{id} does not come\n{}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server of this repository.
fn homeroom(folder: &Path, name: &str, client: u16, federation: u16) -> Command {
    let file = folder.join("homeroom.toml");
    let text = format!(
        "[server]\nname = \"{name}\"\n\
         [listen]\nclient = \"127.0.0.1:{client}\"\nfederation = \"127.0.0.1:{federation}\"\n\
         tls_certificate = \"tls.crt\"\ntls_key = \"tls.key\"\n\
         [database]\npath = \"data\"\nmemory = \"64 MiB\"\ndurability = \"fsync\"\n\
         [registration]\nmode = \"open\"\n[limits]\nenabled = false\n[passwords]\nmemory = \"8 KiB\"\niterations = 1\n\
         [federation]\nallow = [\"*\"]\nallow_private_addresses = true\ntrusted_ca = [\"ca.pem\"]\n\
         [logging]\nlevel = \"warn\"\n"
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_homeroom"));
    command.arg("serve").arg("--config").arg(file).current_dir(folder);
    command
}
