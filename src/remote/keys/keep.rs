//! Which keys are kept over restarts: those of servers whose events have been accepted.
//!
//! Anybody can invent servers without end, and events that seem to be theirs; their documents stay in memory, where there
//! is place for so many. What an event brings into the store is written with the event.

use std::sync::Arc;

use base64::Engine as _;
use ruma::ServerName;

use super::{
    document::KeyDocument,
    known::{BASE64, Known},
    ring::{KEYS_KEPT_MAX, KeyRing, Ring},
};
use crate::store::{
    Batch, StoreError,
    schema::federation::{KEY_DOCUMENTS, KeyDocumentRecord, SERVER_KEYS, ServerKeyRecord},
};

impl KeyRing {
    /// Keeps the keys of a server, of which `batch` brings an event that was accepted. From then on new ones of it are
    /// kept as they come.
    pub fn keep_with(&self, server: &ServerName, batch: &mut Batch) {
        // What memory has forgotten is in the store, or is fetched again when it is needed.
        let Some(known) = self.0.servers.get(server).filter(|known| !known.kept) else { return };
        put_keys(server, &Known::default(), &known, batch);
        if let Some(document) = self.0.documents.get(server) {
            batch.put(&KEY_DOCUMENTS, &server.to_string(), &*document);
        }
        let (ring, server) = (self.clone(), server.to_owned());
        batch.on_publish(move |_| {
            // What was fetched meanwhile is not in the store, and is kept with a later event.
            if ring.0.servers.peek(&server).is_some_and(|now| Arc::ptr_eq(&now, &known)) {
                ring.0.documents.remove(&server);
                ring.0.servers.insert(server, Arc::new(Known { kept: true, ..(*known).clone() }));
            }
        });
    }
}

impl Ring {
    /// Replaces what memory holds, and what the store holds if it holds anything of this server.
    pub(super) async fn keep(&self, server: &ServerName, document: &KeyDocument) -> Result<Arc<Known>, StoreError> {
        let before = self.known(server).await?;
        let now_ms = self.clock.now_ms();
        let mut merged = document.merge(&before, now_ms);
        let mut surplus = Vec::new();
        while merged.keys.len() > KEYS_KEPT_MAX {
            let oldest = merged.keys.iter().min_by_key(|(_, key)| key.valid_until_ms).map(|(key_id, _)| key_id.clone());
            let Some(oldest) = oldest else { break };
            merged.keys.remove(&oldest);
            surplus.push(oldest);
        }
        let record = (!document.is_older(&before)).then(|| {
            Arc::new(KeyDocumentRecord {
                json: document.json.clone(),
                valid_until_ms: document.valid_until_ms,
                fetched_ms: now_ms,
            })
        });
        let merged = Arc::new(merged);
        if merged.kept {
            self.write(server, &before, &merged, surplus, record).await?;
        } else if let Some(record) = record {
            self.documents.insert(server.to_owned(), record);
        }
        self.servers.insert(server.to_owned(), merged.clone());
        Ok(merged)
    }

    /// Stores the keys that have changed, and a document.
    async fn write(
        &self,
        server: &ServerName,
        before: &Known,
        known: &Known,
        surplus: Vec<Box<str>>,
        document: Option<Arc<KeyDocumentRecord>>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for key_id in surplus {
            batch.delete(&SERVER_KEYS, &(server.to_string(), key_id.into()));
        }
        put_keys(server, before, known, &mut batch);
        if let Some(document) = document {
            batch.put(&KEY_DOCUMENTS, &server.to_string(), &*document);
        }
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(())
    }
}

/// The keys that are others than `before`.
fn put_keys(server: &ServerName, before: &Known, known: &Known, batch: &mut Batch) {
    for (key_id, key) in &known.keys {
        if before.keys.get(key_id) == Some(key) {
            continue;
        }
        let row = ServerKeyRecord {
            key: BASE64.encode(key.verifying.as_bytes()),
            valid_until_ms: key.valid_until_ms,
            old: key.old,
        };
        batch.put(&SERVER_KEYS, &(server.to_string(), key_id.to_string()), &row);
    }
}
