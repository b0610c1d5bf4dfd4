//! "Something changed for this user": wakes those who wait, and carries no data.
//!
//! A waiting `/sync` registers its user's number; whoever published a change that concerns users says so with
//! [`Notifier::wake`]. Waking happens on a thread of its own, so that a room of thousands costs its sender nothing.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Wake-ups that may queue; a publisher waits for a place beyond this.
const QUEUE_MAX: usize = 4096;
/// Locks the waiting users are spread over.
const SHARDS: usize = 16;

/// Whom a change concerns.
#[derive(Debug, Clone)]
pub enum Concerned {
    /// One user, by number.
    User(u64),
    /// All of these users, by number: a room's members.
    Users(Arc<[u64]>),
    /// All of these users but one.
    UsersExcept(Arc<[u64]>, u64),
}

#[derive(Default)]
struct Slot {
    notify: Arc<Notify>,
    waiting: usize,
}

type Shard = Mutex<HashMap<u64, Slot>>;

/// Knows who waits. Cheap to clone.
#[derive(Clone)]
pub struct Notifier {
    shards: Arc<[Shard]>,
    queue: mpsc::SyncSender<Concerned>,
}

/// A user who waits for changes; ends when dropped.
pub struct Waiting {
    shards: Arc<[Shard]>,
    user: u64,
    notify: Arc<Notify>,
}

impl Notifier {
    /// Starts the waking thread. It ends when the last clone of the notifier is dropped.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> std::io::Result<Self> {
        let shards: Arc<[Shard]> = (0..SHARDS).map(|_| Shard::default()).collect();
        let (queue, arriving) = mpsc::sync_channel(QUEUE_MAX);
        let known = shards.clone();
        std::thread::Builder::new().name("notifier".into()).spawn(move || {
            for concerned in arriving {
                match concerned {
                    Concerned::User(user) => wake(&known, user),
                    Concerned::Users(users) => users.iter().for_each(|user| wake(&known, *user)),
                    Concerned::UsersExcept(users, except) => {
                        users.iter().filter(|user| **user != except).for_each(|user| wake(&known, *user));
                    }
                }
            }
        })?;
        Ok(Self { shards, queue })
    }

    /// Says that something changed. It must be visible to readers already.
    pub fn wake(&self, concerned: Concerned) {
        // The thread ends only with the last sender, so this cannot fail while `self` exists.
        drop(self.queue.send(concerned));
    }

    /// Registers a user as waiting. Register first, read then, and wait last: no change falls in between.
    pub fn wait_for(&self, user: u64) -> Waiting {
        let notify = shard(&self.shards, user).map(|shard| {
            let mut shard = shard.lock();
            let slot = shard.entry(user).or_default();
            slot.waiting += 1;
            slot.notify.clone()
        });
        Waiting { shards: self.shards.clone(), user, notify: notify.unwrap_or_default() }
    }
}

impl Waiting {
    /// A future that ends at the next change after this call. Create it before reading.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut changed = Box::pin(self.notify.clone().notified_owned());
        changed.as_mut().enable();
        changed
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(shard) = shard(&self.shards, self.user) else { return };
        let mut shard = shard.lock();
        if let Some(slot) = shard.get_mut(&self.user) {
            slot.waiting -= 1;
            if slot.waiting == 0 {
                shard.remove(&self.user);
            }
        }
    }
}

fn shard(shards: &[Shard], user: u64) -> Option<&Shard> {
    shards.get(usize::try_from(user).unwrap_or_default() % SHARDS)
}

fn wake(shards: &[Shard], user: u64) {
    let waiting = shard(shards, user).and_then(|shard| Some(shard.lock().get(&user)?.notify.clone()));
    if let Some(notify) = waiting {
        notify.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_between_registering_and_waiting_is_not_missed() -> std::io::Result<()> {
        let notifier = Notifier::start()?;
        let waiting = notifier.wait_for(5);
        let changed = waiting.changed();
        notifier.wake(Concerned::Users(Arc::from([4, 5])));
        changed.await;
        Ok(())
    }

    #[tokio::test]
    async fn who_no_longer_waits_leaves_nothing_behind() -> std::io::Result<()> {
        let notifier = Notifier::start()?;
        drop((notifier.wait_for(5), notifier.wait_for(5), notifier.wait_for(21)));
        assert!(notifier.shards.iter().all(|shard| shard.lock().is_empty()));
        Ok(())
    }
}
