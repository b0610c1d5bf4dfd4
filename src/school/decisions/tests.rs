#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{sync::Arc, time::Duration};

use ruma::{OwnedUserId, UserId, owned_server_name};

use super::*;
use crate::{
    config::Config,
    rooms::policy::Verb,
    school::{
        Rules, SchoolError,
        audit::{Audit, Author},
        imports::Refresh,
        policy::{Level, Outcome, Preset, Settings},
        roster::{Class, Enrollment, EnrollmentRole, Period, Person, RoleGrant, SchoolRole},
    },
    store::{
        Batch,
        schema::school::{
            CLASSES, ENROLLMENTS, LocalRole, OverrideEffect, PEOPLE, PERSON_ACCOUNTS, PersonAccount, ROLES,
        },
    },
    users::{NewAccount, test::Fixture},
};

const SUPERVISED: Outcome = Outcome::Supervised { adults: 2 };

/// A class with `teacher`, `pia` and `paul`, the guardian `gerda` without a child, `head`, and `visitor`, whom no
/// roster tells of.
struct World {
    fixture: Fixture,
    rules: Arc<Rules>,
    decisions: Decisions,
    audit: Audit,
}

fn id(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:school.example")).unwrap()
}

fn key(id: &str) -> (String, String) {
    ("sis".to_owned(), id.to_owned())
}

impl World {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let mut batch = Batch::new();
        for (name, role) in [
            ("teacher", Some(SchoolRole::Teacher)),
            ("pia", Some(SchoolRole::Student)),
            ("paul", Some(SchoolRole::Student)),
            ("gerda", Some(SchoolRole::Guardian)),
            ("head", Some(SchoolRole::Leadership)),
            ("visitor", None),
        ] {
            let new = NewAccount { localpart: Some(name.to_owned()), ..NewAccount::default() };
            let user = fixture.users.register(new, None).await.unwrap().user;
            let Some(role) = role else { continue };
            batch.put(&PERSON_ACCOUNTS, &key(name), &PersonAccount { user, localpart: name.to_owned() });
            let person = Person {
                given: name.into(),
                family: "Test".into(),
                display: None,
                username: None,
                email: None,
                master_id: None,
                enabled: true,
                grade: None,
                birth_year: Some(2008),
            };
            batch.put(&PEOPLE, &key(name), &person);
            let grant =
                RoleGrant { person: name.into(), org: "o".into(), role, title: None, period: Period::default() };
            batch.put(&ROLES, &key(name), &grant);
        }
        let class = Class {
            title: "7a".into(),
            code: None,
            org: "o".into(),
            course: None,
            homeroom: true,
            grades: vec!["11".into()],
            sessions: vec![],
        };
        batch.put(&CLASSES, &key("7a"), &class);
        for (person, role) in
            [("teacher", EnrollmentRole::Teacher), ("pia", EnrollmentRole::Student), ("paul", EnrollmentRole::Student)]
        {
            let enrollment = Enrollment {
                class: "7a".into(),
                person: person.into(),
                role,
                primary: true,
                period: Period::default(),
            };
            batch.put(&ENROLLMENTS, &key(person), &enrollment);
        }
        fixture.store.commit(batch).await.unwrap();
        Self::open(fixture).await
    }

    /// What a start makes of the tables.
    async fn open(fixture: Fixture) -> Self {
        let config = Config::defaults(owned_server_name!("school.example"));
        let (store, clock) = (fixture.store.clone(), fixture.clock.clone());
        let lists = fixture.users.ignored_lists.clone();
        let rules = Arc::new(Rules::load_blocking(&store, &config, lists, clock.clone()).unwrap());
        let audit = Audit::load(store.clone(), clock.clone()).await.unwrap();
        let refresh = Refresh::new(rules.clone(), store.clone());
        let decisions = Decisions::load(store, clock, rules.clone(), audit.clone(), refresh).await.unwrap();
        Self { fixture, rules, decisions, audit }
    }

    fn outcome(&self, actor: &str, target: &str, verb: Verb) -> Outcome {
        self.rules.ruling(&id(actor), &id(target), verb).outcome
    }

    fn now(&self) -> u64 {
        self.fixture.clock.now_ms()
    }

    async fn actions(&self) -> Vec<String> {
        let rows = self.audit.list(None, 100).await.unwrap();
        rows.into_iter().rev().map(|(_, row)| row.action).collect()
    }

    async fn allow(
        &self,
        actor: &str,
        target: &str,
        verb: Option<Verb>,
        until_ms: Option<u64>,
    ) -> Result<u64, SchoolError> {
        self.add(actor, target, verb, OverrideEffect::Allow, until_ms).await
    }

    async fn add(
        &self,
        actor: &str,
        target: &str,
        verb: Option<Verb>,
        effect: OverrideEffect,
        until_ms: Option<u64>,
    ) -> Result<u64, SchoolError> {
        let new =
            NewOverride { actor: id(actor), target: id(target), verb, effect, reason: "a project".into(), until_ms };
        self.decisions.add_override(&new, &Author::console()).await
    }
}

fn invalid<T: std::fmt::Debug>(result: Result<T, SchoolError>) -> String {
    match result {
        Err(SchoolError::Invalid(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_override_holds_at_once_until_it_ends_and_after_a_start() {
    let world = World::new().await;
    let changed = world.rules.changed();
    assert_eq!(world.outcome("pia", "paul", Verb::Dm), Outcome::Deny);
    let until = world.now() + 60_000;
    world.allow("pia", "paul", Some(Verb::Dm), Some(until)).await.unwrap();
    assert!(changed.has_changed().unwrap());
    assert_eq!(world.outcome("pia", "paul", Verb::Dm), Outcome::Allow);
    assert_eq!(world.outcome("paul", "pia", Verb::Dm), Outcome::Deny);
    let why = world.rules.why(&id("pia"), &id("paul"), Verb::Dm);
    assert_eq!((why.ruling.rule, why.expires_ms), ("override", Some(until)));
    assert!(why.relations.contains(&"classmate"));
    let world = World::open(world.fixture).await;
    assert_eq!(world.outcome("pia", "paul", Verb::Dm), Outcome::Allow);
    world.fixture.clock.advance(Duration::from_mins(1));
    assert_eq!(world.outcome("pia", "paul", Verb::Dm), Outcome::Deny);
    assert!(!world.decisions.overrides(None, None, 10).await.unwrap()[0].in_force);
    // The next one clears away what has ended, and does not reuse its number.
    let second = world.allow("paul", "pia", None, None).await.unwrap();
    let left = world.decisions.overrides(Some(&id("pia")), None, 10).await.unwrap();
    assert_eq!(left.iter().map(|row| row.number).collect::<Vec<_>>(), [second]);
    assert_eq!(world.actions().await, ["override.add", "override.add"]);
}

#[tokio::test]
async fn an_override_is_taken_back() {
    let world = World::new().await;
    let number = world.add("teacher", "pia", None, OverrideEffect::Deny, None).await.unwrap();
    assert!(world.rules.ruling(&id("teacher"), &id("pia"), Verb::See).hidden);
    world.decisions.remove_override(number, &Author::console()).await.unwrap();
    assert_eq!(world.outcome("teacher", "pia", Verb::Dm), SUPERVISED);
    let again = world.decisions.remove_override(number, &Author::console()).await;
    assert!(matches!(again, Err(SchoolError::NotFound(_))));
    assert_eq!(world.actions().await, ["override.add", "override.remove"]);
}

#[tokio::test]
async fn overrides_that_make_no_sense_are_refused() {
    let world = World::new().await;
    assert!(invalid(world.allow("pia", "pia", None, None).await).contains("themselves"));
    assert!(invalid(world.allow("pia", "paul", None, Some(world.now())).await).contains("past"));
    assert!(invalid(world.allow("pia", "visitor", None, None).await).contains("hard.unknown"));
    assert!(invalid(world.allow("gerda", "pia", None, None).await).contains("hard.other_children"));
    let photo = world.add("pia", "paul", Some(Verb::Photo), OverrideEffect::Supervised, None).await;
    assert!(invalid(photo).contains("supervised"));
    assert!(matches!(world.allow("pia", "nobody", None, None).await, Err(SchoolError::NotFound(_))));
    let mut new = NewOverride {
        actor: id("pia"),
        target: UserId::parse("@a:other.example").unwrap(),
        verb: None,
        effect: OverrideEffect::Allow,
        reason: "why".into(),
        until_ms: None,
    };
    assert!(invalid(world.decisions.add_override(&new, &Author::console()).await).contains("another server"));
    new.target = id("paul");
    new.reason = " ".into();
    assert!(invalid(world.decisions.add_override(&new, &Author::console()).await).contains("reason"));
    assert!(world.actions().await.is_empty());
}

#[tokio::test]
async fn roles_given_here_end_on_time_and_can_be_taken_back() {
    let world = World::new().await;
    let (by, visitor) = (Author::user(&id("head")), id("visitor"));
    assert!(world.rules.ruling(&visitor, &id("teacher"), Verb::See).hidden);
    let until = world.now() + 3_600_000;
    world.decisions.grant_role(&visitor, SchoolRole::SafeguardingLead, Some(until), &by).await.unwrap();
    world.decisions.grant_role(&visitor, SchoolRole::Staff, None, &by).await.unwrap();
    assert_eq!(world.outcome("visitor", "pia", Verb::Dm), Outcome::Allow);
    assert_eq!(world.decisions.roles(Some(&visitor)).await.unwrap().len(), 2);
    assert!(!world.rules.is_stale());
    world.fixture.clock.advance(Duration::from_hours(1));
    assert!(world.rules.is_stale());
    world.decisions.refresh.now().await.unwrap();
    assert!(!world.rules.is_stale());
    assert_eq!(world.outcome("visitor", "pia", Verb::Dm), Outcome::Deny);
    assert_eq!(world.outcome("visitor", "teacher", Verb::Dm), Outcome::Allow);
    world.decisions.revoke_role(&visitor, SchoolRole::Staff, &by).await.unwrap();
    assert!(world.rules.ruling(&visitor, &id("teacher"), Verb::See).hidden);
    // What the roster tells is not taken back here.
    let roster = world.decisions.revoke_role(&id("head"), SchoolRole::Leadership, &by).await;
    assert!(matches!(roster, Err(SchoolError::NotFound(_))));
    let missing = world.decisions.grant_role(&id("nobody"), SchoolRole::Staff, None, &by).await;
    assert!(matches!(missing, Err(SchoolError::NotFound(_))));
    assert_eq!(world.actions().await, ["role.grant", "role.grant", "role.revoke"]);
    let known: Vec<LocalRole> = world.decisions.roles(None).await.unwrap().into_iter().map(|role| role.grant).collect();
    assert_eq!(known[0].by, "@head:school.example");
}

#[tokio::test]
async fn links_are_confirmed_and_kept_apart_by_decision() {
    let world = World::new().await;
    let by = Author::console();
    let decide = |contact, isolated| NewLinkDecision {
        student: id("pia"),
        adult: id("gerda"),
        contact,
        isolated,
        reason: "papers seen".into(),
    };
    assert!(world.rules.ruling(&id("gerda"), &id("pia"), Verb::See).hidden);
    world.decisions.decide_link(&decide(Some(true), None), &by).await.unwrap();
    assert_eq!(world.outcome("gerda", "pia", Verb::See), Outcome::Allow);
    assert_eq!(world.outcome("gerda", "teacher", Verb::Dm), Outcome::Allow);
    world.decisions.decide_link(&decide(None, Some(true)), &by).await.unwrap();
    assert_eq!(world.rules.ruling(&id("pia"), &id("gerda"), Verb::See).rule, "hard.isolated");
    assert_eq!(world.decisions.links(Some(&id("pia")), 10).await.unwrap().len(), 1);
    // Not even an override helps.
    assert!(invalid(world.allow("gerda", "pia", None, None).await).contains("hard.isolated"));
    world.decisions.clear_link(&id("pia"), &id("gerda"), &by).await.unwrap();
    assert_eq!(world.rules.ruling(&id("gerda"), &id("pia"), Verb::See).rule, "hard.other_children");
    assert!(invalid(world.decisions.decide_link(&decide(None, None), &by).await).contains("nothing"));
    assert!(invalid(world.decisions.decide_link(&decide(Some(true), Some(true)), &by).await).contains("apart"));
    let turned = NewLinkDecision { student: id("gerda"), adult: id("pia"), ..decide(Some(true), None) };
    assert!(invalid(world.decisions.decide_link(&turned, &by).await).contains("no pupil"));
    assert_eq!(world.actions().await, ["link.decide", "link.decide", "link.clear"]);
}

#[tokio::test]
async fn settings_are_versions_and_two_administrators_do_not_overwrite_each_other() {
    let world = World::new().await;
    let by = Author::console();
    assert_eq!(world.decisions.policy().version.number, 0);
    let open = Settings::of(Preset::Classmates);
    let preview = world.decisions.preview_policy(&open, 10).await.unwrap();
    assert!(preview.exact);
    let between = |from, to| preview.counts.iter().find(|count| (count.from, count.to) == (from, to)).unwrap();
    let mates = between(SchoolRole::Student, SchoolRole::Student);
    assert_eq!((mates.verb, mates.loosened, mates.tightened), (Verb::Dm, 2, 0));
    assert_eq!(between(SchoolRole::Student, SchoolRole::Teacher).loosened, 2);
    assert_eq!(preview.counts.len(), 2);
    assert_eq!(preview.examples.len(), 4);
    assert_eq!(preview, world.decisions.preview_policy(&open, 10).await.unwrap());
    assert_eq!(world.outcome("pia", "paul", Verb::Dm), Outcome::Deny);

    assert_eq!(world.decisions.set_policy(&open, 0, &by).await.unwrap(), 1);
    assert_eq!(world.outcome("pia", "paul", Verb::Dm), Outcome::Allow);
    let late = world.decisions.set_policy(&Settings::of(Preset::StaffOnly), 0, &by).await;
    assert!(matches!(late, Err(SchoolError::Conflict(_))));
    let mut wrong = open.clone();
    wrong.switches.insert("nothing".into(), Level::Flag(true));
    wrong.preset = "open".into();
    let text = invalid(world.decisions.set_policy(&wrong, 1, &by).await);
    assert!(text.contains("switches.nothing") && text.contains("preset"), "{text}");

    let world = World::open(world.fixture).await;
    assert_eq!(world.outcome("pia", "paul", Verb::Dm), Outcome::Allow);
    assert_eq!(world.rules.why(&id("pia"), &id("paul"), Verb::Dm).policy_version, 1);
    assert_eq!(world.decisions.set_policy(&Settings::of(Preset::StaffOnly), 1, &by).await.unwrap(), 2);
    assert_eq!(world.outcome("teacher", "pia", Verb::Dm), Outcome::Deny);
    let versions = world.decisions.policy_versions(None, 10).await.unwrap();
    assert_eq!(versions.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(world.actions().await, ["policy.set", "policy.set"]);
}

#[tokio::test]
async fn a_person_is_told_neither_of_blocks_nor_of_hidden_people() {
    let world = World::new().await;
    let user = world.fixture.store.user(&id("head")).await.unwrap().unwrap();
    let list =
        serde_json::value::RawValue::from_string(r#"{"ignored_users":{"@teacher:school.example":{}}}"#.to_owned());
    let data = &world.fixture.users.account_data;
    data.set(user, None, "m.ignored_user_list", &list.unwrap()).await.unwrap();
    assert_eq!(world.rules.ruling(&id("teacher"), &id("head"), Verb::Dm).rule, "block");
    assert_eq!(world.outcome("teacher", "head", Verb::See), Outcome::Allow);
    assert_eq!(world.outcome("head", "teacher", Verb::Dm), Outcome::Allow);
    let told = world.rules.why_for(&id("teacher"), &id("head")).unwrap();
    assert!(told.iter().all(|(_, ruling)| ruling.rule != "block"));
    assert!(told.iter().any(|(verb, ruling)| *verb == Verb::Dm && ruling.rule == "unavailable"));
    assert!(world.rules.why_for(&id("gerda"), &id("pia")).is_none());
    assert!(world.rules.why_for(&id("gerda"), &id("nobody")).is_none());
    // For numbers as for ids.
    let people = world.rules.people();
    let [teacher, head] = ["teacher", "head"].map(|name| people.find(&id(name)).unwrap());
    assert_eq!(world.rules.ruling_between(&people, teacher, head, Verb::Dm).rule, "block");
}
