//! Imports as an administrator makes them: planned, held, applied, interrupted, undone.

use homeroom::{
    clock::Clock,
    school::{
        SchoolError,
        audit::Author,
        imports::NewImport,
        problem::{Problem, Severity},
        roster::{Bundle, ObjectKind, Roster, SchoolRole},
    },
    store::schema::school::{Counts, ImportState},
};

use super::small::{NOON_MS, SOURCE, Small, bundle, enroll, give_role, link, person, remove, roster};
use crate::harness::Server;

fn console() -> Author {
    Author::console()
}

/// A server, and what its source tells at first.
async fn server() -> Server {
    Server::at(Clock::test(NOON_MS), |_| {}).await
}

/// What is stored of the source.
async fn stored(server: &Server) -> Roster {
    let store = server.app().services().store.clone();
    tokio::task::spawn_blocking(move || Roster::load(&store, SOURCE)).await.unwrap().unwrap()
}

async fn state(server: &Server, number: u64) -> ImportState {
    server.app().services().school.imports.get(number).await.unwrap().unwrap().state
}

/// So many pupils more.
fn crowd(count: usize) -> Roster {
    let mut roster = roster();
    for number in 0..count {
        let id = format!("crowd{number:04}");
        roster.people.insert(id.clone(), person("Kim", &format!("Menge{number}"), Some("09")));
        give_role(&mut roster, &id, SchoolRole::Student, None);
    }
    roster
}

#[tokio::test]
async fn an_import_brings_accounts_and_decisions_and_the_same_again_brings_nothing() {
    let server = server().await;
    let imports = &server.app().services().school.imports;
    let number = imports.plan(SOURCE, bundle(roster()), &console()).await.unwrap();
    let plan = imports.get(number).await.unwrap().unwrap();
    assert_eq!(plan.state, ImportState::Planned);
    assert_eq!((plan.counts.created, plan.counts.removed), (roster().len() as u64, 0));
    assert!(stored(&server).await.is_empty(), "a plan has changed something");
    let summary = imports.summary(number).await.unwrap().lines();
    assert_eq!(summary[0], "4 pupils join", "{summary:?}");
    assert!(summary.contains(&"link: 8 new, 0 changed, 0 removed".to_owned()), "{summary:?}");

    imports.apply(number, false, &console()).await.unwrap();
    assert_eq!(imports.settled(number).await.unwrap().state, ImportState::Applied);
    assert_eq!(stored(&server).await, roster());
    let people = server.app().services().school.people();
    assert!(people.is_loaded());
    assert_eq!(people.with_role(SchoolRole::Student).count(), 4);

    let again = imports.plan(SOURCE, bundle(roster()), &console()).await.unwrap();
    let plan = imports.get(again).await.unwrap().unwrap();
    assert_eq!((plan.state, plan.counts), (ImportState::Planned, Counts::default()));
    imports.apply(again, false, &console()).await.unwrap();
    assert_eq!(imports.settled(again).await.unwrap().state, ImportState::Applied);
    // It changed nothing, so the first one is still the newest that can be undone.
    assert_eq!(imports.source(SOURCE).await.unwrap().applied, [number]);
    let audited: Vec<_> = server.app().services().school.audit.list(None, 10).await.unwrap();
    let actions: Vec<_> = audited.iter().rev().map(|(_, record)| record.action.as_str()).collect();
    assert_eq!(actions, ["import.plan", "import.apply", "import.plan", "import.apply"]);
}

#[tokio::test]
async fn broken_files_and_bad_names_of_sources_change_nothing() {
    let server = server().await;
    let imports = &server.app().services().school.imports;
    let problem = Problem {
        severity: Severity::Error,
        file: "users.csv".into(),
        line: Some(7),
        column: Some("sourcedId".into()),
        code: "duplicate_id",
        message: "twice".into(),
        hint: "once".into(),
    };
    let broken = NewImport { bundle: None, problems: vec![problem], errors: 1, warnings: 0 };
    let number = imports.plan(SOURCE, broken, &console()).await.unwrap();
    assert_eq!(state(&server, number).await, ImportState::Refused);
    assert!(matches!(imports.apply(number, true, &console()).await, Err(SchoolError::Conflict(_))));
    let problems = imports.problems(number, 0, 10).await.unwrap();
    assert_eq!((problems[0]["line"].as_u64(), problems[0]["code"].as_str()), (Some(7), Some("duplicate_id")));
    for source in ["", "A", "a b", "../x", "ä", &"x".repeat(65)] {
        let planned = imports.plan(source, bundle(roster()), &console()).await;
        assert!(matches!(planned, Err(SchoolError::Invalid(_))), "{source}");
    }
    assert!(matches!(imports.apply(99, true, &console()).await, Err(SchoolError::NotFound(_))));
}

#[tokio::test]
async fn what_would_remove_much_is_held_until_somebody_confirms_it() {
    let server = server().await;
    let imports = &server.app().services().school.imports;
    imports.import_now(SOURCE, bundle(crowd(40)), &console()).await.unwrap();
    let number = imports.plan(SOURCE, bundle(crowd(20)), &console()).await.unwrap();
    let plan = imports.get(number).await.unwrap().unwrap();
    assert_eq!(plan.state, ImportState::Held);
    assert_eq!(plan.holds, ["20 of 44 pupils would leave: more than 10 %"]);
    assert!(matches!(imports.apply(number, false, &console()).await, Err(SchoolError::Conflict(_))));
    assert_eq!(stored(&server).await, crowd(40));
    imports.apply(number, true, &console()).await.unwrap();
    imports.settled(number).await.unwrap();
    assert_eq!(stored(&server).await, crowd(20));
    // A delta says by name what it removes.
    let removed = (0..10).map(|number| (ObjectKind::Person, format!("crowd{number:04}"))).collect();
    let delta = Bundle { format: "test", removed, ..Bundle::default() };
    let number = imports.plan(SOURCE, delta, &console()).await.unwrap();
    assert_eq!(state(&server, number).await, ImportState::Planned);
    imports.apply(number, false, &console()).await.unwrap();
    imports.settled(number).await.unwrap();
    let after = stored(&server).await;
    assert_eq!(after.people.len(), crowd(10).people.len());
    assert!(!after.roles.contains_key("crowd0003/student"), "a role of nobody");
}

#[tokio::test]
async fn a_rollback_restores_rows_decisions_and_locks() {
    let mut small = Small::start().await;
    let before = stored(&small.server).await;
    let number = small
        .reimport(|roster| {
            remove(roster, "stranger");
            roster.people.get_mut("gone").unwrap().enabled = true;
            roster.people.get_mut("pupil").unwrap().family = "Birne".into();
            roster.people.insert("new".into(), person("Nina", "Neu", Some("09")));
            give_role(roster, "new", SchoolRole::Student, None);
        })
        .await;
    let new = small.account("new").await;
    assert!(locked(&small, "stranger").await && !locked(&small, "gone").await && !locked(&small, "new").await);
    assert_eq!(name(&small, "pupil").await, "Pia Birne");

    let imports = &small.school().imports;
    imports.rollback(number, &console()).await.unwrap();
    assert_eq!(imports.settled(number).await.unwrap().state, ImportState::RolledBack);
    assert_eq!(stored(&small.server).await, before);
    assert!(!locked(&small, "stranger").await && locked(&small, "gone").await && locked(&small, "new").await);
    assert_eq!(name(&small, "pupil").await, "Pia Apfel");
    let people = small.school().people();
    let stranger = people.of_user(small.account("stranger").await.0).unwrap();
    assert!(!people.standing(stranger).gone);
    assert!(matches!(imports.rollback(number, &console()).await, Err(SchoolError::Conflict(_))));

    // Again, and the account is the same.
    let again = small.import(small.roster.clone()).await;
    assert_eq!(small.account("new").await, new);
    assert!(!locked(&small, "new").await);
    let imports = &small.school().imports;
    imports.rollback(again, &console()).await.unwrap();
    imports.settled(again).await.unwrap();
    // The one before it is the newest in force now.
    let first = imports.list(None, 10).await.unwrap().last().unwrap().0;
    imports.rollback(first, &console()).await.unwrap();
    imports.settled(first).await.unwrap();
    assert!(stored(&small.server).await.is_empty());
    assert!(locked(&small, "tutor").await);
}

#[tokio::test]
async fn an_interrupted_import_goes_on_where_it_was() {
    let server = server().await;
    let imports = server.app().services().school.imports.clone();
    imports.set_step_size(7);
    imports.allow_steps(Some(5));
    let number = imports.plan(SOURCE, bundle(crowd(60)), &console()).await.unwrap();
    imports.apply(number, false, &console()).await.unwrap();
    until_done(&imports, number, 35).await;
    let before = accounts(&server).await;
    drop(imports);
    let server = Box::pin(server.restart()).await;
    let imports = server.app().services().school.imports.clone();
    assert_eq!(imports.settled(number).await.unwrap().state, ImportState::Applied);
    assert_eq!(stored(&server).await, crowd(60));
    let after = accounts(&server).await;
    assert!(before.len() < after.len());
    assert!(before.iter().all(|account| after.contains(account)), "an account changed hands");

    // The same on the way back.
    imports.set_step_size(7);
    imports.allow_steps(Some(4));
    imports.rollback(number, &console()).await.unwrap();
    let total = imports.get(number).await.unwrap().unwrap().counts.created;
    until_done(&imports, number, total - 28).await;
    drop(imports);
    let server = Box::pin(server.restart()).await;
    let settled = server.app().services().school.imports.settled(number).await.unwrap();
    assert_eq!((settled.state, settled.done), (ImportState::RolledBack, 0));
    assert!(stored(&server).await.is_empty());
    assert_eq!(accounts(&server).await, after);
}

/// Waits until so many changes are applied, and no more.
async fn until_done(imports: &homeroom::school::imports::Imports, number: u64, done: u64) {
    let mut changed = imports.changed();
    while imports.get(number).await.unwrap().unwrap().done != done {
        changed.changed().await.unwrap();
    }
}

/// Every account's name and number, but for the school's own, which is made when its first room is.
async fn accounts(server: &Server) -> Vec<(String, u64)> {
    let accounts = server.app().services().users.accounts.list(None, 500).await.unwrap();
    let people = accounts.into_iter().filter(|(_, account)| account.localpart != "school");
    people.map(|(user, account)| (account.localpart, user.0)).collect()
}

#[tokio::test]
async fn of_two_imports_at_once_one_waits_for_nobody_and_the_other_is_told() {
    let server = server().await;
    let imports = server.app().services().school.imports.clone();
    imports.allow_steps(Some(0));
    let first = imports.plan(SOURCE, bundle(roster()), &console()).await.unwrap();
    let second = imports.plan("other", bundle(roster()), &console()).await.unwrap();
    imports.apply(first, false, &console()).await.unwrap();
    assert!(matches!(imports.apply(second, false, &console()).await, Err(SchoolError::Conflict(_))));
    assert!(matches!(imports.plan(SOURCE, bundle(roster()), &console()).await, Err(SchoolError::Conflict(_))));
    assert!(matches!(imports.rollback(first, &console()).await, Err(SchoolError::Conflict(_))));
    assert!(matches!(imports.discard(first, &console()).await, Err(SchoolError::Conflict(_))));
    imports.allow_steps(None);
    imports.settled(first).await.unwrap();
    imports.apply(second, false, &console()).await.unwrap();
    assert_eq!(imports.settled(second).await.unwrap().state, ImportState::Applied);
}

#[tokio::test]
async fn a_plan_against_older_rows_is_refused() {
    let server = server().await;
    let imports = &server.app().services().school.imports;
    let old = imports.plan(SOURCE, bundle(crowd(3)), &console()).await.unwrap();
    imports.import_now(SOURCE, bundle(roster()), &console()).await.unwrap();
    let Err(SchoolError::Conflict(text)) = imports.apply(old, true, &console()).await else {
        panic!("an old plan was applied");
    };
    assert!(text.contains("plan again") || text.contains("discarded"), "{text}");
    assert_eq!(state(&server, old).await, ImportState::Discarded);
    assert_eq!(stored(&server).await, roster());
}

#[tokio::test]
async fn a_dropped_plan_is_not_applied() {
    let server = server().await;
    let imports = &server.app().services().school.imports;
    let number = imports.plan(SOURCE, bundle(roster()), &console()).await.unwrap();
    assert_eq!(imports.changes(number, 0, 2).await.unwrap().len(), 2);
    imports.discard(number, &console()).await.unwrap();
    assert!(matches!(imports.apply(number, true, &console()).await, Err(SchoolError::Conflict(_))));
    assert!(stored(&server).await.is_empty());
}

#[tokio::test]
async fn a_role_given_here_in_the_middle_of_an_import_stays() {
    let small = Small::start().await;
    let imports = small.school().imports.clone();
    let mut roster = small.roster.clone();
    for number in 0..30 {
        roster.people.insert(format!("more{number}"), person("Mo", "Mehr", Some("09")));
    }
    link(&mut roster, "junior", "coguardian");
    imports.set_step_size(5);
    imports.allow_steps(Some(2));
    let number = imports.plan(SOURCE, bundle(roster.clone()), &console()).await.unwrap();
    imports.apply(number, false, &console()).await.unwrap();
    until_done(&imports, number, 10).await;
    // This reads half of the import.
    small.give_local_role("aide", SchoolRole::SafeguardingLead).await;
    imports.allow_steps(None);
    assert_eq!(imports.settled(number).await.unwrap().state, ImportState::Applied);
    assert_eq!(stored(&small.server).await, roster);
    let people = small.school().people();
    let aide = people.of_user(small.account("aide").await.0).unwrap();
    assert!(people.roles(aide).has(SchoolRole::SafeguardingLead));
}

#[tokio::test]
async fn two_sources_leave_each_others_rows_alone() {
    let small = Small::start().await;
    let mut other = Roster::default();
    other.people.insert("pupil".into(), person("Pia", "Anders", Some("08")));
    let imports = &small.school().imports;
    let number = imports.import_now("other", bundle(other), &console()).await.unwrap();
    assert_eq!(stored(&small.server).await, small.roster);
    imports.rollback(number, &console()).await.unwrap();
    imports.settled(number).await.unwrap();
    assert_eq!(stored(&small.server).await, small.roster);
    assert!(!locked(&small, "pupil").await);
}

#[tokio::test]
async fn only_so_many_imports_can_be_undone() {
    let server = server().await;
    let imports = server.app().services().school.imports.clone();
    let mut numbers = Vec::new();
    for count in 0..12 {
        numbers.push(imports.import_now(SOURCE, bundle(crowd(count)), &console()).await.unwrap());
    }
    // Tidying follows the last import in the background; another plan does not disturb it.
    let mut left = imports.changes(numbers[0], 0, 1).await.unwrap().len();
    for _ in 0..1_000 {
        if left == 0 {
            break;
        }
        tokio::task::yield_now().await;
        left = imports.changes(numbers[0], 0, 1).await.unwrap().len();
    }
    assert_eq!(left, 0, "old changes are kept for ever");
    assert!(!imports.changes(numbers[2], 0, 1).await.unwrap().is_empty());
    assert!(matches!(imports.rollback(numbers[3], &console()).await, Err(SchoolError::Conflict(_))));
}

#[tokio::test]
async fn a_delta_enrolls_without_telling_the_rest() {
    let small = Small::start().await;
    let mut delta = Roster::default();
    enroll(&mut delta, "8a", "stranger", homeroom::school::roster::EnrollmentRole::Student, false);
    let bundle = Bundle { format: "test", roster: delta.clone(), ..Bundle::default() };
    small.school().imports.import_now(SOURCE, bundle, &console()).await.unwrap();
    let mut expected = small.roster.clone();
    expected.enrollments.append(&mut delta.enrollments);
    assert_eq!(stored(&small.server).await, expected);
}

async fn locked(small: &Small, name: &str) -> bool {
    let (user, _) = small.account(name).await;
    small.server.app().services().users.accounts.by_number(user).await.unwrap().unwrap().locked
}

async fn name(small: &Small, name: &str) -> String {
    let (user, _) = small.account(name).await;
    small.server.app().services().users.profiles.get(user).await.unwrap().displayname().unwrap()
}
