//! All services of the school, built together.

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

use super::{Rules, SchoolError, audit::Audit, people::People};
use crate::{clock::Clock, config::Config, ids::Ids, rooms::Rooms, store::Store, users::Users};

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
    store: Store,
    clock: Clock,
    /// One reading of the people at a time.
    reading: Arc<Mutex<()>>,
}

impl School {
    /// Builds the services.
    ///
    /// # Errors
    /// The store failed.
    pub async fn new(parts: SchoolParts) -> Result<Self, SchoolError> {
        let SchoolParts { store, clock, rules, .. } = parts;
        Ok(Self {
            audit: Audit::load(store.clone(), clock.clone()).await?,
            rules,
            store,
            clock,
            reading: Arc::default(),
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
        let _one = self.reading.lock().await;
        let (rules, store) = (self.rules.clone(), self.store.clone());
        tokio::task::spawn_blocking(move || rules.reload_blocking(&store)).await.map_err(SchoolError::task)??;
        Ok(())
    }

    /// Begins each new day with the people of that day. Runs until it is dropped.
    pub async fn keep_day(&self) {
        loop {
            self.clock.sleep(DAY_CHECKED).await;
            if self.rules.people().day() != self.clock.today()
                && let Err(error) = self.refresh().await
            {
                tracing::warn!(%error, "the people of the new day could not be read");
            }
        }
    }
}
