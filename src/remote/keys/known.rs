//! The keys of one server, and what each is good for.

use std::collections::BTreeMap;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ed25519_dalek::VerifyingKey;

/// Unpadded base64, with padding tolerated: some servers write it.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A key of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerKey {
    /// Ready to verify with.
    pub(super) verifying: VerifyingKey,
    /// Until when it may be relied upon, Unix milliseconds; for an old key, when it was last in use.
    pub(super) valid_until_ms: u64,
    /// It is good for events of its time only.
    pub(super) old: bool,
}

/// What a key is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An event of a room version that does not look at the validity of keys (1 to 4).
    AnyEvent,
    /// An event with this `origin_server_ts`.
    EventAt(u64),
    /// Something signed just now: a request.
    Now(u64),
}

impl ServerKey {
    /// Reads a key from base64; `None` when it is none.
    pub(super) fn read(text: &str, valid_until_ms: u64, old: bool) -> Option<Self> {
        // 32 bytes are 44 characters at most.
        let bytes = BASE64.decode(text.get(..).filter(|text| text.len() <= 48)?).ok()?;
        let verifying = VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()?;
        (!verifying.is_weak()).then_some(Self { verifying, valid_until_ms, old })
    }

    /// Whether it may be relied upon for this.
    pub(super) fn serves(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::AnyEvent => true,
            Purpose::EventAt(at_ms) => at_ms <= self.valid_until_ms,
            Purpose::Now(now_ms) => !self.old && now_ms <= self.valid_until_ms,
        }
    }
}

/// The keys of one server, as far as they are known. Immutable.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// By key id.
    pub(super) keys: BTreeMap<Box<str>, ServerKey>,
    /// When its newest document was fetched, Unix milliseconds; 0 for never.
    pub(super) fetched_ms: u64,
    /// Until when that document may be relied upon, Unix milliseconds.
    pub(super) valid_until_ms: u64,
    /// They are in the store: an event of the server was accepted.
    pub(super) kept: bool,
}

impl Known {
    /// Whether one of these keys is known and serves.
    pub(super) fn serves<'a>(&self, key_ids: impl IntoIterator<Item = &'a str>, purpose: Purpose) -> bool {
        key_ids.into_iter().any(|key_id| self.keys.get(key_id).is_some_and(|key| key.serves(purpose)))
    }

    /// Whether less than half of the document's lifetime is left.
    pub(super) fn ages(&self, now_ms: u64) -> bool {
        now_ms >= self.fetched_ms.midpoint(self.valid_until_ms)
    }
}
