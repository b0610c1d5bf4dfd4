use super::supervised::holds;
use crate::{
    school::{
        people::{Builder, People, PersonNo},
        roster::{Link, Org, OrgType, Period, Person, Relation, RoleGrant, SchoolRole},
    },
    store::UserNo,
};

const S: &str = "sis";

/// Pupil `p` and another, `q`; teachers `t` and `u`; `v`, who has left; `g`, a guardian of `p`; `y`, without contact.
fn people() -> People {
    let mut builder = Builder::new("2026-11-22".parse().unwrap());
    let ids = ["p", "q", "t", "u", "v", "g", "y"];
    for (number, id) in (1..).zip(ids) {
        builder.account(S, id, UserNo(number), id);
    }
    builder.org(S, "o", &Org { name: "School".into(), kind: OrgType::School, parent: None });
    for id in ids {
        let person = Person {
            given: id.into(),
            family: "Test".into(),
            display: None,
            username: None,
            email: None,
            master_id: None,
            enabled: id != "v",
            grade: None,
            birth_year: None,
        };
        builder.person(S, id, &person);
    }
    for (id, role) in [
        ("p", SchoolRole::Student),
        ("q", SchoolRole::Student),
        ("t", SchoolRole::Teacher),
        ("u", SchoolRole::Teacher),
        ("v", SchoolRole::Teacher),
    ] {
        let grant = RoleGrant { person: id.into(), org: "o".into(), role, title: None, period: Period::default() };
        builder.role(S, &grant);
    }
    for (adult, contact) in [("g", true), ("y", false)] {
        let link = Link {
            student: "p".into(),
            adult: adult.into(),
            relation: Relation::Parent,
            legal: true,
            contact,
            isolated: false,
            period: Period::default(),
        };
        builder.link(S, &link);
    }
    builder.finish()
}

#[test]
fn two_adults_of_the_school_watch_or_nobody_writes() {
    let people = people();
    let room = |ids: &str| -> Vec<PersonNo> {
        let find = |id: char| people.iter().find(|person| people.localpart(*person) == id.to_string()).unwrap();
        ids.chars().map(find).collect()
    };
    for (members, watched) in [
        ("pt", false),
        ("ptu", true),
        ("pqt", false),
        // A guardian of the pupil counts, one of somebody else or without contact does not.
        ("ptg", true),
        ("qtg", false),
        ("pty", false),
        ("pg", false),
        // Who has left counts no more.
        ("ptv", false),
        ("", false),
    ] {
        assert_eq!(holds(&people, &room(members)), watched, "{members}");
    }
}
