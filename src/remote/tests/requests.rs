//! Signatures, bounds, and what each kind of answer becomes.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, StatusCode, Version},
    response::IntoResponse,
    routing::{any, get, put},
};
use futures_util::{StreamExt as _, stream};
use ruma::{
    api::federation::{
        authentication::XMatrix, discovery::get_server_version::v1 as version,
        query::get_profile_information::v1 as profile,
    },
    owned_server_name, owned_user_id, server_name,
};
use serde_json::json;
use tokio::sync::Notify;

use super::peer::{Asker, Authority, FakeDns, b, key};
use crate::remote::{BodyStream, RemoteError, Terms, Unreachable};

/// Answers with `200 {"displayname": "B"}` if the request is signed by `a.example` for `b.example`, else with 401.
async fn checked(request: Request) -> (StatusCode, String) {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let text = std::str::from_utf8(&body).unwrap().to_owned();
    let uri = parts.uri.path_and_query().unwrap().as_str().parse::<http::Uri>().unwrap();
    let Ok(signature) = XMatrix::extract_from_http_headers(&parts.headers) else {
        return (StatusCode::UNAUTHORIZED, json!({ "errcode": "M_UNAUTHORIZED" }).to_string());
    };
    let mut request = http::Request::new(body.to_vec());
    *request.method_mut() = parts.method;
    *request.uri_mut() = uri;
    match signature.verify_http_request(&request, server_name!("b.example"), &key().public_key_map()) {
        Ok(()) if signature.origin == "a.example" => {
            (StatusCode::OK, json!({ "displayname": "B", "body": text }).to_string())
        }
        other => {
            (StatusCode::FORBIDDEN, json!({ "errcode": "M_FORBIDDEN", "error": format!("{other:?}") }).to_string())
        }
    }
}

async fn asker(router: Router) -> Asker {
    let authority = Authority::new();
    let port = authority.serve(&["b.example"], router).await;
    Asker::new(&authority, FakeDns::here(&["b.example"]), port)
}

fn ask(path: &str) -> http::Request<Vec<u8>> {
    http::Request::get(path).body(Vec::new()).unwrap()
}

#[tokio::test]
async fn a_request_is_signed_and_answered() {
    let asker = asker(Router::new().fallback(any(checked))).await;
    let request = profile::Request::new(owned_user_id!("@b:b.example"));
    let answer = asker.client.send(&b(), request).await.unwrap();
    assert_eq!(answer.get("displayname").and_then(|name| name.as_str()), Some("B"));
    let unsigned = asker.client.send_unsigned(&b(), version::Request::new(), Terms::default()).await;
    assert_eq!(unsigned.unwrap_err().errcode(), Some("M_UNAUTHORIZED"));
}

#[tokio::test]
async fn a_body_is_signed_and_sent_as_canonical_json() {
    let asker = asker(Router::new().route("/_matrix/{*rest}", put(checked))).await;
    let body = r#"{ "b": [1, {"z": null, "a": "ä/"}], "a": 1.5 }"#.as_bytes().to_vec();
    let request = http::Request::put("/_matrix/federation/v1/send/1%2F2?x=%20y").body(body).unwrap();
    // The judge reads no fractions, so it cannot check this one; what arrives is looked at below.
    let refused = asker.client.send_raw(&b(), request, Terms::default()).await.unwrap_err();
    assert_eq!(refused.errcode(), Some("M_FORBIDDEN"), "{refused}");
    let body = r#"{ "b": [1, {"z": null, "a": "ä/"}], "a": 15 }"#.as_bytes().to_vec();
    let request = http::Request::put("/_matrix/federation/v1/send/1%2F2?x=%20y").body(body).unwrap();
    let answer = asker.client.send_raw(&b(), request, Terms::default()).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(answer["body"], r#"{"a":15,"b":[1,{"a":"ä/","z":null}]}"#);
}

#[tokio::test]
async fn connections_speak_http_2_where_the_server_does() {
    let version = |request: Request| async move { (request.version() == Version::HTTP_2).to_string() };
    let asker = asker(Router::new().fallback(any(version))).await;
    assert_eq!(asker.client.send_raw(&b(), ask("/x"), Terms::default()).await.unwrap().body().as_ref(), b"true");
}

#[tokio::test]
async fn an_id_cannot_lead_to_another_endpoint() {
    let asker = asker(Router::new().fallback(any(checked))).await;
    let request = ask("/_matrix/federation/v1/event/../../key");
    assert!(matches!(asker.client.send_raw(&b(), request, Terms::default()).await, Err(RemoteError::Request(_))));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let port = authority.serve(&["c.example"], Router::new()).await;
    let asker = Asker::new(&authority, FakeDns::here(&["b.example"]), port);
    let error = asker.client.send_raw(&b(), ask("/"), Terms::default()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Tls, .. }), "{error}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let port = Authority::new().serve(&["b.example"], Router::new()).await;
    let asker = Asker::new(&Authority::new(), FakeDns::here(&["b.example"]), port);
    let error = asker.client.send_raw(&b(), ask("/"), Terms::default()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Tls, .. }), "{error}");
}

#[tokio::test]
async fn only_allowed_servers_are_asked_and_never_this_one() {
    let asker = asker(Router::new()).await;
    let ask = async |server| asker.client.send_raw(server, ask("/"), Terms::anyway()).await.unwrap_err();
    assert!(matches!(ask(server_name!("c.example")).await, RemoteError::NotAllowed(_)));
    assert!(matches!(ask(server_name!("a.example")).await, RemoteError::Own));
    assert_eq!(asker.dns.asked("c.example") + asker.dns.asked("a.example"), 0);
}

#[tokio::test]
async fn errors_keep_what_the_server_said() {
    let body = json!({ "errcode": "M_INCOMPATIBLE_ROOM_VERSION", "error": "no", "room_version": "99" });
    let text = body.to_string();
    let router = Router::new()
        .route("/json", get(move || async move { (StatusCode::BAD_REQUEST, text) }))
        .route("/html", get(|| async { (StatusCode::NOT_FOUND, "<html>") }))
        .route("/later", get(|| async { (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "77")], "") }))
        .route("/elsewhere", get(|| async { (StatusCode::FOUND, [("location", "/json")], "") }));
    let asker = asker(router).await;
    let ask = async |path| asker.client.send_raw(&b(), ask(path), Terms::anyway()).await.unwrap_err();
    let error = ask("/json").await;
    assert_eq!((error.status(), error.errcode()), (Some(StatusCode::BAD_REQUEST), Some("M_INCOMPATIBLE_ROOM_VERSION")));
    assert_eq!(error.refused().unwrap().body, body);
    assert!(!error.is_down());
    assert_eq!(ask("/html").await.errcode(), Some(""));
    let error = ask("/later").await;
    assert!(error.is_down() && error.refused().unwrap().retry_after_s == Some(77));
    assert_eq!(ask("/elsewhere").await.status(), Some(StatusCode::FOUND), "a redirect was followed");
}

#[tokio::test]
async fn an_answer_of_another_form_is_malformed() {
    let asker = asker(Router::new().fallback(any(|| async { "[]" }))).await;
    let answer = asker.client.send_unsigned(&b(), version::Request::new(), Terms::default()).await;
    assert!(matches!(answer, Err(RemoteError::Malformed(_))));
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let endless = || async {
        let chunks = stream::repeat_with(|| Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b' '; 4096])));
        Body::from_stream(chunks)
    };
    let long = || async { vec![b' '; 100_001] };
    let asker = asker(Router::new().route("/endless", get(endless)).route("/long", get(long))).await;
    for path in ["/endless", "/long"] {
        let answer = asker.client.send_raw(&b(), ask(path), Terms::default().at_most(100_000)).await;
        assert!(matches!(answer, Err(RemoteError::TooLarge { limit: 100_000 })), "{path}");
    }
    let whole = asker.client.send_raw(&b(), ask("/long"), Terms::default().at_most(100_001)).await.unwrap();
    assert_eq!(whole.body().len(), 100_001);
}

#[tokio::test]
async fn a_long_answer_is_read_in_pieces_up_to_the_bound() {
    let pieces = || async {
        let chunks = (0..50_u8).map(|n| Ok::<_, std::convert::Infallible>(Bytes::from(vec![n; 1_000])));
        Body::from_stream(stream::iter(chunks))
    };
    let asker = asker(Router::new().route("/pieces", get(pieces))).await;
    for (limit, whole) in [(50_000, true), (49_999, false)] {
        let terms = Terms::default().at_most(limit);
        let mut read = Vec::new();
        let take = async |answer: http::Response<BodyStream>| {
            let mut body = answer.into_body();
            while let Some(chunk) = body.chunk().await? {
                read.extend_from_slice(&chunk);
            }
            Ok(())
        };
        let end = asker.client.send_streaming(&b(), ask("/pieces"), terms, take).await;
        assert_eq!(end.is_ok(), whole);
        assert_eq!(matches!(end, Err(RemoteError::TooLarge { .. })), !whole);
        assert!(read.len() <= limit && (!whole || read.last() == Some(&49)));
    }
    let missing = asker.client.send_streaming(&b(), ask("/missing"), Terms::default(), async |_| Ok(())).await;
    assert_eq!(missing.unwrap_err().status(), Some(StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up_in_time() {
    let begun = Arc::new(Notify::new());
    let stalls = {
        let begun = begun.clone();
        move |_: HeaderMap| {
            begun.notify_one();
            let chunk = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"{"))]);
            async { Body::from_stream(chunk.chain(stream::pending())).into_response() }
        }
    };
    let asker = asker(Router::new().route("/stalls", get(stalls))).await;
    let (client, clock) = (asker.client.clone(), asker.clock.clone());
    let asking = tokio::spawn(async move {
        client.send_raw(&b(), ask("/stalls"), Terms::default().within(Duration::from_secs(30))).await
    });
    begun.notified().await;
    clock.until_sleeping(1).await;
    clock.advance(Duration::from_secs(29));
    tokio::task::yield_now().await;
    assert!(!asking.is_finished());
    clock.advance(Duration::from_secs(1));
    let error = asking.await.unwrap().unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { kind: Unreachable::Timeout, .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_is_an_address_shows_a_certificate_for_it() {
    let authority = Authority::new();
    let host = |headers: HeaderMap, request: Request| async move {
        headers.get("host").map_or_else(|| request.uri().to_string(), |host| host.to_str().unwrap().to_owned())
    };
    let port = authority.serve(&["127.0.0.1"], Router::new().fallback(any(host))).await;
    let asker = Asker::new(&authority, FakeDns::here(&[]), port);
    let server = owned_server_name!("127.0.0.1");
    assert!(asker.client.send_raw(&server, ask("/x"), Terms::default()).await.is_ok());
    let explicit = ruma::OwnedServerName::try_from(format!("127.0.0.1:{port}")).unwrap();
    assert!(asker.client.send_raw(&explicit, ask("/x"), Terms::default()).await.is_ok());
}
