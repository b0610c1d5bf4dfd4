//! The names of everybody, ready to be searched. Belongs to one [`People`], like its numbers.
//!
//! A *place* is a person's number in the order of the names, so that what is found comes out sorted. Each distinct word
//! stands once, with the places of those who have it; a query marks the places of the words it begins, and what all its
//! words have marked is found. That costs a few nanoseconds for each name that begins so, seen or hidden.

use std::collections::HashMap;

use super::{
    folding::{self, Forms, Query, Word},
    marks::Marks,
};
use crate::school::people::{Groups, OrgNo, People, PersonNo, Standing};

/// The names, sorted.
#[derive(Debug, Default)]
pub(in crate::school) struct NameIndex {
    /// All words one after the other, sorted.
    text: Box<str>,
    /// Where each word ends.
    ends: Box<[u32]>,
    /// Of each word: the places of those who have it.
    places: Groups<u32>,
    /// The person at each place.
    by_name: Box<[PersonNo]>,
    /// The place of each person.
    place_of: Box<[u32]>,
    /// Everybody by localpart.
    by_localpart: Box<[PersonNo]>,
    /// Of each person: what they are, as a number. Two people of one kind differ only in whom they know.
    kinds: Box<[u16]>,
}

/// What a query found, as places.
pub(super) struct Found {
    /// Everybody.
    pub(super) all: Marks,
    /// Those who have each of its words whole.
    pub(super) exact: Marks,
}

/// Everything about a person that is not about another one.
#[derive(PartialEq, Eq, Hash)]
struct Kind<'a> {
    standing: Standing<'static>,
    orgs: &'a [OrgNo],
}

impl NameIndex {
    /// Reads everybody's names.
    pub(in crate::school) fn new(people: &People) -> Self {
        let mut by_name: Vec<PersonNo> = people.iter().collect();
        by_name.sort_by_cached_key(|person| (sort_key(people, *person), people.localpart(*person).to_owned()));
        let mut place_of = vec![0; by_name.len()];
        let mut words: HashMap<String, u32> = HashMap::new();
        let mut pairs = Vec::new();
        for (place, person) in (0..).zip(&by_name) {
            if let Some(slot) = place_of.get_mut(person.index()) {
                *slot = place;
            }
            let names = [people.given(*person), people.family(*person), people.called(*person)];
            for word in names.into_iter().flat_map(folding::words) {
                for form in word.parts.iter().chain(&word.whole).flat_map(Forms::iter) {
                    let next = u32::try_from(words.len()).unwrap_or(u32::MAX);
                    let number = match words.get(form) {
                        Some(number) => *number,
                        None => *words.entry(form.to_owned()).or_insert(next),
                    };
                    pairs.push((number, place));
                }
            }
        }
        let mut by_localpart: Vec<PersonNo> = people.iter().collect();
        by_localpart.sort_unstable_by_key(|person| people.localpart(*person));
        let (text, ends, places) = sorted(words, pairs);
        Self {
            text,
            ends,
            places,
            by_name: by_name.into(),
            place_of: place_of.into(),
            by_localpart: by_localpart.into(),
            kinds: kinds(people),
        }
    }

    /// How many people it has.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The person at a place.
    pub(super) fn at(&self, place: u32) -> Option<PersonNo> {
        self.by_name.get(place as usize).copied()
    }

    /// The place of a person.
    pub(super) fn place(&self, person: PersonNo) -> u32 {
        self.place_of.get(person.index()).copied().unwrap_or(u32::MAX)
    }

    /// What a person is; `None` when there are too many kinds to be counted.
    pub(super) fn kind(&self, person: PersonNo) -> Option<u16> {
        self.kinds.get(person.index()).copied().filter(|kind| *kind != u16::MAX)
    }

    /// The first place whose name and localpart do not come before these.
    pub(super) fn first_from(&self, people: &People, key: &str, localpart: &str) -> u32 {
        let before =
            |person: &PersonNo| (sort_key(people, *person).as_str(), people.localpart(*person)) < (key, localpart);
        u32::try_from(self.by_name.partition_point(before)).unwrap_or(u32::MAX)
    }

    /// Everybody a query means.
    pub(super) fn find(&self, people: &People, query: Option<&Query>) -> Found {
        let Some(query) = query else {
            return Found { all: Marks::all(self.len()), exact: Marks::none(self.len()) };
        };
        let mut found = match query.words.split_first() {
            None => Found { all: Marks::none(self.len()), exact: Marks::none(self.len()) },
            Some((first, rest)) => rest.iter().fold(self.word(first), |mut found, word| {
                let one = self.word(word);
                found.all.keep(&one.all);
                found.exact.keep(&one.exact);
                found
            }),
        };
        if let Some(localpart) = &query.localpart {
            let begin = self.by_localpart.partition_point(|person| people.localpart(*person) < localpart.as_str());
            let rest = self.by_localpart.iter().skip(begin);
            for person in rest.take_while(|person| people.localpart(**person).starts_with(localpart.as_str())) {
                found.all.add(self.place(*person));
                if people.localpart(*person) == localpart {
                    found.exact.add(self.place(*person));
                }
            }
        }
        found
    }

    /// Those who have a word: all its parts, or the parts as one.
    fn word(&self, word: &Word) -> Found {
        let mut found = Found { all: Marks::all(self.len()), exact: Marks::all(self.len()) };
        for part in &word.parts {
            let mut one = Found { all: Marks::none(self.len()), exact: Marks::none(self.len()) };
            self.mark(part, &mut one);
            found.all.keep(&one.all);
            found.exact.keep(&one.exact);
        }
        if let Some(whole) = &word.whole {
            self.mark(whole, &mut found);
        }
        found
    }

    /// Marks those who have a word that begins with one of these forms.
    fn mark(&self, forms: &Forms, found: &mut Found) {
        for form in forms.iter() {
            let begin = self.first_word(|word| word < form);
            let end = self.first_word(|word| word < form || word.starts_with(form));
            for word in begin..end {
                let exact = self.text_of(word).len() == form.len();
                for place in self.places.of(word) {
                    found.all.add(*place);
                    if exact {
                        found.exact.add(*place);
                    }
                }
            }
        }
    }

    /// The first word of which a condition does not hold, which holds of all words before it.
    fn first_word(&self, before: impl Fn(&str) -> bool) -> u32 {
        let (mut low, mut high) = (0, u32::try_from(self.ends.len()).unwrap_or(u32::MAX));
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.text_of(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn text_of(&self, word: u32) -> &str {
        let end_of = |word: u32| self.ends.get(word as usize).copied().unwrap_or(0) as usize;
        let begin = word.checked_sub(1).map_or(0, end_of);
        self.text.get(begin..end_of(word)).unwrap_or_default()
    }

    /// Bytes it takes in memory.
    pub(in crate::school) fn bytes(&self) -> usize {
        self.text.len()
            + size_of_val(&*self.ends)
            + self.places.bytes()
            + size_of_val(&*self.by_name)
            + size_of_val(&*self.place_of)
            + size_of_val(&*self.by_localpart)
            + size_of_val(&*self.kinds)
    }
}

/// What a person is sorted by.
pub(super) fn sort_key(people: &People, person: PersonNo) -> String {
    match (people.family(person), people.given(person)) {
        ("", "") => folding::sort_key(people.called(person), ""),
        (family, given) => folding::sort_key(family, given),
    }
}

/// The words in their order, and the places of each.
fn sorted(words: HashMap<String, u32>, pairs: Vec<(u32, u32)>) -> (Box<str>, Box<[u32]>, Groups<u32>) {
    let mut words: Vec<(String, u32)> = words.into_iter().collect();
    words.sort_unstable();
    let mut rank = vec![0_u32; words.len()];
    let (mut text, mut ends) = (String::new(), Vec::with_capacity(words.len()));
    for (new, (word, old)) in (0..).zip(&words) {
        text.push_str(word);
        ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        if let Some(rank) = rank.get_mut(*old as usize) {
            *rank = new;
        }
    }
    let ranked = |(word, place): (u32, u32)| rank.get(word as usize).map(|word| (*word, place));
    let places = Groups::new(words.len(), pairs.into_iter().filter_map(ranked).collect());
    (text.into(), ends.into(), places)
}

fn kinds(people: &People) -> Box<[u16]> {
    let mut known: HashMap<Kind<'_>, u16> = HashMap::new();
    let numbers = people.iter().map(|person| {
        let kind = Kind { standing: people.standing(person), orgs: people.orgs_of(person) };
        let next = u16::try_from(known.len()).unwrap_or(u16::MAX);
        *known.entry(kind).or_insert(next)
    });
    numbers.collect()
}
