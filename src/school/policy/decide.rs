//! The decision: hard denials, the target's own block, overrides, the matrix; what none of them allows is denied.

use super::{
    Compiled, Facts, Levels, Outcome, Ruling, Switch,
    matrix::{GUARDIAN, Gives, REMOTE, STUDENT, cell, rule_id},
    messages,
};
use crate::{
    rooms::policy::Verb,
    school::{
        people::{Relations, Roles, Standing},
        roster::SchoolRole,
    },
    store::schema::school::OverrideEffect,
};

/// Relations through which somebody knows what a pupil looks like.
const KNOWS: Relations = Relations::CLASSMATE
    .with(Relations::TEACHES)
    .with(Relations::TAUGHT_BY)
    .with(Relations::TUTOR_OF)
    .with(Relations::GUARDIAN_OF)
    .with(Relations::CHILD_OF);

/// A rule that was looked at, for the explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its id.
    pub rule: &'static str,
    /// The verb it was asked about: seeing comes before every other.
    pub verb: Verb,
    /// What it says; `None` when it says nothing about this pair.
    pub outcome: Option<Outcome>,
}

/// What the policy says of one person's wish about another.
pub fn decide(facts: &Facts<'_>, settings: &Compiled) -> Ruling {
    decide_in_steps(facts, settings, &mut |_| {})
}

/// The same, telling every rule that is looked at.
pub fn decide_in_steps(facts: &Facts<'_>, settings: &Compiled, tell: &mut impl FnMut(Step)) -> Ruling {
    if let Some(ruling) = first(facts, tell) {
        return ruling;
    }
    let levels = settings.levels(facts.scopes);
    let (outcome, rule) = asked(facts, &levels, Verb::See, tell);
    if outcome == Outcome::Deny {
        return hidden(rule);
    }
    if facts.verb == Verb::See {
        return allowed(rule);
    }
    let stops = matches!(facts.verb, Verb::Dm | Verb::Knock | Verb::Add | Verb::Call | Verb::Presence);
    // Whoever answers for the children's safety has to be able to reach everybody.
    if stops && facts.blocked && !facts.actor.roles.has(SchoolRole::SafeguardingLead) {
        tell(Step { rule: "block", verb: facts.verb, outcome: Some(Outcome::Deny) });
        return Ruling { outcome: Outcome::Deny, rule: "block", message: messages::UNREACHABLE, hidden: false };
    }
    let (outcome, rule) = asked(facts, &levels, facts.verb, tell);
    let message = match rule {
        "override" if outcome == Outcome::Deny => messages::DECIDED,
        _ => {
            let may_write = facts.verb == Verb::Knock
                && outcome == Outcome::Deny
                && asked(facts, &levels, Verb::Dm, &mut |_| {}).0 == Outcome::Allow;
            messages::message(facts.verb, outcome, may_write)
        }
    };
    Ruling { outcome, rule, message, hidden: false }
}

fn allowed(rule: &'static str) -> Ruling {
    Ruling { outcome: Outcome::Allow, rule, message: "", hidden: false }
}

fn hidden(rule: &'static str) -> Ruling {
    Ruling { outcome: Outcome::Deny, rule, message: messages::NOBODY, hidden: true }
}

/// What comes before everything else: no rules, one and the same, the school itself, and what is never allowed.
fn first(facts: &Facts<'_>, tell: &mut impl FnMut(Step)) -> Option<Ruling> {
    let mut say = |rule, outcome| tell(Step { rule, verb: facts.verb, outcome });
    let (actor, target) = (&facts.actor, &facts.target);
    let open = [
        (!facts.active, "neutral"),
        (facts.relations.has(Relations::SELF), "self"),
        (actor.service, "service"),
        (target.service && matches!(facts.verb, Verb::See | Verb::Photo), "service"),
    ];
    for (holds, rule) in open {
        if holds {
            say(rule, Some(Outcome::Allow));
            return Some(allowed(rule));
        }
    }
    if target.service {
        say("service", Some(Outcome::Deny));
        return Some(Ruling { outcome: Outcome::Deny, rule: "service", message: messages::SERVICE, hidden: false });
    }
    for (holds, rule) in hard(facts) {
        say(rule, holds.then_some(Outcome::Deny));
        if holds {
            return Some(hidden(rule));
        }
    }
    None
}

/// What nothing can allow.
fn hard(facts: &Facts<'_>) -> [(bool, &'static str); 6] {
    let (actor, target, relations) = (&facts.actor, &facts.target, facts.relations);
    let unknown = |who: &Standing<'_>| who.remote.is_none() && who.roles.is_empty();
    let family = |who: &Standing<'_>| who.remote.is_none() && who.roles.is_family();
    let remote = actor.remote.is_some() || target.remote.is_some();
    // Who is also a pupil or works here is not only a guardian, and the matrix decides about each role.
    let guardian_only = actor.roles == Roles::NONE.with(SchoolRole::Guardian);
    let pupil = target.roles.is_family() && target.roles.has(SchoolRole::Student);
    [
        (actor.gone || target.gone, "hard.gone"),
        (unknown(actor) || unknown(target) || (actor.remote.is_some() && target.remote.is_some()), "hard.unknown"),
        (relations.has(Relations::ISOLATED), "hard.isolated"),
        (relations.has(Relations::NO_CONTACT), "hard.no_contact"),
        (remote && (family(actor) || family(target)), "hard.remote"),
        (guardian_only && pupil && !relations.has(Relations::GUARDIAN_OF), "hard.other_children"),
    ]
}

/// An override's answer to a verb, or else the matrix's.
fn asked(facts: &Facts<'_>, levels: &Levels, verb: Verb, tell: &mut impl FnMut(Step)) -> (Outcome, &'static str) {
    let decided = facts.overrides.effect(verb).map(|effect| match (effect, verb) {
        (OverrideEffect::Deny, _) => Outcome::Deny,
        (OverrideEffect::Supervised, Verb::Dm | Verb::Call) => Outcome::Supervised { adults: 2 },
        (OverrideEffect::Allow | OverrideEffect::Supervised, _) => Outcome::Allow,
    });
    tell(Step { rule: "override", verb, outcome: decided });
    match decided {
        Some(outcome) => (outcome, "override"),
        None => matrix(facts, levels, verb, tell),
    }
}

/// The widest that any role of the actor may do to any role of the target.
fn matrix(facts: &Facts<'_>, levels: &Levels, verb: Verb, tell: &mut impl FnMut(Step)) -> (Outcome, &'static str) {
    let mut best: Option<(Outcome, &'static str)> = None;
    for from in kinds(&facts.actor) {
        for to in kinds(&facts.target) {
            let (outcome, rule) = (between(facts, levels, verb, from, to), rule_id(from, to, verb));
            tell(Step { rule, verb, outcome: Some(outcome) });
            // Of equals the later one: its roles are the wider ones.
            if best.is_none_or(|(before, _)| width(outcome) >= width(before)) {
                best = Some((outcome, rule));
            }
        }
    }
    best.unwrap_or((Outcome::Deny, "matrix"))
}

/// The places of somebody in the matrix, narrowest first.
fn kinds(who: &Standing<'_>) -> impl Iterator<Item = usize> {
    let remote = who.remote.is_some();
    let roles = who.roles.iter().filter(move |_| !remote).map(|role| usize::from(role.number()));
    roles.chain(remote.then_some(REMOTE))
}

/// How much an outcome allows.
pub(in crate::school) fn width(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Deny => 0,
        Outcome::Knock => 1,
        Outcome::FamilyThread => 2,
        Outcome::Supervised { .. } => 3,
        Outcome::Allow => 4,
    }
}

/// What one role may do to another: the cell's grants, and what follows from them.
fn between(facts: &Facts<'_>, levels: &Levels, verb: Verb, from: usize, to: usize) -> Outcome {
    let junior = (from == STUDENT && facts.actor.junior) || (to == STUDENT && facts.target.junior);
    let grants = cell(from, to).iter().filter(|grant| grant.holds(facts, levels, junior)).map(|grant| grant.gives);
    let has = |what: Gives| grants.clone().any(|gives| gives == what);
    let yes = |holds: bool| if holds { Outcome::Allow } else { Outcome::Deny };
    if !has(Gives::See) {
        return Outcome::Deny;
    }
    let writes = || {
        let ways = grants.clone().filter_map(|gives| match gives {
            Gives::Write(outcome) => Some(outcome),
            _ => None,
        });
        ways.max_by_key(|outcome| width(*outcome)).unwrap_or(Outcome::Deny)
    };
    let (works_here, meets) = (from > GUARDIAN && from != REMOTE, from > GUARDIAN && to > GUARDIAN);
    match verb {
        Verb::Dm if writes() == Outcome::Deny && has(Gives::Knock) => Outcome::Knock,
        Verb::Dm => writes(),
        Verb::Knock => yes(has(Gives::Knock)),
        Verb::Add => {
            let teaches = works_here && facts.relations.has(Relations::TEACHES) && to == STUDENT;
            let writes = (works_here || from == REMOTE) && writes() != Outcome::Deny;
            yes(has(Gives::Add) || teaches || writes)
        }
        Verb::Call => {
            let closed = |role, switch| (from == role || to == role) && levels.of(switch) == 0;
            match writes() {
                _ if closed(STUDENT, Switch::CallsWithPupils) => Outcome::Deny,
                _ if closed(GUARDIAN, Switch::CallsWithGuardians) => Outcome::Deny,
                Outcome::Allow => Outcome::Allow,
                // A pupil's supervisors may be present in a call as well as in a chat.
                Outcome::Supervised { adults } if to == STUDENT => Outcome::Supervised { adults },
                _ => Outcome::Deny,
            }
        }
        Verb::Presence => yes(meets || writes() == Outcome::Allow),
        Verb::Photo if to == STUDENT => match levels.of(Switch::PupilPhotos) {
            0 => Outcome::Deny,
            1 => {
                let answers = from >= usize::from(SchoolRole::Leadership.number()) && from != REMOTE;
                yes(answers || facts.relations.has_any(KNOWS))
            }
            _ => Outcome::Allow,
        },
        Verb::See | Verb::Photo => Outcome::Allow,
    }
}
