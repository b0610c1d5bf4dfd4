//! Check 3: is the content what was hashed? If not, only what a redaction leaves can be relied upon.

use ruma::{room_version_rules::RoomVersionRules, signatures::Verified as Hashes};

use super::Refusal;
use crate::event::{Pdu, sign};

/// The event as it may be used.
pub(super) fn check(pdu: Pdu, hashes: &Hashes, rules: &RoomVersionRules) -> Result<Pdu, Refusal> {
    sign::redact_if_hash_wrong(pdu, hashes, rules).map_err(|error| Refusal::Format(error.to_string()))
}
