//! Messages from device to device, kept until the receiving device has them.
//!
//! Specification v1.19, client-server API, "Send-to-Device messaging".

mod queues;
mod receive;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::RwLock;
use ruma::{
    DeviceId, OwnedServerName, OwnedUserId, UserId, events::AnyToDeviceEventContent, serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde::Serialize;
use serde_json::value::RawValue;

use self::queues::{QueueLocks, Queues, WAITING_MAX};
pub use self::receive::Brought;
use super::locks::Locks;
use crate::{
    clock::Clock,
    notify::Notifier,
    remote::Outbox,
    store::{
        Batch, Order, Position, Store, StoreError, UserNo,
        schema::{
            keys::{DeliveredPart, TO_DEVICE, TO_DEVICE_ORIGINS, TO_DEVICE_PARTS, TO_DEVICE_TRANSACTIONS},
            users::DEVICES,
        },
    },
};

/// Longest content of one message, in bytes: as for events.
const CONTENT_BYTES_MAX: usize = 65_536;
/// Longest event type and transaction id, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Messages in one request, after `*` has become devices.
const MESSAGES_MAX: usize = 10_000;
/// Devices of one user.
const DEVICES_MAX: usize = 10_000;
/// Rows deleted at once.
const PAGE: usize = 1_000;
/// How long a transaction id is remembered, in milliseconds. Clients repeat a request within minutes.
const TRANSACTION_MS: u64 = 24 * 3_600_000;
/// Transactions of a device after which old ones are looked for.
const TRANSACTIONS_BETWEEN_SWEEPS: usize = 256;

/// Messages by receiver and device.
pub type Messages = BTreeMap<OwnedUserId, BTreeMap<DeviceIdOrAllDevices, Raw<AnyToDeviceEventContent>>>;

/// Why messages are refused.
#[derive(Debug, thiserror::Error)]
pub enum ToDeviceError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A message is longer than 64 KiB, or there are more than 10,000 (`M_TOO_LARGE`).
    #[error("too many or too long messages")]
    TooLarge,
    /// The event type or transaction id is too long (`M_INVALID_PARAM`).
    #[error("the event type or the transaction id is longer than 255 bytes")]
    NameTooLong,
}

/// Who sends, and what.
#[derive(Debug)]
pub struct Sending<'a> {
    /// The sender.
    pub user: UserNo,
    /// The sender's id.
    pub user_id: &'a UserId,
    /// The sending device.
    pub device_id: &'a DeviceId,
    /// The type of all messages.
    pub event_type: &'a str,
    /// Chosen by the client; the same one is not sent twice.
    pub txn_id: &'a str,
    /// The messages.
    pub messages: Messages,
}

type Sends = HashMap<(UserNo, Box<str>), usize>;

/// Takes and delivers messages. Cheap to clone.
#[derive(Clone)]
pub struct ToDevice {
    store: Store,
    server: OwnedServerName,
    clock: Clock,
    locks: Locks,
    notifier: Notifier,
    outbox: Outbox,
    /// The devices for which something waits: nearly none, and every sync asks.
    queues: Arc<RwLock<Queues>>,
    /// Taken after one of `locks`, if at all, and never before.
    queue_locks: QueueLocks,
    sends: Arc<RwLock<Sends>>,
}

#[derive(Serialize)]
struct Event<'a> {
    sender: &'a UserId,
    r#type: &'a str,
    content: &'a RawValue,
}

impl ToDevice {
    /// Finds out for whom messages wait. Blocks.
    pub(super) fn load(
        store: Store,
        server: OwnedServerName,
        clock: Clock,
        locks: Locks,
        notifier: Notifier,
        outbox: Outbox,
    ) -> Result<Self, StoreError> {
        let queues = Arc::new(RwLock::new(queues::load(&store)?));
        let queue_locks = QueueLocks::new();
        Ok(Self { store, server, clock, locks, notifier, outbox, queues, queue_locks, sends: Arc::default() })
    }

    /// Sends messages to devices, here and on other servers. Devices that do not exist get nothing. A transaction that was
    /// done before is done.
    ///
    /// # Errors
    /// Too many or too long messages; the store failed.
    pub async fn send(&self, sending: Sending<'_>) -> Result<(), ToDeviceError> {
        if sending.event_type.len() > NAME_BYTES_MAX || sending.txn_id.len() > NAME_BYTES_MAX {
            return Err(ToDeviceError::NameTooLong);
        }
        let transaction = format!("{}\0{}", sending.event_type, sending.txn_id);
        let transaction = (sending.user, sending.device_id.as_str().to_owned(), transaction);
        // Two requests of one transaction at the same time are one after the other.
        let _guard = self.locks.user(sending.user).await;
        if self.store.get(&TO_DEVICE_TRANSACTIONS, &transaction).await?.is_some() {
            return Ok(());
        }
        let mut batch = Batch::new();
        let mut remote: BTreeMap<OwnedServerName, Messages> = BTreeMap::new();
        let (mut rows, mut sent) = (BTreeMap::new(), 0);
        for (user_id, messages) in &sending.messages {
            if user_id.server_name() != self.server {
                sent += messages.len();
                if sent > MESSAGES_MAX
                    || messages.values().any(|content| content.json().get().len() > CONTENT_BYTES_MAX)
                {
                    return Err(ToDeviceError::TooLarge);
                }
                let server = remote.entry(user_id.server_name().to_owned()).or_default();
                server.insert(user_id.clone(), messages.clone());
                continue;
            }
            let Some(user) = self.store.user(user_id).await? else { continue };
            for (device, content) in messages {
                let event = event((sending.user_id, sending.event_type), content)?;
                rows.extend(self.devices(user, device).await?.into_iter().map(|id| ((user, id), event.clone())));
                if rows.len() > MESSAGES_MAX {
                    return Err(ToDeviceError::TooLarge);
                }
            }
        }
        self.stage(&mut batch, None, rows).await?;
        for (server, messages) in remote {
            self.outbox.to_device(&mut batch, &server, sending.user_id, &sending.event_type.into(), messages).await?;
        }
        batch.put(&TO_DEVICE_TRANSACTIONS, &transaction, &self.clock.now_ms());
        self.sweep_transactions(&mut batch, sending.user, sending.device_id).await?;
        self.store.commit(batch).await?;
        Ok(())
    }

    /// The first messages that wait for a device, up to the position `upto`, as JSON texts of events.
    ///
    /// They stay until [`Self::acknowledge`] is called with a token at which they were delivered. When there are more
    /// than `limit`, what `upto` as a token stands for is written down first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn take(
        &self,
        user: UserNo,
        device_id: &DeviceId,
        upto: Position,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        if !self.is_waiting(user, device_id) {
            return Ok(Vec::new());
        }
        let device = (user, device_id.as_str().to_owned());
        let end = (user, device.1.clone(), Position(upto.0.saturating_add(1)));
        let mut rows = self.store.range(&TO_DEVICE, &device, &end, Order::Ascending, limit.saturating_add(1)).await?;
        if rows.len() > limit {
            rows.truncate(limit);
            let delivered = rows.last().map_or(Position::ZERO, |((.., at), _)| *at);
            let mut batch = Batch::new();
            batch.put(&TO_DEVICE_PARTS, &device, &DeliveredPart { token: upto, delivered });
            self.store.commit(batch).await?;
        }
        Ok(rows.into_iter().map(|(_, event)| event).collect())
    }

    /// Whether messages wait for a device. Costs no read of the disk.
    pub fn is_waiting(&self, user: UserNo, device_id: &DeviceId) -> bool {
        self.queues.read().contains_key(&(user, device_id.as_str().into()))
    }

    /// The device has the answer whose token was `since`: messages in it are deleted.
    ///
    /// # Errors
    /// The store failed.
    pub async fn acknowledge(&self, user: UserNo, device_id: &DeviceId, since: Position) -> Result<(), StoreError> {
        if !self.is_waiting(user, device_id) {
            return Ok(());
        }
        let device = (user, device_id.as_str().to_owned());
        let guards = self.queue_locks.enter([user]).await;
        let mut batch = Batch::new();
        let upto = match self.store.get(&TO_DEVICE_PARTS, &device).await? {
            // An older answer: which of the messages that came up to it were delivered is not known any more.
            Some(part) if since < part.token => return Ok(()),
            Some(part) if since == part.token => part.delivered,
            Some(_) => {
                batch.delete(&TO_DEVICE_PARTS, &device);
                since
            }
            None => since,
        };
        let gone = self.stage_deletion(&mut batch, &device, upto, PAGE).await?;
        let queues = self.queues.clone();
        let settle = move || queues::settle(&mut queues.write(), &device, &gone);
        if batch.is_empty() {
            settle();
        } else {
            batch.on_publish(move |_| {
                settle();
                drop(guards);
            });
            self.store.commit(batch).await?;
        }
        Ok(())
    }

    /// Adds to `batch` the removal of what waits for a device and of its transactions.
    pub(super) async fn stage_removal_of_device(
        &self,
        batch: &mut Batch,
        user: UserNo,
        device_id: &str,
    ) -> Result<(), StoreError> {
        let device = (user, device_id.to_owned());
        for (key, _) in self.store.prefix(&TO_DEVICE, &device, Order::Ascending, WAITING_MAX + PAGE).await? {
            batch.delete(&TO_DEVICE, &key);
        }
        for (key, ()) in self.store.prefix(&TO_DEVICE_ORIGINS, &device, Order::Ascending, WAITING_MAX + PAGE).await? {
            batch.delete(&TO_DEVICE_ORIGINS, &key);
        }
        for (key, _) in self.store.prefix(&TO_DEVICE_TRANSACTIONS, &device, Order::Ascending, WAITING_MAX).await? {
            batch.delete(&TO_DEVICE_TRANSACTIONS, &key);
        }
        batch.delete(&TO_DEVICE_PARTS, &device);
        let (queues, sends) = (self.queues.clone(), self.sends.clone());
        let key = (user, Box::from(device_id));
        batch.on_publish(move |_| {
            queues.write().remove(&key);
            sends.write().remove(&key);
        });
        Ok(())
    }

    async fn devices(&self, user: UserNo, meant: &DeviceIdOrAllDevices) -> Result<Vec<String>, StoreError> {
        Ok(match meant {
            DeviceIdOrAllDevices::AllDevices => {
                let rows = self.store.prefix(&DEVICES, &user, Order::Ascending, DEVICES_MAX).await?;
                rows.into_iter().map(|((_, id), _)| id).collect()
            }
            DeviceIdOrAllDevices::DeviceId(id) => {
                let id = id.as_str().to_owned();
                let known = self.store.get(&DEVICES, &(user, id.clone())).await?.is_some();
                known.then_some(id).into_iter().collect()
            }
        })
    }

    /// Now and then, forgets old transactions of a device.
    async fn sweep_transactions(&self, batch: &mut Batch, user: UserNo, device: &DeviceId) -> Result<(), StoreError> {
        {
            let mut sends = self.sends.write();
            let count = sends.entry((user, device.as_str().into())).or_default();
            *count += 1;
            if *count < TRANSACTIONS_BETWEEN_SWEEPS {
                return Ok(());
            }
            *count = 0;
        }
        let before = self.clock.now_ms().saturating_sub(TRANSACTION_MS);
        let device = (user, device.as_str().to_owned());
        for (key, at_ms) in self.store.prefix(&TO_DEVICE_TRANSACTIONS, &device, Order::Ascending, WAITING_MAX).await? {
            if at_ms < before {
                batch.delete(&TO_DEVICE_TRANSACTIONS, &key);
            }
        }
        Ok(())
    }
}

fn event((sender, kind): (&UserId, &str), content: &Raw<AnyToDeviceEventContent>) -> Result<String, ToDeviceError> {
    let content = content.json();
    if content.get().len() > CONTENT_BYTES_MAX {
        return Err(ToDeviceError::TooLarge);
    }
    let event = Event { sender, r#type: kind, content };
    serde_json::to_string(&event).map_err(|_| ToDeviceError::TooLarge)
}

#[cfg(test)]
mod tests;
