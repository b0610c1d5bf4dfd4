//! What every decision is made from, in memory: the people of today, the policy's settings, the school's rooms.
//!
//! It is built before the rooms, which ask it about every event, and filled by [`School`](super::School).

use std::sync::Arc;

use arc_swap::ArcSwap;
use ruma::{OwnedServerName, ServerName, UserId};
use tokio::sync::watch;

use super::{
    people::{People, PersonNo, Standing},
    policy::{Outcome, Ruling},
    rooms::RoomBook,
};
use crate::{
    clock::Clock,
    rooms::policy::Verb,
    store::{Store, StoreError},
};

/// The localpart of the account through which the school acts.
pub const SERVICE_LOCALPART: &str = "school";

/// The rules and what they are about. Shared by reference.
pub struct Rules {
    server: OwnedServerName,
    clock: Clock,
    people: ArcSwap<People>,
    rooms: RoomBook,
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
        // To be filled by the policy.
        let _ = (actor, target, verb);
        Ruling { outcome: Outcome::Allow, rule: "neutral", message: "", hidden: false }
    }

    /// The same for two people the school knows, for walks over many.
    pub fn ruling_between(&self, people: &People, actor: PersonNo, target: PersonNo, verb: Verb) -> Ruling {
        let _ = (people, actor, target, verb);
        Ruling { outcome: Outcome::Allow, rule: "neutral", message: "", hidden: false }
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

impl crate::rooms::policy::Policy for Rules {}
