use chrono::NaiveDate;

use crate::{
    rooms::policy::Verb,
    school::{
        people::{Builder, People, PersonNo},
        policy::{Compiled, Facts, Outcome, Ruling, Scope, Scopes, Settings, decide, scopes},
        roster::{
            Class, Enrollment, EnrollmentRole, Link, Org, OrgType, Period, Person, Relation, RoleGrant, SchoolRole,
        },
    },
    store::{UserNo, schema::school::LinkDecision},
};

const SOURCE: &str = "sis";
const SUPERVISED: Outcome = Outcome::Supervised { adults: 2 };

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A school in the making: class 7a with `tutor`, class 8b with `other_teacher`, `head`, `office` and `lead`.
struct Draft {
    builder: Builder,
    users: Vec<String>,
}

impl Draft {
    fn new(today: &str) -> Self {
        let mut draft = Self { builder: Builder::new(day(today)), users: Vec::new() };
        draft.builder.org(SOURCE, "o", &Org { name: "School".into(), kind: OrgType::School, parent: None });
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
            draft.builder.class(SOURCE, id, &class);
        }
        for (id, role) in [
            ("tutor", SchoolRole::Teacher),
            ("other_teacher", SchoolRole::Teacher),
            ("head", SchoolRole::Leadership),
            ("office", SchoolRole::Staff),
        ] {
            draft.add(id, role);
        }
        draft.enroll("7a", "tutor", EnrollmentRole::Teacher, Period::default());
        draft.enroll("8b", "other_teacher", EnrollmentRole::Teacher, Period::default());
        let lead = draft.user("lead");
        draft.builder.local_role(lead, "lead", "Lead", SchoolRole::SafeguardingLead);
        draft
    }

    fn user(&mut self, localpart: &str) -> UserNo {
        let at = self.users.iter().position(|known| known == localpart).unwrap_or_else(|| {
            self.users.push(localpart.to_owned());
            self.users.len() - 1
        });
        UserNo(at as u64 + 1)
    }

    fn add(&mut self, id: &str, role: SchoolRole) {
        self.add_as(id, id, role, true);
    }

    /// A person of the roster whose account has a given name.
    fn add_as(&mut self, id: &str, localpart: &str, role: SchoolRole, enabled: bool) {
        let user = self.user(localpart);
        self.builder.account(SOURCE, id, user, localpart);
        let person = Person {
            given: id.into(),
            family: "Test".into(),
            display: None,
            username: None,
            email: None,
            master_id: None,
            enabled,
            grade: None,
            birth_year: Some(2012),
        };
        self.builder.person(SOURCE, id, &person);
        self.role(id, role, Period::default());
    }

    fn role(&mut self, id: &str, role: SchoolRole, period: Period) {
        let title = (id == "office").then(|| "office".to_owned());
        self.builder.role(SOURCE, &RoleGrant { person: id.into(), org: "o".into(), role, title, period });
    }

    fn pupil(&mut self, id: &str, class: &str) {
        self.add(id, SchoolRole::Student);
        self.enroll(class, id, EnrollmentRole::Student, Period::default());
    }

    fn enroll(&mut self, class: &str, person: &str, role: EnrollmentRole, period: Period) {
        let primary = role == EnrollmentRole::Teacher;
        self.builder
            .enrollment(SOURCE, &Enrollment { class: class.into(), person: person.into(), role, primary, period });
    }

    fn link(&mut self, student: &str, adult: &str) {
        self.link_as(student, adult, Relation::Parent, true, Period::default());
    }

    fn link_as(&mut self, student: &str, adult: &str, relation: Relation, contact: bool, period: Period) {
        let link = Link {
            student: student.into(),
            adult: adult.into(),
            relation,
            legal: true,
            contact,
            isolated: false,
            period,
        };
        self.builder.link(SOURCE, &link);
    }

    fn decide(&mut self, student: &str, adult: &str, contact: Option<bool>, isolated: Option<bool>) {
        let decision = LinkDecision { contact, isolated, reason: "said so".into(), by: "console".into(), at_ms: 0 };
        let (student, adult) = (self.user(student), self.user(adult));
        self.builder.decision(student, adult, &decision);
    }

    fn finish(self) -> School {
        School(self.builder.finish())
    }
}

struct School(People);

impl School {
    fn find(&self, localpart: &str) -> PersonNo {
        self.0.find(&ruma::UserId::parse(format!("@{localpart}:s")).unwrap()).unwrap()
    }

    fn ruling(&self, actor: &str, target: &str, verb: Verb) -> Ruling {
        let (actor, target) = (self.find(actor), self.find(target));
        let mut facts = Facts::new(verb, self.0.standing(actor), self.0.standing(target));
        facts.relations = self.0.relations(actor, target);
        decide(&facts, &Compiled::default())
    }

    fn dm(&self, actor: &str, target: &str) -> Outcome {
        self.ruling(actor, target, Verb::Dm).outcome
    }

    fn sees(&self, actor: &str, target: &str) -> bool {
        self.ruling(actor, target, Verb::See).is_allowed()
    }

    /// Nothing is possible between two, whoever begins.
    #[track_caller]
    fn apart(&self, one: &str, other: &str, rule: &str) {
        for (actor, target) in [(one, other), (other, one)] {
            for verb in Verb::ALL {
                let ruling = self.ruling(actor, target, verb);
                assert_eq!(
                    (ruling.outcome, ruling.rule, ruling.hidden),
                    (Outcome::Deny, rule, true),
                    "{actor} {target}"
                );
            }
        }
    }
}

#[test]
fn guardians_reach_their_childrens_school_and_no_other_children() {
    let mut draft = Draft::new("2026-11-22");
    draft.pupil("child", "7a");
    draft.pupil("mate", "7a");
    draft.add("mother", SchoolRole::Guardian);
    draft.link("child", "mother");
    let school = draft.finish();
    assert!(school.sees("mother", "child") && school.sees("child", "mother"));
    assert_eq!(school.dm("mother", "tutor"), Outcome::Allow);
    assert_eq!(school.dm("tutor", "mother"), Outcome::Allow);
    assert_eq!(school.dm("mother", "office"), Outcome::Allow);
    assert_eq!(school.dm("mother", "head"), Outcome::Allow);
    assert_eq!(school.dm("mother", "lead"), Outcome::Allow);
    assert!(!school.sees("mother", "other_teacher") && !school.sees("other_teacher", "mother"));
    assert_eq!(school.ruling("mother", "mate", Verb::See).rule, "hard.other_children");
    assert!(!school.sees("mate", "mother"));
}

#[test]
fn separated_parents_each_reach_the_school_and_not_each_other() {
    let mut draft = Draft::new("2026-11-22");
    draft.pupil("child", "7a");
    for parent in ["mother", "father"] {
        draft.add(parent, SchoolRole::Guardian);
        draft.link("child", parent);
    }
    let school = draft.finish();
    for (parent, other) in [("mother", "father"), ("father", "mother")] {
        assert!(school.sees(parent, "child"));
        assert_eq!(school.dm(parent, "tutor"), Outcome::Allow);
        assert!(school.ruling(parent, other, Verb::See).hidden);
    }
}

#[test]
fn a_parent_of_two_children_reaches_the_teachers_of_both() {
    let mut draft = Draft::new("2026-11-22");
    draft.pupil("older", "8b");
    draft.pupil("younger", "7a");
    draft.add("mother", SchoolRole::Guardian);
    draft.add("stepfather", SchoolRole::Guardian);
    draft.link("older", "mother");
    draft.link("younger", "mother");
    draft.link("younger", "stepfather");
    let school = draft.finish();
    assert_eq!(school.dm("mother", "tutor"), Outcome::Allow);
    assert_eq!(school.dm("mother", "other_teacher"), Outcome::Allow);
    assert_eq!(school.dm("stepfather", "tutor"), Outcome::Allow);
    assert_eq!(school.ruling("stepfather", "other_teacher", Verb::See).outcome, Outcome::Deny);
    assert_eq!(school.ruling("stepfather", "older", Verb::See).rule, "hard.other_children");
}

#[test]
fn a_no_contact_order_keeps_two_apart_whatever_else_they_are() {
    let mut draft = Draft::new("2026-11-22");
    draft.pupil("child", "7a");
    draft.add("father", SchoolRole::Guardian);
    draft.link("child", "father");
    // The tutor is the child's mother, and kept away by a court as well.
    draft.link("child", "tutor");
    draft.decide("child", "father", None, Some(true));
    draft.decide("child", "tutor", None, Some(true));
    let school = draft.finish();
    school.apart("child", "father", "hard.isolated");
    school.apart("child", "tutor", "hard.isolated");
    // He is not a guardian of this child any more, so its teachers are not his.
    assert!(!school.sees("father", "tutor") && !school.sees("father", "other_teacher"));
}

#[test]
fn an_adult_the_school_does_not_deal_with_is_kept_apart_until_confirmed() {
    for confirmed in [false, true] {
        let mut draft = Draft::new("2026-11-22");
        draft.pupil("child", "7a");
        draft.add("aunt", SchoolRole::Guardian);
        draft.link_as("child", "aunt", Relation::Relative, false, Period::default());
        if confirmed {
            draft.decide("child", "aunt", Some(true), None);
        }
        let school = draft.finish();
        if confirmed {
            assert!(school.sees("aunt", "child"));
            assert_eq!(school.dm("aunt", "tutor"), Outcome::Allow);
        } else {
            school.apart("child", "aunt", "hard.no_contact");
            assert!(!school.sees("aunt", "tutor"));
        }
    }
}

#[test]
fn a_teacher_who_is_a_parent_acts_as_either() {
    let mut draft = Draft::new("2026-11-22");
    draft.pupil("own", "8b");
    draft.pupil("taught", "7a");
    draft.pupil("neither", "8b");
    draft.link("own", "tutor");
    let school = draft.finish();
    assert_eq!(school.ruling("tutor", "own", Verb::See).rule, "matrix.guardian.student.see");
    assert_eq!(school.dm("tutor", "own"), Outcome::Deny);
    assert_eq!(school.dm("tutor", "taught"), SUPERVISED);
    assert!(school.ruling("tutor", "neither", Verb::See).hidden);
    assert_eq!(school.dm("tutor", "other_teacher"), Outcome::Allow);
}

#[test]
fn a_substitute_reaches_the_class_until_the_last_day() {
    for (today, reaches) in [("2026-11-01", false), ("2026-11-02", true), ("2026-11-20", true), ("2026-11-21", false)] {
        let mut draft = Draft::new(today);
        draft.pupil("child", "7a");
        draft.add("mother", SchoolRole::Guardian);
        draft.link("child", "mother");
        draft.add("substitute", SchoolRole::Teacher);
        let period = Period { begin: Some(day("2026-11-02")), end: Some(day("2026-11-21")) };
        draft.enroll("7a", "substitute", EnrollmentRole::Teacher, period);
        let school = draft.finish();
        assert_eq!(school.dm("substitute", "child") == SUPERVISED, reaches, "{today}");
        assert_eq!(school.sees("child", "substitute"), reaches, "{today}");
        assert_eq!(school.dm("mother", "substitute") == Outcome::Allow, reaches, "{today}");
        assert_eq!(school.dm("substitute", "tutor"), Outcome::Allow);
    }
}

#[test]
fn leavers_and_locked_accounts_are_gone_for_everybody() {
    let mut draft = Draft::new("2026-11-22");
    draft.pupil("child", "7a");
    draft.pupil("mate", "7a");
    draft.add("mother", SchoolRole::Guardian);
    draft.link("child", "mother");
    draft.add_as("left", "left", SchoolRole::Student, false);
    draft.enroll("7a", "left", EnrollmentRole::Student, Period::default());
    let locked = draft.user("mate");
    draft.builder.barred(locked);
    let school = draft.finish();
    for gone in ["left", "mate"] {
        for other in ["child", "tutor", "head", "lead", "mother"] {
            school.apart(gone, other, "hard.gone");
        }
    }
    assert!(school.sees("mother", "child"));
}

#[test]
fn a_guardian_whose_link_has_ended_is_a_stranger() {
    let mut draft = Draft::new("2026-11-22");
    draft.pupil("child", "7a");
    draft.add("foster", SchoolRole::Guardian);
    let period = Period { begin: None, end: Some(day("2026-11-22")) };
    draft.link_as("child", "foster", Relation::Guardian, true, period);
    let school = draft.finish();
    assert_eq!(school.ruling("foster", "child", Verb::See).rule, "hard.other_children");
    assert!(!school.sees("child", "foster") && !school.sees("foster", "tutor") && !school.sees("tutor", "foster"));
}

#[test]
fn merged_duplicates_are_one_person_with_the_roles_of_both() {
    let mut draft = Draft::new("2026-11-22");
    draft.pupil("child", "7a");
    draft.add_as("record1", "keller", SchoolRole::Teacher, true);
    draft.add_as("record2", "keller", SchoolRole::Guardian, true);
    draft.enroll("8b", "record1", EnrollmentRole::Teacher, Period::default());
    draft.pupil("pupil", "8b");
    draft.link("child", "record2");
    let school = draft.finish();
    assert_eq!(school.dm("keller", "pupil"), SUPERVISED);
    assert!(school.sees("keller", "child"));
    assert_eq!(school.dm("keller", "tutor"), Outcome::Allow);
}

#[test]
fn juniors_are_written_to_together_with_their_family_and_ask_no_teacher() {
    let mut draft = Draft::new("2026-11-22");
    draft.pupil("child", "7a");
    draft.add("junior", SchoolRole::Student);
    draft.enroll("7a", "junior", EnrollmentRole::Student, Period::default());
    let number = draft.user("junior");
    let mut people = draft.builder;
    let row = Person {
        given: "Junior".into(),
        family: "Test".into(),
        display: None,
        username: None,
        email: None,
        master_id: None,
        enabled: true,
        grade: Some("06".into()),
        birth_year: None,
    };
    people.account(SOURCE, "young", number, "junior");
    people.person(SOURCE, "young", &row);
    let school = School(people.finish());
    assert_eq!(school.dm("tutor", "junior"), Outcome::FamilyThread);
    assert_eq!(school.dm("tutor", "child"), SUPERVISED);
    assert_eq!(school.dm("junior", "tutor"), Outcome::Deny);
    assert_eq!(school.dm("child", "tutor"), Outcome::Knock);
    assert!(school.sees("junior", "tutor"));
    assert_eq!(school.dm("junior", "lead"), Outcome::Allow);
}

#[test]
fn parts_of_the_school_are_where_pupils_learn_and_guardians_have_children() {
    let mut draft = Draft::new("2026-11-22");
    draft.pupil("child", "7a");
    draft.pupil("mate", "7a");
    draft.pupil("older", "8b");
    for (adult, children) in [("mother", &["child", "older"][..]), ("father", &["mate"])] {
        draft.add(adult, SchoolRole::Guardian);
        for child in children {
            draft.link(child, adult);
        }
    }
    let school = draft.finish();
    let settings = Settings::read(
        r#"{"scoped":[{"scope":{"class":{"source":"sis","id":"7a"}},"switches":{}},
            {"scope":{"grades":{"from":8,"to":9}},"switches":{}},
            {"scope":{"org":{"source":"sis","id":"o"}},"switches":{}},
            {"scope":{"class":{"source":"elsewhere","id":"7a"}},"switches":{}}]}"#,
    );
    let settings = settings.unwrap().1;
    assert!(matches!(settings.scopes()[0], Scope::Class(_)));
    let of = |one: &str, other: &str| scopes(&settings, &school.0, [Some(school.find(one)), Some(school.find(other))]);
    assert_eq!(of("child", "mate"), Scopes { any: 0b101, all: 0b101 });
    assert_eq!(of("child", "older"), Scopes { any: 0b111, all: 0b100 });
    assert_eq!(of("tutor", "older"), Scopes { any: 0b110, all: 0b110 });
    assert_eq!(of("mother", "father"), Scopes { any: 0b111, all: 0b101 });
    assert_eq!(of("tutor", "head"), Scopes::default());
}
