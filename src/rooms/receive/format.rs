//! Check 1: is it an event of this room at all?

use ruma::RoomId;
use ruma::room_version_rules::RoomVersionRules;

use super::Refusal;
use crate::event::Pdu;

/// An event is not larger than this in its canonical form (spec v1.19, "Size limits"); what comes may hold whitespace
/// and `unsigned` besides.
const TEXT_BYTES_MAX: usize = 4 * 65_536;

/// Reads an event of a room from the text that came.
pub(super) fn check(text: &str, room: &RoomId, rules: &RoomVersionRules) -> Result<Pdu, Refusal> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refusal::Format("it is too large".to_owned()));
    }
    let pdu = Pdu::parse(text.as_bytes(), rules).map_err(|error| Refusal::Format(error.to_string()))?;
    if pdu.room_id != room {
        return Err(Refusal::OtherRoom);
    }
    Ok(pdu)
}
