use std::time::Instant;

use crate::{
    rooms::policy::Verb,
    school::{
        generate::{Plan, roster},
        people::{Builder, People, PersonNo},
        policy::{Compiled, Facts, Preset, decide, scopes},
        roster::Roster,
    },
    store::UserNo,
};

fn people(roster: &Roster, day: chrono::NaiveDate) -> People {
    let source = "generated";
    let mut builder = Builder::new(day);
    for (number, id) in (1..).zip(roster.people.keys()) {
        builder.account(source, id, UserNo(number), id);
    }
    roster.orgs.iter().for_each(|(id, row)| builder.org(source, id, row));
    roster.sessions.iter().for_each(|(id, row)| builder.session(source, id, row));
    roster.classes.iter().for_each(|(id, row)| builder.class(source, id, row));
    roster.people.iter().for_each(|(id, row)| builder.person(source, id, row));
    roster.roles.values().for_each(|row| builder.role(source, row));
    roster.enrollments.values().for_each(|row| builder.enrollment(source, row));
    roster.links.values().for_each(|row| builder.link(source, row));
    builder.finish()
}

/// `cargo test --release --lib policy::tests::speed -- --ignored --nocapture`. Half of the pairs have to do with each
/// other: they share a class.
#[test]
#[ignore = "a measurement"]
fn a_decision_takes_less_than_five_microseconds() {
    let plan = Plan::of_size(100_000, 400_000);
    let people = people(&roster(&plan), plan.today);
    let count = people.len() as u32;
    let all: Vec<PersonNo> = people.iter().collect();
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        all[(state >> 33) as usize % count as usize]
    };
    let pairs: Vec<(PersonNo, PersonNo)> = (0..200_000)
        .map(|round| {
            let (actor, other) = (next(), next());
            let class = people.enrolled(actor).next().map(|member| member.class);
            let mate = class.and_then(|class| people.members(class).nth(round % 20)).map(|member| member.person);
            (actor, mate.filter(|_| round % 2 == 0).unwrap_or(other))
        })
        .collect();
    for preset in [Preset::Safe, Preset::OpenUpperSchool] {
        let settings = Compiled::of(preset);
        let begun = Instant::now();
        let mut allowed = 0;
        for (actor, target) in &pairs {
            let mut facts = Facts::new(Verb::Dm, people.standing(*actor), people.standing(*target));
            facts.relations = people.relations(*actor, *target);
            facts.scopes = scopes(&settings, &people, [Some(*actor), Some(*target)]);
            allowed += usize::from(decide(&facts, &settings).is_allowed());
        }
        let each = begun.elapsed() / 200_000;
        println!("{preset:?}: {each:?} a decision among {count} people, {allowed} allowed, {} bytes", people.bytes());
        assert!(cfg!(debug_assertions) || each.as_nanos() < 5_000, "{each:?}");
    }
}
