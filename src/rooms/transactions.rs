//! A request that a client sends twice makes one event.
//!
//! Spec v1.19, Client-Server API "Transaction identifiers": a transaction is a device and a path. Requests whose event
//! is not durable yet are held in memory, all others in the table; sweeping it is the business of a background task.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use ruma::{EventId, OwnedEventId};

use super::{Actor, NewEvent, Room, Rooms, RoomsError, writer};
use crate::{
    event::content::RelatesTo,
    store::{
        Batch, Order, StoreError, UserNo,
        schema::rooms::{TRANSACTIONS, TransactionRecord},
    },
};

/// How long a transaction is remembered. Clients give up repeating a request long before.
const REMEMBERED: Duration = Duration::from_hours(24);
/// How often the old ones are swept out.
const SWEEP_EVERY: Duration = Duration::from_hours(1);
/// Rows that are read, and deleted, at once.
const SWEEP_PAGE: usize = 1000;

/// User, device and path, as in [`TRANSACTIONS`].
pub(super) type TransactionKey = (UserNo, String, String);

/// Requests whose events are not durable yet. Bounded by what the committer lets wait.
#[derive(Default)]
pub(super) struct InFlight(Mutex<HashMap<TransactionKey, OwnedEventId>>);

/// What is known of a request.
pub(super) enum Earlier {
    /// Its event is durable.
    Made(OwnedEventId),
    /// Its event will be durable once everything handed over before is.
    UnderWay(OwnedEventId),
}

/// The path of a request, shortened. Paths cannot contain NUL, so the parts cannot run into each other.
pub(super) fn key(actor: &Actor<'_>, room: &Room, action: &str, subject: &str, transaction_id: &str) -> TransactionKey {
    let path = format!("{}\0{action}\0{subject}\0{transaction_id}", room.number.0);
    (actor.user, actor.device_id.to_owned(), path)
}

impl Rooms {
    /// The event an earlier request of this key made. The caller holds the room's lock.
    pub(super) async fn earlier(&self, key: &TransactionKey) -> Result<Option<Earlier>, StoreError> {
        // In this order: an event leaves the memory only when its row can be read.
        if let Some(event) = self.writes.in_flight.0.lock().get(key) {
            return Ok(Some(Earlier::UnderWay(event.clone())));
        }
        let row = self.parts.store.get(&TRANSACTIONS, key).await?;
        Ok(row.and_then(|row| EventId::parse(row.event_id).ok()).map(Earlier::Made))
    }

    /// The answer to a repeated request. The caller has let the room's lock go.
    pub(super) async fn answer(&self, earlier: Earlier) -> Result<OwnedEventId, RoomsError> {
        match earlier {
            Earlier::Made(event) => Ok(event),
            Earlier::UnderWay(event) => {
                writer::settled(self).await?;
                Ok(event)
            }
        }
    }

    /// Remembers a request together with its event. The caller holds the room's lock.
    pub(super) fn remember(&self, key: TransactionKey, event: &EventId, batch: &mut Batch) {
        let row = TransactionRecord { event_id: event.to_string(), ts: self.parts.clock.now_ms() };
        batch.put(&TRANSACTIONS, &key, &row);
        self.writes.in_flight.0.lock().insert(key.clone(), event.to_owned());
        let guard = InFlightGuard { in_flight: self.writes.in_flight.clone(), key };
        batch.on_publish(move |_| drop(guard));
    }

    /// Refuses a reaction while an equal one of this user is not durable yet; the table, which is asked when it is appended,
    /// knows of durable ones. In this order: a reaction leaves the memory only when its row can be read. The caller holds
    /// the room's lock, and keeps the claim until the reaction is durable.
    pub(super) fn claim_annotation(
        &self,
        room: &Room,
        user: UserNo,
        new: &NewEvent,
    ) -> Result<Option<InFlightGuard>, RoomsError> {
        let Some(relates) = RelatesTo::read(new.content.raw()) else { return Ok(None) };
        let (Some(("m.annotation", parent)), Some(key)) = (relates.relation(), &relates.key) else { return Ok(None) };
        let path = format!("{}\0annotation\0{parent}\0{}\0{key}", room.number.0, new.kind);
        let key = (user, String::new(), path);
        match self.writes.in_flight.0.lock().entry(key.clone()) {
            Entry::Occupied(_) => return Err(RoomsError::DuplicateAnnotation),
            // Nobody asks which it is.
            Entry::Vacant(place) => place.insert(parent.to_owned()),
        };
        Ok(Some(InFlightGuard { in_flight: self.writes.in_flight.clone(), key }))
    }

    /// Deletes transactions that are old enough, and says how many.
    pub async fn sweep_transactions(&self) -> Result<usize, StoreError> {
        let store = &self.parts.store;
        let remembered_ms = u64::try_from(REMEMBERED.as_millis()).unwrap_or(u64::MAX);
        let before = self.parts.clock.now_ms().saturating_sub(remembered_ms);
        let (mut from, mut swept) = ((UserNo(0), String::new(), String::new()), 0);
        loop {
            let page = store.range(&TRANSACTIONS, &from, &UserNo(u64::MAX), Order::Ascending, SWEEP_PAGE).await?;
            let mut batch = Batch::new();
            for (key, _) in page.iter().filter(|(_, row)| row.ts < before) {
                batch.delete(&TRANSACTIONS, key);
                swept += 1;
            }
            if !batch.is_empty() {
                store.commit(batch).await?;
            }
            match page.into_iter().next_back() {
                Some(((user, device, path), _)) => from = (user, device, path + "\0"),
                None => return Ok(swept),
            }
        }
    }

    /// Sweeps for as long as it is let: a background task of the server.
    pub async fn keep_transactions_swept(self) {
        loop {
            self.parts.clock.sleep(SWEEP_EVERY).await;
            match self.sweep_transactions().await {
                Ok(0) => {}
                Ok(swept) => tracing::debug!(swept, "old transaction ids were forgotten"),
                Err(error) => tracing::warn!(%error, "old transaction ids could not be forgotten"),
            }
        }
    }
}

/// Takes a request out of the memory once its row can be read, or once its batch is dropped.
pub(super) struct InFlightGuard {
    in_flight: Arc<InFlight>,
    key: TransactionKey,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.in_flight.0.lock().remove(&self.key);
    }
}
