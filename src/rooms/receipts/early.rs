//! Receipts at events that are not here yet.
//!
//! A receipt is dealt with when it comes; the event it stands at has to pass the room's checks first, and what came
//! before it may have to be asked for. Until then the receipt waits here, in memory: a restart loses what waits, and who
//! sent it is shown where they stood before, until they read on.
//!
//! When there are too many, those of the server go that has most: of as many servers as have receipts here, each keeps its
//! part whatever the others send.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use parking_lot::Mutex;
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName, UserId,
    events::receipt::{Receipt, ReceiptThread},
};
use tokio::sync::Notify;

use crate::{
    places::Holder,
    store::{Event, RoomNo},
};

/// Receipts that wait in one room.
const ROOM_MAX: usize = 500;
/// Receipts that wait in all rooms, some 600 bytes each.
const ALL_MAX: usize = 20_000;

/// A receipt as another server has sent it.
#[derive(Debug, Clone)]
pub(super) struct EarlyReceipt {
    pub(super) origin: OwnedServerName,
    pub(super) room_id: OwnedRoomId,
    pub(super) user_id: OwnedUserId,
    pub(super) event_id: OwnedEventId,
    pub(super) receipt: Receipt,
}

impl EarlyReceipt {
    fn is_of(&self, user_id: &UserId, thread: &ReceiptThread) -> bool {
        self.user_id == user_id && self.receipt.thread == *thread
    }
}

/// Shared by all clones of [`crate::rooms::Rooms`]: whoever adds events says so here.
#[derive(Default)]
pub(in crate::rooms) struct EarlyReceipts {
    waiting: Mutex<Waiting>,
    come: Notify,
}

#[derive(Default)]
struct Waiting {
    /// The receipts of each room, the oldest first, with their ages.
    rooms: HashMap<RoomNo, VecDeque<(u64, EarlyReceipt)>>,
    /// The rooms of each server's receipts, the oldest first.
    servers: HashMap<Holder, BTreeMap<u64, RoomNo>>,
    /// How many receipts of each server wait.
    shares: BTreeSet<(usize, Holder)>,
    all: usize,
    next: u64,
    /// Those that wait no more. No more than could wait.
    due: Vec<EarlyReceipt>,
}

impl EarlyReceipts {
    /// Keeps a receipt until its event comes. It takes the place of an earlier one of the same user and thread.
    pub(super) fn wait(&self, room: RoomNo, receipt: EarlyReceipt) {
        let mut waiting = self.waiting.lock();
        waiting.forget(room, |(_, old)| old.is_of(&receipt.user_id, &receipt.receipt.thread));
        if waiting.rooms.get(&room).is_some_and(|list| list.len() >= ROOM_MAX) {
            waiting.drop_one_in(room);
        }
        if waiting.all >= ALL_MAX {
            waiting.drop_one();
        }
        waiting.add(room, receipt);
    }

    /// Somebody has read on: what waits of them in this thread is old.
    pub(super) fn overtaken(&self, room: RoomNo, user_id: &UserId, thread: &ReceiptThread) {
        let mut waiting = self.waiting.lock();
        waiting.forget(room, |(_, old)| old.is_of(user_id, thread));
    }

    /// Events have become part of a room. Costs next to nothing where nothing waits for them.
    pub(in crate::rooms) fn arrived<'a>(&self, room: RoomNo, events: impl IntoIterator<Item = &'a Event>) {
        let mut waiting = self.waiting.lock();
        if !waiting.rooms.contains_key(&room) {
            return;
        }
        for event in events {
            let come = waiting.forget(room, |(_, receipt)| receipt.event_id == event.pdu.event_id);
            if !come.is_empty() {
                waiting.due.extend(come);
                self.come.notify_one();
            }
        }
    }

    /// Waits for receipts whose events have come.
    pub(super) async fn due(&self) -> Vec<EarlyReceipt> {
        loop {
            let come = self.come.notified();
            let due = std::mem::take(&mut self.waiting.lock().due);
            if !due.is_empty() {
                return due;
            }
            come.await;
        }
    }
}

impl Waiting {
    /// Takes those receipts of a room out.
    fn forget(&mut self, room: RoomNo, which: impl Fn(&(u64, EarlyReceipt)) -> bool) -> Vec<EarlyReceipt> {
        let Some(list) = self.rooms.get_mut(&room) else { return Vec::new() };
        if !list.iter().any(&which) {
            return Vec::new();
        }
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(list).into_iter().partition(which);
        *list = kept.into();
        if list.is_empty() {
            self.rooms.remove(&room);
        }
        for (age, receipt) in &gone {
            self.recount(&receipt.origin, |ages| {
                ages.remove(age);
            });
        }
        gone.into_iter().map(|(_, receipt)| receipt).collect()
    }

    fn add(&mut self, room: RoomNo, receipt: EarlyReceipt) {
        let age = self.next;
        self.next += 1;
        self.recount(&receipt.origin, |ages| {
            ages.insert(age, room);
        });
        self.rooms.entry(room).or_default().push_back((age, receipt));
    }

    /// Drops the oldest receipt in a room of the server that has most there.
    fn drop_one_in(&mut self, room: RoomNo) {
        let Some(list) = self.rooms.get(&room) else { return };
        let mut shares = HashMap::<Holder, (usize, u64)>::new();
        for (age, receipt) in list {
            shares.entry(Holder::of(&receipt.origin)).or_insert((0, *age)).0 += 1;
        }
        let oldest = shares.into_values().max_by_key(|(count, _)| *count);
        if let Some((_, age)) = oldest {
            self.drop_at(room, age);
        }
    }

    /// Drops the oldest receipt of the server that has most.
    fn drop_one(&mut self) {
        let most = self.shares.last().and_then(|(_, server)| self.servers.get(server)?.first_key_value());
        if let Some((age, room)) = most.map(|(age, room)| (*age, *room)) {
            self.drop_at(room, age);
        }
    }

    fn drop_at(&mut self, room: RoomNo, age: u64) {
        let Some(list) = self.rooms.get_mut(&room) else { return };
        let place = list.binary_search_by_key(&age, |(age, _)| *age).ok();
        let dropped = place.and_then(|place| list.remove(place));
        if list.is_empty() {
            self.rooms.remove(&room);
        }
        if let Some((_, receipt)) = dropped {
            self.recount(&receipt.origin, |ages| {
                ages.remove(&age);
            });
        }
    }

    /// Changes which receipts of a server wait.
    fn recount(&mut self, server: &ServerName, change: impl FnOnce(&mut BTreeMap<u64, RoomNo>)) {
        let holder = Holder::of(server);
        let ages = self.servers.entry(holder.clone()).or_default();
        let before = ages.len();
        change(ages);
        let after = ages.len();
        self.all = (self.all + after).saturating_sub(before);
        if after == 0 {
            self.servers.remove(&holder);
        }
        let mut share = (before, holder);
        self.shares.remove(&share);
        if after > 0 {
            share.0 = after;
            self.shares.insert(share);
        }
    }
}

#[cfg(test)]
mod tests;
