//! What waits in memory: the newest receipt, typing notice and presence of each kind.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, UInt,
    api::federation::transactions::edu::{
        Edu, PresenceContent, PresenceUpdate, ReceiptContent, ReceiptData, ReceiptMap, TypingContent,
    },
    events::receipt::{Receipt, ReceiptThread},
};

use super::{Outbox, text};
use crate::store::{ServerNo, StoreError};

/// Items that wait for one server. The oldest are dropped beyond: a receipt is followed by others.
const SERVER_MAX: usize = 1_000;
/// How many are dropped at once then.
const DROPPED_AT_ONCE: usize = 100;
/// Items that wait for all servers; beyond, each server keeps no more than [`CROWDED_MAX`] of them.
pub(super) const WAITING_MAX: usize = 200_000;
const CROWDED_MAX: usize = 100;
/// People in one presence EDU.
const PRESENCES_MAX: usize = 50;

/// What an item is about: a newer one about the same replaces it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// Room, user, thread.
    Receipt(OwnedRoomId, OwnedUserId, String),
    Typing(OwnedRoomId, OwnedUserId),
    Presence(OwnedUserId),
}

/// What is told.
#[derive(Debug)]
pub(super) enum Item {
    Receipt {
        event: OwnedEventId,
        thread: ReceiptThread,
        ts: MilliSecondsSinceUnixEpoch,
    },
    /// Until when on the clock's `elapsed`; `None` when they have stopped.
    Typing {
        until: Option<Duration>,
    },
    /// `at` is when `last_active_ago` was right, on the clock's `elapsed`.
    Presence {
        update: Box<PresenceUpdate>,
        at: Duration,
    },
}

impl Item {
    /// Of no interest later.
    pub(super) fn is_momentary(&self) -> bool {
        !matches!(self, Self::Receipt { .. })
    }
}

/// What waits for one server. The servers of a room share the items.
#[derive(Default)]
pub(super) struct Fleeting {
    items: HashMap<Arc<Subject>, (u64, Arc<Item>)>,
    next: u64,
}

impl Fleeting {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn add(&mut self, subject: Arc<Subject>, item: Arc<Item>, crowded: bool) {
        self.next += 1;
        self.items.insert(subject, (self.next, item));
        let most = if crowded { CROWDED_MAX } else { SERVER_MAX };
        if self.items.len() > most {
            let mut ages: Vec<u64> = self.items.values().map(|(age, _)| *age).collect();
            ages.sort_unstable();
            let drop = (self.items.len() - most).max(DROPPED_AT_ONCE.min(most / 2));
            let oldest_kept = ages.get(drop).copied().unwrap_or_default();
            self.items.retain(|_, (age, _)| *age >= oldest_kept);
        }
    }

    pub(super) fn drop_momentary(&mut self) {
        self.items.retain(|_, (_, item)| !item.is_momentary());
    }

    /// Takes the oldest items, at most `limit`.
    fn take(&mut self, limit: usize) -> Vec<(Arc<Subject>, Arc<Item>)> {
        let mut ages: Vec<(u64, Arc<Subject>)> =
            self.items.iter().map(|(subject, (age, _))| (*age, subject.clone())).collect();
        ages.sort_unstable_by_key(|(age, _)| *age);
        ages.truncate(limit);
        ages.into_iter()
            .filter_map(|(_, subject)| self.items.remove(&subject).map(|(_, item)| (subject, item)))
            .collect()
    }

    /// Puts receipts back that did not arrive, unless there are newer ones.
    fn put_back(&mut self, items: Vec<(Arc<Subject>, Arc<Item>)>) {
        for (subject, item) in items {
            if !item.is_momentary() && self.items.len() < SERVER_MAX {
                self.items.entry(subject).or_insert((0, item));
            }
        }
    }
}

/// Items on their way to a server.
#[derive(Default)]
pub struct Taken {
    items: Vec<(Arc<Subject>, Arc<Item>)>,
    /// As EDUs.
    pub edus: Vec<String>,
}

impl Outbox {
    /// Takes what waits in memory for a server as at most `limit` EDUs.
    ///
    /// # Errors
    /// None that happens: the items are made of texts and numbers.
    pub fn take_fleeting(&self, server: ServerNo, limit: usize) -> Result<Taken, StoreError> {
        if limit == 0 {
            return Ok(Taken::default());
        }
        let items = {
            let mut waiting = self.0.waiting.lock();
            if !waiting.fleeting.contains_key(&server) {
                return Ok(Taken::default());
            }
            // Each may need an EDU of its own.
            waiting.change(server, |fleeting| fleeting.take(limit))
        };
        let edus = edus(&items, self.0.parts.clock.elapsed())?;
        Ok(Taken { items, edus })
    }

    /// What was taken has not arrived: receipts wait again.
    pub fn put_back(&self, server: ServerNo, taken: Taken) {
        if !taken.items.is_empty() {
            self.0.waiting.lock().change(server, |fleeting| fleeting.put_back(taken.items));
        }
    }

    /// Whether anything waits in memory for a server, and how much.
    pub fn fleeting(&self, server: ServerNo) -> usize {
        self.0.waiting.lock().fleeting.get(&server).map_or(0, Fleeting::len)
    }
}

/// Items as EDUs: receipts and presences together, as far as the format allows it.
fn edus(items: &[(Arc<Subject>, Arc<Item>)], now: Duration) -> Result<Vec<String>, StoreError> {
    let (mut receipts, mut presences, mut edus) = (Vec::new(), Vec::new(), Vec::new());
    for (subject, item) in items {
        match (&**subject, &**item) {
            (Subject::Receipt(room, user, _), Item::Receipt { event, thread, ts }) => {
                let mut receipt = Receipt::new(*ts);
                receipt.thread = thread.clone();
                add_receipt(&mut receipts, (room, user), ReceiptData::new(receipt, vec![event.clone()]));
            }
            // What has ended by itself there needs no word.
            (Subject::Typing(room, user), Item::Typing { until }) if until.is_none_or(|until| until > now) => {
                let content = TypingContent::new(room.clone(), user.clone(), until.is_some());
                edus.push(text(&Edu::Typing(content))?);
            }
            (Subject::Presence(_), Item::Presence { update, at }) => {
                let passed = u64::try_from(now.saturating_sub(*at).as_millis()).unwrap_or(u64::MAX);
                let mut update = (**update).clone();
                update.last_active_ago = update.last_active_ago.saturating_add(UInt::new_saturating(passed));
                presences.push(update);
            }
            _ => {}
        }
    }
    for content in receipts {
        edus.push(text(&Edu::Receipt(content))?);
    }
    for part in presences.chunks(PRESENCES_MAX) {
        edus.push(text(&Edu::Presence(PresenceContent::new(part.to_vec())))?);
    }
    Ok(edus)
}

/// An EDU has one receipt of each user in each room: those for other threads go into another one.
fn add_receipt(edus: &mut Vec<ReceiptContent>, (room, user): (&OwnedRoomId, &OwnedUserId), data: ReceiptData) {
    let taken = |edu: &ReceiptContent| edu.receipts.get(room).is_some_and(|map| map.read.contains_key(user));
    let place = edus.iter().position(|edu| !taken(edu)).unwrap_or_else(|| {
        edus.push(ReceiptContent::new(BTreeMap::new()));
        edus.len() - 1
    });
    if let Some(edu) = edus.get_mut(place) {
        let map = edu.receipts.entry(room.clone()).or_insert_with(|| ReceiptMap::new(BTreeMap::new()));
        map.read.insert(user.clone(), data);
    }
}
