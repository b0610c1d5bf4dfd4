//! Finding people by their names, hidden ones left out before anything is counted.
//!
//! Order: whom the searcher has to do with, then their organisation, then others; in each, names that have the words of
//! the query whole before names that only begin so; then by family and given name. The order is the same for every page.

use std::collections::BinaryHeap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    folding::Query,
    index::{Found, sort_key},
    viewer::Viewer,
};
use crate::school::people::PersonNo;

/// Longest token of a page, in bytes. Names have 255 bytes at most and grow little when folded.
const TOKEN_BYTES_MAX: usize = 4096;

/// Where somebody stands among those found: the smaller the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u64);

impl Rank {
    /// How near (0 to 2), whether only the beginning of a name matches, and the place among the names, from 1.
    fn new(distance: u64, begun: bool, place: u32) -> Self {
        Self(distance << 33 | u64::from(begun) << 32 | (u64::from(place) + 1))
    }

    /// 0 for whom the searcher has to do with, 1 for their organisation, 2 for others.
    pub(super) fn distance(self) -> u64 {
        self.0 >> 33
    }

    fn group(self) -> u64 {
        self.0 >> 32
    }
}

/// A page of people.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Who, best first.
    pub(super) people: Vec<PersonNo>,
    /// Where the next page begins, if there is one.
    pub(super) next_batch: Option<String>,
}

impl Viewer<'_> {
    /// Everybody a query finds whom the viewer sees, in the order of their names, with their rank. The school's own
    /// account is nobody to write to.
    pub(super) fn seen(&self, query: Option<&Query>) -> impl Iterator<Item = (PersonNo, Rank)> {
        let Found { all, exact } = self.people.names().find(&self.people, query);
        let mut all = all;
        if let Some(person) = self.person {
            all.remove(self.people.names().place(person));
        }
        // The scan is finite and the marks are small: they are taken out before the policy is asked.
        let places: Vec<u32> = all.iter().collect();
        places.into_iter().filter_map(move |place| {
            let person = self.people.names().at(place)?;
            let distance = if self.is_near(place) { 0 } else { 2 - u64::from(self.shares_org(person)) };
            let shown = self.sees(person) && !self.people.standing(person).service;
            shown.then(|| (person, Rank::new(distance, !exact.has(place), place)))
        })
    }

    /// The best `limit` of those who come after a token.
    pub(super) fn page(&self, seen: impl Iterator<Item = (PersonNo, Rank)>, after: Option<Rank>, limit: usize) -> Page {
        // The worst of the best stands on top, ready to be replaced. One more than asked for tells of a next page.
        let mut best: BinaryHeap<(Rank, PersonNo)> = BinaryHeap::with_capacity(limit + 2);
        for (person, rank) in seen {
            if after.is_some_and(|after| rank <= after) {
                continue;
            }
            if best.len() <= limit {
                best.push((rank, person));
            } else if best.peek().is_some_and(|(worst, _)| rank < *worst) {
                best.pop();
                best.push((rank, person));
            }
        }
        let mut found = best.into_sorted_vec();
        let more = found.len() > limit;
        found.truncate(limit);
        let next_batch = found.last().filter(|_| more).map(|(rank, person)| self.token(*rank, *person));
        Page { people: found.into_iter().map(|(_, person)| person).collect(), next_batch }
    }

    /// The token of a page that begins after somebody: what the viewer has just been shown, and no number that tells
    /// how many others there are.
    fn token(&self, rank: Rank, person: PersonNo) -> String {
        let (key, localpart) = (sort_key(&self.people, person), self.people.localpart(person));
        URL_SAFE_NO_PAD.encode(format!("{}\u{2}{key}\u{2}{localpart}", rank.group()))
    }

    /// The rank a token stands for; `None` when it is none of ours. Good for the people of another day too.
    pub(super) fn read_token(&self, token: &str) -> Option<Rank> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let mut parts = text.split('\u{2}');
        let (group, key, localpart) = (parts.next()?.parse::<u64>().ok()?, parts.next()?, parts.next()?);
        if group > 5 || parts.next().is_some() {
            return None;
        }
        let place = self.people.names().first_from(&self.people, key, localpart);
        let there = self.people.names().at(place).is_some_and(|person| self.people.localpart(person) == localpart);
        // Whoever ended the page before may have left meanwhile: then it goes on with who stands in their place.
        let rank = group << 32 | (u64::from(place) + 1);
        Some(Rank(if there { rank } else { rank - 1 }))
    }
}
