//! Another server, played by the test: it answers as it is told, signs what it is asked to sign, and remembers what
//! came.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

use axum::{Router, body::Body, extract::Request};
use homeroom::{
    event::SigningKey,
    http::{CertificateFiles, Listener, ServeOptions, Tls, serve},
};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedServerName, ServerName, room_version_rules::RoomVersionRules,
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    authority,
    pair::{reserve, reserve_at},
};
use crate::harness::{Answer, Server};

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// The body; null when it is empty or no JSON.
    pub(crate) body: Value,
}

impl Received {
    /// The argument at this place of the path, decoded; 0 is what follows `/_matrix`.
    pub(crate) fn segment(&self, place: usize) -> String {
        let path = self.path.split('?').next().unwrap();
        let segment = path.split('/').nth(place + 2).unwrap_or_default();
        percent_encoding::percent_decode_str(segment).decode_utf8().unwrap().into_owned()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Json(u16, Value),
    /// Bytes that need be no JSON.
    Raw(u16, Vec<u8>),
    /// The head, half a body, and the end of the connection.
    Reset,
    /// The head and an endless body, a byte after the other.
    Drip,
    /// Nothing, ever.
    Stall,
    /// A body of this content type, see [`Reply::pieces`].
    Pieces(&'static str, Arc<Mutex<Option<mpsc::Receiver<Piece>>>>),
}

/// A part of a body, or its breaking off.
pub(crate) type Piece = std::io::Result<Vec<u8>>;

impl Reply {
    /// A body that comes as the test hands its pieces out, and ends when the sender is dropped. One request gets it.
    pub(crate) fn pieces(content_type: &'static str) -> (mpsc::Sender<Piece>, Self) {
        let (pieces, body) = mpsc::channel(1);
        (pieces, Self::Pieces(content_type, Arc::new(Mutex::new(Some(body)))))
    }

    pub(crate) fn ok(body: Value) -> Self {
        Self::Json(200, body)
    }
}

type Handler = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

struct Shared {
    handlers: Mutex<Vec<(Method, String, Handler)>>,
    received: watch::Sender<Vec<Received>>,
}

/// A server with a key and a name, but without rooms.
pub(crate) struct Fake {
    pub(crate) key: Arc<SigningKey>,
    name: OwnedServerName,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Fake {
    /// A server that answers with its key and its version, and 404 to all else. It is on the host `localhost`, as all
    /// others but those that are [`Self::elsewhere`]: where servers have shares of something, they share one.
    pub(crate) async fn start() -> Self {
        Self::on(reserve().await, "localhost")
    }

    /// The same on a host of its own, an address of this machine.
    pub(crate) async fn elsewhere() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let address = Ipv4Addr::new(127, 0, 0, 2 + NEXT.fetch_add(1, Ordering::Relaxed) % 250);
        let host = address.to_string();
        Self::on(reserve_at(&host, address).await, &host)
    }

    fn on((name, socket): (OwnedServerName, TcpListener), host: &str) -> Self {
        crate::harness::install_provider();
        let folder = tempfile::tempdir().unwrap();
        authority::certify_as(folder.path(), &[host]);
        let files = CertificateFiles::load(&folder.path().join("tls.crt"), &folder.path().join("tls.key")).unwrap();
        let shared = Arc::new(Shared { handlers: Mutex::default(), received: watch::Sender::default() });
        let answering = shared.clone();
        let router = Router::new().fallback(move |request: Request| answer(answering.clone(), request));
        let shutdown = CancellationToken::new();
        let listener = Listener::tls(socket, Arc::new(Tls::new(files).unwrap()));
        let task = tokio::spawn(serve(listener, router, ServeOptions::default(), shutdown.clone()));
        let key = Arc::new(SigningKey::generate(name.clone()));
        let http = authority::client();
        let fake = Self { key, name, shared, shutdown, task, http, _folder: folder };
        fake.answer(Method::GET, "/_matrix/key/v2/server", {
            let document = fake.key_document();
            move |_| Reply::ok(document.clone())
        });
        let version = json!({ "server": { "name": "fake", "version": "1" } });
        fake.answer(Method::GET, "/_matrix/federation/v1/version", move |_| Reply::ok(version.clone()));
        fake
    }

    pub(crate) fn name(&self) -> &ServerName {
        &self.name
    }

    /// The id of somebody there.
    pub(crate) fn user(&self, localpart: &str) -> String {
        format!("@{localpart}:{}", self.name)
    }

    /// Answers requests whose path begins so, from now on. What was said last about a path counts.
    pub(crate) fn answer(
        &self,
        method: Method,
        path: &str,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) {
        self.shared.handlers.lock().unwrap().push((method, path.to_owned(), Arc::new(handler)));
    }

    /// Everything that came and whose path begins so, in its order.
    pub(crate) fn received(&self, path: &str) -> Vec<Received> {
        self.shared.received.borrow().iter().filter(|received| received.path.starts_with(path)).cloned().collect()
    }

    /// Waits until something came that `found` finds what it looks for in; at most a minute.
    pub(crate) async fn until<T>(&self, mut found: impl FnMut(&Received) -> Option<T>) -> T {
        let mut received = self.shared.received.subscribe();
        let mut seen = 0;
        let search = async {
            loop {
                {
                    let all = received.borrow_and_update();
                    if let Some(found) = all.get(seen..).unwrap_or_default().iter().find_map(&mut found) {
                        return found;
                    }
                    seen = all.len();
                }
                received.changed().await.unwrap();
            }
        };
        let searched = tokio::time::timeout(std::time::Duration::from_mins(1), search).await;
        searched.unwrap_or_else(|_| panic!("{} waited for something that did not come", self.name))
    }

    /// Waits for a PDU of that type in a transaction; at most a minute.
    pub(crate) async fn until_pdu(&self, kind: &str) -> Value {
        self.until(|received| in_transaction(received, "pdus", |pdu| pdu["type"] == kind)).await
    }

    /// Waits for an EDU of that type in a transaction; at most a minute.
    pub(crate) async fn until_edu(&self, kind: &str) -> Value {
        self.until(|received| in_transaction(received, "edus", |edu| edu["edu_type"] == kind)).await
    }

    /// A signed request to a server; `body` null for none.
    pub(crate) async fn call(&self, to: &Server, method: Method, path: &str, body: Value) -> Answer {
        let authorization = self.authorization(to.name(), &method, path, &body);
        self.call_with(to, method, path, body, Some(&authorization)).await
    }

    /// A request with any `Authorization`, or none.
    pub(crate) async fn call_with(
        &self,
        to: &Server,
        method: Method,
        path: &str,
        body: Value,
        authorization: Option<&str>,
    ) -> Answer {
        let asked = format!("{method} {path}");
        let mut request = self.http.request(method, format!("https://{}{path}", to.name()));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        Answer::of(asked, request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, from: &Server, path: &str) -> Answer {
        self.call(from, Method::GET, path, Value::Null).await
    }

    /// Sends a transaction of its own.
    pub(crate) async fn send(&self, to: &Server, pdus: Vec<Value>, edus: Vec<Value>) -> Answer {
        let body = json!({ "origin": self.name, "origin_server_ts": 1, "pdus": pdus, "edus": edus });
        let path = format!("/_matrix/federation/v1/send/{}", to.unique());
        self.call(to, Method::PUT, &path, body).await
    }

    /// The `Authorization` of a request (specification v1.19, server-server API, "Request Authentication").
    pub(crate) fn authorization(&self, to: &ServerName, method: &Method, path: &str, body: &Value) -> String {
        let mut signed = json!({
            "method": method.as_str(), "uri": path, "origin": self.name, "destination": to,
        });
        if !body.is_null() {
            signed["content"] = body.clone();
        }
        let signed = self.sign_json(signed);
        let signature = signed["signatures"][self.name.as_str()][self.key.key_id()].as_str().unwrap();
        let (origin, key_id) = (&self.name, self.key.key_id());
        format!("X-Matrix origin=\"{origin}\",destination=\"{to}\",key=\"{key_id}\",sig=\"{signature}\"")
    }

    /// An object with this server's signature.
    pub(crate) fn sign_json(&self, object: Value) -> Value {
        let mut object = canonical(object);
        self.key.sign_json(&mut object).unwrap();
        serde_json::to_value(object).unwrap()
    }

    /// An event with its hash and this server's signature.
    pub(crate) fn sign_event(&self, event: Value, rules: &RoomVersionRules) -> Value {
        let mut event = canonical(event);
        let signed =
            ruma::signatures::hash_and_sign_event(self.name.as_str(), &*self.key, &mut event, &rules.redaction);
        signed.unwrap();
        serde_json::to_value(event).unwrap()
    }

    /// What `/_matrix/key/v2/server` answers.
    pub(crate) fn key_document(&self) -> Value {
        self.sign_json(json!({
            "server_name": self.name,
            "verify_keys": { self.key.key_id(): { "key": self.key.verify_key() } },
            "old_verify_keys": {},
            // Far enough for the clocks of all tests.
            "valid_until_ts": 4_000_000_000_000_u64,
        }))
    }

    /// Stops listening; whatever it was stalling is cut.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.abort();
        let _ = self.task.await;
    }
}

fn canonical(object: Value) -> CanonicalJsonObject {
    match CanonicalJsonValue::try_from(object).unwrap() {
        CanonicalJsonValue::Object(object) => object,
        other => panic!("{other:?} is no object"),
    }
}

fn in_transaction(received: &Received, list: &str, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
    received.path.starts_with("/_matrix/federation/v1/send/").then_some(())?;
    received.body[list].as_array()?.iter().find(|item| wanted(item)).cloned()
}

async fn answer(shared: Arc<Shared>, request: Request) -> http::Response<Body> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let received = Received {
        method: parts.method,
        path: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    let handler = {
        let handlers = shared.handlers.lock().unwrap();
        let meant = |(method, path, _): &&(Method, String, Handler)| {
            *method == received.method && received.path.starts_with(path.as_str())
        };
        handlers.iter().rev().find(meant).map(|(_, _, handler)| handler.clone())
    };
    // Answered before it is told of, so that a handler may change what is said next; told of before the answer goes out.
    let reply = handler.map(|handler| handler(&received));
    shared.received.send_modify(|all| all.push(received));
    let unknown = Reply::Json(404, json!({ "errcode": "M_UNRECOGNIZED", "error": "not in this play" }));
    let mut content_type = "application/json";
    let (status, body) = match reply.unwrap_or(unknown) {
        Reply::Json(status, body) => (status, Body::from(body.to_string())),
        Reply::Raw(status, bytes) => (status, Body::from(bytes)),
        Reply::Reset => (200, Body::from_stream(pieces(false))),
        Reply::Drip => (200, Body::from_stream(pieces(true))),
        Reply::Stall => std::future::pending().await,
        Reply::Pieces(kind, pieces) => {
            content_type = kind;
            let mut pieces = pieces.lock().unwrap().take().expect("the pieces are for one request");
            (200, Body::from_stream(futures_util::stream::poll_fn(move |context| pieces.poll_recv(context))))
        }
    };
    let response = http::Response::builder().status(StatusCode::from_u16(status).unwrap());
    response.header("content-type", content_type).body(body).unwrap()
}

/// The beginning of a body, and then an error or a space every fifth of a second.
fn pieces(drips: bool) -> impl futures_util::Stream<Item = std::io::Result<&'static str>> + Send {
    futures_util::stream::unfold(true, move |first| async move {
        let piece = match (first, drips) {
            (true, _) => Ok("{"),
            (false, false) => Err(std::io::Error::other("reset by the test")),
            (false, true) => {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                Ok(" ")
            }
        };
        Some((piece, false))
    })
}
