//! What memory knows of a server with something to send.

use std::collections::VecDeque;

use ruma::OwnedServerName;

use super::transaction::Transaction;
use crate::store::{Position, RoomNo};

/// Events that wait in memory for one server. With more it is told what it has missed, like one that was away.
const QUEUE_MAX: usize = 200;

/// An event: its position and its room.
pub(super) type Outgoing = (Position, RoomNo);

/// A server. Forgotten when there is nothing more to send.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a server")]
pub(super) struct Destination {
    pub(super) name: OwnedServerName,
    /// It has every event that is for it up to here.
    pub(super) sent: Position,
    /// `sent` is to be made durable.
    pub(super) dirty: bool,
    /// The newest event that is for it, as far as the dispatcher has come.
    pub(super) newest: Position,
    /// Events after `sent` that are for it, oldest first. All of them, unless it is behind.
    pub(super) queue: VecDeque<Outgoing>,
    /// What follows `sent` is to be found in the tables.
    pub(super) behind: bool,
    /// The outbox may have something for it.
    pub(super) news: bool,
    /// It has a task.
    pub(super) running: bool,
    /// Until when it is left alone, Unix milliseconds.
    pub(super) waits_until: Option<u64>,
    /// Ask it although it is to be left alone.
    pub(super) anyway: bool,
    /// Transactions refused one after the other.
    pub(super) refusals: u32,
    /// A transaction that may have arrived: it goes again as it was.
    pub(super) unanswered: Option<Box<Transaction>>,
}

/// What a server's task is to do.
pub(super) enum Work {
    /// Send this again.
    Again(Box<Transaction>),
    /// Find out what it has missed since then.
    CatchUp(Position),
    /// Send these events, and what the outbox has.
    Live(Vec<Outgoing>),
}

impl Destination {
    pub(super) fn new(name: OwnedServerName, sent: Position) -> Self {
        Self {
            name,
            sent,
            dirty: false,
            newest: sent,
            queue: VecDeque::new(),
            behind: false,
            news: false,
            running: false,
            waits_until: None,
            anyway: false,
            refusals: 0,
            unanswered: None,
        }
    }

    /// An event is for it.
    pub(super) fn add(&mut self, event: Outgoing) {
        if event.0 <= self.sent {
            return;
        }
        self.newest = self.newest.max(event.0);
        if self.behind {
            return;
        }
        if self.waits_until.is_some() || self.queue.len() >= QUEUE_MAX {
            self.fall_behind();
        } else {
            self.queue.push_back(event);
        }
    }

    /// Events are no longer held here.
    pub(super) fn fall_behind(&mut self) {
        self.behind = true;
        self.queue = VecDeque::new();
    }

    /// It has everything up to here.
    pub(super) fn reached(&mut self, sent: Position) {
        if sent > self.sent {
            self.sent = sent;
            self.dirty = true;
        }
        while self.queue.front().is_some_and(|(at, _)| *at <= self.sent) {
            self.queue.pop_front();
        }
    }

    /// It was told what it had missed up to here.
    pub(super) fn caught_up(&mut self, upto: Position) {
        self.reached(upto);
        self.behind = self.newest > upto;
    }

    /// What is to be done next, at most `most` events at once; nothing when it has all there is.
    pub(super) fn next(&mut self, most: usize) -> Option<Work> {
        if let Some(transaction) = self.unanswered.take() {
            return Some(Work::Again(transaction));
        }
        if self.behind {
            return Some(Work::CatchUp(self.sent));
        }
        if self.queue.is_empty() && !self.news {
            return None;
        }
        self.news = false;
        Some(Work::Live(self.queue.iter().take(most).copied().collect()))
    }

    /// Whether there is something to send.
    pub(super) fn has_work(&self) -> bool {
        self.behind || self.news || !self.queue.is_empty() || self.unanswered.is_some()
    }

    /// Whether nothing would be lost by forgetting it.
    pub(super) fn is_idle(&self) -> bool {
        !self.has_work() && !self.running && !self.dirty && self.waits_until.is_none()
    }
}
