//! `[rooms]`: how rooms are made.

use ruma::RoomVersionId;

use super::{
    problem::Refusal,
    section::section,
    value::{Value, quoted, string},
};

section! {
    /// How rooms are made.
    pub struct Rooms in "rooms" {
        /// The version of new rooms for which the client names none.
        pub default_version: RoomVersionId = RoomVersionId::V12;
    }
}

/// The versions that rooms are made in here.
const CREATED: [RoomVersionId; 10] = [
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

impl Value for RoomVersionId {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let text = string(value, "a room version as text")
            .map_err(|refusal| refusal.hint("room versions are strings: write \"12\" with its quotes"))?;
        CREATED.into_iter().find(|version| version.as_str() == text).ok_or_else(|| {
            Refusal::new(format!("rooms of version {text:?} cannot be made")).hint("choose \"3\" to \"12\"")
        })
    }

    fn write(&self) -> Option<String> {
        Some(quoted(self.as_str()))
    }
}
