//! The servers with something to send, under one lock that is only ever held for a moment.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use ruma::OwnedServerName;
use tokio::sync::Notify;

use super::destination::{Destination, Outgoing, Work};
use crate::store::{Position, ServerNo};

/// Names of servers that are kept with the answer whether they may be told anything.
const NAMES_MAX: usize = 20_000;

/// All of them.
#[derive(Default)]
pub(super) struct Board {
    state: Mutex<State>,
    /// A task is to be started, or a time to wait has changed.
    pub(super) changed: Notify,
    /// There is something to be made durable.
    pub(super) dirty: Notify,
}

#[derive(Default)]
struct State {
    destinations: HashMap<ServerNo, Destination>,
    /// When those that are left alone are tried again, Unix milliseconds.
    due: BTreeSet<(u64, ServerNo)>,
    /// Those that are to get a task.
    starting: Vec<ServerNo>,
    dirty: Vec<ServerNo>,
    /// `None` for one that this server does not talk to.
    names: HashMap<ServerNo, Option<OwnedServerName>>,
}

impl Board {
    /// A server's name, if it is known by now whether it may be told anything: `Some(None)` if it may not.
    #[expect(clippy::option_option, reason = "not known, not allowed, allowed")]
    pub(super) fn name(&self, server: ServerNo) -> Option<Option<OwnedServerName>> {
        self.state.lock().names.get(&server).cloned()
    }

    pub(super) fn set_name(&self, server: ServerNo, name: Option<OwnedServerName>) {
        let mut state = self.state.lock();
        if state.names.len() >= NAMES_MAX {
            state.names.clear();
        }
        state.names.insert(server, name);
    }

    /// An event is for a server.
    pub(super) fn add_event(&self, server: ServerNo, name: &OwnedServerName, event: Outgoing) {
        // Whatever else is for it and not yet in the tables comes after this event: a server that is not on the board
        // has everything before.
        let before = Position(event.0.0.saturating_sub(1));
        self.change(server, name, before, |destination| destination.add(event));
    }

    /// The outbox has something for a server, which has everything up to `sent` if nothing is known of it here.
    pub(super) fn add_news(&self, server: ServerNo, name: &OwnedServerName, sent: Position) {
        self.change(server, name, sent, |destination| destination.news = true);
    }

    /// A server has missed something after `sent`.
    pub(super) fn add_behind(&self, server: ServerNo, name: &OwnedServerName, sent: Position) {
        self.change(server, name, sent, Destination::fall_behind);
    }

    /// The lowest position up to which a server has everything, of those for which something waits.
    pub(super) fn floor(&self) -> Option<Position> {
        self.state.lock().destinations.values().map(|destination| destination.sent).min()
    }

    fn change(&self, server: ServerNo, name: &OwnedServerName, sent: Position, change: impl FnOnce(&mut Destination)) {
        let mut state = self.state.lock();
        let destination = state.destinations.entry(server).or_insert_with(|| Destination::new(name.clone(), sent));
        change(destination);
        state.start(server, self);
    }

    /// What a server's task is to do next; `None` ends it.
    pub(super) fn next(&self, server: ServerNo, most: usize) -> Option<Work> {
        let mut state = self.state.lock();
        let destination = state.destinations.get_mut(&server)?;
        let work = destination.next(most);
        if work.is_none() {
            destination.running = false;
            state.forget_idle(server);
        }
        work
    }

    /// Changes what is known of a server that has a task.
    pub(super) fn with<T>(&self, server: ServerNo, change: impl FnOnce(&mut Destination) -> T) -> Option<T> {
        let mut state = self.state.lock();
        let destination = state.destinations.get_mut(&server)?;
        let clean = !destination.dirty;
        let answer = change(destination);
        if clean && destination.dirty {
            state.dirty.push(server);
            self.dirty.notify_one();
        }
        Some(answer)
    }

    /// Leaves a server alone until then, Unix milliseconds. Its task ends.
    pub(super) fn pause(&self, server: ServerNo, until_ms: u64) {
        self.state.lock().pause(server, until_ms);
        self.changed.notify_one();
    }

    /// The same after an attempt that failed, unless somebody wants another one ([`Board::release`] with `anyway`) and
    /// said so while that one was on its way. Whether the server is left alone.
    pub(super) fn pause_unless_wanted(&self, server: ServerNo, until_ms: u64) -> bool {
        let mut state = self.state.lock();
        if state.destinations.get(&server).is_some_and(|destination| destination.anyway) {
            return false;
        }
        state.pause(server, until_ms);
        drop(state);
        self.changed.notify_one();
        true
    }

    /// A server's task has ended, whichever way.
    pub(super) fn ended(&self, server: ServerNo) {
        let mut state = self.state.lock();
        if let Some(destination) = state.destinations.get_mut(&server) {
            destination.running = false;
        }
        state.forget_idle(server);
    }

    /// A server is not one that this server talks to.
    pub(super) fn forget(&self, server: ServerNo) {
        let mut state = self.state.lock();
        if let Some(until_ms) = state.destinations.remove(&server).and_then(|destination| destination.waits_until) {
            state.due.remove(&(until_ms, server));
        }
    }

    /// Lets those go on whose time has come.
    pub(super) fn release_due(&self, now_ms: u64) {
        let mut state = self.state.lock();
        while let Some((until_ms, server)) = state.due.first().copied().filter(|(until_ms, _)| *until_ms <= now_ms) {
            state.due.remove(&(until_ms, server));
            state.release(server, false, self);
        }
    }

    /// Lets one go on, whatever its time; `anyway` also if it still seems not to work. Whether it had waited.
    pub(super) fn release(&self, server: ServerNo, anyway: bool) -> bool {
        self.state.lock().release(server, anyway, self)
    }

    /// Lets all go on: it is not known which of them work again.
    pub(super) fn release_all(&self) {
        let mut state = self.state.lock();
        for (_, server) in std::mem::take(&mut state.due) {
            state.release(server, false, self);
        }
    }

    /// When the next one's time has come, Unix milliseconds.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.state.lock().due.first().map(|(until_ms, _)| *until_ms)
    }

    /// The servers that are to get a task now.
    pub(super) fn take_starting(&self) -> Vec<(ServerNo, OwnedServerName)> {
        let mut state = self.state.lock();
        let starting = std::mem::take(&mut state.starting);
        starting
            .into_iter()
            .filter_map(|server| state.destinations.get(&server).map(|destination| (server, destination.name.clone())))
            .collect()
    }

    /// How far servers have been told, where that is not durable.
    pub(super) fn take_dirty(&self, limit: usize) -> Vec<(ServerNo, OwnedServerName, Position)> {
        let mut state = self.state.lock();
        let keep = state.dirty.len().saturating_sub(limit);
        let taken = state.dirty.split_off(keep);
        let mut found = Vec::with_capacity(taken.len());
        for server in taken {
            if let Some(destination) = state.destinations.get_mut(&server) {
                destination.dirty = false;
                found.push((server, destination.name.clone(), destination.sent));
            }
        }
        found
    }

    /// It is durable.
    pub(super) fn flushed(&self, servers: impl IntoIterator<Item = ServerNo>) {
        let mut state = self.state.lock();
        for server in servers {
            state.forget_idle(server);
        }
    }

    /// How far a server has been told, and until when it is left alone, if anything is known of it here.
    pub(super) fn look(&self, server: ServerNo) -> Option<(Position, Option<u64>)> {
        let state = self.state.lock();
        state.destinations.get(&server).map(|destination| (destination.sent, destination.waits_until))
    }

    /// How many servers there are on the board, and how many of them have a task.
    #[cfg(test)]
    pub(super) fn count(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.destinations.len(), state.destinations.values().filter(|destination| destination.running).count())
    }
}

impl State {
    fn start(&mut self, server: ServerNo, board: &Board) {
        let Some(destination) = self.destinations.get_mut(&server) else { return };
        if destination.has_work() && !destination.running && destination.waits_until.is_none() {
            destination.running = true;
            self.starting.push(server);
            board.changed.notify_one();
        }
    }

    fn pause(&mut self, server: ServerNo, until_ms: u64) {
        let Some(destination) = self.destinations.get_mut(&server) else { return };
        destination.running = false;
        if !destination.queue.is_empty() {
            destination.fall_behind();
        }
        if let Some(before) = destination.waits_until.replace(until_ms) {
            self.due.remove(&(before, server));
        }
        self.starting.retain(|starting| *starting != server);
        self.due.insert((until_ms, server));
    }

    fn release(&mut self, server: ServerNo, anyway: bool, board: &Board) -> bool {
        let Some(destination) = self.destinations.get_mut(&server) else { return false };
        destination.anyway |= anyway;
        let Some(until_ms) = destination.waits_until.take() else { return false };
        self.due.remove(&(until_ms, server));
        self.start(server, board);
        self.forget_idle(server);
        true
    }

    fn forget_idle(&mut self, server: ServerNo) {
        if self.destinations.get(&server).is_some_and(Destination::is_idle) {
            self.destinations.remove(&server);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use ruma::owned_server_name;

    use super::*;
    use crate::store::RoomNo;

    const SERVER: ServerNo = ServerNo(1);

    fn event(at: u64) -> Outgoing {
        (Position(at), RoomNo(7))
    }

    fn add(board: &Board, at: u64) {
        board.add_event(SERVER, &owned_server_name!("b.example"), event(at));
    }

    fn live(board: &Board) -> Vec<u64> {
        match board.next(SERVER, 50) {
            Some(Work::Live(events)) => events.into_iter().map(|(at, _)| at.0).collect(),
            _ => panic!("something else is to be done"),
        }
    }

    #[test]
    fn a_server_has_one_task_while_there_is_something_to_send_and_is_forgotten_then() {
        let board = Board::default();
        add(&board, 10);
        add(&board, 11);
        assert_eq!(board.take_starting().len(), 1);
        assert!(board.take_starting().is_empty());
        assert_eq!(live(&board), [10, 11]);
        add(&board, 12);
        assert!(board.take_starting().is_empty(), "its task goes on");
        board.with(SERVER, |d| d.reached(Position(11)));
        assert_eq!(live(&board), [12]);
        board.with(SERVER, |d| d.reached(Position(12)));
        assert!(board.next(SERVER, 50).is_none());
        assert_eq!(board.count(), (1, 0), "how far it was told is not durable");
        let dirty = board.take_dirty(9);
        assert_eq!((dirty.len(), dirty[0].2), (1, Position(12)));
        board.flushed([SERVER]);
        assert_eq!(board.count(), (0, 0));
    }

    #[test]
    fn of_a_server_that_is_left_alone_no_event_is_kept_and_none_forgotten() {
        let board = Board::default();
        add(&board, 10);
        board.take_starting();
        assert_eq!(live(&board), [10]);
        board.pause(SERVER, 500);
        for at in 11..1_000 {
            add(&board, at);
        }
        assert!(board.take_starting().is_empty());
        assert!(board.with(SERVER, |d| d.queue.is_empty() && d.queue.capacity() == 0).unwrap());
        assert_eq!(board.next_due(), Some(500));
        board.release_due(499);
        assert!(board.take_starting().is_empty());
        board.release_due(500);
        assert_eq!((board.take_starting().len(), board.next_due()), (1, None));
        assert!(matches!(board.next(SERVER, 50), Some(Work::CatchUp(Position(9)))));
        add(&board, 1_000);
        board.with(SERVER, |d| d.caught_up(Position(999)));
        assert!(matches!(board.next(SERVER, 50), Some(Work::CatchUp(Position(999)))), "one came meanwhile");
        board.with(SERVER, |d| d.caught_up(Position(1_000)));
        add(&board, 1_000);
        assert!(board.next(SERVER, 50).is_none(), "it has that one");
    }

    #[test]
    fn a_queue_that_grows_long_is_given_up_for_the_tables() {
        let board = Board::default();
        for at in 10..1_000 {
            add(&board, at);
        }
        assert!(matches!(board.next(SERVER, 50), Some(Work::CatchUp(Position(9)))));
        assert!(board.with(SERVER, |d| d.queue.is_empty()).unwrap());
    }

    #[test]
    fn a_retry_does_not_wait_for_its_time() {
        let board = Board::default();
        add(&board, 10);
        board.take_starting();
        assert_eq!(live(&board), [10]);
        board.pause(SERVER, 500);
        board.pause(SERVER, 900);
        assert_eq!(board.next_due(), Some(900), "the last word counts");
        assert!(board.release(SERVER, true));
        assert!(!board.release(SERVER, false), "it waits no more");
        assert_eq!(board.take_starting().len(), 1);
        assert!(board.with(SERVER, |d| d.anyway).unwrap());
    }

    #[test]
    fn who_wants_a_server_tried_while_it_is_being_tried_has_it_tried_once_more() {
        let board = Board::default();
        add(&board, 10);
        board.take_starting();
        assert_eq!(live(&board), [10]);
        assert!(!board.release(SERVER, true), "it does not wait");
        assert!(!board.pause_unless_wanted(SERVER, 500), "its task goes on");
        assert_eq!(board.next_due(), None);
        // Which takes note of the wish.
        assert!(board.with(SERVER, |d| std::mem::take(&mut d.anyway)).unwrap());
        assert_eq!(live(&board), [10]);
        assert!(board.pause_unless_wanted(SERVER, 500));
        assert_eq!(board.next_due(), Some(500));
    }

    #[test]
    fn a_task_that_was_cut_is_started_again_by_the_next_event() {
        let board = Board::default();
        add(&board, 10);
        board.take_starting();
        board.ended(SERVER);
        add(&board, 11);
        assert_eq!(board.take_starting().len(), 1);
        assert_eq!(live(&board), [10, 11]);
    }
}
