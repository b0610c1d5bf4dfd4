//! Accounts of people as rosters come and go.

use homeroom::{
    school::{SchoolError, audit::Author, roster::SchoolRole},
    store::schema::school::ImportState,
    users::NewAccount,
};
use serde_json::json;

use super::small::{SOURCE, Small, bundle, give_role, link, person, remove};
use crate::harness::{Client, PASSWORD};

async fn locked(small: &Small, name: &str) -> bool {
    let (user, _) = small.account(name).await;
    small.server.app().services().users.accounts.by_number(user).await.unwrap().unwrap().locked
}

#[tokio::test]
async fn who_works_at_the_school_has_a_readable_id_and_families_an_opaque_one() {
    let mut small = Small::start().await;
    for (name, expected) in [("tutor", "t.tafel"), ("head", "h.leitner"), ("parent_teacher", "p.doppel")] {
        assert_eq!(small.account(name).await.1, expected);
    }
    for name in ["pupil", "guardian", "junior"] {
        let (_, localpart) = small.account(name).await;
        assert!(localpart.starts_with("s-") && localpart.len() == 12, "{localpart}");
    }
    small
        .reimport(|roster| {
            for (id, given, family) in [
                ("k1", "Änne", "Müller-Groß"),
                ("k2", "Anton", "Mueller-Gross"),
                ("k3", "Иван", "Петров"),
                ("k4", "", "School"),
            ] {
                roster.people.insert(id.into(), person(given, family, None));
                give_role(roster, id, SchoolRole::Teacher, None);
            }
        })
        .await;
    assert_eq!(small.account("k1").await.1, "a.mueller-gross");
    assert_eq!(small.account("k2").await.1, "a.mueller-gross2");
    for name in ["k3", "k4"] {
        assert!(small.account(name).await.1.starts_with("s-"));
    }
}

#[tokio::test]
async fn a_leaver_is_locked_and_one_who_returns_is_who_they_were() {
    let mut small = Small::start().await;
    let account = small.account("classmate").await;
    small.reimport(|roster| remove(roster, "classmate")).await;
    let client = small.client("classmate");
    client.get("/_matrix/client/v3/account/whoami").await.refused(401, "M_USER_LOCKED");
    let body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": account.1 },
        "password": PASSWORD,
    });
    small.server.anonymous().post("/_matrix/client/v3/login", body).await.refused(401, "M_USER_LOCKED");
    let people = small.school().people();
    assert!(people.standing(people.of_user(account.0).unwrap()).gone);

    small.reimport(|roster| drop(roster.people.insert("classmate".into(), person("Karl", "Doppel", Some("09"))))).await;
    assert_eq!(small.account("classmate").await, account);
    small.client("classmate").get("/_matrix/client/v3/account/whoami").await.ok();
    assert!(!locked(&small, "classmate").await);
}

#[tokio::test]
async fn somebody_who_is_disabled_is_locked_as_long_as_that() {
    let mut small = Small::start().await;
    assert!(locked(&small, "gone").await);
    small.reimport(|roster| roster.people.get_mut("pupil").unwrap().enabled = false).await;
    assert!(locked(&small, "pupil").await);
    small.reimport(|roster| roster.people.get_mut("pupil").unwrap().enabled = true).await;
    assert!(!locked(&small, "pupil").await);
}

#[tokio::test]
async fn a_lock_of_an_administrator_outlives_every_import() {
    let mut small = Small::start().await;
    let accounts = small.server.app().services().users.accounts.clone();
    let (user, _) = small.account("pupil").await;
    accounts.set_locked(user, true).await.unwrap();
    small.reimport(|roster| remove(roster, "pupil")).await;
    small.reimport(|roster| drop(roster.people.insert("pupil".into(), person("Pia", "Apfel", Some("08"))))).await;
    assert!(locked(&small, "pupil").await);
    accounts.set_locked(user, false).await.unwrap();
    small.reimport(|roster| roster.people.get_mut("pupil").unwrap().grade = Some("09".into())).await;
    assert!(!locked(&small, "pupil").await);
}

#[tokio::test]
async fn an_id_is_never_given_to_anybody_else() {
    let mut small = Small::start().await;
    let first = small.account("tutor").await;
    small.reimport(|roster| remove(roster, "tutor")).await;
    small
        .reimport(|roster| {
            roster.people.insert("tutor2".into(), person("Thea", "Tafel", None));
            give_role(roster, "tutor2", SchoolRole::Teacher, None);
        })
        .await;
    let second = small.account("tutor2").await;
    assert_eq!((first.1.as_str(), second.1.as_str()), ("t.tafel", "t.tafel2"));
    // Nor after the account is closed for good: who comes back then gets another.
    small.server.app().services().users.deactivate(first.0, false).await.unwrap();
    small
        .reimport(|roster| {
            roster.people.insert("tutor".into(), person("Tilda", "Tafel", None));
            give_role(roster, "tutor", SchoolRole::Teacher, None);
        })
        .await;
    let third = small.account("tutor").await;
    assert_eq!(third.1, "t.tafel3");
    assert_ne!(third.0, first.0);
    let answer = small.server.anonymous().get("/_matrix/client/v3/register/available?username=t.tafel").await;
    answer.refused(400, "M_USER_IN_USE");
}

#[tokio::test]
async fn merged_duplicates_are_one_account() {
    let mut small = Small::start().await;
    let account = small.account("guardian").await;
    // The source says itself that two records are one person, and leaves the older one out later.
    small
        .reimport(|roster| {
            roster.people.get_mut("guardian").unwrap().master_id = Some("m1".into());
        })
        .await;
    small
        .reimport(|roster| {
            let again = person("Gerda", "Apfel-Neu", None);
            roster.people.insert(
                "guardian-b".into(),
                homeroom::school::roster::Person { master_id: Some("m1".into()), ..again },
            );
            link(roster, "classmate", "guardian-b");
        })
        .await;
    assert_eq!(small.account("guardian-b").await, account);
    small.reimport(|roster| remove(roster, "guardian")).await;
    assert_eq!(small.account("guardian-b").await, account);
    assert!(!locked(&small, "guardian-b").await);
    // Two new records of one person at once.
    small
        .reimport(|roster| {
            for id in ["twice-a", "twice-b"] {
                let one =
                    homeroom::school::roster::Person { master_id: Some("m2".into()), ..person("Zoe", "Zwei", None) };
                roster.people.insert(id.into(), one);
            }
        })
        .await;
    assert_eq!(small.account("twice-a").await, small.account("twice-b").await);
    // Somebody else with the same number is somebody else.
    small
        .reimport(|roster| {
            let one = homeroom::school::roster::Person { master_id: Some("m2".into()), ..person("Bob", "Drei", None) };
            roster.people.insert("else".into(), one);
        })
        .await;
    assert_ne!(small.account("else").await, small.account("twice-a").await);
}

#[tokio::test]
async fn a_new_id_for_the_same_user_name_is_the_same_account() {
    let mut small = Small::start().await;
    let set = |username: &str, email: &str| {
        let (username, email) = (Some(username.to_owned()), Some(email.to_owned()));
        move |given: &str| homeroom::school::roster::Person { username, email, ..person(given, "Apfel", None) }
    };
    small
        .reimport(|roster| drop(roster.people.insert("old".into(), set("g.apfel", "home@apfel.example")("Greta"))))
        .await;
    small
        .reimport(|roster| drop(roster.people.insert("kept".into(), set("k.apfel", "kept@apfel.example")("Kurt"))))
        .await;
    let (old, kept) = (small.account("old").await, small.account("kept").await);
    small
        .reimport(|roster| {
            remove(roster, "old");
            roster.people.insert("new".into(), set("G.Apfel", "home@apfel.example")("Greta"));
            // The address of the family, and another person.
            roster.people.insert("brother".into(), set("b.apfel", "home@apfel.example")("Bodo"));
            // The record that had this name is still there.
            roster.people.insert("copy".into(), set("k.apfel", "kept@apfel.example")("Kurt"));
        })
        .await;
    assert_eq!(small.account("new").await, old);
    assert!(!locked(&small, "new").await);
    assert_ne!(small.account("brother").await, old);
    assert_ne!(small.account("copy").await, kept);
}

#[tokio::test]
async fn an_administrator_makes_two_accounts_one() {
    let small = Small::start().await;
    let (from, into) = (small.account("coguardian").await, small.account("separated").await);
    small.school().imports.merge(from.0, into.0, &Author::console()).await.unwrap();
    assert_eq!(small.account("coguardian").await, into);
    small.client("coguardian").get("/_matrix/client/v3/account/whoami").await.refused(401, "M_USER_LOCKED");
    small.client("separated").get("/_matrix/client/v3/account/whoami").await.ok();
    let people = small.school().people();
    let person = people.of_user(into.0).unwrap();
    assert_eq!(people.children_of(person).len(), 2);
    // The next import leaves it so.
    small.import(small.roster.clone()).await;
    assert_eq!(small.account("coguardian").await, into);
    small.client("coguardian").get("/_matrix/client/v3/account/whoami").await.refused(401, "M_USER_LOCKED");
    let imports = &small.school().imports;
    assert!(imports.merge(into.0, into.0, &Author::console()).await.is_err());
}

#[tokio::test]
async fn a_teacher_who_is_a_parent_has_one_account_and_both_roles() {
    let mut small = Small::start().await;
    let account = small.account("parent_teacher").await;
    let people = small.school().people();
    let person = people.of_user(account.0).unwrap();
    assert!(people.roles(person).has(SchoolRole::Teacher) && people.roles(person).has(SchoolRole::Guardian));
    assert_eq!(people.children_of(person).len(), 1);
    // Whatever becomes of the roles, the id stays.
    small.reimport(|roster| drop(roster.roles.remove("parent_teacher/teacher"))).await;
    assert_eq!(small.account("parent_teacher").await, account);
    small.reimport(|roster| give_role(roster, "guardian", SchoolRole::Teacher, None)).await;
    assert!(small.account("guardian").await.1.starts_with("s-"));
}

#[tokio::test]
async fn names_follow_the_roster_but_for_staff_who_chose_their_own() {
    let mut small = Small::start().await;
    let tutor = small.client("tutor");
    let path =
        |client: &Client| format!("/_matrix/client/v3/profile/{}/displayname", crate::harness::escape(&client.user_id));
    tutor.put(&path(tutor), json!({ "displayname": "Frau Tafel" })).await.ok();
    small
        .reimport(|roster| {
            for id in ["tutor", "pupil", "head"] {
                roster.people.get_mut(id).unwrap().family = "Umbenannt".into();
            }
        })
        .await;
    for (name, expected) in [("tutor", "Frau Tafel"), ("pupil", "Pia Umbenannt"), ("head", "Hanna Umbenannt")] {
        let client = small.client(name);
        let answer = client.get(&path(client)).await.ok();
        assert_eq!(answer["displayname"], expected);
    }
    assert_eq!(small.account("head").await.1, "h.leitner", "an id follows no name");
}

#[tokio::test]
async fn names_that_others_have_already_are_not_taken_from_them() {
    let small = Small::start().await;
    let new = NewAccount { localpart: Some("n.neumann".into()), ..NewAccount::default() };
    let users = &small.server.app().services().users;
    let other = users.register(new, None).await.unwrap();
    let mut roster = small.roster.clone();
    roster.people.insert("n".into(), person("Nele", "Neumann", None));
    give_role(&mut roster, "n", SchoolRole::Staff, None);
    small.school().imports.import_now(SOURCE, bundle(roster), &Author::console()).await.unwrap();
    let account = small.account("n").await;
    assert_eq!(account.1, "n.neumann2");
    assert_ne!(account.0, other.user);
}

#[tokio::test]
async fn an_id_that_comes_back_or_stays_as_somebody_elses_has_to_be_confirmed() {
    let mut small = Small::start().await;
    small.reimport(|roster| remove(roster, "classmate")).await;
    let account = small.account("classmate").await;
    let plan = async |small: &Small, id: &str, given: &str, family: &str| {
        let mut told = small.roster.clone();
        told.people.insert(id.into(), person(given, family, Some("08")));
        let imports = &small.school().imports;
        let number = imports.plan(SOURCE, bundle(told), &Author::console()).await.unwrap();
        let import = imports.get(number).await.unwrap().unwrap();
        (number, import.state, import.holds)
    };
    let (_, state, holds) = plan(&small, "classmate", "Karl", "Doppel-Birne").await;
    assert_eq!((state, holds), (ImportState::Planned, vec![]));
    let (number, state, holds) = plan(&small, "classmate", "Bert", "Doppel").await;
    assert_eq!((state, holds.len()), (ImportState::Held, 1));
    let said = |text: &str| holds[0].contains(text);
    assert!(said("Karl Doppel") && said("Bert Doppel") && said(&account.1), "{holds:?}");
    let imports = &small.school().imports;
    assert!(imports.apply(number, false, &Author::console()).await.is_err());
    // A row that is there, and becomes another person's.
    let (_, state, holds) = plan(&small, "pupil", "Zora", "Ganz").await;
    assert_eq!((state, holds.len()), (ImportState::Held, 1), "{holds:?}");
    // Once the old account is closed there is nothing to be handed on.
    small.server.app().services().users.deactivate(account.0, false).await.unwrap();
    let (number, state, _) = plan(&small, "classmate", "Bert", "Doppel").await;
    assert_eq!(state, ImportState::Planned);
    imports.apply(number, false, &Author::console()).await.unwrap();
    imports.settled(number).await.unwrap();
    assert_ne!(small.account("classmate").await.0, account.0);
}

#[tokio::test]
async fn the_schools_own_account_is_merged_with_nobodys() {
    let small = Small::start().await;
    let users = &small.server.app().services().users;
    let (_, service) = users.service_account("School").await.unwrap();
    let (pupil, _) = small.account("pupil").await;
    for (from, into) in [(service, pupil), (pupil, service)] {
        let merged = small.school().imports.merge(from, into, &Author::console()).await;
        assert!(matches!(merged, Err(SchoolError::Invalid(_))), "{merged:?}");
    }
}

#[tokio::test]
async fn people_of_a_roster_cannot_close_their_accounts() {
    let small = Small::start().await;
    let path = "/_matrix/client/v3/account/deactivate";
    for name in ["pupil", "guardian", "tutor"] {
        let refused = small.client(name).post(path, json!({})).await.refused(403, "M_FORBIDDEN");
        assert_eq!(refused["org.homeroom.reason"], "account.roster", "{name}");
        small.client(name).get("/_matrix/client/v3/account/whoami").await.ok();
    }
    // Others are asked for their password.
    assert_eq!(small.client("admin").post(path, json!({})).await.status, 401);
}
