//! What a decision is made from.

use super::super::people::{Relations, Standing};
use crate::{rooms::policy::Verb, store::schema::school::OverrideEffect};

/// Everything a decision about two people depends on, besides the settings.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a pair, each asked by itself")]
pub struct Facts<'a> {
    /// Whether there are rules at all: a roster was imported.
    pub active: bool,
    /// What is wanted.
    pub verb: Verb,
    /// Who wants it.
    pub actor: Standing<'a>,
    /// Of whom.
    pub target: Standing<'a>,
    /// What they are to each other.
    pub relations: Relations,
    /// The target does not want to hear from the actor.
    pub blocked: bool,
    /// What was decided about this pair by name.
    pub overrides: PairOverrides,
    /// One is a user of another server, and the administrator has named that server.
    pub listed: bool,
    /// One is a user of another server, and the other one is shown to other servers.
    pub published: bool,
    /// Which scopes of the settings the pair is in.
    pub scopes: Scopes,
}

/// The scopes of the settings that a pair is in, a bit for each. Both count the pupils and guardians of the pair; one
/// with neither is in no scope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes {
    /// One of them is in it.
    pub any: u64,
    /// All of them are.
    pub all: u64,
}

impl Facts<'_> {
    /// Two people who are nothing to each other.
    pub fn new<'a>(verb: Verb, actor: Standing<'a>, target: Standing<'a>) -> Facts<'a> {
        Facts {
            active: true,
            verb,
            actor,
            target,
            relations: Relations::NONE,
            blocked: false,
            overrides: PairOverrides::NONE,
            listed: false,
            published: false,
            scopes: Scopes::default(),
        }
    }
}

const VERBS: usize = Verb::ALL.len();

/// What overrides say of one pair: for each verb, and for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairOverrides {
    verbs: [Option<OverrideEffect>; VERBS],
    every: Option<OverrideEffect>,
}

impl PairOverrides {
    /// Nothing.
    pub const NONE: Self = Self { verbs: [None; VERBS], every: None };

    /// Adds one. Of two about the same, the narrower holds.
    pub fn add(&mut self, verb: Option<Verb>, effect: OverrideEffect) {
        let slot = match verb {
            Some(verb) => self.verbs.get_mut(verb as usize),
            None => Some(&mut self.every),
        };
        if let Some(slot) = slot {
            *slot = Some(slot.map_or(effect, |old| if narrowness(old) > narrowness(effect) { old } else { effect }));
        }
    }

    fn named(self, verb: Verb) -> Option<OverrideEffect> {
        self.verbs.get(verb as usize).copied().flatten()
    }

    /// What they say of a verb. Whoever may do something to a person may know of them. Who may not write may neither
    /// ask for it nor call. Supervision is for writing: what it means for other verbs is left to the matrix.
    pub fn effect(self, verb: Verb) -> Option<OverrideEffect> {
        if let Some(effect) = self.named(verb) {
            return Some(effect);
        }
        let writing_denied = self.named(Verb::Dm) == Some(OverrideEffect::Deny);
        if matches!(verb, Verb::Call | Verb::Knock) && writing_denied {
            return Some(OverrideEffect::Deny);
        }
        match (verb, self.every) {
            // What is allowed by name needs to be seen, also where everything else is denied.
            (Verb::See, _) if self.opens_something() => Some(OverrideEffect::Allow),
            (Verb::See, Some(OverrideEffect::Supervised)) => Some(OverrideEffect::Allow),
            (Verb::Dm, Some(OverrideEffect::Supervised)) => Some(OverrideEffect::Supervised),
            (_, Some(OverrideEffect::Supervised) | None) => None,
            (_, every) => every,
        }
    }

    fn opens_something(self) -> bool {
        self.verbs.iter().flatten().any(|effect| *effect != OverrideEffect::Deny)
    }
}

fn narrowness(effect: OverrideEffect) -> u8 {
    match effect {
        OverrideEffect::Allow => 0,
        OverrideEffect::Supervised => 1,
        OverrideEffect::Deny => 2,
    }
}
