//! The room versions this server knows, and their rules.

use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};

/// Every room version that can be created, joined and read here, oldest first.
///
/// All are offered to clients in `m.room_versions`, where the specification calls every one of them stable. In versions
/// 1 and 2 an event says its own id, and names others together with their hashes.
pub const SUPPORTED: [RoomVersionId; 12] = [
    RoomVersionId::V1,
    RoomVersionId::V2,
    RoomVersionId::V3,
    RoomVersionId::V4,
    RoomVersionId::V5,
    RoomVersionId::V6,
    RoomVersionId::V7,
    RoomVersionId::V8,
    RoomVersionId::V9,
    RoomVersionId::V10,
    RoomVersionId::V11,
    RoomVersionId::V12,
];

/// The version of a new room when neither the client nor the configuration names one (spec v1.19, Room Versions).
pub const DEFAULT: RoomVersionId = RoomVersionId::V12;

/// The rules of a room version, or `None` when this server does not take part in such rooms.
pub fn supported(version: &RoomVersionId) -> Option<RoomVersionRules> {
    if SUPPORTED.contains(version) { version.rules() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn versions_one_to_twelve_have_rules() {
        for number in 1..=12 {
            let version = RoomVersionId::try_from(number.to_string()).unwrap();
            assert!(supported(&version).is_some(), "version {number}");
        }
        for refused in ["13", "org.example.custom", "0"] {
            let version = RoomVersionId::try_from(refused).unwrap();
            assert!(supported(&version).is_none(), "version {refused}");
        }
    }

    #[test]
    fn the_default_is_supported() {
        assert!(supported(&DEFAULT).is_some());
    }
}
