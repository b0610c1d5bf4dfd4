//! What every decision is made from, in memory: the people of today, the policy's settings, the school's rooms.
//!
//! It is built before the rooms, which ask it about every event, and filled by [`School`](super::School).

use std::sync::Arc;

use arc_swap::ArcSwap;
use ruma::{OwnedServerName, ServerName, UserId};
use tokio::sync::watch;

use super::{
    decisions::InForce,
    people::{People, PersonNo, Standing},
    rooms::RoomBook,
};
use crate::{
    clock::Clock,
    config::Config,
    store::{Store, StoreError},
    users::IgnoredLists,
};

/// The localpart of the account through which the school acts.
pub const SERVICE_LOCALPART: &str = crate::users::RESERVED_LOCALPART;

/// The rules and what they are about. Shared by reference.
pub struct Rules {
    pub(super) server: OwnedServerName,
    pub(super) clock: Clock,
    pub(super) people: ArcSwap<People>,
    rooms: RoomBook,
    pub(super) in_force: InForce,
    /// Counts the changes of `people` and of `in_force`.
    changed: watch::Sender<u64>,
}

impl Rules {
    /// Reads what they are made from, blocking.
    ///
    /// # Errors
    /// The store failed.
    pub fn load_blocking(
        store: &Store,
        config: &Config,
        ignored: IgnoredLists,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let people = People::load_blocking(store, clock.today(), clock.now_ms(), SERVICE_LOCALPART)?;
        Ok(Self {
            server: config.server.name.clone(),
            people: ArcSwap::from_pointee(people),
            rooms: RoomBook::load_blocking(store)?,
            in_force: InForce::load_blocking(store, config, ignored, clock.now_ms())?,
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

    /// Tells of every change of the people and of what was decided about them; the number only grows.
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

    /// What administrators have decided here.
    pub fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// Tells whoever listens to [`Self::changed`] that rulings may be others.
    pub(super) fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Whether the people were read on another day, or somebody's role has ended since.
    pub(super) fn is_stale(&self) -> bool {
        self.people.load().day() != self.clock.today() || self.in_force.role_has_ended(self.clock.now_ms())
    }

    /// Reads the people again, blocking, and decides by them from then on.
    ///
    /// # Errors
    /// The store failed; the people stay as they were.
    pub(super) fn reload_blocking(&self, store: &Store) -> Result<(), StoreError> {
        let people = People::load_blocking(store, self.clock.today(), self.clock.now_ms(), SERVICE_LOCALPART)?;
        self.in_force.look_at_roles_blocking(store, self.clock.now_ms())?;
        self.people.store(Arc::new(people));
        self.touch();
        Ok(())
    }
}
