#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use ruma::{OwnedUserId, owned_user_id};

use super::{service::PEOPLE_MAX, *};
use crate::{
    ids::Ids,
    school::{
        SchoolError,
        audit::{Audit, Author},
    },
    users::{
        NewAccount, NewDevice,
        test::{Fixture, PASSWORD},
    },
};

const DAY: Duration = Duration::from_hours(24);

struct Office {
    fixture: Fixture,
    slips: Slips,
    audit: Audit,
}

impl Office {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let audit = Audit::load(fixture.store.clone(), fixture.clock.clone()).await.unwrap();
        let (store, clock, users) = (fixture.store.clone(), fixture.clock.clone(), fixture.users.clone());
        let slips = Slips::new(store, clock, Ids::system(), users, audit.clone());
        Self { fixture, slips, audit }
    }

    /// An account without a password, as an import makes it.
    async fn pupil(&self, name: &str) -> OwnedUserId {
        let new = NewAccount { localpart: Some(name.to_owned()), ..NewAccount::default() };
        self.fixture.users.register(new, None).await.unwrap().user_id
    }

    async fn make(&self, users: &[&OwnedUserId], reset: bool) -> MadeSlips {
        let users = users.iter().map(|user| (*user).clone()).collect();
        self.slips.make(&Author::console(), &SlipRequest { users, reset, days: None }).await.unwrap()
    }

    async fn redeem(&self, code: &Code, password: &str) -> Result<OwnedUserId, SchoolError> {
        self.slips.redeem(code.printed().expose(), password.into()).await
    }

    async fn can_sign_in(&self, name: &str, password: &str) -> bool {
        self.fixture.users.login(name, password.into(), &NewDevice::default()).await.is_ok()
    }
}

#[tokio::test]
async fn a_code_is_good_once() {
    let office = Office::new().await;
    let pia = office.pupil("pia").await;
    let code = office.make(&[&pia, &pia], false).await.slips.remove(0).code;
    assert!(matches!(office.redeem(&code, "short").await, Err(SchoolError::Users(_))), "and is not used up by that");
    assert_eq!(office.redeem(&code, PASSWORD).await.unwrap(), pia);
    assert!(office.can_sign_in("pia", PASSWORD).await);
    assert!(matches!(office.redeem(&code, "another horse").await, Err(SchoolError::Forbidden(_))));
    assert!(office.can_sign_in("pia", PASSWORD).await);
    assert!(office.slips.list(None, 10).await.unwrap()[0].slip.used_ms.is_some());
}

#[tokio::test]
async fn of_two_uses_at_once_one_succeeds() {
    let office = Office::new().await;
    let pia = office.pupil("pia").await;
    let code = office.make(&[&pia], false).await.slips.remove(0).code;
    let (one, other) = tokio::join!(office.redeem(&code, "one horse more"), office.redeem(&code, "other horse"));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}

#[tokio::test]
async fn a_slip_that_ends_while_the_password_is_hashed_is_worth_nothing() {
    let office = Office::new().await;
    let pia = office.pupil("pia").await;
    let by = Author::console();
    for anew in [false, true] {
        let hash = office.make(&[&pia], false).await.slips.remove(0).code.hash();
        let slip = office.slips.prove(&hash).await.unwrap();
        let password = office.fixture.users.passwords.hash(PASSWORD.into()).await.unwrap();
        if anew {
            office.make(&[&pia], false).await;
        } else {
            assert!(office.slips.revoke(&by, &pia).await.unwrap());
        }
        let settled = office.slips.settle(&hash, slip.user, password).await;
        assert!(matches!(settled, Err(SchoolError::Forbidden(_))), "{settled:?}");
        assert!(!office.can_sign_in("pia", PASSWORD).await);
    }
    assert!(office.slips.list(None, 10).await.unwrap()[0].slip.used_ms.is_none(), "the newer one is good");
    // Nor is one good whose owner has got a password meanwhile.
    let hash = office.make(&[&pia], false).await.slips.remove(0).code.hash();
    let slip = office.slips.prove(&hash).await.unwrap();
    office.fixture.users.change_password(slip.user, PASSWORD.into(), false, None).await.unwrap();
    let stolen = office.fixture.users.passwords.hash("stolen horse".into()).await.unwrap();
    assert!(office.slips.settle(&hash, slip.user, stolen).await.is_err());
    assert!(office.can_sign_in("pia", PASSWORD).await);
}

#[tokio::test]
async fn a_code_ends_with_its_time_a_newer_one_and_when_it_is_revoked() {
    let office = Office::new().await;
    let pia = office.pupil("pia").await;
    let first = office.make(&[&pia], false).await.slips.remove(0).code;
    let second = office.make(&[&pia], false).await.slips.remove(0).code;
    assert!(office.redeem(&first, PASSWORD).await.is_err());
    assert!(office.slips.revoke(&Author::console(), &pia).await.unwrap());
    assert!(!office.slips.revoke(&Author::console(), &pia).await.unwrap());
    assert!(office.redeem(&second, PASSWORD).await.is_err());
    let third = office.make(&[&pia], false).await.slips.remove(0).code;
    office.fixture.clock.advance(DAY * 29 + Duration::from_secs(86_399));
    let fourth = office.make(&[&pia], false).await.slips.remove(0).code;
    office.fixture.clock.advance(DAY * 30);
    for code in [third, fourth] {
        assert!(office.redeem(&code, PASSWORD).await.is_err());
    }
}

#[tokio::test]
async fn who_is_in_already_needs_a_slip_that_says_so() {
    let office = Office::new().await;
    let pia = office.pupil("pia").await;
    let code = office.make(&[&pia], false).await.slips.remove(0).code;
    // Somebody sets the password another way; the paper that lies about is worth nothing then.
    let (user, _) = office.fixture.users.accounts.get(&pia).await.unwrap().unwrap();
    office.fixture.users.change_password(user, PASSWORD.into(), false, None).await.unwrap();
    assert!(office.redeem(&code, "stolen horse").await.is_err());
    assert_eq!(office.make(&[&pia], false).await.skipped, [(pia.clone(), SkipReason::HasPassword)]);
    let grant = office.fixture.users.login("pia", PASSWORD.into(), &NewDevice::default()).await.unwrap();
    let code = office.make(&[&pia], true).await.slips.remove(0).code;
    office.redeem(&code, "new horses here").await.unwrap();
    assert!(office.can_sign_in("pia", "new horses here").await);
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    let session = office.fixture.users.sessions.authenticate(grant.access_token.expose(), address).await.unwrap();
    assert!(!matches!(session, crate::users::Authenticated::Session(_)), "the old devices are signed out");
}

#[tokio::test]
async fn nobody_gets_a_slip_who_must_not() {
    let office = Office::new().await;
    let users = &office.fixture.users;
    let admin = NewAccount { localpart: Some("root".into()), admin: true, ..NewAccount::default() };
    let admin = users.register(admin, None).await.unwrap().user_id;
    let (left, locked) = (office.pupil("left").await, office.pupil("locked").await);
    let number = |user_id: &OwnedUserId| {
        let user_id = user_id.clone();
        async move { users.accounts.get(&user_id).await.unwrap().unwrap().0 }
    };
    users.deactivate(number(&left).await, false).await.unwrap();
    let code = office.make(&[&locked], false).await.slips.remove(0).code;
    users.accounts.set_locked(number(&locked).await, true).await.unwrap();
    assert!(office.redeem(&code, PASSWORD).await.is_err());
    let stranger = owned_user_id!("@a:elsewhere.example");
    let made = office.make(&[&admin, &left, &locked, &stranger], true).await;
    assert!(made.slips.is_empty());
    let reasons: Vec<_> = made.skipped.iter().map(|(_, reason)| *reason).collect();
    assert_eq!(reasons, [SkipReason::NotForThis, SkipReason::Closed, SkipReason::Closed, SkipReason::Unknown]);
}

#[tokio::test]
async fn a_slip_is_worth_nothing_once_its_owner_is_an_administrator() {
    let office = Office::new().await;
    let pia = office.pupil("pia").await;
    let code = office.make(&[&pia], true).await.slips.remove(0).code;
    let (user, _) = office.fixture.users.accounts.get(&pia).await.unwrap().unwrap();
    office.fixture.users.accounts.set_admin(user, true).await.unwrap();
    assert!(matches!(office.redeem(&code, PASSWORD).await, Err(SchoolError::Forbidden(_))));
    assert!(!office.can_sign_in("pia", PASSWORD).await);
}

#[tokio::test]
async fn requests_are_bounded_and_written_down_without_the_code() {
    let office = Office::new().await;
    let by = Author::console();
    let many = SlipRequest { users: vec![owned_user_id!("@a:b"); PEOPLE_MAX + 1], ..SlipRequest::default() };
    assert!(matches!(office.slips.make(&by, &many).await, Err(SchoolError::Invalid(_))));
    for days in [0, 181] {
        let request = SlipRequest { days: Some(days), ..SlipRequest::default() };
        assert!(matches!(office.slips.make(&by, &request).await, Err(SchoolError::Invalid(_))));
    }
    let pia = office.pupil("pia").await;
    let code = office.make(&[&pia], false).await.slips.remove(0).code;
    office.redeem(&code, PASSWORD).await.unwrap();
    let records = office.audit.list(None, 10).await.unwrap();
    let actions: Vec<_> = records.iter().map(|(_, record)| (record.action.as_str(), record.by.as_str())).collect();
    assert_eq!(actions, [("slip.use", pia.as_str()), ("slip.make", "console")]);
    let printed = code.printed();
    assert!(!format!("{records:?}").contains(&printed.expose()[..5]));
}
