//! What states agree on, looked up one by one.

use std::{collections::HashMap, sync::Arc};

use ruma::events::StateEventType;

use super::{conflict::Conflict, load::Source};
use crate::store::{EventNo, StateKeyNo, StoreError};

/// An event type and a state key.
pub(super) type Pair = (StateEventType, String);

/// The entries that all states share, as far as they were asked for.
pub(super) struct Unconflicted {
    source: Source,
    conflict: Arc<Conflict>,
    known: HashMap<Pair, Option<EventNo>>,
}

impl Unconflicted {
    /// Nothing asked yet.
    pub(super) fn new(source: Source, conflict: Arc<Conflict>) -> Self {
        Self { source, conflict, known: HashMap::new() }
    }

    /// The event that all states have for a pair. `None` when they differ in it, or none has one.
    pub(super) async fn get(&mut self, pair: &Pair) -> Result<Option<EventNo>, StoreError> {
        if let Some(known) = self.known.get(pair) {
            return Ok(*known);
        }
        let event = match self.source.store.state_key(&pair.0, &pair.1).await? {
            Some(key) => self.of_key(key).await?,
            None => None,
        };
        self.known.insert(pair.clone(), event);
        Ok(event)
    }

    /// The same by the number of the pair.
    pub(super) async fn of_key(&self, key: StateKeyNo) -> Result<Option<EventNo>, StoreError> {
        if self.conflict.contains(key) {
            return Ok(None);
        }
        self.source.tree.get(self.conflict.base, key).await
    }
}
