#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use chrono::NaiveDate;

use super::*;
use crate::{
    school::roster::{
        Class, Enrollment, EnrollmentRole, Link, Org, OrgType, Period, Person, Relation, RoleGrant, SchoolRole, Session,
    },
    store::UserNo,
};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn person(given: &str, grade: Option<&str>) -> Person {
    Person {
        given: given.into(),
        family: "Test".into(),
        display: None,
        username: None,
        email: None,
        master_id: None,
        enabled: true,
        grade: grade.map(Into::into),
        birth_year: None,
    }
}

/// A small school: tutor `t`, a second teacher `u`, pupils `p` and `q` of homeroom 7a, `r` of 8b, guardians `g` (of p),
/// `h` (of p and q), `x` (of p, kept apart), `y` (of p, without contact), head `d`.
struct Small {
    builder: Builder,
    next: u64,
}

const S: &str = "sis";

impl Small {
    fn new() -> Self {
        let mut small = Self { builder: Builder::new(day("2026-11-22")), next: 0 };
        for id in ["t", "u", "p", "q", "r", "g", "h", "x", "y", "d"] {
            small.account(id);
        }
        let b = &mut small.builder;
        b.org(S, "o", &Org { name: "School".into(), kind: OrgType::School, parent: None });
        for (id, grade) in [("7a", "07"), ("8b", "08")] {
            let class = Class {
                title: id.into(),
                code: None,
                org: "o".into(),
                course: None,
                homeroom: true,
                grades: vec![grade.into()],
                sessions: vec![],
            };
            b.class(S, id, &class);
        }
        for id in ["t", "u", "p", "q", "r", "g", "h", "x", "y", "d"] {
            b.person(S, id, &person(id, None));
        }
        for (id, role) in [
            ("t", SchoolRole::Teacher),
            ("u", SchoolRole::Teacher),
            ("p", SchoolRole::Student),
            ("q", SchoolRole::Student),
            ("r", SchoolRole::Student),
            ("g", SchoolRole::Guardian),
            ("h", SchoolRole::Guardian),
            ("d", SchoolRole::Leadership),
        ] {
            let grant = RoleGrant { person: id.into(), org: "o".into(), role, title: None, period: Period::default() };
            b.role(S, &grant);
        }
        small.enroll("7a", "t", EnrollmentRole::Teacher, true);
        for (class, pupil) in [("7a", "p"), ("7a", "q"), ("8b", "r")] {
            small.enroll(class, pupil, EnrollmentRole::Student, false);
        }
        small.enroll("8b", "u", EnrollmentRole::Teacher, true);
        for (student, adult, contact, isolated) in [
            ("p", "g", true, false),
            ("p", "h", true, false),
            ("q", "h", true, false),
            ("p", "x", true, true),
            ("p", "y", false, false),
        ] {
            small.link(student, adult, contact, isolated);
        }
        small
    }

    fn account(&mut self, id: &str) {
        self.next += 1;
        // Numbers that do not follow the order of the rows.
        self.builder.account(S, id, UserNo(100 - self.next), id);
    }

    fn enroll(&mut self, class: &str, person: &str, role: EnrollmentRole, primary: bool) {
        let row = Enrollment { class: class.into(), person: person.into(), role, primary, period: Period::default() };
        self.builder.enrollment(S, &row);
    }

    fn link(&mut self, student: &str, adult: &str, contact: bool, isolated: bool) {
        let row = Link {
            student: student.into(),
            adult: adult.into(),
            relation: Relation::Parent,
            legal: true,
            contact,
            isolated,
            period: Period::default(),
        };
        self.builder.link(S, &row);
    }
}

fn find(people: &People, localpart: &str) -> PersonNo {
    people.find(&ruma::UserId::parse(format!("@{localpart}:s")).unwrap()).unwrap()
}

fn names(people: &People, actor: &str, target: &str) -> Vec<&'static str> {
    people.relations(find(people, actor), find(people, target)).names().collect()
}

#[test]
fn relations_follow_from_classes_and_links() {
    let people = Small::new().builder.finish();
    for (actor, target, expected) in [
        ("p", "p", vec!["self", "same_org"]),
        ("p", "q", vec!["classmate", "same_org"]),
        ("p", "r", vec!["same_org"]),
        ("t", "p", vec!["teaches", "tutor", "same_org"]),
        ("p", "t", vec!["taught_by", "tutored_by", "same_org"]),
        ("t", "r", vec!["same_org"]),
        ("g", "p", vec!["guardian_of", "same_org"]),
        ("p", "g", vec!["child_of", "same_org"]),
        ("g", "q", vec!["same_org"]),
        ("g", "h", vec!["coguardian", "class_guardian", "same_org"]),
        ("t", "g", vec!["teaches_child_of", "same_org"]),
        ("g", "t", vec!["child_taught_by", "same_org"]),
        ("u", "g", vec!["same_org"]),
        ("p", "x", vec!["isolated"]),
        ("x", "p", vec!["isolated"]),
        ("p", "y", vec!["no_contact"]),
        ("t", "x", vec![]),
        ("g", "x", vec![]),
    ] {
        assert_eq!(names(&people, actor, target), expected, "{actor} to {target}");
        let forward = people.relations(find(&people, actor), find(&people, target));
        let back = people.relations(find(&people, target), find(&people, actor));
        assert_eq!(forward.reversed(), back, "{actor} and {target}");
    }
}

#[test]
fn people_are_found_by_name_and_by_number() {
    let people = Small::new().builder.finish();
    assert!(people.is_loaded());
    assert_eq!(people.len(), 10);
    for person in people.iter() {
        assert_eq!(people.of_user(people.user(person)), Some(person));
        assert_eq!(find(&people, people.localpart(person)), person);
    }
    assert_eq!(people.find(ruma::user_id!("@nobody:s")), None);
    assert_eq!(people.display_name(find(&people, "p")), "p Test");
    assert_eq!(people.tutors(find(&people, "p")).collect::<Vec<_>>(), [find(&people, "t")]);
}

#[test]
fn a_role_or_enrollment_that_is_over_gives_nothing() {
    let mut small = Small::new();
    small.account("sub");
    small.builder.person(S, "sub", &person("sub", None));
    let ended = Period { begin: None, end: Some(day("2026-11-22")) };
    let role =
        RoleGrant { person: "sub".into(), org: "o".into(), role: SchoolRole::Teacher, title: None, period: ended };
    small.builder.role(S, &role);
    let row = Enrollment {
        class: "7a".into(),
        person: "sub".into(),
        role: EnrollmentRole::Teacher,
        primary: false,
        period: ended,
    };
    small.builder.enrollment(S, &row);
    let people = small.builder.finish();
    let sub = find(&people, "sub");
    assert!(people.roles(sub).is_empty());
    assert!(people.relations(sub, find(&people, "p")).names().next().is_none());
}

#[test]
fn who_left_is_gone_also_with_a_role_given_here() {
    let mut small = Small::new();
    small.account("old");
    small.builder.local_role(UserNo(100 - small.next), "old", "Old", SchoolRole::SafeguardingLead);
    small.builder.local_role(UserNo(500), "office", "Office", SchoolRole::Staff);
    let people = small.builder.finish();
    let old = people.standing(find(&people, "old"));
    assert!(old.gone && old.roles.is_empty());
    let office = people.standing(find(&people, "office"));
    assert!(!office.gone && office.roles.has(SchoolRole::Staff));
}

#[test]
fn an_administrator_whom_no_roster_knows_works_for_the_school() {
    let mut small = Small::new();
    // The third account is the pupil p.
    small.builder.administrator(UserNo(97), "p");
    small.builder.administrator(UserNo(500), "it");
    let people = small.builder.finish();
    assert!(people.roles(find(&people, "it")).has(SchoolRole::Staff));
    assert!(!people.roles(find(&people, "p")).works_here());
}

#[test]
fn juniors_are_the_young_and_those_of_unknown_age() {
    let mut builder = Builder::new(day("2026-11-22"));
    let cases = [
        ("a", Some("06"), None, true),
        ("b", Some("7"), None, false),
        ("c", None, Some(2014), true),
        ("d", None, Some(2013), false),
        ("e", None, None, true),
        ("f", Some("08"), Some(2015), true),
        ("g", Some("KG"), None, true),
    ];
    for (number, (id, ..)) in (1..).zip(&cases) {
        builder.account(S, id, UserNo(number), id);
    }
    for (id, grade, birth_year, _) in &cases {
        builder.person(S, id, &Person { birth_year: *birth_year, ..person(id, *grade) });
        let grant = RoleGrant {
            person: (*id).into(),
            org: "o".into(),
            role: SchoolRole::Student,
            title: None,
            period: Period::default(),
        };
        builder.role(S, &grant);
    }
    let people = builder.finish();
    for (id, .., junior) in cases {
        assert_eq!(people.standing(find(&people, id)).junior, junior, "{id}");
    }
}

#[test]
fn classes_of_past_terms_are_left_out_unless_the_whole_calendar_is_past() {
    let term = |begin: &str, end: &str| Session {
        title: "t".into(),
        school_year: true,
        period: Period { begin: Some(day(begin)), end: Some(day(end)) },
        parent: None,
    };
    let class = |session: &str| Class {
        title: session.into(),
        code: None,
        org: "o".into(),
        course: None,
        homeroom: false,
        grades: vec![],
        sessions: vec![session.into()],
    };
    let mut builder = Builder::new(day("2026-11-22"));
    builder.session(S, "old", &term("2025-08-01", "2026-07-31"));
    builder.session(S, "new", &term("2026-08-01", "2027-07-31"));
    builder.session("stale", "old", &term("2025-08-01", "2026-07-31"));
    builder.class(S, "c1", &class("old"));
    builder.class(S, "c2", &class("new"));
    builder.class("stale", "c3", &class("old"));
    let people = builder.finish();
    let ids: Vec<_> = people.classes().map(|(_, class)| &*class.id).collect();
    assert_eq!(ids, ["c2", "c3"]);
}

#[test]
fn what_this_server_says_of_a_link_stands_above_the_roster() {
    use crate::store::schema::school::LinkDecision;
    let mut small = Small::new();
    let user = |place: u64| UserNo(100 - place);
    let decide =
        |contact, isolated| LinkDecision { contact, isolated, reason: String::new(), by: "a".into(), at_ms: 0 };
    // p is the third account, g the sixth, y the ninth, u the second.
    small.builder.decision(user(3), user(9), &decide(Some(true), None));
    small.builder.decision(user(3), user(6), &decide(None, Some(true)));
    small.builder.decision(user(3), user(2), &decide(None, Some(true)));
    let people = small.builder.finish();
    assert_eq!(names(&people, "y", "p"), ["guardian_of"]);
    assert_eq!(names(&people, "g", "p"), ["same_org", "isolated"]);
    assert_eq!(names(&people, "u", "p"), ["same_org", "isolated"]);
}
