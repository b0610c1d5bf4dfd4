//! What other settings would change, on the people of today.

use std::collections::BTreeMap;

use ruma::OwnedUserId;

use crate::{
    rooms::policy::Verb,
    school::{
        Rules,
        people::{People, PersonNo},
        policy::{Compiled, Outcome, width},
        roster::{EnrollmentRole, SchoolRole},
    },
};

/// Pairs that are looked at. A school with fewer is looked at as a whole.
const PAIRS_MAX: usize = 160_000;
/// People whose pairs are looked at, in a larger school.
const ACTORS_MAX: usize = 640;
/// Of each of them: people they have to do with, and others.
const TARGETS_MAX: usize = PAIRS_MAX / ACTORS_MAX;
/// Examples that may be asked for.
const EXAMPLES_MAX: usize = 200;

/// What would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Pairs that were looked at, each in one direction.
    pub pairs: usize,
    /// Whether these are all there are.
    pub exact: bool,
    /// How many of them would change, by the widest roles of both and the verb.
    pub counts: Vec<ChangeCount>,
    /// Some of them, spread over the counts.
    pub examples: Vec<ChangeExample>,
}

/// How many pairs of two roles would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeCount {
    /// The widest role of who acts.
    pub from: SchoolRole,
    /// The widest role of the other.
    pub to: SchoolRole,
    /// `See` or `Dm`.
    pub verb: Verb,
    /// Pairs that would be allowed less. What exists between them becomes read-only at once.
    pub tightened: usize,
    /// Pairs that would be allowed more. Nothing opens by itself.
    pub loosened: usize,
}

/// A pair that would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeExample {
    /// Who acts.
    pub actor: OwnedUserId,
    /// On whom.
    pub target: OwnedUserId,
    /// `See` or `Dm`.
    pub verb: Verb,
    /// What holds now.
    pub before: Outcome,
    /// What would hold.
    pub after: Outcome,
}

/// Examples of one count, before others had theirs.
const EXAMPLES_OF_ONE: usize = 5;

/// Compares the settings in force with others.
pub(super) fn preview(rules: &Rules, settings: &Compiled, examples: usize) -> Preview {
    let people = rules.people();
    let known: Vec<PersonNo> = people.iter().filter(|person| !people.roles(*person).is_empty()).collect();
    let exact = known.len().saturating_mul(known.len()) <= PAIRS_MAX;
    let mut made = Preview { pairs: 0, exact, counts: Vec::new(), examples: Vec::new() };
    let mut counts: BTreeMap<(u8, u8, u8), ChangeCount> = BTreeMap::new();
    let now = rules.in_force().policy_full();
    let actors: Vec<PersonNo> = if exact { known.clone() } else { spread(&known, ACTORS_MAX).collect() };
    for actor in actors {
        let targets = if exact { known.clone() } else { sample(&people, &known, actor) };
        for target in targets.into_iter().filter(|target| *target != actor) {
            made.pairs += 1;
            for verb in [Verb::See, Verb::Dm] {
                let before = rules.ruling_under(&now.compiled, &people, actor, target, verb).outcome;
                let after = rules.ruling_under(settings, &people, actor, target, verb).outcome;
                if before == after {
                    continue;
                }
                let widest = |person| people.roles(person).widest();
                let (Some(from), Some(to)) = (widest(actor), widest(target)) else { continue };
                let count = counts.entry((from.number(), to.number(), verb as u8)).or_insert(ChangeCount {
                    from,
                    to,
                    verb,
                    tightened: 0,
                    loosened: 0,
                });
                if width(after) < width(before) {
                    count.tightened += 1;
                } else {
                    count.loosened += 1;
                }
                let few = count.tightened + count.loosened <= EXAMPLES_OF_ONE;
                if few
                    && made.examples.len() < examples.min(EXAMPLES_MAX)
                    && let (Some(actor), Some(target)) =
                        (people.user_id(actor, rules.server()), people.user_id(target, rules.server()))
                {
                    made.examples.push(ChangeExample { actor, target, verb, before, after });
                }
            }
        }
    }
    made.counts = counts.into_values().collect();
    made
}

/// At most `most` of many, at equal distances.
fn spread(all: &[PersonNo], most: usize) -> impl Iterator<Item = PersonNo> + '_ {
    all.iter().copied().step_by(all.len().div_ceil(most).max(1))
}

/// Whom a person has to do with, and others at equal distances: rules are mostly about the former.
fn sample(people: &People, known: &[PersonNo], actor: PersonNo) -> Vec<PersonNo> {
    let mut near: Vec<PersonNo> = Vec::new();
    for member in people.enrolled(actor) {
        for other in people.members(member.class) {
            near.push(other.person);
            if other.role == EnrollmentRole::Student {
                near.extend(people.adults_of(other.person).iter().map(|link| link.person));
            }
            if near.len() >= TARGETS_MAX * 4 {
                break;
            }
        }
    }
    near.extend(people.adults_of(actor).iter().map(|link| link.person));
    for link in people.children_of(actor) {
        near.push(link.person);
        for class in people.homerooms(link.person) {
            for other in people.members(class).take(TARGETS_MAX) {
                near.push(other.person);
                near.extend(people.adults_of(other.person).iter().map(|link| link.person));
            }
        }
    }
    near.sort_unstable();
    near.dedup();
    let mut chosen: Vec<PersonNo> = spread(&near, TARGETS_MAX / 2).collect();
    chosen.extend(spread(known, TARGETS_MAX / 2));
    chosen.sort_unstable();
    chosen.dedup();
    chosen.retain(|person| !people.roles(*person).is_empty());
    chosen
}
