//! Filters that clients store to name them later (specification v1.19, "Filtering").

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use quick_cache::sync::Cache;
use ruma::api::client::filter::FilterDefinition;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{UsersError, locks::Locks};
use crate::{
    clock::Clock,
    store::{
        Batch, Order, Store, UserNo,
        schema::users::{FILTERS, Filter},
    },
};

/// Filters of one user; the oldest make room. Clients make one for themselves and some one for each room.
const FILTERS_MAX: usize = 1_000;

/// The largest filter, in bytes.
const FILTER_BYTES_MAX: usize = 64 * 1024;

/// Filters kept ready in memory.
const DEFINITIONS_CACHED: usize = 2_000;

/// A filter's id is this much of its hash: two filters of one user do not meet by accident.
const ID_HASH_BYTES: usize = 12;

type Definitions = Cache<(UserNo, String), Arc<FilterDefinition>>;

/// Stores filters and gives them back. Cheap to clone.
#[derive(Clone)]
pub struct Filters {
    store: Store,
    clock: Clock,
    locks: Locks,
    definitions: Arc<Definitions>,
}

impl Filters {
    pub(super) fn new(store: Store, clock: Clock, locks: Locks) -> Self {
        Self { store, clock, locks, definitions: Arc::new(Cache::new(DEFINITIONS_CACHED)) }
    }

    /// Stores a filter. The same filter always has the same id.
    ///
    /// # Errors
    /// [`UsersError::TooLarge`], or [`UsersError::Invalid`] for what is no filter.
    pub async fn create(&self, user: UserNo, definition: &RawValue) -> Result<String, UsersError> {
        let definition = definition.get();
        if definition.len() > FILTER_BYTES_MAX {
            return Err(UsersError::TooLarge("A filter may have at most 64 KiB"));
        }
        let invalid = |_| UsersError::Invalid("This is not a filter");
        serde_json::from_str::<FilterDefinition>(definition).map_err(invalid)?;
        // Written anew, so that white space and the order of keys make no other filter.
        let object: serde_json::Value = serde_json::from_str(definition).map_err(invalid)?;
        let definition = object.to_string();
        let hash = Sha256::digest(definition.as_bytes());
        let id = URL_SAFE_NO_PAD.encode(hash.get(..ID_HASH_BYTES).unwrap_or(&hash));
        let key = (user, id.clone());
        if self.store.get(&FILTERS, &key).await?.is_some() {
            return Ok(id);
        }
        let _guard = self.locks.user(user).await;
        let mut batch = Batch::new();
        let mut known = self.store.prefix(&FILTERS, &user, Order::Ascending, FILTERS_MAX + 1).await?;
        if known.len() >= FILTERS_MAX {
            known.sort_by_key(|(_, filter)| filter.created_at_ms);
            for (oldest, _) in known.iter().take(known.len() + 1 - FILTERS_MAX) {
                batch.delete(&FILTERS, oldest);
            }
        }
        batch.put(&FILTERS, &key, &Filter { definition, created_at_ms: self.clock.now_ms() });
        self.store.commit(batch).await?;
        Ok(id)
    }

    /// A stored filter, as the client gave it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn get(&self, user: UserNo, id: &str) -> Result<Option<Box<RawValue>>, UsersError> {
        let Some(filter) = self.store.get(&FILTERS, &(user, id.to_owned())).await? else { return Ok(None) };
        let raw = RawValue::from_string(filter.definition);
        raw.map(Some).map_err(|_| UsersError::Internal("a stored filter is not JSON"))
    }

    /// A stored filter, ready to be applied.
    ///
    /// # Errors
    /// The store failed.
    pub async fn definition(&self, user: UserNo, id: &str) -> Result<Option<Arc<FilterDefinition>>, UsersError> {
        let key = (user, id.to_owned());
        if let Some(definition) = self.definitions.get(&key) {
            return Ok(Some(definition));
        }
        let Some(json) = self.get(user, id).await? else { return Ok(None) };
        let definition: FilterDefinition =
            serde_json::from_str(json.get()).map_err(|_| UsersError::Internal("a stored filter does not read"))?;
        let definition = Arc::new(definition);
        // An id names its content, so what is cached never goes stale.
        self.definitions.insert(key, definition.clone());
        Ok(Some(definition))
    }
}
