//! What other servers that are gone cost: a room with members on 1,000 servers of which 900 do not work.
//!
//!     cargo bench --bench destinations              100 that work, 450 that refuse connections, 450 that hang
//!     cargo bench --bench destinations -- 100 0 0   another: that work, refuse, hang
//!
//! The server runs in a process of its own and posts a message every half second for a minute, each with the time in it.
//! The servers that work stand here, behind one socket with an address each, and look at the time when a message comes.
//! Those that hang take connections and say nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod usage;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::Request, routing};
use homeroom::{
    app::App,
    clock::Clock,
    config::{Config, RegistrationMode, ServerPattern, Size},
    http::{CertificateFiles, Listener, ServeOptions, Tls, serve},
    ids::Ids,
    store::{
        Batch, Durability, Store, StoreOptions,
        schema::rooms::{ROOM_SERVERS, SERVER_ROOMS, ServerRoomRecord},
    },
};
use http_body_util::BodyExt as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ruma::{RoomId, ServerName, owned_server_name};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::usage::Usage;

/// Set for the process with the server: its folder, with `names` and `ca.pem` in it.
const FOLDER: &str = "HOMEROOM_LOAD_FOLDER";
const MESSAGES: usize = 120;
const PAUSE: Duration = Duration::from_millis(500);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    drop(rustls::crypto::ring::default_provider().install_default());
    if let Ok(folder) = std::env::var(FOLDER) {
        runtime.block_on(post(Path::new(&folder)));
        return;
    }
    let sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (work, refuse, hang) = match sizes.as_slice() {
        [work, refuse, hang] => (*work, *refuse, *hang),
        _ => (100, 450, 450),
    };
    println!("{work} servers that work, {refuse} that refuse connections, {hang} that hang");
    runtime.block_on(play(work, refuse, hang));
}

/// The other servers.
async fn play(work: usize, refuse: usize, hang: usize) {
    let folder = tempfile::tempdir().unwrap();
    let address = |group: usize, n: usize| format!("127.{group}.{}.{}", n / 200, n % 200 + 1);
    let working = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let hanging = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    // Nothing listens at this port any more.
    let refusing = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap().local_addr().unwrap().port();
    let ports = [working.local_addr().unwrap().port(), refusing, hanging.local_addr().unwrap().port()];
    let mut names = Vec::new();
    for (group, count) in [work, refuse, hang].into_iter().enumerate() {
        names.extend((0..count).map(|n| format!("{}:{}", address(group + 1, n), ports[group])));
    }
    fs::write(folder.path().join("names"), names.join("\n")).unwrap();
    certify(folder.path(), (0..work.max(1)).map(|n| address(1, n)).collect());

    let delays = Arc::new(Mutex::new(Vec::new()));
    let noting = delays.clone();
    let router = Router::new().fallback(routing::any(move |request: Request| note(noting.clone(), request)));
    let files = CertificateFiles::load(&folder.path().join("tls.crt"), &folder.path().join("tls.key")).unwrap();
    let listener = Listener::tls(working, Arc::new(Tls::new(files).unwrap()));
    tokio::spawn(serve(listener, router, ServeOptions::default(), CancellationToken::new()));

    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(FOLDER, folder.path());
    let done = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
    assert!(done.success());
    let mut delays = delays.lock().unwrap().clone();
    delays.sort_unstable();
    println!("{} of {} messages have arrived", delays.len(), MESSAGES * work);
    if !delays.is_empty() {
        let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
        println!("delay: p50 {} ms, p95 {} ms, p99 {} ms, worst {} ms", at(50), at(95), at(99), at(100));
    }
    drop(hanging);
}

/// Notes how long ago the messages of a transaction were posted.
async fn note(delays: Arc<Mutex<Vec<u64>>>, request: Request) -> Json<Value> {
    let bytes = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let now_ms = Clock::system().now_ms();
    for pdu in body["pdus"].as_array().into_iter().flatten() {
        if let Some(posted_ms) = pdu["content"]["posted_ms"].as_u64() {
            delays.lock().unwrap().push(now_ms.saturating_sub(posted_ms));
        }
    }
    Json(json!({ "pdus": {} }))
}

/// The server.
async fn post(folder: &Path) {
    let mut config = Config::defaults(owned_server_name!("school.example"));
    config.listen.client = ([127, 0, 0, 1], 0).into();
    config.database.path = folder.join("data");
    config.database.memory = Size::mib(64);
    config.registration.mode = RegistrationMode::Open;
    config.limits.enabled = false;
    config.passwords.memory = Size::kib(8);
    config.federation.allow = vec![ServerPattern::parse("*").unwrap()];
    config.federation.allow_private_addresses = true;
    config.federation.trusted_ca = vec![folder.join("ca.pem")];
    let http = reqwest::Client::new();
    let ask = async |address: SocketAddr, token: &str, path: &str, body: Value| -> Value {
        let url = format!("http://{address}/_matrix/client/v3/{path}");
        let put = path.starts_with("rooms/");
        let request = if put { http.put(url) } else { http.post(url) };
        let answer = request.bearer_auth(token).json(&body).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    };

    let app = App::start(config.clone(), Clock::system(), Ids::system()).await.unwrap();
    let address = app.addresses().client;
    let body = json!({ "username": "anna", "password": "a long password", "auth": { "type": "m.login.dummy" } });
    let anna = ask(address, "", "register", body).await;
    let token = anna["access_token"].as_str().unwrap();
    let room = ask(address, token, "createRoom", json!({})).await["room_id"].as_str().unwrap().to_owned();
    app.stop().await;
    share(folder, &room).await;

    let app = App::start(config, Clock::system(), Ids::system()).await.unwrap();
    let address = app.addresses().client;
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("resident before: {:.1} MiB", Usage::own().now);
    let (began, cpu) = (Instant::now(), Usage::own().cpu_s);
    let mut slowest = Duration::ZERO;
    for n in 0..MESSAGES {
        let posted = Instant::now();
        let body = json!({ "msgtype": "m.text", "body": "m", "posted_ms": Clock::system().now_ms() });
        ask(address, token, &format!("rooms/{room}/send/m.room.message/{n}"), body).await;
        slowest = slowest.max(posted.elapsed());
        if n == 20 {
            println!("CPU of the first ten seconds: {:.2} s", Usage::own().cpu_s - cpu);
        }
        tokio::time::sleep(PAUSE.saturating_sub(posted.elapsed())).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!(
        "CPU: {:.2} s in {:.0} s; the slowest answer to who posts: {slowest:?}",
        Usage::own().cpu_s - cpu,
        began.elapsed().as_secs_f64()
    );
    println!("resident: {:.1} MiB, peak: {:.1} MiB", Usage::own().now, Usage::own().peak);
    app.stop().await;
}

/// Writes into the tables that the other servers are in the room.
async fn share(folder: &Path, room: &str) {
    let options = StoreOptions { memory_bytes: 16 << 20, durability: Durability::Os };
    let store = Store::open(&folder.join("data/db"), &options).unwrap();
    let mut batch = Batch::new();
    let since = store.position();
    let room = store.room(&RoomId::parse(room).unwrap()).await.unwrap().unwrap();
    for name in fs::read_to_string(folder.join("names")).unwrap().lines() {
        let number = store.mint_server(<&ServerName>::try_from(name).unwrap(), &mut batch).await.unwrap();
        batch.put(&ROOM_SERVERS, &(room, number), &1);
        batch.put(&SERVER_ROOMS, &(number, room), &ServerRoomRecord { since, left: None });
    }
    store.commit(batch).await.unwrap();
    let closed = store.closed();
    drop(store);
    closed.await;
}

/// An authority, and a certificate for these addresses.
fn certify(folder: &Path, addresses: Vec<String>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(addresses).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
}
