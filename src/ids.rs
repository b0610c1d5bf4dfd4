//! Random identifiers and tokens: the only place that draws random numbers for them.
//!
//! Production takes every byte from the operating system's generator. Tests seed their own, so that a failing run
//! can be repeated.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use rand::{
    Rng, SeedableRng,
    rand_core::UnwrapErr,
    rngs::{StdRng, SysRng},
};

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER_AND_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Bytes of randomness in a token: 256 bits, so guessing one is out of the question even for somebody who holds
/// the table of hashes.
const TOKEN_BYTES: usize = 32;

/// Makes random identifiers. Clones share the generator.
#[derive(Clone)]
pub struct Ids(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Ids {
    /// Identifiers from the operating system's cryptographic generator.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The same sequence of identifiers for the same seed: for tests only.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// An access token: `hr_` and 256 random bits in url-safe base64. The prefix lets secret scanners find leaks.
    pub fn access_token(&self) -> String {
        self.token("hr_")
    }

    /// A refresh token: `hrr_` and 256 random bits in url-safe base64.
    pub fn refresh_token(&self) -> String {
        self.token("hrr_")
    }

    /// A device id: ten upper-case letters (47 bits; unique only within one user's devices).
    pub fn device_id(&self) -> String {
        self.draw(UPPER, 10)
    }

    /// `length` characters of `A–Z a–z 0–9`, six bits each (a little less): filter ids, nonces, transaction ids.
    pub fn opaque(&self, length: usize) -> String {
        self.draw(ALPHANUMERIC, length)
    }

    /// The local part of a room id of versions 1 to 11: 18 letters.
    pub fn room_localpart(&self) -> String {
        self.draw(LETTERS, 18)
    }

    /// The id of a user-interactive authentication session: 24 characters (143 bits), as who knows it may go on
    /// with it.
    pub fn session(&self) -> String {
        self.opaque(24)
    }

    /// A media id: 24 characters of the alphabet that the specification allows there, minus `-` and `_`.
    pub fn media_id(&self) -> String {
        self.opaque(24)
    }

    /// The local part of a guest's user id: `guest_` and 12 lower-case letters or digits.
    pub fn guest_localpart(&self) -> String {
        format!("guest_{}", self.draw(LOWER_AND_DIGITS, 12))
    }

    /// The local part for somebody who registers without naming one: 12 lower-case letters or digits.
    pub fn user_localpart(&self) -> String {
        self.draw(LOWER_AND_DIGITS, 12)
    }

    /// `length` characters of an alphabet of at most 256: codes that people type.
    pub fn code(&self, alphabet: &[u8], length: usize) -> String {
        self.draw(alphabet, length)
    }

    /// The local part for a person of a roster whose name shall not show: `s-` and 10 lower-case letters or digits.
    pub fn roster_localpart(&self) -> String {
        format!("s-{}", self.draw(LOWER_AND_DIGITS, 10))
    }

    /// `N` random bytes: salts, key seeds.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn token(&self, prefix: &str) -> String {
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(self.bytes::<TOKEN_BYTES>()))
    }

    /// `length` characters of `alphabet`, all equally likely: bytes beyond the largest multiple of its length are
    /// thrown away instead of wrapped round.
    fn draw(&self, alphabet: &[u8], length: usize) -> String {
        let fair = 256 - 256 % alphabet.len().max(1);
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let fresh = self.bytes::<32>();
            let missing = length - text.len();
            let usable = fresh.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
            text.extend(
                usable
                    .filter_map(|byte| alphabet.get(byte % alphabet.len()))
                    .take(missing)
                    .map(|byte| char::from(*byte)),
            );
        }
        text
    }

    fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            // A system without randomness cannot hand out secrets: stopping is the only safe answer, and
            // `UnwrapErr` does that.
            Source::System => UnwrapErr(SysRng).fill_bytes(bytes),
            Source::Seeded(generator) => generator.lock().fill_bytes(bytes),
        }
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Ids(system)",
            Source::Seeded(_) => "Ids(seeded)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_hold_256_bits_and_their_prefix() {
        let ids = Ids::system();
        for (token, prefix) in [(ids.access_token(), "hr_"), (ids.refresh_token(), "hrr_")] {
            assert!(token.starts_with(prefix));
            assert_eq!(token.len(), prefix.len() + 43);
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'));
        }
    }

    #[test]
    fn identifiers_have_their_shapes() {
        let ids = Ids::system();
        let device = ids.device_id();
        assert_eq!(device.len(), 10);
        assert!(device.bytes().all(|byte| byte.is_ascii_uppercase()));
        let room = ids.room_localpart();
        assert_eq!(room.len(), 18);
        assert!(room.bytes().all(|byte| byte.is_ascii_alphabetic()));
        assert_eq!(ids.opaque(100).len(), 100);
        assert_eq!(ids.opaque(0), "");
        let guest = ids.guest_localpart();
        assert!(guest.starts_with("guest_"));
        assert!(!guest.bytes().any(|byte| byte.is_ascii_uppercase()));
        assert!(ids.media_id().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn the_system_generator_does_not_repeat_itself() {
        let ids = Ids::system();
        let tokens: HashSet<String> = (0..1_000).map(|_| ids.access_token()).collect();
        assert_eq!(tokens.len(), 1_000);
    }

    #[test]
    fn a_seed_repeats_its_sequence() {
        let sequence = |seed| {
            let ids = Ids::seeded(seed);
            (ids.access_token(), ids.device_id(), ids.clone().session())
        };
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
    }

    #[test]
    fn every_letter_is_about_equally_likely() {
        let text = Ids::seeded(3).draw(UPPER, 26_000);
        for letter in UPPER {
            let count = text.bytes().filter(|byte| byte == letter).count();
            assert!((850..1_150).contains(&count), "{} came {count} times", char::from(*letter));
        }
    }
}
