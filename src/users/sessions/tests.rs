#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::net::Ipv4Addr;

use super::*;
use crate::users::{
    Grant, NewDevice,
    test::{Fixture, PASSWORD},
};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn state(fixture: &Fixture, token: &str) -> &'static str {
    match fixture.users.sessions.authenticate(token, ADDRESS).await.unwrap() {
        Authenticated::Session(session) if session.locked => "locked",
        Authenticated::Session(_) => "session",
        Authenticated::Expired => "expired",
        Authenticated::Unknown => "unknown",
    }
}

async fn session(fixture: &Fixture, token: &str) -> Arc<Session> {
    match fixture.users.sessions.authenticate(token, ADDRESS).await.unwrap() {
        Authenticated::Session(session) => session,
        other => panic!("{other:?}"),
    }
}

fn access(grant: &Grant) -> &str {
    grant.access_token.expose()
}

fn refreshable() -> NewDevice {
    NewDevice { refreshable: true, device_id: Some("D".into()), ..Default::default() }
}

#[tokio::test]
async fn a_token_stands_for_its_device_until_it_logs_out() {
    let fixture = Fixture::new();
    let (anna, grant) = fixture.register("anna").await;
    let found = session(&fixture, access(&grant)).await;
    assert_eq!((found.user, &found.device_id, &found.user_id), (anna.user, &grant.device_id, &anna.user_id));
    assert!(!found.admin && !found.guest);
    assert_eq!(state(&fixture, "hr_made_up").await, "unknown");
    fixture.users.logout(&found).await.unwrap();
    assert_eq!(state(&fixture, access(&grant)).await, "unknown");
    assert!(fixture.users.devices.list(anna.user).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_sign_in_on_the_same_device_ends_its_old_token() {
    let fixture = Fixture::new();
    let (anna, first) = fixture.register_on("anna", refreshable()).await;
    assert_eq!(state(&fixture, access(&first)).await, "session");
    let device = NewDevice { display_name: Some("other name".into()), ..refreshable() };
    let second = fixture.users.login("anna", PASSWORD.into(), &device).await.unwrap();
    assert_eq!(state(&fixture, access(&first)).await, "unknown");
    assert_eq!(state(&fixture, access(&second)).await, "session");
    let old = first.refresh_token.unwrap();
    assert!(matches!(fixture.users.sessions.refresh(old.expose()).await, Err(UsersError::UnknownRefreshToken)));
    assert_eq!(fixture.users.devices.list(anna.user).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_expired_token_is_a_soft_logout_and_can_be_refreshed() {
    let fixture = Fixture::new();
    let (_, grant) = fixture.register_on("anna", refreshable()).await;
    assert_eq!(grant.expires_in, Some(Duration::from_hours(1)));
    fixture.advance(3599);
    assert_eq!(state(&fixture, access(&grant)).await, "session");
    fixture.advance(1);
    assert_eq!(state(&fixture, access(&grant)).await, "expired");
    let refreshed = fixture.users.sessions.refresh(grant.refresh_token.unwrap().expose()).await.unwrap();
    assert_eq!(state(&fixture, &refreshed.access_token).await, "session");
    // A refresh token is no access token, and the other way round.
    assert_eq!(state(&fixture, &refreshed.refresh_token.unwrap()).await, "unknown");
    let wrong = fixture.users.sessions.refresh(&refreshed.access_token).await;
    assert!(matches!(wrong, Err(UsersError::UnknownRefreshToken)));
}

#[tokio::test]
async fn a_refresh_token_is_valid_until_the_new_ones_are_used() {
    let fixture = Fixture::new();
    let (_, grant) = fixture.register_on("anna", refreshable()).await;
    let first = grant.refresh_token.clone().unwrap();
    let sessions = &fixture.users.sessions;
    let lost = sessions.refresh(first.expose()).await.unwrap();
    // The answer was lost: the client asks again, and what it never got is worth nothing.
    let second = sessions.refresh(first.expose()).await.unwrap();
    assert_eq!(state(&fixture, &lost.access_token).await, "unknown");
    assert_eq!(state(&fixture, access(&grant)).await, "session");
    // The first use of the new token ends the old pair.
    assert_eq!(state(&fixture, &second.access_token).await, "session");
    assert_eq!(state(&fixture, access(&grant)).await, "unknown");
    assert!(sessions.refresh(first.expose()).await.is_err());
    // Using the new refresh token counts as well.
    let second_refresh = second.refresh_token.unwrap();
    let third = sessions.refresh(&second_refresh).await.unwrap();
    let fourth = sessions.refresh(&third.refresh_token.unwrap()).await.unwrap();
    assert!(sessions.refresh(&second_refresh).await.is_err());
    assert_eq!(state(&fixture, &fourth.access_token).await, "session");
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_but_the_one_that_set_it() {
    let fixture = Fixture::new();
    let (anna, kept) = fixture.register("anna").await;
    let other = fixture.users.login("anna", PASSWORD.into(), &NewDevice::default()).await.unwrap();
    assert_eq!(state(&fixture, access(&other)).await, "session");
    let device = kept.device_id.as_str();
    fixture.users.change_password(anna.user, "new horse battery".into(), true, Some(device)).await.unwrap();
    assert_eq!(state(&fixture, access(&kept)).await, "session");
    assert_eq!(state(&fixture, access(&other)).await, "unknown");
    let old = fixture.users.login("anna", PASSWORD.into(), &NewDevice::default()).await;
    assert!(matches!(old, Err(UsersError::WrongCredentials)));
    fixture.users.change_password(anna.user, "third horse".into(), false, None).await.unwrap();
    assert_eq!(state(&fixture, access(&kept)).await, "session");
}

#[tokio::test]
async fn locked_and_closed_accounts_cannot_sign_in() {
    let fixture = Fixture::new();
    let (anna, grant) = fixture.register_on("anna", refreshable()).await;
    assert_eq!(state(&fixture, access(&grant)).await, "session");
    fixture.users.accounts.set_locked(anna.user, true).await.unwrap();
    assert_eq!(state(&fixture, access(&grant)).await, "locked");
    let device = NewDevice { device_id: None, ..refreshable() };
    let login = || fixture.users.login("anna", PASSWORD.into(), &device);
    assert!(matches!(login().await, Err(UsersError::Locked)));
    let refresh = grant.refresh_token.clone().unwrap();
    assert!(matches!(fixture.users.sessions.refresh(refresh.expose()).await, Err(UsersError::Locked)));
    fixture.users.accounts.set_locked(anna.user, false).await.unwrap();
    assert_eq!(state(&fixture, access(&grant)).await, "session");
    fixture.users.profiles.set(anna.user, "displayname", &raw("\"Anna\"")).await.unwrap();
    fixture.users.deactivate(anna.user, false).await.unwrap();
    assert_eq!(state(&fixture, access(&grant)).await, "unknown");
    assert!(matches!(login().await, Err(UsersError::Deactivated)));
    assert!(fixture.users.sessions.refresh(refresh.expose()).await.is_err());
    assert!(fixture.users.profiles.get(anna.user).await.unwrap().fields.is_empty());
    assert!(fixture.users.accounts.by_number(anna.user).await.unwrap().unwrap().password.is_none());
    // The rooms are still to be left, and the queue remembers it.
    assert_eq!(fixture.users.deactivations.next().await.unwrap().0, anna.user);
    fixture.users.deactivations.done(anna.user).await.unwrap();
    assert!(fixture.users.deactivations.waiting(9).await.unwrap().is_empty());
    assert!(matches!(fixture.users.deactivate(anna.user, false).await, Err(UsersError::NoAccount)));
}

#[tokio::test]
async fn wrong_names_and_passwords_are_not_told_apart() {
    let fixture = Fixture::new();
    fixture.register("anna").await;
    for (name, password) in [("anna", "wrong horse"), ("nobody", PASSWORD), ("@anna:other.example", PASSWORD), ("", "")]
    {
        let refused = fixture.users.login(name, password.into(), &NewDevice::default()).await;
        assert!(matches!(refused, Err(UsersError::WrongCredentials)), "{name}");
    }
}

#[tokio::test]
async fn the_last_use_is_written_now_and_then() {
    let fixture = Fixture::new();
    let (anna, grant) = fixture.register("anna").await;
    session(&fixture, access(&grant)).await;
    let seen = || async { fixture.users.devices.get(anna.user, &grant.device_id).await.unwrap().unwrap().seen };
    let first = seen().await.unwrap();
    assert_eq!((first.at_ms, first.ip.as_str()), (fixture.clock.now_ms(), "127.0.0.1"));
    fixture.users.flush().await;
    assert_eq!(seen().await.unwrap(), first);
    fixture.advance(299);
    session(&fixture, access(&grant)).await;
    assert_eq!(seen().await.unwrap(), first, "noted more often than every five minutes");
    fixture.advance(1);
    session(&fixture, access(&grant)).await;
    assert_eq!(seen().await.unwrap().at_ms, first.at_ms + 300_000);
}

fn raw(json: &str) -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string(json.to_owned()).unwrap()
}
