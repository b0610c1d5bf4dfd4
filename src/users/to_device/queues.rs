//! What waits for each device: how many messages, whose, and which go when there are too many.
//!
//! Other servers have shares, so that none of them pushes out what the others and this server's own people have sent. How
//! much of its share a server has used is counted in memory; which messages are its own stands in a small table beside
//! them, which is read when the server has used all of it, and at the start.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::RwLock;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::ToDevice;
use crate::{
    notify::Concerned,
    store::{
        Batch, Order, Position, ServerNo, Store, StoreError, UserNo,
        schema::keys::{TO_DEVICE, TO_DEVICE_ORIGINS},
    },
};

/// Messages that wait for one device; the oldest go first when there are more.
pub(super) const WAITING_MAX: usize = 10_000;
/// Those of one other server; when there are more, the oldest of its own go.
pub(super) const OF_ONE_SERVER_MAX: usize = WAITING_MAX / 10;
/// Those of all other servers together. When there are more, the oldest of the one go that has most.
pub(super) const OF_SERVERS_MAX: usize = WAITING_MAX / 2;
/// How many go at once.
pub(super) const DROPPED_AT_ONCE: usize = 100;
/// Devices for which that is done in one commit.
const DEVICES_AT_ONCE: usize = 32;
/// Locks that users are spread over.
const LOCKS: usize = 256;

/// A device: its owner, and its id.
pub(super) type Device = (UserNo, String);

/// What waits, by device.
pub(super) type Queues = HashMap<(UserNo, Box<str>), Queue>;

/// What waits for one device.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Nothing is newer.
    last: Position,
    pub(super) count: usize,
    /// How many of these are from users of other servers: nearly always no server, or a few.
    pub(super) shares: Vec<(ServerNo, usize)>,
}

/// Messages of a device that were deleted.
pub(super) struct Gone {
    count: usize,
    by: Vec<(ServerNo, usize)>,
    /// They were all up to here.
    upto: Option<Position>,
}

/// Which messages have to go.
enum Excess {
    /// The oldest.
    Oldest,
    /// The oldest of a server.
    Of(ServerNo),
}

impl Queue {
    fn add(&mut self, origin: Option<ServerNo>, at: Position) {
        self.last = self.last.max(at);
        self.count += 1;
        let Some(origin) = origin else { return };
        match self.shares.iter_mut().find(|(server, _)| *server == origin) {
            Some((_, count)) => *count += 1,
            None => self.shares.push((origin, 1)),
        }
    }

    /// What has to go before there is room for one more message.
    fn excess(&self, origin: Option<ServerNo>) -> Option<Excess> {
        if let Some(origin) = origin {
            if self.shares.iter().any(|share| share.0 == origin && share.1 >= OF_ONE_SERVER_MAX) {
                return Some(Excess::Of(origin));
            }
            if self.shares.iter().map(|(_, count)| count).sum::<usize>() >= OF_SERVERS_MAX {
                return self.shares.iter().max_by_key(|(_, count)| *count).map(|(server, _)| Excess::Of(*server));
            }
        }
        (self.count >= WAITING_MAX).then_some(Excess::Oldest)
    }
}

/// Counts what waits. Blocks.
pub(super) fn load(store: &Store) -> Result<Queues, StoreError> {
    let mut queues = Queues::new();
    store.walk_blocking(&TO_DEVICE, |(user, device, at), _| {
        queues.entry((user, device.into())).or_default().add(None, at);
        Ok(())
    })?;
    store.walk_blocking(&TO_DEVICE_ORIGINS, |(user, device, origin, _), ()| {
        let Some(queue) = queues.get_mut(&(user, device.into())) else { return Ok(()) };
        // They come server by server.
        match queue.shares.last_mut().filter(|(server, _)| *server == origin) {
            Some((_, count)) => *count += 1,
            None => queue.shares.push((origin, 1)),
        }
        Ok(())
    })?;
    Ok(queues)
}

/// Messages are gone.
pub(super) fn settle(queues: &mut Queues, device: &Device, gone: &Gone) {
    let key = (device.0, Box::from(device.1.as_str()));
    let Some(queue) = queues.get_mut(&key) else { return };
    queue.count = queue.count.saturating_sub(gone.count);
    for (server, count) in &gone.by {
        if let Some(share) = queue.shares.iter_mut().find(|share| share.0 == *server) {
            share.1 = share.1.saturating_sub(*count);
        }
    }
    queue.shares.retain(|(_, count)| *count > 0);
    if gone.upto.is_some_and(|upto| queue.last <= upto) {
        queues.remove(&key);
    }
}

/// Held by who deletes what waits for users' devices, until that is published: so everything is counted once. Nothing
/// else is waited for meanwhile but the store.
#[derive(Clone)]
pub(super) struct QueueLocks(Arc<[Arc<Mutex<()>>]>);

impl QueueLocks {
    pub(super) fn new() -> Self {
        Self((0..LOCKS).map(|_| Arc::default()).collect())
    }

    /// The locks of these users, in one order for all.
    pub(super) async fn enter(&self, users: impl IntoIterator<Item = UserNo>) -> Vec<OwnedMutexGuard<()>> {
        let places = users.into_iter().filter_map(|user| usize::try_from(user.0 % LOCKS as u64).ok());
        let places: BTreeSet<usize> = places.collect();
        let mut guards = Vec::with_capacity(places.len());
        for lock in places.into_iter().filter_map(|place| self.0.get(place)) {
            guards.push(lock.clone().lock_owned().await);
        }
        guards
    }
}

impl ToDevice {
    /// Adds messages to a batch, for each device one, of users of another server or of this one. Where there are too
    /// many, others go first.
    pub(super) async fn stage(
        &self,
        batch: &mut Batch,
        origin: Option<ServerNo>,
        rows: BTreeMap<Device, String>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let full: Vec<&Device> = {
            let queues = self.queues.read();
            rows.keys().filter(|device| excess(&queues, device, origin).is_some()).collect()
        };
        for devices in full.chunks(DEVICES_AT_ONCE) {
            self.make_room(devices, origin).await?;
        }
        let mut receivers: Vec<u64> = rows.keys().map(|(user, _)| user.0).collect();
        receivers.dedup();
        let devices: Vec<_> = rows.keys().cloned().collect();
        batch.at_position(move |at, out| {
            for ((user, device), event) in rows {
                if let Some(origin) = origin {
                    out.put(&TO_DEVICE_ORIGINS, &(user, device.clone(), origin, at), &());
                }
                out.put(&TO_DEVICE, &(user, device, at), &event);
            }
        });
        let (queues, notifier) = (self.queues.clone(), self.notifier.clone());
        batch.on_publish(move |at| {
            let mut queues = queues.write();
            for (user, device) in devices {
                queues.entry((user, device.into())).or_default().add(origin, at);
            }
        });
        batch.on_visible(move || notifier.wake(Concerned::Users(receivers.into())));
        Ok(())
    }

    /// Adds to a batch the deletion of a device's oldest messages, at most so many, up to a position.
    pub(super) async fn stage_deletion(
        &self,
        batch: &mut Batch,
        device: &Device,
        upto: Position,
        limit: usize,
    ) -> Result<Gone, StoreError> {
        let end = (device.0, device.1.clone(), after(upto));
        let rows = self.store.range(&TO_DEVICE, device, &end, Order::Ascending, limit).await?;
        let whole = rows.len() < limit;
        let upto = rows.last().filter(|_| !whole).map_or(upto, |((.., at), _)| *at);
        for (key, _) in &rows {
            batch.delete(&TO_DEVICE, key);
        }
        let mut gone = Gone { count: rows.len(), by: Vec::new(), upto: whole.then_some(upto) };
        for server in servers(&self.queues, device) {
            let (from, end) = ((device.0, device.1.clone(), server), (device.0, device.1.clone(), server, after(upto)));
            let rows = self.store.range(&TO_DEVICE_ORIGINS, &from, &end, Order::Ascending, limit).await?;
            for (key, ()) in &rows {
                batch.delete(&TO_DEVICE_ORIGINS, key);
            }
            gone.by.push((server, rows.len()));
        }
        Ok(gone)
    }

    /// Deletes messages of devices that have as many as they may have.
    async fn make_room(&self, devices: &[&Device], origin: Option<ServerNo>) -> Result<(), StoreError> {
        let guards = self.queue_locks.enter(devices.iter().map(|device| device.0)).await;
        let mut batch = Batch::new();
        for device in devices {
            // Somebody else may have made room meanwhile.
            let excess = excess(&self.queues.read(), device, origin);
            let gone = match excess {
                Some(Excess::Of(server)) => self.stage_deletion_of(&mut batch, device, server).await?,
                Some(Excess::Oldest) => {
                    self.stage_deletion(&mut batch, device, Position(u64::MAX), DROPPED_AT_ONCE).await?
                }
                None => continue,
            };
            let (queues, device) = (self.queues.clone(), Device::clone(device));
            batch.on_publish(move |_| settle(&mut queues.write(), &device, &gone));
        }
        if !batch.is_empty() {
            batch.on_publish(move |_| drop(guards));
            self.store.commit(batch).await?;
        }
        Ok(())
    }

    /// Adds to a batch the deletion of a server's oldest messages to a device.
    async fn stage_deletion_of(
        &self,
        batch: &mut Batch,
        device: &Device,
        server: ServerNo,
    ) -> Result<Gone, StoreError> {
        let share = (device.0, device.1.clone(), server);
        let rows = self.store.prefix(&TO_DEVICE_ORIGINS, &share, Order::Ascending, DROPPED_AT_ONCE).await?;
        let count = rows.len();
        for (key, ()) in rows {
            batch.delete(&TO_DEVICE_ORIGINS, &key);
            batch.delete(&TO_DEVICE, &(key.0, key.1, key.3));
        }
        Ok(Gone { count, by: vec![(server, count)], upto: None })
    }
}

fn excess(queues: &Queues, device: &Device, origin: Option<ServerNo>) -> Option<Excess> {
    queues.get(&(device.0, device.1.as_str().into()))?.excess(origin)
}

/// Servers whose users' messages wait for a device.
fn servers(queues: &RwLock<Queues>, device: &Device) -> Vec<ServerNo> {
    let queues = queues.read();
    let queue = queues.get(&(device.0, Box::from(device.1.as_str())));
    queue.into_iter().flat_map(|queue| queue.shares.iter().map(|(server, _)| *server)).collect()
}

fn after(position: Position) -> Position {
    Position(position.0.saturating_add(1))
}
