//! The extractors, refusals and the middleware together, on a router without a server behind it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{get, post, put},
};
use bytes::Bytes;
use futures_util::stream;
use governor::clock::DefaultClock;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use ruma::api::client::{
    account::{get_username_availability, whoami},
    appservice::request_ping,
    discovery::get_supported_versions,
    message::send_message_event,
    room::{create_room, get_room_event},
    session::login,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{
    ApiError, Appservice, Auth, Authenticate, ChunkWriter, Class, Credentials, Entry, JsonBody, JsonBytes, Limiter,
    Metrics, PathArgs, Query, Reply, Ruma, Session, TrustedProxies,
    address::Peer,
    limit::{Rate, Rates},
};

/// A state whose tokens are words.
struct Fixture {
    limiter: Limiter,
    /// The addresses that sessions were asked for.
    addresses: Mutex<Vec<String>>,
}

impl Authenticate for Fixture {
    async fn session(&self, credentials: Credentials<'_>) -> Result<Session, ApiError> {
        self.addresses.lock().unwrap().push(credentials.address.to_string());
        let name = match credentials.token {
            "expired" => return Err(ApiError::unknown_token(true)),
            "bridge" => credentials.asserted_user_id.unwrap_or("@bridge:school.example"),
            "anna" | "guest" | "locked" | "suspended" => "@anna:school.example",
            _ => return Err(ApiError::unknown_token(false)),
        };
        Ok(Session {
            user_id: name.try_into().unwrap(),
            user: 1,
            device_id: credentials.asserted_device_id.unwrap_or("DEVICE").into(),
            guest: credentials.token == "guest",
            admin: false,
            locked: credentials.token == "locked",
            suspended: credentials.token == "suspended",
        })
    }

    async fn appservice(&self, token: &str) -> Result<Option<Appservice>, ApiError> {
        Ok((token == "bridge").then(|| Appservice { id: "bridge".into() }))
    }

    fn limiter(&self) -> Option<&Limiter> {
        Some(&self.limiter)
    }

    fn body_bytes_max(&self) -> usize {
        1000
    }
}

type Shared = Arc<Fixture>;

async fn who(req: Ruma<whoami::v3::Request>) -> Reply<whoami::v3::Response> {
    let Session { user_id, device_id, guest, .. } = req.session;
    Reply(whoami::v3::Response { user_id, device_id: Some(device_id), is_guest: guest })
}

async fn send(State(_): State<Shared>, req: Ruma<send_message_event::v3::Request>) -> Result<JsonBytes, ApiError> {
    let raw: Value = req.raw()?;
    JsonBytes::of(&json!({
        "room": req.body.room_id, "type": req.body.event_type, "raw": raw, "x": req.query_argument("org.x"),
    }))
}

async fn send_by_hand(Auth(session): Auth, path: PathArgs, body: JsonBody) -> Result<JsonBytes, ApiError> {
    let room: &ruma::RoomId = path.parse(0)?;
    let content: Value = body.parse()?;
    JsonBytes::of(&json!({ "user": session.user_id, "room": room, "none": path.get(7), "raw": content }))
}

async fn log_in(req: Ruma<login::v3::Request>) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&json!({ "appservice": req.session.map(|service| service.id.to_string()) }))
}

async fn versions(req: Ruma<get_supported_versions::Request>) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&json!({ "user": req.session.map(|session| session.user_id) }))
}

async fn available(req: Ruma<get_username_availability::v3::Request>) -> Result<JsonBytes, ApiError> {
    let () = req.session;
    JsonBytes::of(&json!({ "name": req.body.username }))
}

async fn ping(req: Ruma<request_ping::v1::Request>) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&json!({ "appservice": &*req.session.id }))
}

async fn event(req: Ruma<get_room_event::v3::Request>) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&json!({ "event": req.body.event_id }))
}

async fn create(req: Ruma<create_room::v3::Request>) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&json!({ "name": req.body.name }))
}

#[derive(serde::Deserialize)]
struct Page {
    limit: u32,
}

async fn page(Query(page): Query<Page>) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&json!({ "limit": page.limit }))
}

async fn panics() -> JsonBytes {
    panic!("the secret reason");
}

fn fixture_with(limiter: Limiter, proxies: &[&str]) -> (Router, Shared) {
    let state = Arc::new(Fixture { limiter, addresses: Mutex::default() });
    let entry =
        Entry { metrics: Metrics::new(), proxies: Arc::new(TrustedProxies::parse(proxies).unwrap()) };
    let router = Router::new()
        .route("/_matrix/client/v3/account/whoami", get(who))
        .route("/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}", put(send))
        .route("/by/hand/{room_id}", put(send_by_hand))
        .route("/_matrix/client/v3/login", post(log_in))
        .route("/_matrix/client/versions", get(versions))
        .route("/_matrix/client/v3/register/available", get(available))
        .route("/_matrix/client/v1/appservice/{appservice_id}/ping", post(ping))
        .route("/_matrix/client/v3/rooms/{room_id}/event/{event_id}", get(event))
        .route("/_matrix/client/v3/createRoom", post(create))
        .route("/page", get(page))
        .route("/panics", get(panics))
        .route("/fails", get(|| async { ApiError::internal("the secret reason") }));
    (entry.guard(router).with_state(Arc::clone(&state)), state)
}

fn fixture() -> Router {
    fixture_with(Limiter::new(false), &[]).0
}

async fn call(router: &Router, method: Method, path: &str, token: &str, body: &str) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    read(response).await
}

async fn read(response: Response) -> (StatusCode, Value) {
    assert_eq!(response.headers()["access-control-allow-origin"], "*", "CORS is on every answer");
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn refused(router: &Router, method: Method, path: &str, token: &str, body: &str) -> (u16, String) {
    let (status, answer) = call(router, method, path, token, body).await;
    assert!(answer["error"].is_string(), "{answer}");
    (status.as_u16(), answer["errcode"].as_str().unwrap().to_owned())
}

fn code(status: u16, errcode: &str) -> (u16, String) {
    (status, errcode.to_owned())
}

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const SEND: &str = "/_matrix/client/v3/rooms/!r:school.example/send/m.room.message/1";
const CREATE: &str = "/_matrix/client/v3/createRoom";

#[tokio::test]
async fn identity_follows_the_scheme() {
    let router = fixture();
    let (status, answer) = call(&router, Method::GET, WHOAMI, "anna", "").await;
    assert_eq!((status.as_u16(), &answer["user_id"]), (200, &json!("@anna:school.example")));
    let (_, answer) = call(&router, Method::GET, &format!("{WHOAMI}?access_token=anna"), "", "").await;
    assert_eq!(answer["user_id"], "@anna:school.example");
    let asserted = format!("{WHOAMI}?user_id=%40ghost%3Aschool.example&device_id=GHOST");
    let (_, answer) = call(&router, Method::GET, &asserted, "bridge", "").await;
    assert_eq!((&answer["user_id"], &answer["device_id"]), (&json!("@ghost:school.example"), &json!("GHOST")));

    assert_eq!(call(&router, Method::GET, "/_matrix/client/versions", "", "").await.1["user"], Value::Null);
    let (_, answer) = call(&router, Method::GET, "/_matrix/client/versions", "anna", "").await;
    assert_eq!(answer["user"], "@anna:school.example");
    assert_eq!(refused(&router, Method::GET, "/_matrix/client/versions", "x", "").await, code(401, "M_UNKNOWN_TOKEN"));

    let login = r#"{"type":"m.login.password","identifier":{"type":"m.id.user","user":"a"},"password":"b"}"#;
    for (token, service) in [("", Value::Null), ("stale", Value::Null), ("bridge", json!("bridge"))] {
        let (_, answer) = call(&router, Method::POST, "/_matrix/client/v3/login", token, login).await;
        assert_eq!(answer["appservice"], service, "{answer}");
    }
    let available = "/_matrix/client/v3/register/available?username=ben";
    assert_eq!(call(&router, Method::GET, available, "stale", "").await.1["name"], "ben");

    let ping = "/_matrix/client/v1/appservice/bridge/ping";
    assert_eq!(call(&router, Method::POST, ping, "bridge", "{}").await.1["appservice"], "bridge");
    assert_eq!(refused(&router, Method::POST, ping, "anna", "{}").await, code(403, "M_FORBIDDEN"));
    assert_eq!(refused(&router, Method::POST, ping, "", "{}").await, code(401, "M_MISSING_TOKEN"));
}

#[tokio::test]
async fn bad_tokens_are_refused() {
    let router = fixture();
    assert_eq!(refused(&router, Method::GET, WHOAMI, "", "").await, code(401, "M_MISSING_TOKEN"));
    assert_eq!(refused(&router, Method::GET, WHOAMI, "x", "").await, code(401, "M_UNKNOWN_TOKEN"));
    assert_eq!(refused(&router, Method::GET, WHOAMI, &"x".repeat(5000), "").await, code(401, "M_UNKNOWN_TOKEN"));
    assert_eq!(call(&router, Method::GET, WHOAMI, "expired", "").await.1["soft_logout"], true);
    assert_eq!(call(&router, Method::GET, WHOAMI, "x", "").await.1["soft_logout"], false);
    assert_eq!(refused(&router, Method::GET, WHOAMI, "locked", "").await, code(401, "M_USER_LOCKED"));
    assert_eq!(refused(&router, Method::PUT, SEND, "suspended", "{}").await, code(403, "M_USER_SUSPENDED"));
    assert_eq!(refused(&router, Method::POST, CREATE, "guest", "{}").await, code(403, "M_GUEST_ACCESS_FORBIDDEN"));
    let basic = Request::get(WHOAMI).header("authorization", "Basic YTpi").body(Body::empty()).unwrap();
    let (status, answer) = read(router.oneshot(basic).await.unwrap()).await;
    assert_eq!((status.as_u16(), &answer["errcode"]), (401, &json!("M_MISSING_TOKEN")));
}

#[tokio::test]
async fn requests_reach_the_handler_whole() {
    let router = fixture();
    let path = "/_matrix/client/v3/rooms/%21r%3Aschool.example/send/a%2Fb/1?org.x=1%202";
    let (status, answer) = call(&router, Method::PUT, path, "anna", r#"{"body":"hi","org.y":{"z":1}}"#).await;
    assert_eq!(status, 200, "{answer}");
    let raw = json!({ "body": "hi", "org.y": { "z": 1 } });
    assert_eq!(answer, json!({ "room": "!r:school.example", "type": "a/b", "raw": raw, "x": "1 2" }));

    let (_, answer) = call(&router, Method::PUT, "/by/hand/!r:b", "anna", "").await;
    assert_eq!(answer, json!({ "user": "@anna:school.example", "room": "!r:b", "none": "", "raw": {} }));
    assert_eq!(refused(&router, Method::PUT, "/by/hand/r", "anna", "{}").await, code(400, "M_INVALID_PARAM"));
    assert_eq!(refused(&router, Method::PUT, "/by/hand/!r:b", "", "{}").await, code(401, "M_MISSING_TOKEN"));
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let router = fixture();
    let deep = format!("{}{}", r#"{"a":"#.repeat(100), "}".repeat(100));
    for (body, errcode) in [
        ("{\"body\": Infinity}", "M_NOT_JSON"),
        ("{\"body\":", "M_NOT_JSON"),
        ("", "M_NOT_JSON"),
        ("[]", "M_BAD_JSON"),
        (deep.as_str(), "M_BAD_JSON"),
        (r#"{"body":"\u0000"}"#, "M_BAD_JSON"),
        (r#"{"body":"\ud800"}"#, "M_BAD_JSON"),
    ] {
        assert_eq!(refused(&router, Method::PUT, SEND, "anna", body).await, code(400, errcode), "{body}");
    }
    for (body, errcode) in [(r#"{"name":5}"#, "M_BAD_JSON"), ("{\"name\":\"a\",}", "M_NOT_JSON")] {
        assert_eq!(refused(&router, Method::POST, CREATE, "anna", body).await, code(400, errcode), "{body}");
    }
    let invalid = Request::put(SEND).header("authorization", "Bearer anna");
    let invalid = invalid.body(Body::from(&b"{\"body\":\"\x81\"}"[..])).unwrap();
    assert_eq!(read(router.oneshot(invalid).await.unwrap()).await.1["errcode"], "M_NOT_JSON");
}

#[tokio::test]
async fn bad_arguments_are_refused() {
    let router = fixture();
    let long = format!("/_matrix/client/v3/rooms/!{}:b/event/$e", "r".repeat(2000));
    for path in [
        "/_matrix/client/v3/rooms/nosigil/event/$e",
        "/_matrix/client/v3/rooms/!r:b/event/e",
        "/_matrix/client/v3/rooms/!r%00:b/event/$e",
        "/_matrix/client/v3/rooms/!r%FF:b/event/$e",
        &long,
        "/page?limit=many",
    ] {
        assert_eq!(refused(&router, Method::GET, path, "anna", "").await, code(400, "M_INVALID_PARAM"), "{path}");
    }
    for path in ["/page", "/_matrix/client/v3/register/available"] {
        assert_eq!(refused(&router, Method::GET, path, "", "").await, code(400, "M_MISSING_PARAM"), "{path}");
    }
}

#[tokio::test]
async fn bodies_are_bounded_with_and_without_a_length() {
    let router = fixture();
    let fits = format!(r#"{{"body":"{}"}}"#, "a".repeat(900));
    let large = format!(r#"{{"body":"{}"}}"#, "a".repeat(1000));
    assert_eq!(call(&router, Method::PUT, SEND, "anna", &fits).await.0, 200);
    assert_eq!(refused(&router, Method::PUT, SEND, "anna", &large).await, code(413, "M_TOO_LARGE"));

    let streamed = |text: &str| {
        let pieces: Vec<_> = text.as_bytes().chunks(100).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
        let request = Request::put(SEND).header("authorization", "Bearer anna");
        request.body(Body::from_stream(stream::iter(pieces))).unwrap()
    };
    assert_eq!(router.clone().oneshot(streamed(&fits)).await.unwrap().status(), 200);
    let (status, answer) = read(router.clone().oneshot(streamed(&large)).await.unwrap()).await;
    assert_eq!((status.as_u16(), &answer["errcode"]), (413, &json!("M_TOO_LARGE")));

    // An announced length is refused before the body is touched, and who asks comes before that.
    let announced = |token: &str| {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let request = Request::put(SEND).header("content-length", "5000000000");
        request.header("authorization", format!("Bearer {token}")).body(body).unwrap()
    };
    assert_eq!(router.clone().oneshot(announced("anna")).await.unwrap().status(), 413);
    assert_eq!(router.oneshot(announced("x")).await.unwrap().status(), 401);
}

#[tokio::test]
async fn every_answer_has_cors_and_json() {
    let router = fixture();
    assert_eq!(refused(&router, Method::GET, "/_matrix/client/v9/nothing", "", "").await, code(404, "M_UNRECOGNIZED"));
    assert_eq!(refused(&router, Method::DELETE, WHOAMI, "", "").await, code(405, "M_UNRECOGNIZED"));
    for path in ["/panics", "/fails"] {
        let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert!(response.headers().contains_key("x-request-id"));
        let (status, answer) = read(response).await;
        assert_eq!(status, 500);
        assert_eq!(answer, json!({ "errcode": "M_UNKNOWN", "error": "Internal server error" }));
    }
    for path in [WHOAMI, "/nothing", "/panics"] {
        let request = Request::options(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        let allowed = response.headers()["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.contains("Authorization") && allowed.contains("Content-Type"));
        assert!(response.headers()["access-control-allow-methods"].to_str().unwrap().contains("DELETE"));
    }
}

fn one_each(_: Class) -> Rates {
    let rate = Rate { every: Duration::from_hours(1), burst: 1 };
    Rates { user: rate, address: rate }
}

#[tokio::test]
async fn limits_count_accounts_and_addresses() {
    let limiter = Limiter::with(DefaultClock::default(), true, 100, one_each);
    let (router, _) = fixture_with(limiter, &[]);
    assert_eq!(call(&router, Method::PUT, SEND, "anna", "{}").await.0, 200);
    let (status, answer) = call(&router, Method::PUT, SEND, "anna", "{}").await;
    assert_eq!((status.as_u16(), &answer["errcode"]), (429, &json!("M_LIMIT_EXCEEDED")));
    let retry_after_ms = answer["retry_after_ms"].as_u64().unwrap();
    assert!((3_590_000..=3_600_000).contains(&retry_after_ms), "{retry_after_ms}");
    // Reads are not limited.
    for _ in 0..10 {
        assert_eq!(call(&router, Method::GET, WHOAMI, "anna", "").await.0, 200);
    }
    let available = "/_matrix/client/v3/register/available?username=ben";
    assert_eq!(call(&router, Method::GET, available, "", "").await.0, 200);
    assert_eq!(refused(&router, Method::GET, available, "", "").await, code(429, "M_LIMIT_EXCEEDED"));
}

#[tokio::test]
async fn a_forged_forwarded_header_does_not_escape_the_limit() {
    let from = |peer: &str, forwarded: &str| {
        let uri = "/_matrix/client/v3/register/available?username=ben";
        let mut request = Request::get(uri).header("x-forwarded-for", forwarded).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(SocketAddr::new(peer.parse().unwrap(), 1)));
        request
    };
    let limiter = Limiter::with(DefaultClock::default(), true, 100, one_each);
    let (router, _) = fixture_with(limiter, &["127.0.0.1"]);
    let mut statuses = Vec::new();
    for (peer, forwarded) in [
        ("203.0.113.9", "1.1.1.1"),
        ("203.0.113.9", "1.1.1.2"),
        ("127.0.0.1", "1.1.1.3, 203.0.113.9"),
        ("127.0.0.1", "203.0.113.10"),
    ] {
        statuses.push(router.clone().oneshot(from(peer, forwarded)).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 429, 200]);
}

#[tokio::test]
async fn sessions_are_asked_with_the_clients_address() {
    let (router, state) = fixture_with(Limiter::new(false), &["10.0.0.1"]);
    let mut request = Request::get(WHOAMI)
        .header("authorization", "bearer anna")
        .header("x-forwarded-for", "203.0.113.9")
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(Peer("10.0.0.1:80".parse().unwrap()));
    assert_eq!(router.oneshot(request).await.unwrap().status(), 200);
    assert_eq!(*state.addresses.lock().unwrap(), ["203.0.113.9"]);
}

#[tokio::test]
async fn uia_answers_tell_what_remains() {
    use axum::response::IntoResponse as _;
    use ruma::api::{
        client::uiaa::{AuthFlow, AuthType, UiaaInfo},
        error::ErrorKind,
    };
    let mut info = UiaaInfo::new(vec![AuthFlow::new(vec![AuthType::Password])]);
    info.session = Some("s".to_owned());
    info.params = Some(serde_json::value::to_raw_value(&json!({})).unwrap());
    let body = |error: ApiError| async {
        let response = error.into_response();
        assert_eq!(response.status(), 401);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let flows = json!([{ "stages": ["m.login.password"] }]);
    let first = body(ApiError::uia(info.clone())).await;
    assert_eq!(first, json!({ "flows": flows, "session": "s", "params": {} }));
    let failed = body(ApiError::uia_failed(info, ErrorKind::Forbidden, "wrong password")).await;
    assert_eq!(failed["errcode"], "M_FORBIDDEN");
    assert_eq!(failed["error"], "wrong password");
    assert_eq!(failed["flows"], flows);
}

/// What waits in a long poll must stay small; the writer of streamed answers is held across awaits.
#[test]
fn held_values_are_small() {
    assert!(size_of::<ApiError>() <= 8);
    assert!(size_of::<Session>() <= 80, "{}", size_of::<Session>());
    assert!(size_of::<ChunkWriter>() <= 64, "{}", size_of::<ChunkWriter>());
}
