//! A router with an endpoint of every kind, without a server behind it.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{get, post, put},
};
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

use crate::{
    config::Limits,
    http::{
        ApiError, Appservice, Auth, Authenticate, Credentials, Entry, JsonBody, JsonBytes, Limiter, Metrics, PathArgs,
        Query, Reply, Ruma, Session, TrustedProxies,
    },
    store::UserNo,
};

/// A state whose tokens are words.
pub(super) struct Fixture {
    limiter: Limiter,
    /// The addresses that sessions were asked for.
    pub(super) addresses: Mutex<Vec<String>>,
}

impl Authenticate for Fixture {
    async fn session(&self, credentials: Credentials<'_>) -> Result<Arc<Session>, ApiError> {
        self.addresses.lock().unwrap().push(credentials.address.to_string());
        let name = match credentials.token {
            "expired" => return Err(ApiError::unknown_token(true)),
            "bridge" => credentials.asserted_user_id.unwrap_or("@bridge:school.example"),
            "anna" | "guest" | "locked" | "suspended" => "@anna:school.example",
            _ => return Err(ApiError::unknown_token(false)),
        };
        Ok(Arc::new(Session {
            user_id: name.try_into().unwrap(),
            user: UserNo(1),
            device_id: credentials.asserted_device_id.unwrap_or("DEVICE").into(),
            guest: credentials.token == "guest",
            admin: false,
            locked: credentials.token == "locked",
            suspended: credentials.token == "suspended",
        }))
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

pub(super) type Shared = Arc<Fixture>;

async fn who(req: Ruma<whoami::v3::Request>) -> Reply<whoami::v3::Response> {
    let Session { user_id, device_id, guest, .. } = &*req.session;
    Reply(whoami::v3::Response { user_id: user_id.clone(), device_id: Some(device_id.clone()), is_guest: *guest })
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
    JsonBytes::of(&json!({ "user": req.session.as_ref().map(|session| &session.user_id) }))
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

pub(super) fn fixture_with(limiter: Limiter, proxies: &[&str]) -> (Router, Shared) {
    let state = Arc::new(Fixture { limiter, addresses: Mutex::default() });
    let proxies = proxies.iter().map(|text| text.parse().unwrap()).collect();
    let entry = Entry { metrics: Metrics::new(), proxies: Arc::new(TrustedProxies::new(proxies)) };
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

/// The limits of a configuration that sets none.
pub(in crate::http) fn limits() -> Limits {
    crate::config::Config::defaults(ruma::owned_server_name!("school.example")).limits
}

pub(super) fn unlimited() -> Limiter {
    Limiter::new(&Limits { enabled: false, ..limits() })
}

pub(super) fn fixture() -> Router {
    fixture_with(unlimited(), &[]).0
}

pub(super) async fn call(router: &Router, method: Method, path: &str, token: &str, body: &str) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    read(response).await
}

pub(super) async fn read(response: Response) -> (StatusCode, Value) {
    assert_eq!(response.headers()["access-control-allow-origin"], "*", "CORS is on every answer");
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

pub(super) async fn refused(router: &Router, method: Method, path: &str, token: &str, body: &str) -> (u16, String) {
    let (status, answer) = call(router, method, path, token, body).await;
    assert!(answer["error"].is_string(), "{answer}");
    (status.as_u16(), answer["errcode"].as_str().unwrap().to_owned())
}

pub(super) fn code(status: u16, errcode: &str) -> (u16, String) {
    (status, errcode.to_owned())
}

pub(super) const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
pub(super) const SEND: &str = "/_matrix/client/v3/rooms/!r:school.example/send/m.room.message/1";
pub(super) const CREATE: &str = "/_matrix/client/v3/createRoom";
