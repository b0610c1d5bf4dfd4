//! Receipts at events that are not here yet.
//!
//! A receipt is dealt with when it comes; the event it stands at has to pass the room's checks first, and what came
//! before it may have to be asked for. Until then the receipt waits here, in memory: a restart loses what waits, and who
//! sent it is shown where they stood before, until they read on.

use std::collections::{BTreeMap, HashMap, VecDeque};

use parking_lot::Mutex;
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, UserId,
    events::receipt::{Receipt, ReceiptThread},
};
use tokio::sync::Notify;

use crate::store::{Event, RoomNo};

/// Receipts that wait in one room. The oldest go first.
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
    /// The room of each, the oldest first.
    ages: BTreeMap<u64, RoomNo>,
    next: u64,
    /// Those that wait no more. No more than could wait.
    due: Vec<EarlyReceipt>,
}

impl EarlyReceipts {
    /// Keeps a receipt until its event comes. It takes the place of an earlier one of the same user and thread.
    pub(super) fn wait(&self, room: RoomNo, receipt: EarlyReceipt) {
        let mut waiting = self.waiting.lock();
        waiting.forget(room, |(_, old)| old.is_of(&receipt.user_id, &receipt.receipt.thread));
        while waiting.rooms.get(&room).is_some_and(|list| list.len() >= ROOM_MAX) {
            waiting.forget_oldest(room);
        }
        while waiting.ages.len() >= ALL_MAX
            && let Some((_, oldest)) = waiting.ages.first_key_value()
        {
            let oldest = *oldest;
            waiting.forget_oldest(oldest);
        }
        let age = waiting.next;
        waiting.next += 1;
        waiting.ages.insert(age, room);
        waiting.rooms.entry(room).or_default().push_back((age, receipt));
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
        for (age, _) in &gone {
            self.ages.remove(age);
        }
        gone.into_iter().map(|(_, receipt)| receipt).collect()
    }

    fn forget_oldest(&mut self, room: RoomNo) {
        let Some(list) = self.rooms.get_mut(&room) else { return };
        if let Some((age, _)) = list.pop_front() {
            self.ages.remove(&age);
        }
        if list.is_empty() {
            self.rooms.remove(&room);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use ruma::{MilliSecondsSinceUnixEpoch, room_id, server_name, uint, user_id};

    use super::*;

    fn receipt(event: &str, thread: ReceiptThread) -> EarlyReceipt {
        let mut receipt = Receipt::new(MilliSecondsSinceUnixEpoch(uint!(1)));
        receipt.thread = thread;
        EarlyReceipt {
            origin: server_name!("b.example").to_owned(),
            room_id: room_id!("!r:b.example").to_owned(),
            user_id: user_id!("@b:b.example").to_owned(),
            event_id: event.try_into().unwrap(),
            receipt,
        }
    }

    fn of_thread(event: &str, thread: usize) -> EarlyReceipt {
        receipt(event, ReceiptThread::Thread(format!("$t{thread}").try_into().unwrap()))
    }

    fn events(early: &EarlyReceipts, room: RoomNo) -> Vec<String> {
        let waiting = early.waiting.lock();
        let list = waiting.rooms.get(&room).into_iter().flatten();
        list.map(|(_, receipt)| receipt.event_id.to_string()).collect()
    }

    #[test]
    fn a_newer_receipt_takes_the_place_of_the_one_before() {
        let early = EarlyReceipts::default();
        early.wait(RoomNo(1), receipt("$a", ReceiptThread::Unthreaded));
        early.wait(RoomNo(1), receipt("$b", ReceiptThread::Main));
        early.wait(RoomNo(1), receipt("$c", ReceiptThread::Unthreaded));
        assert_eq!(events(&early, RoomNo(1)), ["$b", "$c"]);
        assert_eq!(early.waiting.lock().ages.len(), 2);
    }

    #[test]
    fn a_room_and_all_rooms_hold_so_many_and_the_oldest_go() {
        let early = EarlyReceipts::default();
        for n in 0..ROOM_MAX + 3 {
            early.wait(RoomNo(1), of_thread(&format!("$e{n}"), n));
        }
        let kept = events(&early, RoomNo(1));
        assert_eq!((kept.len(), kept.first().map(String::as_str)), (ROOM_MAX, Some("$e3")));
        for room in 2..=(ALL_MAX / 100) as u64 {
            for n in 0..100 {
                early.wait(RoomNo(room), of_thread("$e", n));
            }
        }
        assert_eq!(early.waiting.lock().ages.len(), ALL_MAX);
        assert_eq!(events(&early, RoomNo(1)).len(), 100, "those of the first room were the oldest");
        let waiting = early.waiting.lock();
        assert_eq!(waiting.rooms.values().map(VecDeque::len).sum::<usize>(), ALL_MAX);
    }
}
