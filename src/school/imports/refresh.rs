//! Reading the people anew.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::{
    school::{Rules, SchoolError},
    store::Store,
};

/// Reads the people from the tables, one reading at a time. Clones share the turn.
#[derive(Clone)]
pub struct Refresh {
    rules: Arc<Rules>,
    store: Store,
    reading: Arc<Mutex<()>>,
}

impl Refresh {
    /// For these rules.
    pub fn new(rules: Arc<Rules>, store: Store) -> Self {
        Self { rules, store, reading: Arc::default() }
    }

    /// Reads the people from the tables again. Everything decided after this returns is decided by them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn now(&self) -> Result<(), SchoolError> {
        let _one = self.reading.lock().await;
        let (rules, store) = (self.rules.clone(), self.store.clone());
        tokio::task::spawn_blocking(move || rules.reload_blocking(&store)).await.map_err(SchoolError::task)??;
        Ok(())
    }
}
