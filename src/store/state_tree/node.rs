//! Nodes: their meaning, their bytes, their ids.
//!
//! State keys are placed by the bits of a fixed mixing function, from the highest bit down: a binary trie. A part of
//! it with at most [`LEAF_MAX`] entries is one leaf, wherever it stands. Larger parts are split; four levels of
//! splitting are stored together as one branch of up to sixteen slots. A slot that spans more than one sixteenth is
//! always a leaf. So leaves are well filled at every size, and paths are short.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Entries of a leaf at most.
pub(in crate::store) const LEAF_MAX: u64 = 32;
/// Slots of a branch at most, and the span of a whole branch.
pub(in crate::store) const SLOTS: u8 = 16;

const LEAF: u8 = 1;
const BRANCH: u8 = 2;

/// The first 16 bytes of the SHA-256 of a node's bytes.
pub(in crate::store) type NodeId = [u8; 16];
/// A state key's number and its event's number.
pub(in crate::store) type Entry = (u64, u64);

/// The name of a room state: equal states have equal roots. All zeros is the empty state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct StateRoot(pub [u8; 16]);

impl StateRoot {
    /// The state without entries.
    pub const EMPTY: Self = Self([0; 16]);

    /// Whether this is the state without entries.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }
}

/// A node, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Node {
    /// Entries by ascending state key.
    Leaf(Box<[Entry]>),
    /// Slots by ascending start.
    Branch(Box<[Slot]>),
}

/// Where the parts of a branch are: `span` sixteenths from `start` on. Parts without entries have no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Slot {
    pub start: u8,
    /// 1, 2, 4 or 8 (16 only while a tree is built).
    pub span: u8,
    pub child: Child,
}

/// A reference to a node, with the number of entries below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Child {
    pub id: NodeId,
    pub count: u64,
}

impl Child {
    /// Leaves and branches are told apart without reading them.
    pub(in crate::store) fn is_leaf(self) -> bool {
        self.count <= LEAF_MAX
    }
}

impl Node {
    /// The entries below this node.
    pub(in crate::store) fn count(&self) -> u64 {
        match self {
            Self::Leaf(entries) => entries.len() as u64,
            Self::Branch(slots) => slots.iter().map(|slot| slot.child.count).sum(),
        }
    }

    /// The slots of a branch; none for a leaf.
    pub(in crate::store) fn slots(&self) -> &[Slot] {
        match self {
            Self::Leaf(_) => &[],
            Self::Branch(slots) => slots,
        }
    }

    /// The entries of a leaf; none for a branch.
    pub(in crate::store) fn entries(&self) -> &[Entry] {
        match self {
            Self::Leaf(entries) => entries,
            Self::Branch(_) => &[],
        }
    }

    /// About how many bytes it takes in memory.
    pub(in crate::store) fn weight(&self) -> u64 {
        let body = match self {
            Self::Leaf(entries) => size_of_val::<[Entry]>(entries),
            Self::Branch(slots) => size_of_val::<[Slot]>(slots),
        };
        // The node, its reference count, its place in the cache.
        body as u64 + 96
    }

    /// The node's bytes. Keys ascend, so each is written as the distance from the one before; events as the signed
    /// distance, because entries that lie together were often made together.
    pub(in crate::store) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(320);
        match self {
            Self::Leaf(entries) => {
                out.push(LEAF);
                let (mut next_key, mut last_event) = (0, 0);
                for (key, event) in entries {
                    put_number(&mut out, key - next_key);
                    put_number(&mut out, zigzag(event.wrapping_sub(last_event)));
                    // No key is the largest number: they are counted from 1.
                    (next_key, last_event) = (key + 1, *event);
                }
            }
            Self::Branch(slots) => {
                out.push(BRANCH);
                for slot in slots {
                    out.push(slot.start << 4 | slot.span);
                    out.extend_from_slice(&slot.child.id);
                    put_number(&mut out, slot.child.count);
                }
            }
        }
        out
    }

    /// Reads a node back; `None` when the bytes are damaged.
    pub(in crate::store) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        match *kind {
            LEAF => {
                let mut entries = Vec::with_capacity(bytes.len() / 4);
                let (mut next_key, mut event) = (0_u64, 0_u64);
                while !rest.is_empty() {
                    let key = next_key.checked_add(take_number(&mut rest)?)?;
                    event = event.wrapping_add(unzigzag(take_number(&mut rest)?));
                    entries.push((key, event));
                    next_key = key.checked_add(1)?;
                }
                (1..=LEAF_MAX).contains(&(entries.len() as u64)).then(|| Self::Leaf(entries.into()))
            }
            BRANCH => {
                let mut slots = Vec::with_capacity(SLOTS.into());
                let mut free = 0;
                while !rest.is_empty() {
                    let (place, after) = rest.split_first()?;
                    let (id, after) = after.split_first_chunk()?;
                    rest = after;
                    let (start, span) = (place >> 4, place & 0x0f);
                    let fits = span.is_power_of_two() && start % span == 0 && start >= free;
                    let child = Child { id: *id, count: take_number(&mut rest)? };
                    if !fits || child.count == 0 || (span > 1 && !child.is_leaf()) {
                        return None;
                    }
                    free = start + span;
                    slots.push(Slot { start, span, child });
                }
                let node = Self::Branch(slots.into());
                (node.count() > LEAF_MAX).then_some(node)
            }
            _ => None,
        }
    }
}

/// The id of a node with these bytes.
pub(in crate::store) fn id_of(bytes: &[u8]) -> NodeId {
    let mut id = [0; 16];
    id.iter_mut().zip(Sha256::digest(bytes)).for_each(|(to, from)| *to = from);
    id
}

/// The slot that holds the keys of a sixteenth.
pub(in crate::store) fn slot_at(slots: &[Slot], sixteenth: u8) -> Option<Child> {
    let slot = slots.iter().rev().find(|slot| slot.start <= sixteenth)?;
    (sixteenth < slot.start + slot.span).then_some(slot.child)
}

/// The event of a key in a leaf.
pub(in crate::store) fn event_of(entries: &[Entry], key: u64) -> Option<u64> {
    let at = entries.binary_search_by_key(&key, |(key, _)| *key).ok()?;
    entries.get(at).map(|(_, event)| *event)
}

/// Spreads numbers that are given out in sequence over all bits. No two numbers become the same, so sixteen branches
/// below each other tell any two keys apart. The steps are those of the `SplitMix64` generator's output; they are
/// part of the stored format.
pub(in crate::store) fn mix(key: u64) -> u64 {
    let mut bits = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// Which sixteenth of a branch `depth` branches below the top a mixed key belongs to.
pub(in crate::store) fn sixteenth(mixed: u64, depth: u32) -> u8 {
    let nibble = mixed.checked_shl(depth * 4).unwrap_or(0) >> 60;
    nibble.to_le_bytes().first().copied().unwrap_or(0)
}

fn zigzag(number: u64) -> u64 {
    let signed = number.cast_signed();
    (signed << 1 ^ signed >> 63).cast_unsigned()
}

fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
}

/// Seven bits a byte, low ones first; the high bit says that more follow.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes().first().copied().unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes().first().copied().unwrap_or(0));
}

fn take_number(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
