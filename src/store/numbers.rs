//! Interned numbers. Matrix identifiers are long strings; inside the store each is a number, minted once.

use serde::{Deserialize, Serialize};

use super::codec::Key;

macro_rules! number {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl Key for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                Key::encode(&self.0, out);
            }
            fn decode(input: &mut &[u8]) -> Option<Self> {
                <u64 as Key>::decode(input).map(Self)
            }
        }
    )*};
}

number! {
    /// A user, local or remote.
    UserNo,
    /// A room this server knows.
    RoomNo,
    /// An event of any room.
    EventNo,
    /// A pair of event type and state key.
    StateKeyNo,
    /// The name of another server.
    ServerNo,
    /// A place in the one ordered stream of everything that happens on this server. `/sync` tokens are
    /// positions; a position becomes visible only when all before it are.
    Position,
}

impl Position {
    /// Before everything.
    pub const ZERO: Self = Self(0);
}

impl Default for Position {
    fn default() -> Self {
        Self::ZERO
    }
}
