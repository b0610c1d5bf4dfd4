//! Check 3: is the content what was hashed? If not, only what a redaction leaves can be relied upon.

use ruma::{room_version_rules::RoomVersionRules, signatures::Verified as Hashes};

use super::Refusal;
use crate::event::{Pdu, redact};

/// The event as it may be used.
pub(super) fn check(pdu: Pdu, hashes: &Hashes, rules: &RoomVersionRules) -> Result<Pdu, Refusal> {
    if matches!(hashes, Hashes::All) {
        return Ok(pdu);
    }
    let invalid = |error: &dyn std::fmt::Display| Refusal::Format(error.to_string());
    let json = redact::redact(&pdu.json, &rules.redaction).map_err(|error| invalid(&error))?;
    // The id is the hash of the redacted form: it stays.
    Pdu::from_stored(pdu.event_id.clone(), json).map_err(|error| invalid(&error))
}
