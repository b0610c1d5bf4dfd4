//! The extractors, refusals and the middleware together.

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::fixture::{CREATE, SEND, WHOAMI, call, code, fixture, read, refused};
use crate::http::{ApiError, ChunkWriter, Session};

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
