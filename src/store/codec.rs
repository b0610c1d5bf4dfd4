//! Keys as bytes whose order is the order of the values; values as records with a version byte.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

/// A key, or a part of one. `encode` must keep order: `a < b` exactly when the bytes of `a` sort before those of `b`.
pub trait Key: Sized {
    /// Appends the key's bytes.
    fn encode(&self, out: &mut Vec<u8>);
    /// Takes the key off the front of `input`; `None` when it does not fit.
    fn decode(input: &mut &[u8]) -> Option<Self>;
}

/// A value of a table.
pub trait Value: Sized {
    /// The value's bytes.
    fn encode(&self) -> Vec<u8>;
    /// Reads them back, also those an older version wrote; `None` when they are damaged.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// A value that is a plain record. It is stored as its version byte and its fields in postcard's format.
pub trait Record: Serialize + DeserializeOwned {
    /// What `encode` writes. Raise it whenever a field is added, removed or moved.
    const VERSION: u8 = 1;

    /// Reads a record that version `version` wrote, if this server still can.
    fn migrate(version: u8, body: &[u8]) -> Option<Self> {
        let _ = (version, body);
        None
    }
}

impl<R: Record> Value for R {
    fn encode(&self) -> Vec<u8> {
        // Serialising into a growing vector can only fail on a type that postcard cannot express; the round-trip
        // test of each record excludes that. An empty value decodes as damaged, so it could not pass unnoticed.
        postcard::to_extend(self, vec![R::VERSION]).unwrap_or_default()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, body) = bytes.split_first()?;
        if *version == R::VERSION { postcard::from_bytes(body).ok() } else { R::migrate(*version, body) }
    }
}

/// Bytes that carry their own format (state tree nodes, images of other formats).
impl Value for Vec<u8> {
    fn encode(&self) -> Vec<u8> {
        self.clone()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

/// The value of an index that only says "this key exists".
impl Value for () {
    fn encode(&self) -> Vec<u8> {
        Vec::new()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

macro_rules! record {
    ($($type:ty),* $(,)?) => {$(impl $crate::store::Record for $type {})*};
}
pub(crate) use record;

record!(
    u64,
    i64,
    String,
    super::UserNo,
    super::RoomNo,
    super::EventNo,
    super::Position,
    (super::RoomNo, super::EventNo),
    (String, String)
);

/// Which physical family a table lives in: they differ in compression and cache use only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Small rows and indexes.
    Rows,
    /// Event bodies: written once, large, compressed harder.
    Events,
}

/// A table: its tag (the first byte of each of its keys), its name, its key and value types.
pub struct Table<K, V> {
    /// First byte of every key. Never reused for something else.
    pub tag: u8,
    /// Name in logs, metrics and `doctor`.
    pub name: &'static str,
    /// Where its rows live.
    pub family: Family,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Table<K, V> {
    /// A table of small rows.
    pub const fn rows(tag: u8, name: &'static str) -> Self {
        Self { tag, name, family: Family::Rows, types: PhantomData }
    }

    /// A table of event bodies.
    pub const fn events(tag: u8, name: &'static str) -> Self {
        Self { tag, name, family: Family::Events, types: PhantomData }
    }
}

impl<K: Key, V> Table<K, V> {
    /// The bytes of a key of this table.
    pub fn key(&self, key: &K) -> Vec<u8> {
        self.prefix(key)
    }

    /// The bytes all keys share that begin with `part`.
    pub fn prefix<P: Key>(&self, part: &P) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        out.push(self.tag);
        part.encode(&mut out);
        out
    }

    /// Reads a key back from its bytes.
    pub fn decode_key(&self, bytes: &[u8]) -> Option<K> {
        let (tag, mut rest) = bytes.split_first()?;
        let key = K::decode(&mut rest)?;
        (*tag == self.tag && rest.is_empty()).then_some(key)
    }
}

impl Key for () {
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(_: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

impl Key for u8 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        let (first, rest) = input.split_first()?;
        *input = rest;
        Some(*first)
    }
}

impl<const N: usize> Key for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        let (first, rest) = input.split_first_chunk::<N>()?;
        *input = rest;
        Some(*first)
    }
}

impl Key for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        <[u8; 8]>::decode(input).map(Self::from_be_bytes)
    }
}

/// Negative numbers sort before positive ones: the sign bit is flipped.
impl Key for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        Key::encode(&(self.cast_unsigned() ^ (1 << 63)), out);
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        <u64 as Key>::decode(input).map(|bits| (bits ^ (1 << 63)).cast_signed())
    }
}

/// Text ends with `00 01`; a NUL inside is `00 FF`. So a text sorts before every longer text it begins.
impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        for byte in self.bytes() {
            out.push(byte);
            if byte == 0 {
                out.push(0xff);
            }
        }
        out.extend_from_slice(&[0, 1]);
    }
    fn decode(input: &mut &[u8]) -> Option<Self> {
        let mut text = Vec::new();
        loop {
            match (u8::decode(input)?, text.len()) {
                (0, _) => match u8::decode(input)? {
                    1 => return Self::from_utf8(text).ok(),
                    0xff => text.push(0),
                    _ => return None,
                },
                (byte, _) => text.push(byte),
            }
        }
    }
}

macro_rules! tuple_key {
    ($($part:ident),*) => {
        impl<$($part: Key),*> Key for ($($part,)*) {
            #[allow(non_snake_case, reason = "the type parameters name the parts")]
            fn encode(&self, out: &mut Vec<u8>) {
                let ($($part,)*) = self;
                $($part.encode(out);)*
            }
            fn decode(input: &mut &[u8]) -> Option<Self> {
                Some(($($part::decode(input)?,)*))
            }
        }
    };
}
tuple_key!(A);
tuple_key!(A, B);
tuple_key!(A, B, C);
tuple_key!(A, B, C, D);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes<K: Key>(key: &K) -> Vec<u8> {
        let mut out = Vec::new();
        key.encode(&mut out);
        out
    }

    fn holds<K: Key + Ord + Clone + std::fmt::Debug>(a: &K, b: &K) -> Result<(), TestCaseError> {
        prop_assert_eq!(bytes(a).cmp(&bytes(b)), a.cmp(b));
        let encoded = bytes(a);
        let mut rest = encoded.as_slice();
        prop_assert_eq!(&K::decode(&mut rest).unwrap(), a);
        prop_assert!(rest.is_empty());
        Ok(())
    }

    proptest! {
        #[test]
        fn unsigned_keys_keep_order(a: u64, b: u64) { holds(&a, &b)?; }

        #[test]
        fn signed_keys_keep_order(a: i64, b: i64) { holds(&a, &b)?; }

        #[test]
        fn text_keys_keep_order(a in "[\0\u{1}a-c\u{fc}]{0,6}", b in "[\0\u{1}a-c\u{fc}]{0,6}") { holds(&a, &b)?; }

        #[test]
        fn tuple_keys_keep_order(
            a in (any::<u64>(), "[\0ab]{0,4}", any::<i64>(), any::<u8>()),
            b in (any::<u64>(), "[\0ab]{0,4}", any::<i64>(), any::<u8>()),
        ) {
            holds(&a, &b)?;
            // Equal first parts are the interesting case.
            holds(&(a.0, a.1.clone()), &(a.0, b.1.clone()))?;
            holds(&(a.1, a.2), &(b.1, b.2))?;
        }

        #[test]
        fn array_keys_keep_order(a: [u8; 16], b: [u8; 16]) { holds(&a, &b)?; }
    }

    #[test]
    fn a_record_of_another_version_is_not_read_as_this_one() {
        let mut stored = Value::encode(&7_u64);
        assert_eq!(<u64 as Value>::decode(&stored), Some(7));
        stored[0] = 9;
        assert_eq!(<u64 as Value>::decode(&stored), None);
    }
}
