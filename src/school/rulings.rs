//! The policy's answers about two people: what is known of them is gathered here, and decided in `policy`.

use ruma::{ServerName, UserId, server_name};

use super::{
    Rules,
    people::{People, PersonNo, Relations, Standing},
    policy::{Compiled, Facts, Outcome, Ruling, Step, Switch, decide, decide_in_steps, scopes},
    roster::SchoolRole,
};
use crate::rooms::policy::Verb;

/// A ruling with everything that led to it, for administrators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// What was asked about.
    pub verb: Verb,
    /// The ruling.
    pub ruling: Ruling,
    /// What the two are to each other: names of [`Relations::NAMED`].
    pub relations: Vec<&'static str>,
    /// The roles of who acts.
    pub actor_roles: Vec<SchoolRole>,
    /// The roles of the other.
    pub target_roles: Vec<SchoolRole>,
    /// Every rule that was looked at, in order, and what it said.
    pub steps: Vec<Step>,
    /// When it ends, if it follows from an override that does: Unix time in milliseconds.
    pub expires_ms: Option<u64>,
    /// The version of the settings it follows from.
    pub policy_version: u64,
}

/// One of two people that a decision is about.
struct Party<'a> {
    standing: Standing<'a>,
    person: Option<PersonNo>,
    user: Option<&'a UserId>,
}

impl<'a> Party<'a> {
    fn of(rules: &Rules, people: &People, user: &'a UserId) -> Self {
        let (standing, person) = rules.standing(people, user);
        Self { standing, person, user: Some(user) }
    }

    fn person(people: &People, person: PersonNo) -> Self {
        Self { standing: people.standing(person), person: Some(person), user: None }
    }
}

impl Rules {
    /// What the policy says of two people.
    pub fn ruling(&self, actor: &UserId, target: &UserId, verb: Verb) -> Ruling {
        let people = self.people.load();
        let (actor, target) = (Party::of(self, &people, actor), Party::of(self, &people, target));
        let policy = self.in_force.policy();
        decide(&self.facts(&people, &policy.compiled, &actor, &target, verb), &policy.compiled)
    }

    /// Whether somebody may bring staff of the servers that the administrator has named into their rooms.
    pub(super) fn reaches_outsiders(&self, people: &People, actor: &UserId) -> bool {
        let actor = Party::of(self, people, actor);
        let outsider = server_name!("outside.invalid");
        let target = Party { standing: Standing::remote(outsider), person: None, user: None };
        let policy = self.in_force.policy();
        let facts = self.facts(people, &policy.compiled, &actor, &target, Verb::Add);
        decide(&Facts { listed: self.in_force.names_servers(), ..facts }, &policy.compiled).is_allowed()
    }

    /// The same for two people the school knows, for walks over many.
    pub fn ruling_between(&self, people: &People, actor: PersonNo, target: PersonNo, verb: Verb) -> Ruling {
        self.ruling_under(&self.in_force.policy().compiled, people, actor, target, verb)
    }

    /// The same, as if neither of them ignored the other: for what lasts.
    pub(super) fn ruling_but_for_blocks(
        &self,
        people: &People,
        actor: PersonNo,
        target: PersonNo,
        verb: Verb,
    ) -> Ruling {
        let settings = &self.in_force.policy().compiled;
        let (actor, target) = (Party::person(people, actor), Party::person(people, target));
        let facts = Facts { blocked: false, ..self.facts(people, settings, &actor, &target, verb) };
        decide(&facts, settings)
    }

    /// The same under other settings than those in force, to see what they would change.
    pub fn ruling_under(
        &self,
        settings: &Compiled,
        people: &People,
        actor: PersonNo,
        target: PersonNo,
        verb: Verb,
    ) -> Ruling {
        let (actor, target) = (Party::person(people, actor), Party::person(people, target));
        decide(&self.facts(people, settings, &actor, &target, verb), settings)
    }

    /// A ruling with everything that led to it. For administrators: it tells of blocks, overrides and hidden people.
    pub fn why(&self, actor: &UserId, target: &UserId, verb: Verb) -> Why {
        let people = self.people.load();
        let (actor, target) = (Party::of(self, &people, actor), Party::of(self, &people, target));
        let policy = self.in_force.policy();
        let facts = self.facts(&people, &policy.compiled, &actor, &target, verb);
        let mut steps = Vec::new();
        let ruling = decide_in_steps(&facts, &policy.compiled, &mut |step| steps.push(step));
        let expires_ms = match (ruling.rule, actor.person, target.person) {
            ("override", Some(one), Some(other)) => {
                self.in_force.overrides.expires(people.user(one), people.user(other), self.clock.now_ms())
            }
            _ => None,
        };
        Why {
            verb,
            ruling,
            relations: facts.relations.names().collect(),
            actor_roles: facts.actor.roles.iter().collect(),
            target_roles: facts.target.roles.iter().collect(),
            steps,
            expires_ms,
            policy_version: policy.version.number,
        }
    }

    /// What a person is told about another one, verb by verb; `None` for whom they may not know of.
    pub fn why_for(&self, actor: &UserId, target: &UserId) -> Option<Vec<(Verb, Ruling)>> {
        let rulings: Vec<_> =
            Verb::ALL.into_iter().map(|verb| (verb, self.ruling(actor, target, verb).told())).collect();
        (!rulings.iter().any(|(_, ruling)| ruling.hidden)).then_some(rulings)
    }

    /// Whether somebody's picture stands where everybody in a room reads it. Those of pupils do not where nobody is to
    /// see them.
    pub(super) fn shows_picture_of(&self, user: &UserId) -> bool {
        let people = self.people.load();
        let Some(person) = self.standing(&people, user).1 else { return true };
        let roles = people.roles(person);
        if !roles.is_family() || !roles.has(SchoolRole::Student) {
            return true;
        }
        let settings = &self.in_force.policy().compiled;
        settings.levels(scopes(settings, &people, [None, Some(person)])).of(Switch::PupilPhotos) > 0
    }

    /// What the settings tell apart of people who are nothing to the actor, besides what they are: the parts of the
    /// school that the target is in. `None` when the target may ignore the actor; that hides nobody, so it is not looked
    /// at for seeing. Two targets that are nothing to the actor, about whom no override says anything, who are the same
    /// kind of person in the same organisations and have the same answer here get the same rulings: the directory rests
    /// on it, so whatever else a ruling may depend on has to be told here.
    pub(super) fn stranger_scopes(
        &self,
        settings: &Compiled,
        people: &People,
        target: PersonNo,
        verb: Verb,
    ) -> Option<u64> {
        if verb != Verb::See && self.in_force.ignored.ignores_anybody(people.user(target)) {
            return None;
        }
        Some(scopes(settings, people, [None, Some(target)]).any)
    }

    /// What a decision about two people is made from.
    fn facts<'a>(
        &self,
        people: &People,
        settings: &Compiled,
        actor: &Party<'a>,
        target: &Party<'a>,
        verb: Verb,
    ) -> Facts<'a> {
        let mut facts = Facts::new(verb, actor.standing, target.standing);
        facts.active = people.is_loaded();
        if !facts.active {
            return facts;
        }
        match (actor.person, target.person) {
            (Some(one), Some(other)) => {
                facts.relations = people.relations(one, other);
                facts.overrides =
                    self.in_force.overrides.of(people.user(one), people.user(other), || self.clock.now_ms());
            }
            _ if actor.user.is_some() && actor.user == target.user => facts.relations = Relations::SELF,
            _ => {}
        }
        if let Some(other) = target.person
            && self.in_force.ignored.ignores_anybody(people.user(other))
        {
            facts.blocked = self.is_ignored(people, actor, people.user(other));
        }
        for (one, other) in [(actor, target), (target, actor)] {
            if let Some(server) = one.standing.remote {
                facts.listed = self.is_listed(server);
                facts.published = other.standing.reachable
                    || other.person.is_some_and(|person| settings.publishes(people.localpart(person)));
            }
        }
        facts.scopes = scopes(settings, people, [actor.person, target.person]);
        facts
    }

    fn is_listed(&self, server: &ServerName) -> bool {
        self.in_force.is_listed(server)
    }

    fn is_ignored(&self, people: &People, actor: &Party<'_>, by: crate::store::UserNo) -> bool {
        match (actor.user, actor.person) {
            (Some(user), _) => self.in_force.ignored.ignores(by, user),
            (None, Some(person)) => {
                people.user_id(person, &self.server).is_some_and(|user| self.in_force.ignored.ignores(by, &user))
            }
            (None, None) => false,
        }
    }
}

impl Ruling {
    /// As the person is told it: not that the other one ignores them.
    #[must_use]
    pub fn told(self) -> Self {
        if self.rule == "block" { Self { rule: "unavailable", ..self } } else { self }
    }

    /// Whether it is anything but a refusal.
    pub fn opens(&self) -> bool {
        self.outcome != Outcome::Deny
    }
}
