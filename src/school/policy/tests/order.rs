use ruma::server_name;

use crate::{
    rooms::policy::Verb,
    school::{
        people::{Relations, Roles, Standing},
        policy::{Compiled, Facts, Outcome, PairOverrides, Preset, decide, decide_in_steps, width},
        roster::SchoolRole::{self, Guardian, Leadership, SafeguardingLead, Staff, Student, Teacher},
    },
    store::schema::school::OverrideEffect,
};

fn with(roles: &[SchoolRole]) -> Standing<'static> {
    Standing { roles: roles.iter().copied().collect(), ..Standing::UNKNOWN }
}

fn remote() -> Standing<'static> {
    Standing::remote(server_name!("other.example"))
}

fn ruled(facts: &Facts<'_>) -> (Outcome, &'static str, bool) {
    let ruling = decide(facts, &Compiled::default());
    (ruling.outcome, ruling.rule, ruling.hidden)
}

fn all_allowed() -> PairOverrides {
    let mut overrides = PairOverrides::NONE;
    overrides.add(None, OverrideEffect::Allow);
    overrides
}

#[test]
fn without_a_roster_there_are_no_rules() {
    for verb in Verb::ALL {
        let facts = Facts { active: false, ..Facts::new(verb, Standing::UNKNOWN, remote()) };
        assert_eq!(ruled(&facts), (Outcome::Allow, "neutral", false));
    }
}

#[test]
fn people_may_do_everything_with_themselves_whoever_they_are() {
    for who in [with(&[Student]), with(&[Guardian]), Standing::UNKNOWN, Standing { gone: true, ..Standing::UNKNOWN }] {
        for verb in Verb::ALL {
            let facts = Facts { relations: Relations::SELF, ..Facts::new(verb, who, who) };
            assert_eq!(ruled(&facts), (Outcome::Allow, "self", false));
        }
    }
}

#[test]
fn the_schools_own_account_may_everything_and_is_only_looked_at() {
    let service = Standing { service: true, ..Standing::UNKNOWN };
    for other in [with(&[Student]), with(&[Guardian]), with(&[Leadership]), Standing::UNKNOWN] {
        for verb in Verb::ALL {
            assert_eq!(ruled(&Facts::new(verb, service, other)), (Outcome::Allow, "service", false));
            let seen = matches!(verb, Verb::See | Verb::Photo);
            let expected = if seen { Outcome::Allow } else { Outcome::Deny };
            assert_eq!(ruled(&Facts::new(verb, other, service)), (expected, "service", false), "{verb:?}");
        }
    }
}

#[test]
fn accounts_without_a_role_are_nobody_in_both_directions() {
    for other in [with(&[Leadership]), with(&[SafeguardingLead]), with(&[Student]), remote(), Standing::UNKNOWN] {
        for (one, two) in [(Standing::UNKNOWN, other), (other, Standing::UNKNOWN)] {
            for verb in Verb::ALL {
                let facts = Facts { overrides: all_allowed(), listed: true, ..Facts::new(verb, one, two) };
                assert_eq!(ruled(&facts), (Outcome::Deny, "hard.unknown", true));
            }
        }
    }
}

/// A rule, and a change to the facts of a pair that makes it hold.
type Hardening = (&'static str, fn(&mut Facts<'_>));

/// What nothing can allow.
fn hard() -> Vec<Hardening> {
    vec![
        ("hard.gone", |facts| facts.actor.gone = true),
        ("hard.gone", |facts| facts.target.gone = true),
        ("hard.isolated", |facts| facts.relations = facts.relations.with(Relations::ISOLATED)),
        ("hard.no_contact", |facts| facts.relations = facts.relations.with(Relations::NO_CONTACT)),
        ("hard.remote", |facts| {
            facts.actor = with(&[Student, Guardian]);
            facts.target = remote();
        }),
        ("hard.remote", |facts| {
            facts.actor = remote();
            facts.target = with(&[Guardian]);
        }),
        ("hard.other_children", |facts| {
            facts.actor = with(&[Guardian]);
            facts.target = with(&[Student]);
            facts.relations = Relations::SAME_ORG;
        }),
    ]
}

#[test]
fn hard_denials_beat_overrides_presets_and_every_role() {
    let standings = [with(&[Student]), with(&[Guardian]), with(&[Teacher, Guardian]), with(&[SafeguardingLead])];
    for (rule, harden) in hard() {
        for preset in Preset::ALL {
            for (actor, target) in standings.into_iter().flat_map(|one| standings.map(|other| (one, other))) {
                for verb in Verb::ALL {
                    let mut facts = Facts::new(verb, actor, target);
                    (facts.overrides, facts.listed, facts.published) = (all_allowed(), true, true);
                    facts.relations = Relations::TEACHES.with(Relations::CLASSMATE).with(Relations::GUARDIAN_OF);
                    harden(&mut facts);
                    let ruling = decide(&facts, &Compiled::of(preset));
                    assert_eq!((ruling.outcome, ruling.rule, ruling.hidden), (Outcome::Deny, rule, true), "{verb:?}");
                }
            }
        }
    }
}

/// Numbers that follow from a seed, so that a failure comes back.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
    }

    fn standing(&mut self) -> Standing<'static> {
        if self.below(8) == 0 {
            return remote();
        }
        let roles: Roles = SchoolRole::ALL.into_iter().filter(|_| self.below(3) == 0).collect();
        Standing { roles, junior: self.below(2) == 0, reachable: self.below(2) == 0, ..Standing::UNKNOWN }
    }

    fn facts(&mut self) -> Facts<'static> {
        let mut facts = Facts::new(Verb::ALL[self.below(7)], self.standing(), self.standing());
        for (relation, _) in Relations::NAMED {
            if self.below(4) == 0
                && !Relations::SELF.with(Relations::ISOLATED).with(Relations::NO_CONTACT).has(relation)
            {
                facts.relations = facts.relations.with(relation);
            }
        }
        (facts.blocked, facts.listed, facts.published) = (self.below(4) == 0, self.below(2) == 0, self.below(2) == 0);
        if self.below(3) == 0 {
            let verb = Verb::ALL.get(self.below(9)).copied();
            let effect = [OverrideEffect::Allow, OverrideEffect::Supervised, OverrideEffect::Deny];
            facts.overrides.add(verb, effect[self.below(3)]);
        }
        facts
    }
}

#[test]
fn nothing_that_narrows_ever_widens() {
    let mut numbers = Numbers(7);
    for _ in 0..20_000 {
        let settings = Compiled::of(Preset::ALL[numbers.below(4)]);
        let facts = numbers.facts();
        let before = decide(&facts, &settings);
        let narrower: [fn(&mut Facts<'_>); 7] = [
            |facts| facts.relations = facts.relations.with(Relations::ISOLATED),
            |facts| facts.relations = facts.relations.with(Relations::NO_CONTACT),
            |facts| facts.actor.gone = true,
            |facts| facts.target.gone = true,
            |facts| facts.blocked = true,
            |facts| facts.listed = false,
            |facts| facts.published = false,
        ];
        for narrow in narrower {
            let mut facts = facts;
            narrow(&mut facts);
            let after = decide(&facts, &settings);
            assert!(width(after.outcome) <= width(before.outcome), "{facts:?}");
            assert!(after.hidden || !before.hidden, "{facts:?}");
        }
    }
}

#[test]
fn who_is_hidden_is_out_of_reach_for_everything_and_told_alike() {
    let mut numbers = Numbers(11);
    let mut hidden = 0;
    for _ in 0..20_000 {
        let facts = numbers.facts();
        let settings = Compiled::of(Preset::ALL[numbers.below(4)]);
        let rulings = Verb::ALL.map(|verb| decide(&Facts { verb, ..facts }, &settings));
        assert!(rulings.iter().all(|ruling| ruling.hidden == rulings[0].hidden), "{facts:?}");
        if rulings[0].hidden {
            hidden += 1;
            assert!(rulings.iter().all(|ruling| ruling.outcome == Outcome::Deny), "{facts:?}");
            assert!(rulings.iter().all(|ruling| ruling.message == rulings[0].message));
        }
    }
    assert!((2_000..18_000).contains(&hidden), "{hidden}");
}

#[test]
fn a_block_keeps_from_writing_but_hides_nobody_and_never_stops_the_safeguarding_lead() {
    let teacher = with(&[Teacher]);
    for verb in Verb::ALL {
        let facts = Facts { blocked: true, overrides: all_allowed(), ..Facts::new(verb, teacher, with(&[Staff])) };
        let expected = match verb {
            Verb::See | Verb::Photo => (Outcome::Allow, "override", false),
            _ => (Outcome::Deny, "block", false),
        };
        assert_eq!(ruled(&facts), expected);
        let lead = Facts { blocked: true, ..Facts::new(verb, with(&[SafeguardingLead]), with(&[Student])) };
        assert_ne!(ruled(&lead).1, "block");
    }
    let facts = Facts { blocked: true, ..Facts::new(Verb::Dm, teacher, with(&[Staff])) };
    let ruling = decide(&facts, &Compiled::default());
    assert_eq!(ruling.told().rule, "unavailable");
    assert!(!ruling.message.contains("ignore") && !ruling.message.contains("block"));
    // Leadership goes on seeing a pupil who ignores them.
    let head = Facts { blocked: true, ..Facts::new(Verb::See, with(&[Leadership]), with(&[Student])) };
    assert_eq!(ruled(&head).0, Outcome::Allow);
}

#[test]
fn an_override_goes_before_the_matrix_for_its_verb() {
    let pair = |verb, overrides| Facts { overrides, ..Facts::new(verb, with(&[Student]), with(&[Student])) };
    let of = |list: &[(Option<Verb>, OverrideEffect)]| {
        let mut overrides = PairOverrides::NONE;
        for (verb, effect) in list {
            overrides.add(*verb, *effect);
        }
        overrides
    };
    let (allow, supervised, deny) = (OverrideEffect::Allow, OverrideEffect::Supervised, OverrideEffect::Deny);
    // Allowed by name: who may be written to may be known of, and nothing more.
    let dm = of(&[(Some(Verb::Dm), allow)]);
    assert_eq!(ruled(&pair(Verb::See, dm)), (Outcome::Allow, "override", false));
    assert_eq!(ruled(&pair(Verb::Dm, dm)), (Outcome::Allow, "override", false));
    assert_eq!(ruled(&pair(Verb::Call, dm)).0, Outcome::Deny);
    let everything = of(&[(None, allow)]);
    assert!(Verb::ALL.into_iter().all(|verb| ruled(&pair(verb, everything)).0 == Outcome::Allow));
    // Under supervision.
    let watched = of(&[(None, supervised)]);
    assert_eq!(ruled(&pair(Verb::Dm, watched)).0, Outcome::Supervised { adults: 2 });
    assert_eq!(ruled(&pair(Verb::Call, watched)).0, Outcome::Deny);
    assert_eq!(ruled(&pair(Verb::See, watched)).0, Outcome::Allow);
    // The named one goes before the one for everything, and of two alike the narrower holds.
    let both = of(&[(None, deny), (Some(Verb::Dm), allow)]);
    assert_eq!(ruled(&pair(Verb::Dm, both)).0, Outcome::Allow);
    assert_eq!(ruled(&pair(Verb::Add, both)).0, Outcome::Deny);
    assert!(!ruled(&pair(Verb::Add, both)).2);
    let twice = of(&[(Some(Verb::Dm), deny), (Some(Verb::Dm), allow), (Some(Verb::See), allow)]);
    assert_eq!(ruled(&pair(Verb::Dm, twice)), (Outcome::Deny, "override", false));
    // Denied by name between people who otherwise write to each other.
    let colleagues = |verb, overrides| Facts { overrides, ..Facts::new(verb, with(&[Teacher]), with(&[Teacher])) };
    let silent = of(&[(Some(Verb::Dm), deny)]);
    for (verb, expected) in [(Verb::Dm, Outcome::Deny), (Verb::Call, Outcome::Deny), (Verb::See, Outcome::Allow)] {
        assert_eq!(ruled(&colleagues(verb, silent)).0, expected);
    }
    let gone = of(&[(Some(Verb::See), deny)]);
    assert!(Verb::ALL.into_iter().all(|verb| ruled(&colleagues(verb, gone)).2));
}

#[test]
fn the_widest_of_several_roles_decides() {
    let both = with(&[Teacher, Guardian]);
    let mut facts = Facts::new(Verb::Dm, both, with(&[Student]));
    // Somebody else's child whom they teach: as a teacher.
    facts.relations = Relations::TEACHES;
    assert_eq!(ruled(&facts), (Outcome::Supervised { adults: 2 }, "matrix.teacher.student.dm", false));
    // Their own child, whom they do not teach: as a parent.
    facts.relations = Relations::GUARDIAN_OF;
    facts.verb = Verb::See;
    assert_eq!(ruled(&facts), (Outcome::Allow, "matrix.guardian.student.see", false));
    // A stranger's child: as neither.
    facts.relations = Relations::SAME_ORG;
    assert!(ruled(&facts).2);
    // People of other servers: as a teacher.
    let abroad = Facts { listed: true, ..Facts::new(Verb::Dm, both, remote()) };
    assert_eq!(ruled(&abroad), (Outcome::Allow, "matrix.teacher.remote.dm", false));
}

#[test]
fn every_step_is_told_and_the_last_that_speaks_decides() {
    let mut facts = Facts::new(Verb::Dm, with(&[Teacher, Guardian]), with(&[Student]));
    facts.relations = Relations::TEACHES;
    let mut steps = Vec::new();
    let ruling = decide_in_steps(&facts, &Compiled::default(), &mut |step| steps.push(step));
    assert_eq!(ruling, decide(&facts, &Compiled::default()));
    let rules: Vec<_> = steps.iter().map(|step| step.rule).collect();
    assert_eq!(
        rules[..6],
        ["hard.gone", "hard.unknown", "hard.isolated", "hard.no_contact", "hard.remote", "hard.other_children"]
    );
    assert!(steps.iter().any(|step| step.rule == "matrix.guardian.student.dm" && step.outcome == Some(Outcome::Deny)));
    assert!(steps.iter().any(|step| step.rule == ruling.rule && step.outcome == Some(ruling.outcome)));
    assert!(rules.contains(&"override"));
}
