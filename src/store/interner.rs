//! Names become numbers, once.
//!
//! A number is needed before the commit that first uses it (a state tree is built from numbers), so it is minted in
//! memory and its row travels with every batch that uses it until one of them is durable. Counters are written ahead
//! of use: after a crash counting goes on above everything that could have been given out.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use super::{Batch, StoreError, Table, Value as _, codec::record, engine::Engine, schema};

/// Numbers written ahead per reservation. A crash skips at most twice as many.
const AHEAD: u64 = 10_000;
/// Minted names kept until their batch is durable; beyond this the abandoned ones are swept out.
const PENDING_SWEEP: usize = 1024;

/// The next number of each kind, as stored: everything below may be in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reserved {
    pub(super) position: u64,
    pub(super) event: u64,
    pub(super) name: u64,
}
record!(Reserved);

/// The counters of a running server.
pub(super) struct Counters {
    position_start: u64,
    event: AtomicU64,
    name: AtomicU64,
    reserved: Mutex<Reserved>,
}

impl Counters {
    /// Goes on where the stored reservation ends.
    pub(super) fn load(engine: &Engine) -> Result<Self, StoreError> {
        let table = &schema::COUNTERS;
        let start = match engine.get_blocking(table.family, &table.key(&()))? {
            Some(bytes) => {
                Reserved::decode(&bytes).ok_or(StoreError::Corrupt { table: table.name, what: "the counters" })?
            }
            None => Reserved { position: 1, event: 1, name: 1 },
        };
        Ok(Self {
            position_start: start.position,
            event: AtomicU64::new(start.event),
            name: AtomicU64::new(start.name),
            // Nothing is reserved yet beyond the start, so the first commit reserves.
            reserved: Mutex::new(start),
        })
    }

    /// The position below which everything may be in use.
    pub(super) fn position(&self) -> u64 {
        self.position_start
    }

    pub(super) fn next_event(&self) -> u64 {
        self.event.fetch_add(1, Ordering::Relaxed)
    }

    fn next_name(&self) -> u64 {
        self.name.fetch_add(1, Ordering::Relaxed)
    }

    /// The reservation to write with the current group, if one is due.
    pub(super) fn reserve(&self, position: u64) -> Option<Reserved> {
        let (event, name) = (self.event.load(Ordering::Relaxed), self.name.load(Ordering::Relaxed));
        let mut reserved = self.reserved.lock();
        // Numbers taken while this group is written belong to later groups; the margin of half a reservation covers
        // them, because a group is far smaller.
        let due = position + AHEAD / 2 > reserved.position
            || event + AHEAD / 2 > reserved.event
            || name + AHEAD / 2 > reserved.name;
        due.then(|| {
            *reserved = Reserved { position: position + AHEAD, event: event + AHEAD, name: name + AHEAD };
            *reserved
        })
    }
}

type Pending = HashMap<Box<str>, (u64, Weak<()>)>;

/// One kind of name: users, rooms, servers, or state keys.
pub(super) struct Interner {
    by_name: &'static Table<String, u64>,
    by_number: &'static Table<u64, String>,
    numbers: Arc<Cache<Box<str>, u64>>,
    names: Arc<Cache<u64, Arc<str>>>,
    pending: Arc<Mutex<Pending>>,
}

impl Interner {
    /// An interner over its two tables, keeping at most `cached` names in memory.
    pub(super) fn new(
        by_name: &'static Table<String, u64>,
        by_number: &'static Table<u64, String>,
        cached: usize,
    ) -> Self {
        Self {
            by_name,
            by_number,
            numbers: Arc::new(Cache::new(cached)),
            names: Arc::new(Cache::new(cached)),
            pending: Arc::default(),
        }
    }

    /// The number of a name that is in use.
    pub(super) async fn number(&self, engine: &Engine, name: &str) -> Result<Option<u64>, StoreError> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(Some(number));
        }
        let found = engine.get(self.by_name.family, &self.by_name.key(&name.to_owned())).await?;
        self.remember(name, found)
    }

    /// The same, names included whose batch is not durable yet.
    pub(super) async fn number_or_pending(&self, engine: &Engine, name: &str) -> Result<Option<u64>, StoreError> {
        // In this order: what is no longer pending is in the database.
        let pending = self.pending.lock().get(name).filter(|(_, held)| held.strong_count() > 0).map(|(no, _)| *no);
        match pending {
            Some(number) => Ok(Some(number)),
            None => self.number(engine, name).await,
        }
    }

    /// The name of a number.
    pub(super) async fn name(&self, engine: &Engine, number: u64) -> Result<Option<Arc<str>>, StoreError> {
        if let Some(name) = self.names.get(&number) {
            return Ok(Some(name));
        }
        let Some(bytes) = engine.get(self.by_number.family, &self.by_number.key(&number)).await? else {
            // Minted, not yet durable.
            let pending = self.pending.lock();
            return Ok(pending.iter().find(|(_, (n, _))| *n == number).map(|(name, _)| Arc::from(&**name)));
        };
        let name =
            String::decode(&bytes).ok_or(StoreError::Corrupt { table: self.by_number.name, what: "the name" })?;
        let name: Arc<str> = name.into();
        self.names.insert(number, name.clone());
        Ok(Some(name))
    }

    /// The number of a name, minted with `batch` when it is new.
    pub(super) async fn mint(
        &self,
        engine: &Engine,
        counters: &Counters,
        name: &str,
        batch: &mut Batch,
    ) -> Result<u64, StoreError> {
        if let Some(number) = self.number(engine, name).await? {
            return Ok(number);
        }
        let mut pending = self.pending.lock();
        let alive = pending.get(name).and_then(|(number, held)| Some((*number, held.upgrade()?)));
        let (number, held) = if let Some(alive) = alive {
            alive
        } else {
            // A batch may have become durable between the look-up above and the lock.
            let stored = engine.get_blocking(self.by_name.family, &self.by_name.key(&name.to_owned()))?;
            if let Some(number) = self.remember(name, stored)? {
                return Ok(number);
            }
            if pending.len() >= PENDING_SWEEP {
                pending.retain(|_, (_, held)| held.strong_count() > 0);
            }
            let (number, held) = (counters.next_name(), Arc::new(()));
            pending.insert(name.into(), (number, Arc::downgrade(&held)));
            (number, held)
        };
        drop(pending);
        batch.put(self.by_name, &name.to_owned(), &number);
        batch.put(self.by_number, &number, &name.to_owned());
        let (pending, numbers, names, name) =
            (self.pending.clone(), self.numbers.clone(), self.names.clone(), Box::<str>::from(name));
        batch.on_publish(move |_| {
            names.insert(number, Arc::from(&*name));
            numbers.insert(name.clone(), number);
            pending.lock().remove(&name);
            drop(held);
        });
        Ok(number)
    }

    fn remember(&self, name: &str, stored: Option<Vec<u8>>) -> Result<Option<u64>, StoreError> {
        let Some(bytes) = stored else { return Ok(None) };
        let number = u64::decode(&bytes).ok_or(StoreError::Corrupt { table: self.by_name.name, what: "the number" })?;
        self.numbers.insert(name.into(), number);
        Ok(Some(number))
    }
}
