//! `m.room.policy`: the server that looks at a room's events first (spec v1.19, Client-Server API "Policy servers").

use ruma::{
    OwnedServerName,
    serde::{Base64, base64::Standard},
};
use serde_json::value::RawValue;

use super::{Field, fields, open, text, value};

/// A room's policy server. It counts only while it has a joined member in the room, which the caller checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The server.
    pub via: OwnedServerName,
    /// Its public key for this: 32 bytes.
    pub ed25519_key: [u8; 32],
}

impl Policy {
    /// Reads the content of an `m.room.policy` event with an empty state key; `None` where it lacks what is required,
    /// which means that the room has no policy server.
    pub fn read(content: &RawValue) -> Option<Self> {
        fields!(Fields: via, public_keys);
        fields!(Keys: ed25519);
        let fields: Fields<'_> = open(content);
        let keys: Keys<'_> = open(fields.public_keys?);
        let key = Base64::<Standard>::parse(&*text(keys.ed25519)?).ok()?;
        Some(Self { via: value(fields.via)?, ed25519_key: key.as_bytes().try_into().ok()? })
    }
}
