#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::btree_map, option, prelude::*, sample::select};

use super::*;
use crate::school::roster::{
    Bundle, Change, Class, Course, Enrollment, EnrollmentRole, Group, Link, ObjectKind, Org, OrgType, Period, Person,
    Relation, RoleGrant, Roster, SchoolRole, Session, SourceId,
};

fn id() -> impl Strategy<Value = SourceId> {
    select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned)
}

fn some<V: std::fmt::Debug>(object: impl Strategy<Value = V>) -> impl Strategy<Value = BTreeMap<SourceId, V>> {
    btree_map(id(), object, 0..4)
}

fn person() -> impl Strategy<Value = Person> {
    (select(vec!["Anna", "Ben"]), any::<bool>()).prop_map(|(given, enabled)| Person {
        given: given.into(),
        family: "Test".into(),
        display: None,
        username: None,
        email: None,
        master_id: None,
        enabled,
        grade: None,
        birth_year: None,
    })
}

/// Any roster, whatever its references lead to.
fn any_roster() -> impl Strategy<Value = Roster> {
    let org = option::of(id()).prop_map(|parent| Org { name: "o".into(), kind: OrgType::School, parent });
    let session = option::of(id()).prop_map(|parent| Session {
        title: "s".into(),
        school_year: false,
        period: Period::default(),
        parent,
    });
    let course = option::of(id()).prop_map(|org| Course { title: "c".into(), org });
    let class = (id(), option::of(id()), prop::collection::vec(id(), 0..2)).prop_map(|(org, course, sessions)| Class {
        title: "k".into(),
        code: None,
        org,
        course,
        homeroom: false,
        grades: vec![],
        sessions,
    });
    let role = (id(), id(), select(SchoolRole::ALL.to_vec())).prop_map(|(person, org, role)| RoleGrant {
        person,
        org,
        role,
        title: None,
        period: Period::default(),
    });
    let enrollment = (id(), id(), any::<bool>()).prop_map(|(class, person, primary)| Enrollment {
        class,
        person,
        role: EnrollmentRole::Student,
        primary,
        period: Period::default(),
    });
    let link = (id(), id(), any::<bool>()).prop_map(|(student, adult, isolated)| Link {
        student,
        adult,
        relation: Relation::Parent,
        legal: true,
        contact: true,
        isolated,
        period: Period::default(),
    });
    let group = (option::of(id()), prop::collection::vec(id(), 0..3)).prop_map(|(org, members)| Group {
        title: "g".into(),
        org,
        members,
    });
    let first = (some(org), some(session), some(course), some(class), some(person()));
    (first, (some(role), some(enrollment), some(link), some(group))).prop_map(
        |((orgs, sessions, courses, classes, people), (roles, enrollments, links, groups))| Roster {
            orgs,
            sessions,
            courses,
            classes,
            people,
            roles,
            enrollments,
            links,
            groups,
        },
    )
}

/// Whether every reference leads to something; parents, which are of the same kind, are left out.
fn is_whole(roster: &Roster) -> bool {
    let optional = |id: &Option<String>, there: &dyn Fn(&str) -> bool| id.as_deref().is_none_or(there);
    let org = |id: &str| roster.orgs.contains_key(id);
    let person = |id: &str| roster.people.contains_key(id);
    roster.courses.values().all(|course| optional(&course.org, &org))
        && roster.classes.values().all(|class| {
            org(&class.org)
                && optional(&class.course, &|id| roster.courses.contains_key(id))
                && class.sessions.iter().all(|session| roster.sessions.contains_key(session))
        })
        && roster.roles.values().all(|role| person(&role.person) && org(&role.org))
        && roster.enrollments.values().all(|row| person(&row.person) && roster.classes.contains_key(&row.class))
        && roster.links.values().all(|link| person(&link.student) && person(&link.adult))
        && roster.groups.values().all(|group| optional(&group.org, &org) && group.members.iter().all(|id| person(id)))
}

/// A roster without references to nothing.
fn whole_roster() -> impl Strategy<Value = Roster> {
    any_roster().prop_map(|mut roster| {
        let (orgs, sessions, people) = (roster.orgs.clone(), roster.sessions.clone(), roster.people.clone());
        roster.courses.values_mut().for_each(|course| drop(course.org.take_if(|org| !orgs.contains_key(org))));
        let courses = roster.courses.clone();
        roster.classes.retain(|_, class| {
            class.course.take_if(|course| !courses.contains_key(course));
            class.sessions.retain(|session| sessions.contains_key(session));
            orgs.contains_key(&class.org)
        });
        let classes = roster.classes.clone();
        roster.roles.retain(|_, role| people.contains_key(&role.person) && orgs.contains_key(&role.org));
        roster.enrollments.retain(|_, row| people.contains_key(&row.person) && classes.contains_key(&row.class));
        roster.links.retain(|_, link| people.contains_key(&link.student) && people.contains_key(&link.adult));
        for group in roster.groups.values_mut() {
            group.org.take_if(|org| !orgs.contains_key(org));
            group.members.retain(|member| people.contains_key(member));
        }
        assert!(is_whole(&roster));
        roster
    })
}

fn bulk(roster: Roster) -> Bundle {
    Bundle { format: "test", roster, complete: ObjectKind::ALL.into_iter().collect(), ..Bundle::default() }
}

fn apply(roster: &mut Roster, change: &Change) {
    let before = roster.put(change.kind(), &change.id, change.after.clone());
    assert_eq!(before, change.before, "a change of something else");
}

fn all_kinds() -> impl Strategy<Value = BTreeSet<ObjectKind>> {
    prop::collection::btree_set(select(ObjectKind::ALL.to_vec()), 0..9)
}

proptest! {
    #[test]
    fn what_is_stored_becomes_what_is_told_and_back(a in any_roster(), b in any_roster()) {
        let plan = reconcile(&a, &bulk(b.clone()));
        let mut roster = a.clone();
        plan.changes.iter().for_each(|change| apply(&mut roster, change));
        prop_assert_eq!(&roster, &b);
        let counts = plan.outline.counts;
        prop_assert_eq!(counts.created + counts.updated + counts.removed, plan.changes.len() as u64);
        prop_assert_eq!(reconcile(&b, &bulk(b.clone())), Plan::default());
        plan.changes.into_iter().rev().for_each(|change| apply(&mut roster, &change.reversed()));
        prop_assert_eq!(roster, a);
    }

    #[test]
    fn no_reference_leads_to_nothing_wherever_the_list_is_cut(a in whole_roster(), b in whole_roster()) {
        let mut roster = a.clone();
        for change in reconcile(&a, &bulk(b)).changes {
            apply(&mut roster, &change);
            prop_assert!(is_whole(&roster), "after {:?}", change);
        }
    }

    #[test]
    fn what_is_removed_by_name_takes_with_it_what_needs_it(
        a in whole_roster(),
        complete in all_kinds(),
        removed in prop::collection::btree_set((select(ObjectKind::ALL.to_vec()), id()), 0..6),
    ) {
        // The files tell nothing of these kinds but that they are empty.
        let bundle = Bundle { format: "test", complete: complete.clone(), removed: removed.clone(), ..Bundle::default() };
        let mut roster = a.clone();
        for change in reconcile(&a, &bundle).changes {
            apply(&mut roster, &change);
        }
        prop_assert!(is_whole(&roster));
        for (kind, id) in removed {
            prop_assert!(roster.put(kind, &id, None).is_none());
        }
        if complete.is_empty() {
            prop_assert!(a.people.keys().filter(|id| !roster.people.contains_key(*id)).count() <= 4);
        }
        prop_assert_eq!(reconcile(&roster, &bundle).changes, vec![]);
    }
}

/// A school with so many pupils, each with a guardian, and ten teachers.
fn school(pupils: usize) -> Roster {
    let mut roster = Roster::default();
    roster.orgs.insert("s".into(), Org { name: "School".into(), kind: OrgType::School, parent: None });
    let mut add = |id: String, role: SchoolRole| {
        let grant = RoleGrant { person: id.clone(), org: "s".into(), role, title: None, period: Period::default() };
        roster.roles.insert(id.clone(), grant);
        let person = Person {
            given: id.clone(),
            family: "Test".into(),
            display: None,
            username: None,
            email: None,
            master_id: None,
            enabled: true,
            grade: None,
            birth_year: None,
        };
        roster.people.insert(id, person);
    };
    for number in 0..pupils {
        add(format!("p{number:03}"), SchoolRole::Student);
        add(format!("g{number:03}"), SchoolRole::Guardian);
    }
    for number in 0..10 {
        add(format!("t{number}"), SchoolRole::Teacher);
    }
    for number in 0..pupils {
        let link = Link {
            student: format!("p{number:03}"),
            adult: format!("g{number:03}"),
            relation: Relation::Parent,
            legal: true,
            contact: true,
            isolated: false,
            period: Period::default(),
        };
        roster.links.insert(format!("l{number:03}"), link);
    }
    roster
}

fn holds(stored: &Roster, told: Roster) -> Vec<String> {
    reconcile(stored, &bulk(told)).outline.holds
}

#[test]
fn more_than_a_tenth_of_a_role_is_held() {
    let stored = school(100);
    let without = |from: usize| {
        let mut told = stored.clone();
        for number in from..100 {
            told.people.get_mut(&format!("p{number:03}")).unwrap().enabled = false;
        }
        told
    };
    assert!(holds(&stored, without(90)).is_empty());
    assert_eq!(holds(&stored, without(89)), ["11 of 100 pupils would leave: more than 10 %"]);
    let mut told = stored.clone();
    told.roles.remove("t3");
    assert!(holds(&stored, told.clone()).is_empty());
    told.roles.remove("t4");
    assert_eq!(holds(&stored, told), ["2 of 10 teachers would leave: more than 10 %"]);
}

#[test]
fn more_than_twenty_guardian_links_are_held_whatever_their_ids() {
    let stored = school(300);
    let lost = |count: usize| {
        let mut told = stored.clone();
        told.links = told.links.into_iter().skip(count).map(|(id, link)| (format!("new-{id}"), link)).collect();
        told
    };
    assert!(holds(&stored, lost(20)).is_empty());
    assert_eq!(holds(&stored, lost(21)), ["21 guardian links would be removed: more than 20"]);
}

#[test]
fn a_whole_organisation_and_empty_files_are_held() {
    let mut stored = school(3);
    stored.orgs.insert("t".into(), Org { name: "Other".into(), kind: OrgType::School, parent: None });
    let mut told = stored.clone();
    told.orgs.remove("t");
    assert_eq!(holds(&stored, told), ["the organisation \"Other\" would be removed"]);
    let mut told = stored.clone();
    told.roles.clear();
    let held = holds(&stored, told);
    assert!(held.contains(&"the organisation \"School\" would lose everybody".to_owned()), "{held:?}");
    assert!(held.contains(&"the files name no roles, and 16 are stored".to_owned()), "{held:?}");
    assert!(holds(&stored, Roster::default()).len() > 4);
}

#[test]
fn a_first_import_and_a_delta_are_never_held() {
    assert!(holds(&Roster::default(), school(50)).is_empty());
    let stored = school(50);
    let removed = stored.people.keys().map(|id| (ObjectKind::Person, id.clone())).collect();
    let delta = Bundle { format: "test", removed, ..Bundle::default() };
    let plan = reconcile(&stored, &delta);
    assert!(plan.outline.holds.is_empty());
    assert_eq!(plan.outline.counts.removed, stored.len() as u64 - 1, "all but the organisation");
}

#[test]
fn a_summary_says_who_comes_and_goes() {
    let (stored, mut told) = (school(50), school(53));
    told.people.remove("p000");
    told.roles.remove("p000");
    told.links.remove("l000");
    let lines = reconcile(&stored, &bulk(told)).outline.summary.lines();
    assert_eq!(lines[..2], ["3 pupils join, 1 leaves", "3 guardians join"]);
    assert!(lines.contains(&"person: 6 new, 0 changed, 1 removed".to_owned()), "{lines:?}");
}

#[test]
fn one_joins_and_two_join() {
    let lines = |from: usize, to: usize| reconcile(&school(from), &bulk(school(to))).outline.summary.lines();
    assert_eq!(lines(50, 51)[..2], ["1 pupil joins", "1 guardian joins"]);
    assert_eq!(lines(51, 50)[..2], ["1 pupil leaves", "1 guardian leaves"]);
    assert_eq!(lines(52, 50)[0], "2 pupils leave");
}

#[test]
fn an_id_that_becomes_somebody_elses_is_held_in_a_delta_too() {
    let named = |given: &str, family: &str| {
        let mut roster = school(3);
        let person = roster.people.get_mut("p001").unwrap();
        (person.given, person.family) = (given.into(), family.into());
        roster
    };
    let stored = named("Anna Maria", "von Berg");
    for (given, family, held) in [
        ("Ben", "von Tal", true),
        ("Ben", "Berg", false),
        ("Anna", "Tal", false),
        // The columns were mixed up.
        ("BERG", "Ännchen", false),
        ("", "", false),
    ] {
        let told = named(given, family);
        let delta = Bundle { format: "test", roster: told.clone(), ..Bundle::default() };
        for bundle in [bulk(told), delta] {
            let holds = reconcile(&stored, &bundle).outline.holds;
            assert_eq!(!holds.is_empty(), held, "{given} {family}: {holds:?}");
            assert!(
                holds.iter().all(|hold| hold.contains("p001") && hold.contains("Anna Maria von Berg")),
                "{holds:?}"
            );
        }
    }
    // A name that was never known is nobody's.
    assert!(holds(&named("", ""), named("Ben", "Tal")).is_empty());
    let all = |given: &str| {
        let mut roster = school(8);
        roster.people.values_mut().for_each(|person| (person.given, person.family) = (given.into(), String::new()));
        roster
    };
    let many = holds(&all("Anna"), all("Ben"));
    assert_eq!((many.len(), many[5].as_str()), (6, "and 21 more ids would be somebody else's"));
}
