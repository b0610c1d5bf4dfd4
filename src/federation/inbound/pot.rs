//! How many events wait for one room, and whose they are.

use std::collections::HashMap;

use crate::places::Holder;

/// Events that may wait for one room.
const WAITING_MAX: usize = 20_000;
/// Above so many, servers that are not in the room bring nothing more: what they fill is not missing to those who are.
const OUTSIDERS_MAX: usize = WAITING_MAX / 2;

/// Events that wait for one room.
///
/// Nobody may have more of them than there is room left: one server has at most the half, two a third each, and whoever
/// comes next finds as much room as anybody has.
#[derive(Debug, Default)]
pub(super) struct Pot {
    all: usize,
    /// As many as have something in it.
    of: HashMap<Holder, usize>,
}

impl Pot {
    /// Takes room for one more event of somebody, whose server is in the room or not. `false` when their share is used up.
    pub(super) fn take(&mut self, holder: &Holder, is_in_room: bool) -> bool {
        let max = if is_in_room { WAITING_MAX } else { OUTSIDERS_MAX };
        let own = self.of.get(holder).copied().unwrap_or_default();
        if own >= max.saturating_sub(self.all) {
            return false;
        }
        self.add(holder);
        true
    }

    /// Counts an event that is here already.
    pub(super) fn add(&mut self, holder: &Holder) {
        self.all += 1;
        match self.of.get_mut(holder) {
            Some(own) => *own += 1,
            None => drop(self.of.insert(holder.clone(), 1)),
        }
    }

    /// One less.
    pub(super) fn give_back(&mut self, holder: &Holder) {
        let Some(own) = self.of.get_mut(holder) else { return };
        self.all -= 1;
        *own -= 1;
        if *own == 0 {
            self.of.remove(holder);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all == 0
    }

    #[cfg(test)]
    pub(super) fn count_of(&self, holder: &Holder) -> usize {
        self.of.get(holder).copied().unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    fn fill(pot: &mut Pot, name: &str, is_in_room: bool) -> usize {
        let holder = Holder::of(name);
        std::iter::repeat_with(|| pot.take(&holder, is_in_room)).take_while(|taken| *taken).count()
    }

    #[test]
    fn whoever_comes_next_finds_as_much_room_as_anybody_has() {
        let mut pot = Pot::default();
        assert_eq!(fill(&mut pot, "a.example", true), WAITING_MAX / 2);
        assert_eq!(fill(&mut pot, "a.example:1", true), 0, "under another name it is the same one");
        assert_eq!(fill(&mut pot, "b.example", true), WAITING_MAX / 4);
        for n in 0..6 {
            assert!(fill(&mut pot, &format!("c{n}.example"), true) > 0);
        }
        assert!(pot.all < WAITING_MAX);
    }

    #[test]
    fn however_many_outsiders_there_are_those_in_the_room_have_room() {
        let mut pot = Pot::default();
        for n in 0..20_000 {
            fill(&mut pot, &format!("x{n}.example"), false);
        }
        assert_eq!(pot.all, OUTSIDERS_MAX);
        assert_eq!(fill(&mut pot, "a.example", true), (WAITING_MAX - OUTSIDERS_MAX) / 2);
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let (mut pot, own) = (Pot::default(), Holder::of("a.example"));
        for _ in 0..3 {
            let taken = fill(&mut pot, "a.example", true);
            assert_eq!((taken, pot.count_of(&own)), (WAITING_MAX / 2, taken));
            (0..taken).for_each(|_| pot.give_back(&own));
            assert!(pot.is_empty() && pot.of.is_empty());
        }
        pot.give_back(&own);
        assert!(pot.is_empty(), "no more than was taken");
    }
}
