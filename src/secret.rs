//! Secrets that never print and leave no copy behind, and the form in which tokens are stored.

use std::fmt;

use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A password, token or key: a `String` unless said otherwise, `Secret<Vec<u8>>` for bytes.
///
/// It prints as `[secret]`, compares in constant time, can be read from a request or a file but never written to
/// one, and is overwritten when dropped.
#[derive(Clone)]
pub struct Secret<T: Zeroize = String>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value. The caller's own copies, if any, are not overwritten.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself: for hashing, comparing and sending, never for a log or an error.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::new(value.to_owned())
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Equality in a time that depends on the lengths only.
impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.expose().as_ref(), other.expose().as_ref())
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

impl<'de, T: Zeroize + Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}

/// Whether two byte strings are equal, in a time that tells nothing about where they differ. Their lengths are not
/// hidden.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    bool::from(a.ct_eq(b))
}

/// What the database keeps of an access, refresh or registration token: its SHA-256. Tokens carry 256 random bits,
/// so neither salt nor a slow hash would add anything.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "only its Debug is looked at")]
        struct Holder {
            password: Option<Secret>,
            key: Secret<Vec<u8>>,
        }
        let secret = Secret::from("correct horse");
        let holder = Holder { password: Some(secret.clone()), key: Secret::new(vec![104, 111]) };
        for text in [format!("{secret}"), format!("{secret:?}"), format!("{holder:#?}")] {
            assert!(text.contains("[secret]"));
            assert!(!text.contains("horse") && !text.contains("104"), "{text}");
        }
        assert_eq!(secret.expose(), "correct horse");
    }

    #[test]
    fn secrets_compare_by_value() {
        assert_eq!(Secret::from("a"), Secret::from(String::from("a")));
        assert_ne!(Secret::from("a"), Secret::from("b"));
        assert_ne!(Secret::from("a"), Secret::from("aa"));
        assert_eq!(Secret::new(vec![1_u8]), Secret::new(vec![1_u8]));
    }

    #[test]
    fn secrets_are_read_from_json() {
        let secret: Secret = serde_json::from_str("\"p\"").unwrap();
        assert_eq!(secret, Secret::from("p"));
    }

    #[test]
    fn a_token_hash_is_its_sha_256() {
        // FIPS 180-2, appendix B.1.
        let expected = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
            0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(token_hash("abc"), expected);
    }
}
