//! All services of the school, built together.

use std::{sync::Arc, time::Duration};

use super::{
    Rules, SchoolError,
    audit::Audit,
    chats::Chats,
    decisions::Decisions,
    directory::Directory,
    exchange::Exchange,
    imports::{Imports, ImportsParts, Refresh},
    knocks::Knocks,
    people::People,
    rooms::{Desk, DeskParts, SchoolRooms},
    slips::Slips,
    tasks::Tasks,
};
use crate::{clock::Clock, config::Config, ids::Ids, notify::Notifier, rooms::Rooms, store::Store, users::Users};

/// How often the day is looked at.
const DAY_CHECKED: Duration = Duration::from_mins(1);

/// What the school is built from.
pub struct SchoolParts {
    /// What the administrator has set.
    pub config: Arc<Config>,
    /// Tables and the committer.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Random ids.
    pub ids: Ids,
    /// Accounts.
    pub users: Users,
    /// Rooms.
    pub rooms: Rooms,
    /// Tells the school of messages to be sent on.
    pub notifier: Notifier,
    /// What decisions are made from; the rooms ask it too.
    pub rules: Arc<Rules>,
}

/// The school. Cheap to clone.
#[derive(Clone)]
pub struct School {
    /// What decisions are made from.
    pub rules: Arc<Rules>,
    /// Who did what as an administrator.
    pub audit: Audit,
    /// What administrators decide here: overrides, roles, links, the policy's settings.
    pub decisions: Decisions,
    /// Imports of rosters.
    pub imports: Imports,
    /// Activation slips.
    pub slips: Slips,
    /// Requests for contact.
    pub knocks: Knocks,
    /// Files on their way in and out.
    pub exchange: Exchange,
    /// The rooms the school makes.
    pub rooms: SchoolRooms,
    /// Starting chats.
    pub chats: Chats,
    /// What somebody has to look after.
    pub tasks: Tasks,
    /// Who is there, for whom.
    pub directory: Directory,
    clock: Clock,
    users: Users,
    reading: Refresh,
}

impl School {
    /// Builds the services.
    ///
    /// # Errors
    /// The store failed.
    pub async fn new(parts: SchoolParts) -> Result<Self, SchoolError> {
        let SchoolParts { config, store, clock, ids, users, rooms, notifier, rules } = parts;
        let audit = Audit::load(store.clone(), clock.clone()).await?;
        let reading = Refresh::new(rules.clone(), store.clone());
        let tasks = Tasks::load(store.clone(), clock.clone(), audit.clone()).await?;
        let desk = Arc::new(Desk::new(DeskParts {
            rules: rules.clone(),
            rooms: rooms.clone(),
            users: users.clone(),
            store: store.clone(),
            clock: clock.clone(),
            config: config.clone(),
            audit: audit.clone(),
            tasks: tasks.clone(),
            refresh: reading.clone(),
            notifier,
        }));
        let imports = ImportsParts {
            store: store.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            users: users.clone(),
            rooms,
            rules: rules.clone(),
            audit: audit.clone(),
            refresh: reading.clone(),
        };
        let decisions =
            Decisions::load(store.clone(), clock.clone(), rules.clone(), audit.clone(), reading.clone()).await?;
        let chats = Chats::new(desk.clone());
        let asking = (chats.clone(), decisions.clone());
        let knocks = Knocks::load(store.clone(), clock.clone(), rules.clone(), users.clone(), asking).await?;
        let members = imports.rooms.clone();
        let imports = Imports::load(imports).await?;
        let exchange = Exchange::new(&config, ids.clone(), store.clone(), imports.clone(), audit.clone());
        exchange.clear().await;
        Ok(Self {
            users: users.clone(),
            knocks,
            exchange,
            decisions,
            rooms: SchoolRooms::new(desk),
            chats,
            tasks,
            directory: Directory::new(rules.clone(), store.clone(), users.clone(), members),
            imports,
            slips: Slips::new(store.clone(), clock.clone(), ids, users, audit.clone()),
            audit,
            rules,
            clock,
            reading,
        })
    }

    /// The people of today.
    pub fn people(&self) -> Arc<People> {
        self.rules.people()
    }

    /// Reads the people from the tables again. Everything decided after this returns is decided by them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn refresh(&self) -> Result<(), SchoolError> {
        self.reading.now().await
    }

    /// Takes in accounts that an administrator has locked, unlocked or closed. Runs until it is dropped.
    pub async fn keep_accounts(&self) {
        let mut changed = self.users.accounts.changed();
        while changed.changed().await.is_ok() {
            if self.rules.people().is_loaded()
                && let Err(error) = self.refresh().await
            {
                tracing::warn!(%error, "a change of accounts was not taken in");
            }
        }
    }

    /// Begins each new day with the people of that day, and ends roles and overrides that were given for a time. Runs
    /// until it is dropped.
    pub async fn keep_day(&self) {
        let mut looked_at_ms = self.clock.now_ms();
        loop {
            self.clock.sleep(DAY_CHECKED).await;
            let now_ms = self.clock.now_ms();
            if self.rules.in_force().overrides.have_ended(looked_at_ms, now_ms) {
                self.rules.touch();
            }
            looked_at_ms = now_ms;
            if self.rules.is_stale()
                && let Err(error) = self.refresh().await
            {
                tracing::warn!(%error, "the people of the new day could not be read");
            }
        }
    }
}
