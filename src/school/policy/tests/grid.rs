use ruma::server_name;

use crate::{
    rooms::policy::Verb,
    school::{
        people::{Relations, Roles, Standing},
        policy::{Compiled, Facts, Outcome, decide},
        roster::SchoolRole,
    },
};

/// The table of the design. `S` seeing, `D` writing, `V` writing under supervision, `F` writing in the family's room,
/// `K` asking. After a colon the conditions: all words of one have to hold, `|` parts alternatives.
const SAFE: &str = "
    student           student            S:classmate
    student           guardian           S:child_of
    student           teacher            S:taught_by K:taught_by,older
    student           staff              S:reachable|taught_by K:reachable
    student           leadership         S K
    student           safeguarding_lead  S D
    guardian          student            S:guardian_of
    guardian          guardian
    guardian          teacher            S:child_taught_by D:child_taught_by
    guardian          staff              S:reachable|child_taught_by D:reachable
    guardian          leadership         S:reachable D:reachable
    guardian          safeguarding_lead  S D
    teacher           student            S:teaches V:teaches,older F:teaches,junior
    teacher           guardian           S:teaches_child_of D:teaches_child_of
    teacher           teacher            S D
    teacher           staff              S D
    teacher           leadership         S D
    teacher           safeguarding_lead  S D
    teacher           remote             S:listed D:listed
    staff             student            S:teaches|office V:teaches|office
    staff             guardian           S:teaches_child_of|office V:teaches_child_of|office
    staff             teacher            S D
    staff             staff              S D
    staff             leadership         S D
    staff             safeguarding_lead  S D
    staff             remote             S:listed D:listed
    leadership        student            S V
    leadership        guardian           S D
    leadership        teacher            S D
    leadership        staff              S D
    leadership        leadership         S D
    leadership        safeguarding_lead  S D
    leadership        remote             S:listed D:listed
    safeguarding_lead student            S D
    safeguarding_lead guardian           S D
    safeguarding_lead teacher            S D
    safeguarding_lead staff              S D
    safeguarding_lead leadership         S D
    safeguarding_lead safeguarding_lead  S D
    safeguarding_lead remote             S:listed D:listed
    remote            teacher            S:listed,published D:listed,published
    remote            staff              S:listed,published D:listed,published
    remote            leadership         S:listed,published D:listed,published
    remote            safeguarding_lead  S:listed,published D:listed,published
";

const KINDS: [&str; 7] = ["student", "guardian", "teacher", "staff", "leadership", "safeguarding_lead", "remote"];

fn standing(kind: &str, junior: bool, reachable: bool) -> Standing<'static> {
    match SchoolRole::from_name(kind) {
        None => Standing::remote(server_name!("other.example")),
        Some(role) => Standing {
            roles: Roles::NONE.with(role),
            junior: junior && role == SchoolRole::Student,
            reachable,
            ..Standing::UNKNOWN
        },
    }
}

/// What is true of a pair, in the words of the table.
fn words(facts: &Facts<'_>, junior: bool) -> Vec<&'static str> {
    let mut words: Vec<&str> = facts.relations.names().collect();
    let office = facts.actor.reachable && words.contains(&"same_org");
    for (holds, word) in [
        (junior, "junior"),
        (!junior, "older"),
        (facts.target.reachable, "reachable"),
        (office, "office"),
        (facts.listed, "listed"),
        (facts.published, "published"),
    ] {
        words.extend(holds.then_some(word));
    }
    words
}

fn expected(row: &str, from: &str, to: &str, verb: Verb, words: &[&str]) -> Outcome {
    let holds = |letter: &str| {
        row.split_whitespace().skip(2).any(|grant| {
            let (what, conditions) = grant.split_once(':').unwrap_or((grant, ""));
            let all = |text: &str| text.split(',').all(|word| word.is_empty() || words.contains(&word));
            what == letter && conditions.split('|').any(all)
        })
    };
    let family = |kind: &str| matches!(kind, "student" | "guardian");
    let pupils = from == "student" || to == "student";
    let dm = match () {
        () if holds("D") => Outcome::Allow,
        () if holds("V") => Outcome::Supervised { adults: 2 },
        () if holds("F") => Outcome::FamilyThread,
        () if holds("K") => Outcome::Knock,
        () => Outcome::Deny,
    };
    let yes = |holds: bool| if holds { Outcome::Allow } else { Outcome::Deny };
    if !holds("S") {
        return Outcome::Deny;
    }
    match verb {
        Verb::Dm => dm,
        Verb::Knock => yes(holds("K")),
        Verb::Add => yes(!family(from) && dm != Outcome::Deny),
        Verb::Call => yes(!pupils && dm == Outcome::Allow),
        Verb::Presence => yes(dm == Outcome::Allow),
        Verb::Photo if to == "student" => {
            let near = ["classmate", "teaches", "taught_by", "tutor", "guardian_of", "child_of"];
            let answers = matches!(from, "leadership" | "safeguarding_lead");
            yes(answers || words.iter().any(|word| near.contains(word)))
        }
        Verb::See | Verb::Photo => Outcome::Allow,
    }
}

#[test]
fn the_preset_safe_is_the_table_of_the_design() {
    let settings = Compiled::default();
    let mut looked_at = 0;
    for from in KINDS {
        for to in KINDS {
            let row = SAFE.lines().find(|line| {
                let mut words = line.split_whitespace();
                words.next() == Some(from) && words.next() == Some(to)
            });
            for mut facts in all_facts(from, to) {
                let junior = facts.actor.junior || facts.target.junior;
                let words = words(&facts, junior);
                for verb in Verb::ALL {
                    facts.verb = verb;
                    let ruling = decide(&facts, &settings);
                    let expected = expected(row.unwrap_or_default(), from, to, verb, &words);
                    assert_eq!(ruling.outcome, expected, "{from} → {to} {verb:?} {words:?}: {}", ruling.rule);
                    let sees = decide(&Facts { verb: Verb::See, ..facts }, &settings);
                    assert_eq!(ruling.hidden, sees.outcome == Outcome::Deny, "{from} → {to} {verb:?} {words:?}");
                    assert!(!ruling.hidden || ruling.message == crate::school::policy::messages::NOBODY);
                    assert_eq!(ruling.message.is_empty(), ruling.outcome == Outcome::Allow, "{verb:?}");
                    looked_at += 1;
                }
            }
        }
    }
    assert!(looked_at > 30_000, "{looked_at}");
}

/// Every single relation, ages, reachability, and what there is to know about other servers.
fn all_facts(from: &'static str, to: &'static str) -> Vec<Facts<'static>> {
    let apart = Relations::ISOLATED.with(Relations::NO_CONTACT).with(Relations::SELF);
    let relations = Relations::NAMED.into_iter().map(|(relation, _)| relation).filter(|one| !apart.has(*one));
    let mut all = Vec::new();
    for relation in relations.chain([Relations::NONE]) {
        for bits in 0_u8..64 {
            let bit = |number: u8| bits >> number & 1 == 1;
            let (actor, target) = (standing(from, bit(0), bit(1)), standing(to, bit(0), bit(2)));
            let remote = actor.remote.is_some() || target.remote.is_some();
            let mut facts = Facts::new(Verb::See, actor, target);
            facts.relations = if bit(5) { relation.with(Relations::SAME_ORG) } else { relation };
            (facts.listed, facts.published) = (remote && bit(3), remote && bit(4));
            all.push(facts);
        }
    }
    all
}

#[test]
fn every_rule_is_named_after_its_cell() {
    let settings = Compiled::default();
    let facts = |from, to, verb| Facts {
        relations: Relations::TEACHES,
        ..Facts::new(verb, standing(from, false, false), standing(to, false, false))
    };
    for (from, to, verb, rule) in [
        ("teacher", "student", Verb::Dm, "matrix.teacher.student.dm"),
        ("leadership", "safeguarding_lead", Verb::Photo, "matrix.leadership.safeguarding_lead.photo"),
        ("student", "student", Verb::Call, "matrix.student.student.see"),
        ("safeguarding_lead", "guardian", Verb::Add, "matrix.safeguarding_lead.guardian.add"),
    ] {
        assert_eq!(decide(&facts(from, to, verb), &settings).rule, rule);
    }
}
