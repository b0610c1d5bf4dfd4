//! What is under way between this server and rooms of others: joins, rows about rooms it is not in, events that it
//! passes on.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId};
use tokio::sync::{MutexGuard, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::{
    places::{Place, Places},
    store::UserNo,
};

/// Locks that rooms this server is not in are spread over.
const OUTSIDE_LOCKS: usize = 64;
/// Notices of identity servers that are dealt with at the same time.
const NOTICES_MAX: usize = 8;

type Turn = tokio::sync::Mutex<()>;

/// Shared by all clones of [`crate::rooms::Rooms`].
pub(in crate::rooms) struct Crossings {
    /// Rooms that somebody is joining through another server. As many as such joins.
    joining: Mutex<HashMap<OwnedRoomId, Weak<Turn>>>,
    outside: [Turn; OUTSIDE_LOCKS],
    invited: Places<UserNo>,
    /// Events of other servers that this one is asked to tell the others of. As many as such requests.
    passed_on: Arc<Mutex<HashSet<OwnedEventId>>>,
    notices: Arc<Semaphore>,
}

impl Default for Crossings {
    fn default() -> Self {
        Self {
            joining: Mutex::default(),
            outside: std::array::from_fn(|_| Turn::default()),
            invited: Places::new(1),
            passed_on: Arc::default(),
            notices: Arc::new(Semaphore::new(NOTICES_MAX)),
        }
    }
}

/// An event that this server tells the others of as if it were its own, as long as this is kept.
pub(super) struct PassedOn {
    all: Arc<Mutex<HashSet<OwnedEventId>>>,
    id: OwnedEventId,
}

impl Drop for PassedOn {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}

impl Crossings {
    /// One join of a room through another server at a time: the next one finds the room here.
    pub(super) async fn joining(&self, room: &RoomId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut joining = self.joining.lock();
            joining.retain(|_, turn| turn.strong_count() > 0);
            let known = joining.get(room).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(Turn::default());
                joining.insert(room.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    /// Keeps others from changing what users are to a room from outside. Rooms share locks: never take two.
    pub(super) async fn outside(&self, room: &RoomId) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        let slot = usize::try_from(hasher.finish() % OUTSIDE_LOCKS as u64).unwrap_or_default();
        match self.outside.get(slot) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }

    /// Keeps others from inviting a user from outside, from when their invitations are counted until there is one more.
    /// Taken before [`Self::outside`], never after it.
    pub(super) async fn invited(&self, user: UserNo) -> Place {
        self.invited.enter(user).await
    }

    /// From now on, when this event is added to its room, the other servers in the room are told of it.
    pub(super) fn pass_on(&self, id: &EventId) -> PassedOn {
        self.passed_on.lock().insert(id.to_owned());
        PassedOn { all: self.passed_on.clone(), id: id.to_owned() }
    }

    /// A place for a notice of an identity server; `None` while there are too many: nobody has to sign them.
    pub(super) fn notice(&self) -> Option<OwnedSemaphorePermit> {
        self.notices.clone().try_acquire_owned().ok()
    }

    /// Whether an event that is being added goes on to other servers though it is not this server's.
    pub(in crate::rooms) fn passes_on(&self, id: &EventId) -> bool {
        self.passed_on.lock().contains(id)
    }
}
