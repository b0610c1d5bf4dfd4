//! Everybody finds exactly whom the policy lets them see.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::user_id;

use super::school::{NOON_MS, School, add_class, add_person};
use crate::{
    config::SchoolPreset,
    rooms::policy::Verb,
    school::{
        directory::{ContactsQuery, viewer::Viewer},
        people::Relations,
        roster::{EnrollmentRole, Org, OrgType, Roster, SchoolRole},
    },
    store::schema::school::{Override, OverrideEffect},
};

const PRESETS: [SchoolPreset; 4] =
    [SchoolPreset::Safe, SchoolPreset::Classmates, SchoolPreset::StaffOnly, SchoolPreset::OpenUpperSchool];

/// Decides something by name about a few pairs that have nothing to do with each other.
fn add_overrides(school: &School) {
    let everybody: Vec<_> = school.people.iter().collect();
    for (number, step) in (0_u64..).zip(0..40_usize) {
        let pair = [step * 7 % everybody.len(), (step * 13 + 5) % everybody.len()];
        let [actor, target] = pair.map(|at| school.people.user(everybody[at]));
        let row = Override {
            actor,
            target,
            verb: (step % 3 > 0).then(|| Verb::ALL[step % Verb::ALL.len()].name().to_owned()),
            effect: [OverrideEffect::Allow, OverrideEffect::Supervised, OverrideEffect::Deny][step % 3],
            reason: "test".into(),
            by: "console".into(),
            at_ms: NOON_MS,
            until_ms: None,
        };
        school.rules.in_force().overrides.put(number, &row);
    }
}

#[test]
fn every_view_is_what_the_policy_says_of_each_pair() {
    for (seed, preset) in (1..).zip(PRESETS) {
        let school = School::small(seed, preset);
        add_overrides(&school);
        let mut seen_by_somebody = 0;
        for actor in school.people.iter() {
            let id = school.id(actor);
            let viewer = Viewer::new(&school.rules, &id);
            for target in school.people.iter() {
                for verb in Verb::ALL {
                    let alone = school.rules.ruling_between(&school.people, actor, target, verb);
                    assert_eq!(viewer.ruling(target, verb), alone, "{id} to {} {verb:?}", school.id(target));
                }
            }
            let sees = |target| school.rules.ruling_between(&school.people, actor, target, Verb::See).is_allowed();
            let expected: BTreeSet<_> =
                school.people.iter().filter(|target| *target != actor && sees(*target)).collect();
            let found: BTreeSet<_> = viewer.seen(None).map(|(person, _)| person).collect();
            assert_eq!(found, expected, "{id}");
            seen_by_somebody += found.len();
        }
        assert!(seen_by_somebody > school.people.len(), "a school where nobody sees anybody shows nothing");
    }
}

#[test]
fn whoever_has_any_relation_is_near() {
    let school = School::small(5, SchoolPreset::Safe);
    for actor in school.people.iter() {
        let id = school.id(actor);
        let viewer = Viewer::new(&school.rules, &id);
        for target in school.people.iter() {
            let relations = school.people.relations(actor, target);
            if relations != Relations::NONE && relations != Relations::SAME_ORG && actor != target {
                let names: Vec<_> = relations.names().collect();
                assert!(viewer.is_near(school.people.names().place(target)), "{id} is {names:?}");
            }
        }
    }
}

#[test]
fn who_is_unknown_to_the_school_sees_what_the_policy_says() {
    let school = School::small(6, SchoolPreset::Safe);
    let id = user_id!("@nobody:school.example");
    let viewer = Viewer::new(&school.rules, id);
    let sees = |person| school.rules.ruling(id, &school.id(person), Verb::See).is_allowed();
    let expected = school.people.iter().filter(|person| sees(*person)).count();
    assert_eq!(viewer.seen(None).count(), expected);
}

#[test]
fn pages_of_any_size_give_each_visible_person_once_and_in_one_order() {
    let school = School::small(7, SchoolPreset::Safe);
    for actor in school.people.iter() {
        let id = school.people.localpart(actor).to_owned();
        for text in ["", "s", "a"] {
            let whole = school.found(&id, text, 10_000);
            assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len(), "{id} {text}");
            for page in [1, 3, 50] {
                assert_eq!(school.found(&id, text, page), whole, "{id} {text} in pages of {page}");
            }
        }
    }
}

#[test]
fn a_page_begins_after_somebody_who_is_not_there_any_more() {
    let school = School::small(8, SchoolPreset::Safe);
    let head = school.people.with_role(SchoolRole::Leadership).next().unwrap();
    let id = school.id(head);
    let viewer = Viewer::new(&school.rules, &id);
    let page = viewer.page(viewer.seen(None), None, 20);
    let rest = viewer.page(viewer.seen(None), viewer.read_token(&page.next_batch.unwrap()), 1000).people;
    for token in ["", "%%%", "AAAA", &"A".repeat(9999)] {
        assert_eq!(viewer.read_token(token), None, "{token}");
    }
    let last = *page.people.last().unwrap();
    let key = super::super::index::sort_key(&school.people, last);
    // Somebody of the same name who stood a little later and has left: nobody is left out or shown twice.
    let gone = URL_SAFE_NO_PAD.encode(format!("0\u{2}{key}\u{2}{}~", school.people.localpart(last)));
    let stays = URL_SAFE_NO_PAD.encode(format!("0\u{2}{key}\u{2}{}", school.people.localpart(last)));
    assert_eq!(viewer.read_token(&gone), viewer.read_token(&stays));
    assert!(!rest.contains(&last));
}

/// Five hundred hidden Müllers, and one who may be seen, last by name.
fn muellers() -> School {
    let mut roster = Roster::default();
    roster.orgs.insert("school".into(), Org { name: "School".into(), kind: OrgType::School, parent: None });
    for number in 0..500 {
        add_person(&mut roster, &format!("hidden{number:03}"), "Anna", "Müller", SchoolRole::Student);
    }
    add_person(&mut roster, "friend", "Zoe", "Müllerin", SchoolRole::Student);
    add_person(&mut roster, "pupil", "Pia", "Apfel", SchoolRole::Student);
    add_person(&mut roster, "teacher", "Theo", "Tafel", SchoolRole::Teacher);
    add_person(&mut roster, "head", "Hanna", "Leiter", SchoolRole::Leadership);
    let members =
        [("friend", EnrollmentRole::Student), ("pupil", EnrollmentRole::Student), ("teacher", EnrollmentRole::Teacher)];
    add_class(&mut roster, "8a", &members);
    School::new(&roster, SchoolPreset::Safe)
}

#[test]
fn an_allowed_one_is_found_behind_five_hundred_hidden_ones() {
    let school = muellers();
    assert_eq!(school.found("pupil", "müller", 1), ["friend"]);
    assert_eq!(school.found("teacher", "mueller", 10), ["friend"]);
    assert_eq!(school.found("head", "muller", 100).len(), 501);
    let id = school.id(school.find("pupil"));
    let viewer = Viewer::new(&school.rules, &id);
    let query = ContactsQuery { q: Some("müller".into()), limit: 10, ..ContactsQuery::default() };
    let page = viewer.contacts(&query).unwrap();
    assert_eq!(page.contacts.len(), 1);
    assert_eq!(page.next_batch, None);
    // Nothing in the answer counts the hidden ones.
    assert_eq!(page.facets.roles, BTreeMap::from([("student", 1)]));
    assert_eq!(page.facets.relations, BTreeMap::from([("classmate", 1), ("same_org", 1)]));
}

#[test]
fn facets_and_filters_count_whom_the_viewer_sees() {
    let school = School::small(9, SchoolPreset::Safe);
    for actor in school.people.iter() {
        let id = school.id(actor);
        let viewer = Viewer::new(&school.rules, &id);
        let all = ContactsQuery { limit: 10_000, ..ContactsQuery::default() };
        let page = viewer.contacts(&all).unwrap();
        let mut roles: BTreeMap<&str, u32> = BTreeMap::new();
        let mut relations: BTreeMap<&str, u32> = BTreeMap::new();
        for contact in &page.contacts {
            contact.roles.iter().for_each(|role| *roles.entry(role.name()).or_default() += 1);
            contact.relations.iter().for_each(|name| *relations.entry(name).or_default() += 1);
        }
        assert_eq!(page.facets.roles, roles, "{id}");
        assert_eq!(page.facets.relations, relations, "{id}");
        for (role, count) in roles {
            let query = ContactsQuery { role: SchoolRole::from_name(role), ..all.clone() };
            assert_eq!(viewer.contacts(&query).unwrap().contacts.len(), count as usize, "{id} {role}");
        }
        for (relation, count) in relations {
            let query = ContactsQuery { relation: Some(relation.into()), ..all.clone() };
            assert_eq!(viewer.contacts(&query).unwrap().contacts.len(), count as usize, "{id} {relation}");
        }
        for class in &page.facets.classes {
            let query = ContactsQuery { class: Some(class.class.id.clone()), ..all.clone() };
            assert_eq!(viewer.contacts(&query).unwrap().contacts.len(), class.count as usize, "{id}");
        }
        let writable = |outcome: &str| ["allow", "supervised", "family"].contains(&outcome);
        let expected = page.contacts.iter().filter(|contact| writable(contact.can.dm.outcome)).count();
        let query = ContactsQuery { can: Some(Verb::Dm), ..all };
        assert_eq!(viewer.contacts(&query).unwrap().contacts.len(), expected, "{id}");
    }
}

#[test]
fn classes_of_others_are_not_told() {
    let school = School::small(10, SchoolPreset::Safe);
    for actor in school.people.with_role(SchoolRole::Student) {
        let id = school.id(actor);
        let viewer = Viewer::new(&school.rules, &id);
        let own: BTreeSet<String> = viewer
            .own_classes()
            .iter()
            .map(|member| {
                let class = school.people.class(member.class).unwrap();
                format!("{}:{}", class.source, class.id)
            })
            .collect();
        let page = viewer.contacts(&ContactsQuery { limit: 1000, ..ContactsQuery::default() }).unwrap();
        for class in page.contacts.iter().flat_map(|contact| &contact.classes) {
            assert!(own.contains(&class.id), "{id} is told of {}", class.title);
        }
    }
}
