//! What every decision is made from, in memory: the people of today, the policy's settings, the school's rooms.
//!
//! It is built before the rooms, which ask it about every event, and filled by [`School`](super::School).

use std::sync::Arc;

use arc_swap::ArcSwap;
use ruma::{OwnedServerName, ServerName, UserId};
use tokio::sync::watch;

use super::{
    overrides::Overrides,
    people::{People, PersonNo, Relations, Standing},
    policy::{Compiled, Facts, Ruling, decide, scopes},
    rooms::RoomBook,
};
use crate::{
    clock::Clock,
    rooms::policy::Verb,
    store::{Store, StoreError},
};

/// The localpart of the account through which the school acts.
pub const SERVICE_LOCALPART: &str = crate::users::RESERVED_LOCALPART;

/// The rules and what they are about. Shared by reference.
pub struct Rules {
    server: OwnedServerName,
    clock: Clock,
    people: ArcSwap<People>,
    rooms: RoomBook,
    settings: ArcSwap<Compiled>,
    overrides: Overrides,
    /// Counts the changes of `people`.
    changed: watch::Sender<u64>,
}

impl Rules {
    /// Reads what they are made from, blocking.
    ///
    /// # Errors
    /// The store failed.
    pub fn load_blocking(store: &Store, server: OwnedServerName, clock: Clock) -> Result<Self, StoreError> {
        let people = People::load_blocking(store, clock.today(), clock.now_ms(), SERVICE_LOCALPART)?;
        Ok(Self {
            server,
            people: ArcSwap::from_pointee(people),
            rooms: RoomBook::load_blocking(store)?,
            settings: ArcSwap::default(),
            overrides: Overrides::load_blocking(store)?,
            clock,
            changed: watch::Sender::new(0),
        })
    }

    /// The people of today.
    pub fn people(&self) -> Arc<People> {
        self.people.load_full()
    }

    /// The school's rooms.
    pub fn rooms(&self) -> &RoomBook {
        &self.rooms
    }

    /// The name of this server.
    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// Tells of every change of the people; the number only grows.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Somebody as the policy sees them, and their number if the school knows them.
    pub fn standing<'a>(&self, people: &People, user: &'a UserId) -> (Standing<'a>, Option<PersonNo>) {
        if user.server_name() != self.server {
            return (Standing::remote(user.server_name()), None);
        }
        match people.find(user) {
            Some(person) => (people.standing(person), Some(person)),
            None => (Standing::UNKNOWN, None),
        }
    }

    /// What the policy says of two people.
    pub fn ruling(&self, actor: &UserId, target: &UserId, verb: Verb) -> Ruling {
        let people = self.people.load();
        let (actor, target) = (Party::of(self, &people, actor), Party::of(self, &people, target));
        let settings = self.settings.load();
        decide(&self.facts(&people, &settings, &actor, &target, verb), &settings)
    }

    /// The same for two people the school knows, for walks over many.
    pub fn ruling_between(&self, people: &People, actor: PersonNo, target: PersonNo, verb: Verb) -> Ruling {
        let (actor, target) = (Party::person(people, actor), Party::person(people, target));
        let settings = self.settings.load();
        decide(&self.facts(people, &settings, &actor, &target, verb), &settings)
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
                facts.overrides = self.overrides.of(people.user(one), people.user(other), self.clock.now_ms());
            }
            _ if actor.user.is_some() && actor.user == target.user => facts.relations = Relations::SELF,
            _ => {}
        }
        facts.scopes = scopes(settings, people, [actor.person, target.person]);
        facts
    }

    /// Reads the people again, blocking, and decides by them from then on.
    ///
    /// # Errors
    /// The store failed; the people stay as they were.
    pub(super) fn reload_blocking(&self, store: &Store) -> Result<(), StoreError> {
        let people = People::load_blocking(store, self.clock.today(), self.clock.now_ms(), SERVICE_LOCALPART)?;
        self.people.store(Arc::new(people));
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }
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

impl crate::rooms::policy::Policy for Rules {}
