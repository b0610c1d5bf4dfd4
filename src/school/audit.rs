//! Who did what: a record of every administrative write, in the commit of the write itself.

use serde_json::Value;

use super::sequence::Sequence;
use crate::{
    clock::Clock,
    store::{
        Batch, Order, Store, StoreError,
        schema::school::{AUDIT, AuditRecord},
    },
};

/// Who does something as an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author(String);

impl Author {
    /// An account.
    pub fn user(user_id: &ruma::UserId) -> Self {
        Self(user_id.to_string())
    }

    /// Somebody at the server's command line.
    pub fn console() -> Self {
        Self("console".into())
    }

    /// The server itself.
    pub fn server() -> Self {
        Self("server".into())
    }

    /// As it is written down.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The record. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    store: Store,
    clock: Clock,
    numbers: Sequence,
}

impl Audit {
    pub(super) async fn load(store: Store, clock: Clock) -> Result<Self, StoreError> {
        let numbers = Sequence::load(&store, &AUDIT).await?;
        Ok(Self { store, clock, numbers })
    }

    /// Adds a record to the batch of the write it is about. `action` is a short word such as `override.add`, `object`
    /// whom or what it is done to, `detail` a JSON object without anything secret.
    pub fn stage(&self, batch: &mut Batch, by: &Author, action: &str, object: &str, detail: &Value) {
        let record = AuditRecord {
            at_ms: self.clock.now_ms(),
            by: by.0.clone(),
            action: action.into(),
            object: object.into(),
            detail: detail.to_string(),
        };
        batch.put(&AUDIT, &self.numbers.next(), &record);
    }

    /// At most `limit` records, newest first, from before record `before`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, before: Option<u64>, limit: usize) -> Result<Vec<(u64, AuditRecord)>, StoreError> {
        self.store.range(&AUDIT, &0_u64, &before.unwrap_or(u64::MAX), Order::Descending, limit).await
    }
}
