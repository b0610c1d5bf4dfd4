//! Patterns with `*` and `?` against one server name, in time that grows with the pattern alone.
//!
//! All places in the name that the pattern read so far can have reached are kept as one bit each, so that no pattern
//! makes the matcher go back.

use super::NAME_BYTES_MAX;

/// A bit for each place in the name, the one behind its last byte included.
type Places = [u64; 4];

/// A server name made ready to be asked about.
pub(super) struct Name {
    /// For each byte value, the places where the name has it.
    of_byte: Box<[Places; 256]>,
    /// The place behind the last byte.
    end: usize,
}

impl Name {
    /// Of a name in lower case; `None` if it is too long.
    pub(super) fn new(name: &str) -> Option<Self> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut of_byte = Box::new([[0; 4]; 256]);
        for (place, byte) in name.bytes().enumerate() {
            if let Some(places) = of_byte.get_mut(usize::from(byte)) {
                set(places, place);
            }
        }
        Some(Self { of_byte, end: name.len() })
    }

    /// Whether the whole name matches a pattern in lower case.
    pub(super) fn matches(&self, pattern: &str) -> bool {
        let mut reached: Places = [1, 0, 0, 0];
        for byte in pattern.bytes() {
            reached = match byte {
                b'*' => from_lowest(reached),
                b'?' => next(reached),
                byte => next(both(reached, self.of_byte.get(usize::from(byte)).copied().unwrap_or_default())),
            };
            if reached == [0; 4] {
                return false;
            }
        }
        has(&reached, self.end)
    }
}

fn set(places: &mut Places, place: usize) {
    if let Some(word) = places.get_mut(place / 64) {
        *word |= 1 << (place % 64);
    }
}

fn has(places: &Places, place: usize) -> bool {
    places.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
}

fn both(mut left: Places, right: Places) -> Places {
    for (word, other) in left.iter_mut().zip(right) {
        *word &= other;
    }
    left
}

/// Every place moved on by one.
fn next([a, b, c, d]: Places) -> Places {
    [a << 1, b << 1 | a >> 63, c << 1 | b >> 63, d << 1 | c >> 63]
}

/// Every place from the first one on.
fn from_lowest(places: Places) -> Places {
    let mut found = false;
    places.map(|word| {
        if found {
            return u64::MAX;
        }
        found = word != 0;
        // Two's complement: all bits from the lowest set one upwards.
        word | word.wrapping_neg()
    })
}
