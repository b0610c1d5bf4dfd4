//! Who may ask as a server: requests of others, genuine and not.

use std::{net::IpAddr, sync::Arc};

use axum::{Router, body::Body, extract::State, routing::put};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Method, Request};
use ruma::{ServerName, api::federation, server_name};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use super::fixture::{code, read, unlimited};
use crate::{
    config::{Federation, Rate, ServerPattern},
    event::SigningKey,
    http::{
        ApiError, Authenticate, Class, Credentials, Entry, Federated, FederationOn, JsonBytes, Limiter, Metrics,
        Origins, Session, Signed, TrustedProxies, Unverified, address::Peer, limit::Rates,
    },
    remote::keys::{
        KeyRing,
        tests::network::{DAY_MS, Fixture, NOW_MS, document, key},
    },
};

const SEND: &str = "/_matrix/federation/v1/send/1?x=%41&y=b+c";
const TRANSACTION: &str = r#"{"origin":"a.example","origin_server_ts":1,"pdus":[],"edus":[{"ü":[1.5,null]}]}"#;

struct Server {
    fixture: Fixture,
    limiter: Limiter,
    origins: Origins,
    unverified: Unverified,
    heard: parking_lot::Mutex<Vec<String>>,
}

impl Authenticate for Server {
    async fn session(&self, _: Credentials<'_>) -> Result<Arc<Session>, ApiError> {
        Err(ApiError::unknown_token(false))
    }

    fn limiter(&self) -> Option<&Limiter> {
        Some(&self.limiter)
    }
}

impl Federated for Server {
    fn federation(&self) -> &Federation {
        &self.fixture.config.federation
    }

    fn keys(&self) -> &KeyRing {
        &self.fixture.ring
    }

    fn origins(&self) -> &Origins {
        &self.origins
    }

    fn unverified(&self) -> &Unverified {
        &self.unverified
    }

    async fn heard_from(&self, origin: &ServerName) {
        self.heard.lock().push(origin.to_string());
    }
}

async fn send(
    State(_): State<Arc<Server>>,
    request: Signed<federation::transactions::send_transaction_message::v1::Request>,
) -> Result<JsonBytes, ApiError> {
    let raw: Value = request.raw()?;
    JsonBytes::of(&json!({ "origin": request.origin, "id": request.body.transaction_id, "raw": raw }))
}

async fn open(_: FederationOn) -> JsonBytes {
    crate::http::empty_json()
}

/// `school.example`, which talks to `a.example`, `b.example` and itself, and knows the first two.
struct School {
    router: Router,
    server: Arc<Server>,
}

impl School {
    fn new() -> Self {
        Self::with(unlimited(), &["a.example", "b.example", "school.example"])
    }

    fn with(limiter: Limiter, allow: &[&str]) -> Self {
        let patterns = allow.iter().map(|pattern| ServerPattern::parse(pattern).unwrap()).collect();
        let fixture = Fixture::with(|config| config.federation.allow = patterns);
        for server in [a(), server_name!("b.example"), server_name!("c.example")] {
            fixture.network.publish(server, document(&[&key(server, 1)], &[], NOW_MS + DAY_MS));
        }
        let server = Arc::new(Server {
            fixture,
            limiter,
            origins: Origins::default(),
            unverified: Unverified::default(),
            heard: parking_lot::Mutex::default(),
        });
        let entry = Entry { metrics: Metrics::new(), proxies: Arc::new(TrustedProxies::new(Vec::new())) };
        let router = Router::new()
            .route("/_matrix/federation/v1/send/{id}", put(send))
            .route("/_matrix/federation/v1/version", axum::routing::get(open));
        Self { router: entry.guard(router).with_state(server.clone()), server }
    }

    async fn ask(&self, uri: &str, authorizations: &[String], body: &str) -> (u16, Value) {
        let mut request = Request::builder().method(Method::PUT).uri(uri);
        for value in authorizations {
            request = request.header("authorization", value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (status, answer) = read(response).await;
        (status.as_u16(), answer)
    }

    /// A refusal, after which nobody was heard from.
    #[track_caller]
    fn check(&self, (status, answer): (u16, Value), expected: (u16, &str), what: &str) {
        let errcode = answer["errcode"].as_str().unwrap_or_default().to_owned();
        assert_eq!((status, errcode), code(expected.0, expected.1), "{what}: {answer}");
        assert!(self.server.heard.lock().is_empty(), "{what}");
    }
}

fn a() -> &'static ServerName {
    server_name!("a.example")
}

/// The signature of a request by a key, without our code: ruma's object and serialiser.
fn signature(key: &SigningKey, destination: &str, uri: &str, body: &str) -> String {
    let mut object = json!({
        "method": "PUT", "uri": uri, "origin": key.server_name(), "destination": destination,
    });
    if !body.is_empty() {
        object["content"] = serde_json::from_str(body).unwrap();
    }
    // A serde_json map is sorted, and these strings hold nothing that canonical JSON would escape in another way.
    key.sign_base64(object.to_string().as_bytes())
}

fn header(key: &SigningKey, uri: &str, body: &str) -> String {
    let sig = signature(key, "school.example", uri, body);
    let (origin, key_id) = (key.server_name(), key.key_id());
    format!("X-Matrix origin=\"{origin}\",destination=\"school.example\",key=\"{key_id}\",sig=\"{sig}\"")
}

#[tokio::test]
async fn a_signed_request_comes_in_with_its_origin() {
    let school = School::new();
    let (status, answer) = school.ask(SEND, &[header(&key(a(), 1), SEND, TRANSACTION)], TRANSACTION).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["origin"], &answer["id"]), (&json!("a.example"), &json!("1")));
    assert_eq!(answer["raw"]["edus"][0]["ü"][0], 1.5);
    assert_eq!(*school.server.heard.lock(), ["a.example"]);
}

#[tokio::test]
async fn the_header_may_be_written_in_every_way() {
    let school = School::new();
    let key = key(a(), 1);
    let sig = signature(&key, "school.example", SEND, TRANSACTION);
    for text in [
        format!("X-Matrix origin=a.example,destination=school.example,key=\"ed25519:k1\",sig=\"{sig}\""),
        format!("x-MATRIX ORIGIN=\"a.example\" ,  Destination=school.example, KEY=\"ed25519:k1\",Sig=\"{sig}==\""),
        format!("X-Matrix origin=\"a.example\",key=\"ed25519:k1\",sig=\"{sig}\",new=\"1\""),
        format!("X-Matrix sig=\"{sig}\",key=\"ed25519:k\\1\",origin=\"a.example\""),
    ] {
        let (status, answer) = school.ask(SEND, std::slice::from_ref(&text), TRANSACTION).await;
        assert_eq!(status, 200, "{text}: {answer}");
    }
    // A server that changes its key may send a signature of each.
    let both = [header(&key_of_nobody(), SEND, TRANSACTION), header(&key, SEND, TRANSACTION)];
    assert_eq!(school.ask(SEND, &both, TRANSACTION).await.0, 200);
}

fn key_of_nobody() -> SigningKey {
    key(a(), 99)
}

#[tokio::test]
async fn requests_without_a_readable_signature_are_refused() {
    let school = School::new();
    let good = header(&key(a(), 1), SEND, TRANSACTION);
    let many = "x".repeat(5000);
    for (what, headers) in [
        ("none", vec![]),
        ("a token", vec!["Bearer abc".to_owned()]),
        ("no origin", vec![good.replace("origin=", "from=")]),
        ("no key", vec![good.replace("key=", "lock=")]),
        ("no signature", vec![good.replace("sig=", "seal=")]),
        ("twice", vec![good.replace("key=", "origin=\"b.example\",key=")]),
        ("short", vec![good.replace("sig=\"", "sig=\"AAAA\",old=\"")]),
        ("long", vec![format!("{good},x=\"{many}\"")]),
        ("two origins", vec![good.clone(), header(&key(server_name!("b.example"), 1), SEND, TRANSACTION)]),
    ] {
        school.check(school.ask(SEND, &headers, TRANSACTION).await, (401, "M_UNAUTHORIZED"), what);
    }
}

#[tokio::test]
async fn a_signature_covers_the_whole_request() {
    let school = School::new();
    let refused = (401, "M_UNAUTHORIZED");
    let good = header(&key(a(), 1), SEND, TRANSACTION);
    let other = SEND.replace("send/1", "send/2");
    let changed = TRANSACTION.replace("1.5", "2.5");
    school.check(school.ask(&other, std::slice::from_ref(&good), TRANSACTION).await, refused, "another path");
    let query = SEND.replace("%41", "A");
    school.check(school.ask(&query, std::slice::from_ref(&good), TRANSACTION).await, refused, "another query");
    let no_query = SEND.split('?').next().unwrap();
    school.check(school.ask(no_query, std::slice::from_ref(&good), TRANSACTION).await, refused, "no query");
    school.check(school.ask(SEND, std::slice::from_ref(&good), &changed).await, refused, "another body");
    school.check(school.ask(SEND, std::slice::from_ref(&good), "").await, refused, "no body");
    // Who signed is who it says it is, with a key it has.
    let claimed = good.replace("origin=\"a.", "origin=\"b.");
    school.check(school.ask(SEND, &[claimed], TRANSACTION).await, refused, "another origin");
    let unknown = header(&key_of_nobody(), SEND, TRANSACTION);
    school.check(school.ask(SEND, &[unknown], TRANSACTION).await, refused, "an unknown key");
}

#[tokio::test]
async fn a_request_for_another_server_is_refused() {
    let school = School::new();
    let key = key(a(), 1);
    let sig = signature(&key, "other.example", SEND, TRANSACTION);
    let header =
        |destination: &str| format!("X-Matrix origin=\"a.example\",key=\"ed25519:k1\",sig=\"{sig}\"{destination}");
    for destination in [",destination=\"other.example\"", ",destination=\"school.example\"", ""] {
        let answer = school.ask(SEND, &[header(destination)], TRANSACTION).await;
        school.check(answer, (401, "M_UNAUTHORIZED"), destination);
    }
}

#[tokio::test]
async fn servers_that_are_not_talked_to_are_refused_and_not_asked_for_keys() {
    let school = School::new();
    let c = header(&key(server_name!("c.example"), 1), SEND, TRANSACTION);
    school.check(school.ask(SEND, &[c], TRANSACTION).await, (403, "M_FORBIDDEN"), "not in the list");
    // Nor does this server believe itself over the network.
    let own = header(&key(server_name!("school.example"), 200), SEND, TRANSACTION);
    school.check(school.ask(SEND, &[own], TRANSACTION).await, (401, "M_UNAUTHORIZED"), "itself");
    assert_eq!(school.server.fixture.network.times_asked(), 0);
}

#[tokio::test]
async fn nothing_is_there_while_federation_is_off() {
    let school = School::with(unlimited(), &[]);
    let a = header(&key(a(), 1), SEND, TRANSACTION);
    school.check(school.ask(SEND, &[a], TRANSACTION).await, (404, "M_UNRECOGNIZED"), "signed");
    let request = Request::get("/_matrix/federation/v1/version").body(Body::empty()).unwrap();
    let response = school.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 404);
    let on = School::new();
    let request = Request::get("/_matrix/federation/v1/version").body(Body::empty()).unwrap();
    assert_eq!(on.router.clone().oneshot(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn bodies_have_to_be_canonical_json_of_bounded_size() {
    let school = School::new();
    let sign = |body: &str| {
        let sig = key(a(), 1).sign_base64(body.as_bytes());
        format!("X-Matrix origin=\"a.example\",key=\"ed25519:k1\",sig=\"{sig}\"")
    };
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
    for body in ["[]", "{", "{\"a\":1,\"a\":2}", "{\"a\":\"\\ud800\"}", "\u{feff}{}", &deep] {
        school.check(school.ask(SEND, &[sign(body)], body).await, (400, "M_BAD_JSON"), body);
    }
    let large = format!("{{\"a\":\"{}\"}}", "a".repeat(11 << 20));
    school.check(school.ask(SEND, &[sign("{}")], &large).await, (413, "M_TOO_LARGE"), "large");
}

#[tokio::test]
async fn a_server_is_limited_and_nobody_uses_up_the_limit_of_another() {
    let rates = |_| Rates { user: Rate::new(2, 3600), address: Rate::new(100, 1) };
    let limiter = Limiter::with(&governor::clock::DefaultClock::default(), true, 100, rates);
    let school = School::with(limiter, &["a.example", "b.example"]);
    // Claims alone cost the one who is named nothing.
    for _ in 0..5 {
        let forged = header(&key_of_nobody(), SEND, TRANSACTION);
        assert_eq!(school.ask(SEND, &[forged], TRANSACTION).await.0, 401);
    }
    let by = |server: &ServerName| [header(&key(server, 1), SEND, TRANSACTION)];
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(school.ask(SEND, &by(a()), TRANSACTION).await.0);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(school.ask(SEND, &by(server_name!("b.example")), TRANSACTION).await.0, 200);
}

#[tokio::test]
async fn an_address_that_floods_is_slowed_before_signatures_are_checked() {
    let rates = |class| match class {
        Class::Federation => Rates { user: Rate::new(100, 1), address: Rate::new(3, 3600) },
        _ => Rates { user: Rate::new(1, 1), address: Rate::new(1, 1) },
    };
    let limiter = Limiter::with(&governor::clock::DefaultClock::default(), true, 100, rates);
    let school = School::with(limiter, &["*"]);
    let mut statuses = Vec::new();
    for n in 0..5 {
        let server: ruma::OwnedServerName = format!("s{n}.example").parse().unwrap();
        statuses.push(school.ask(SEND, &[header(&key(&server, 1), SEND, TRANSACTION)], TRANSACTION).await.0);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(school.server.fixture.network.times_asked(), 3);
}

/// A request whose body has come as far as this and goes no further until the sender is dropped.
fn held_up(school: &School, address: &str, bytes: usize) -> (impl Future<Output = u16> + use<>, oneshot::Sender<()>) {
    let (going, gone) = oneshot::channel::<()>();
    let pieces: Vec<_> = std::iter::repeat_n(Bytes::from(vec![b' '; 16 * 1024]), bytes / (16 * 1024)).collect();
    let body = stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>))
        .chain(stream::once(async { gone.await.map(|()| Bytes::new()).map_err(std::io::Error::other) }));
    let request = Request::put(SEND).header("authorization", header(&key(a(), 1), SEND, TRANSACTION));
    let mut request = request.body(Body::from_stream(body)).unwrap();
    request.extensions_mut().insert(Peer((address.parse::<IpAddr>().unwrap(), 1).into()));
    let answer = school.router.clone().oneshot(request);
    (async move { answer.await.unwrap().status().as_u16() }, going)
}

#[tokio::test]
async fn bodies_that_are_not_verified_yet_have_a_bound_together() {
    const MIB: usize = 1024 * 1024;
    let school = School::new();
    let begin = async |address: &str, bytes: usize| {
        let (asking, going) = held_up(&school, address, bytes);
        let mut asking = Box::pin(asking);
        // All that is to come is there already.
        for _ in 0..2_000 {
            if let Some(status) = (&mut asking).now_or_never() {
                return Err(status);
            }
            tokio::task::yield_now().await;
        }
        Ok((asking, going))
    };
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(begin("2001:db8::1", 9 * MIB).await.ok().unwrap());
    }
    assert_eq!(begin("2001:db8::2", 9 * MIB).await.err(), Some(429), "a quarter for one network");
    assert!(begin("2001:db8::2", 32 * 1024).await.is_ok(), "but small ones come in");
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        for _ in 0..3 {
            waiting.push(begin(address, 9 * MIB).await.ok().unwrap());
        }
    }
    waiting.push(begin("192.0.2.4", 9 * MIB).await.ok().unwrap());
    waiting.push(begin("192.0.2.4", 9 * MIB).await.ok().unwrap());
    assert_eq!(begin("192.0.2.5", 9 * MIB).await.err(), Some(429), "that is 126 MiB");
    let (status, answer) = school.ask(SEND, &[header(&key(a(), 1), SEND, TRANSACTION)], TRANSACTION).await;
    assert_eq!(status, 200, "{answer}");
    // Who gives up gives it back.
    for (asking, going) in waiting {
        drop(going);
        assert_eq!(asking.await, 400);
    }
    assert!(begin("192.0.2.5", 9 * MIB).await.is_ok());
}
