#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unnecessary_wraps,
    missing_docs
)]

use super::*;
use crate::users::test::{Fixture, PASSWORD};

const TWO: Flows = &[&[Stage::RegistrationToken, Stage::Dummy]];

fn info(outcome: Outcome) -> UiaaInfo {
    match outcome {
        Outcome::Incomplete(info) => *info,
        other => panic!("{other:?}"),
    }
}

fn auth(json: serde_json::Value) -> Option<AuthDict> {
    Some(serde_json::from_value(json).unwrap())
}

fn tokens(fixture_token: &str) -> Fixture {
    Fixture::with(|config| config.registration.tokens = vec![fixture_token.into()])
}

#[tokio::test]
async fn a_stage_without_a_session_is_enough_where_it_is_all() {
    let fixture = Fixture::new();
    let operation = Operation::new("POST /register", None, b"{}");
    let done =
        fixture.users.uia.check(operation, &[&[Stage::Dummy]], auth(serde_json::json!({"type": "m.login.dummy"})));
    assert!(matches!(done.await.unwrap(), Outcome::Passed));
}

#[tokio::test]
async fn stages_add_up_in_one_session() {
    let fixture = tokens("abc");
    let uia = &fixture.users.uia;
    let operation = || Operation::new("POST /register", None, br#"{"username":"anna"}"#);
    let first = info(uia.check(operation(), TWO, None).await.unwrap());
    assert_eq!(first.flows[0].stages, [AuthType::RegistrationToken, AuthType::Dummy]);
    assert!(first.completed.is_empty() && first.params.is_some());
    let session = first.session.unwrap();
    let wrong = auth(serde_json::json!({"type": "m.login.registration_token", "token": "abd", "session": session}));
    let wrong = info(uia.check(operation(), TWO, wrong).await.unwrap());
    assert!(wrong.completed.is_empty());
    assert!(matches!(wrong.auth_error.unwrap().kind, ErrorKind::Forbidden));
    let right = auth(serde_json::json!({"type": "m.login.registration_token", "token": "abc", "session": session}));
    let right = info(uia.check(operation(), TWO, right).await.unwrap());
    assert_eq!(right.completed, [AuthType::RegistrationToken]);
    assert!(right.auth_error.is_none());
    let last = || auth(serde_json::json!({"type": "m.login.dummy", "session": session}));
    assert!(matches!(uia.check(operation(), TWO, last()).await.unwrap(), Outcome::Passed));
    // A session is good for one operation.
    let again = info(uia.check(operation(), TWO, last()).await.unwrap());
    assert_ne!(again.session.unwrap(), session);
}

#[tokio::test]
async fn a_session_is_bound_to_its_request() {
    let fixture = tokens("abc");
    let uia = &fixture.users.uia;
    let operation = |endpoint: &str, user, body: &str| Operation::new(endpoint, user, body.as_bytes());
    let begin = uia.check(operation("POST /a", None, "{}"), TWO, None).await.unwrap();
    let session = info(begin).session.unwrap();
    let token = || auth(serde_json::json!({"type": "m.login.registration_token", "token": "abc", "session": session}));
    for other in [operation("POST /b", None, "{}"), operation("POST /a", Some(UserNo(7)), "{}")] {
        assert!(matches!(uia.check(other, TWO, token()).await.unwrap(), Outcome::OtherRequest));
    }
    // Some clients ask for the flows before they know the body.
    let passed = uia.check(operation("POST /a", None, r#"{"b":1, "a":2}"#), TWO, token()).await.unwrap();
    assert_eq!(info(passed).completed.len(), 1);
    let dummy = || auth(serde_json::json!({"type": "m.login.dummy", "session": session}));
    let changed = operation("POST /a", None, r#"{"b":1,"a":3}"#);
    assert!(matches!(uia.check(changed, TWO, dummy()).await.unwrap(), Outcome::OtherRequest));
    let same = operation("POST /a", None, r#"{"a":2,"auth":{"x":1},"b":1}"#);
    assert!(matches!(uia.check(same, TWO, dummy()).await.unwrap(), Outcome::Passed));
}

#[tokio::test]
async fn only_the_own_password_counts() {
    let fixture = Fixture::new();
    let uia = &fixture.users.uia;
    let (anna, _) = fixture.register("anna").await;
    let (ben, _) = fixture.register("ben").await;
    let attempt = |user, json| uia.check(Operation::new("POST /x", Some(user), b"{}"), PASSWORD_FLOWS, auth(json));
    let password = |name: &str, password: &str| {
        serde_json::json!({"type": "m.login.password", "password": password,
            "identifier": {"type": "m.id.user", "user": name}})
    };
    let passed = |outcome: Result<Outcome, UsersError>| matches!(outcome.unwrap(), Outcome::Passed);
    assert!(passed(attempt(anna.user, password("anna", PASSWORD)).await));
    assert!(passed(attempt(anna.user, password("@anna:school.example", PASSWORD)).await));
    assert!(passed(attempt(anna.user, serde_json::json!({"type": "m.login.password", "password": PASSWORD})).await));
    let legacy = serde_json::json!({"type": "m.login.password", "user": "anna", "password": PASSWORD});
    assert!(passed(attempt(anna.user, legacy).await));
    // Ben's password is right, but it is not Ben who asks.
    assert!(!passed(attempt(anna.user, password("ben", PASSWORD)).await));
    assert!(!passed(attempt(ben.user, password("anna", PASSWORD)).await));
    assert!(!passed(attempt(anna.user, password("anna", "wrong horse")).await));
    assert!(!passed(attempt(anna.user, serde_json::json!({"type": "m.login.password"})).await));
    assert!(!passed(attempt(anna.user, serde_json::json!({"type": "m.login.dummy"})).await));
}

#[tokio::test]
async fn an_account_without_a_password_cannot_confirm_with_one() {
    let fixture = Fixture::new();
    let guest = crate::users::NewAccount { guest: true, ..Default::default() };
    let guest = fixture.users.register(guest, None).await.unwrap();
    for password in ["", "x"] {
        let dict = auth(serde_json::json!({"type": "m.login.password", "password": password}));
        let operation = Operation::new("POST /x", Some(guest.user), b"{}");
        let outcome = fixture.users.uia.check(operation, PASSWORD_FLOWS, dict).await.unwrap();
        assert!(matches!(outcome, Outcome::Incomplete(_)));
    }
}

#[tokio::test]
async fn a_fallback_page_completes_a_stage() {
    let fixture = Fixture::new();
    let uia = &fixture.users.uia;
    let operation = || Operation::new("POST /register", None, b"{}");
    let flows: Flows = &[&[Stage::Dummy]];
    let session = info(uia.check(operation(), flows, None).await.unwrap()).session.unwrap();
    assert!(uia.awaits(&session, Stage::Dummy) && !uia.awaits(&session, Stage::Password));
    let acknowledge = || auth(serde_json::json!({"session": session}));
    assert!(matches!(uia.check(operation(), flows, acknowledge()).await.unwrap(), Outcome::Incomplete(_)));
    let dummy = AuthDict { stage: Some("m.login.dummy".into()), ..AuthDict::default() };
    assert_eq!(uia.complete(&session, &dummy).await.unwrap(), Some(true));
    assert_eq!(uia.complete("made up", &dummy).await.unwrap(), None);
    assert!(matches!(uia.check(operation(), flows, acknowledge()).await.unwrap(), Outcome::Passed));
}

#[tokio::test]
async fn old_sessions_begin_anew() {
    let fixture = Fixture::new();
    let uia = &fixture.users.uia;
    let operation = || Operation::new("POST /register", None, b"{}");
    let flows: Flows = &[&[Stage::Dummy]];
    let session = info(uia.check(operation(), flows, None).await.unwrap()).session.unwrap();
    fixture.advance(900);
    let late = auth(serde_json::json!({"type": "m.login.dummy", "session": session}));
    let late = info(uia.check(operation(), flows, late).await.unwrap());
    assert_ne!(late.session.unwrap(), session);
    assert!(late.auth_error.is_some());
}
