#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use super::*;
use crate::users::test::{Fixture, PASSWORD};

#[tokio::test]
async fn of_many_who_want_a_name_one_gets_it() {
    let fixture = Fixture::new();
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let users = fixture.users.clone();
            tokio::spawn(async move {
                let new = NewAccount {
                    localpart: Some("anna".into()),
                    password: Some(PASSWORD.into()),
                    ..Default::default()
                };
                users.register(new, Some(NewDevice::default())).await
            })
        })
        .collect();
    let mut made = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(_) => made += 1,
            Err(UsersError::NameTaken) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(fixture.users.accounts.list(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_is_never_used_again() {
    let fixture = Fixture::new();
    let (anna, _) = fixture.register("anna").await;
    fixture.users.deactivate(anna.user, true).await.unwrap();
    let again = NewAccount { localpart: Some("anna".into()), ..Default::default() };
    assert!(matches!(fixture.users.register(again, None).await, Err(UsersError::NameTaken)));
    assert!(matches!(fixture.users.accounts.check_available("anna").await, Err(UsersError::NameTaken)));
}

#[tokio::test]
async fn weak_passwords_and_bad_names_make_no_account() {
    let fixture = Fixture::new();
    let new = |name: &str, password: &str| NewAccount {
        localpart: Some(name.into()),
        password: Some(password.into()),
        ..Default::default()
    };
    let weak = fixture.users.register(new("anna", "1234567"), None).await;
    assert!(matches!(weak, Err(UsersError::WeakPassword { length_min: 8 })));
    for name in ["Anna", "an na", ""] {
        let refused = fixture.users.register(new(name, PASSWORD), None).await;
        assert!(matches!(refused, Err(UsersError::InvalidName(_))), "{name}");
    }
    assert!(fixture.users.accounts.list(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_name_can_be_met_before_it_is_an_account() {
    let fixture = Fixture::new();
    let mut batch = Batch::new();
    let met = fixture.store.mint_user(ruma::user_id!("@anna:school.example"), &mut batch).await.unwrap();
    fixture.store.commit(batch).await.unwrap();
    assert!(!fixture.users.accounts.is_open(ruma::user_id!("@anna:school.example")).await.unwrap());
    let (anna, _) = fixture.register("anna").await;
    assert_eq!(anna.user, met);
    assert!(fixture.users.accounts.is_open(ruma::user_id!("@anna:school.example")).await.unwrap());
    assert!(!fixture.users.accounts.is_open(ruma::user_id!("@anna:other.example")).await.unwrap());
}
