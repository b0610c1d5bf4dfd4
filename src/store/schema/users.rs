//! Tables of accounts and what belongs to a person: sessions, devices, profile, account data, filters, pushers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::store::{
    Position, RoomNo, UserNo,
    codec::{Table, record},
};

/// Accounts of this server, by the number of their user id.
pub static ACCOUNTS: Table<UserNo, Account> = Table::rows(60, "accounts");
/// Access and refresh tokens by their SHA-256.
pub static TOKENS: Table<[u8; 32], Token> = Table::rows(61, "tokens");
/// The tokens of each device. Every row has its counterpart in [`TOKENS`], and the other way round.
pub static DEVICE_TOKENS: Table<(UserNo, String, [u8; 32]), DeviceToken> = Table::rows(62, "device_tokens");
/// Devices by user and device id.
pub static DEVICES: Table<(UserNo, String), Device> = Table::rows(63, "devices");
/// When and from where devices were used last. Apart from [`DEVICES`], because it is written far more often.
pub static DEVICES_SEEN: Table<(UserNo, String), DeviceSeen> = Table::rows(64, "devices_seen");
/// Profile fields: the value as JSON text.
pub static PROFILE_FIELDS: Table<(UserNo, String), String> = Table::rows(65, "profile_fields");
/// Account data by user, room ([`GLOBAL`] for none) and type.
pub static ACCOUNT_DATA: Table<(UserNo, RoomNo, String), AccountDatum> = Table::rows(66, "account_data");
/// The position of the last change of each row of [`ACCOUNT_DATA`]: exactly one row each.
pub static ACCOUNT_DATA_LOG: Table<(UserNo, Position), AccountDataChange> = Table::rows(67, "account_data_log");
/// Filters by user and filter id.
pub static FILTERS: Table<(UserNo, String), Filter> = Table::rows(68, "filters");
/// Pushers by user, app id and push key.
pub static PUSHERS: Table<(UserNo, String, String), Pusher> = Table::rows(69, "pushers");
/// Who has a pusher of an app id and push key.
pub static PUSHER_OWNERS: Table<(String, String, UserNo), ()> = Table::rows(70, "pusher_owners");
/// Deactivated accounts that have not left their rooms yet.
pub static DEACTIVATIONS: Table<UserNo, Deactivation> = Table::rows(71, "deactivations");
/// Whom each user ignores, for those who ignore anybody: what their account data say, kept to be read at the start.
pub static IGNORED_LISTS: Table<UserNo, IgnoredList> = Table::rows(72, "ignored_lists");

/// The room number of account data that belongs to no room. Minted numbers start at 1.
pub const GLOBAL: RoomNo = RoomNo(0);

/// An account of this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about an account, each asked by itself")]
pub struct Account {
    /// The part of the user id before the colon.
    pub localpart: String,
    /// `None` for accounts that cannot sign in with a password.
    pub password: Option<PasswordHash>,
    /// An administrator of this server.
    pub admin: bool,
    /// A guest, as the specification's guest module means it.
    pub guest: bool,
    /// Closed for good; the name is never given to anybody else.
    pub deactivated: bool,
    /// On deactivation, the person asked for their messages to be hidden from people who join later.
    pub erased: bool,
    /// Can only log out ("Account locking").
    pub locked: bool,
    /// Can read and leave, not write ("Account suspension").
    pub suspended: bool,
    /// Unix time in milliseconds.
    pub created_at_ms: u64,
}

/// The user ids of a list of ignored users, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoredList(pub Vec<String>);

/// An Argon2id hash in PHC text form. It does not print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenKind {
    /// It signs requests.
    Access,
    /// It buys the next pair of tokens.
    Refresh,
}

/// A token that was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is for.
    pub kind: TokenKind,
    /// Whose it is.
    pub user: UserNo,
    /// The device it was given to.
    pub device_id: String,
    /// When it ends, in Unix milliseconds; `None` for never.
    pub expires_at_ms: Option<u64>,
    /// Counts the refreshes of the device's session. Tokens of one refresh share it.
    pub generation: u64,
    /// Not used yet. Its first use ends the tokens of other generations.
    pub fresh: bool,
}

/// What the index of a device's tokens says about one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceToken {
    /// What it is for.
    pub kind: TokenKind,
    /// As in [`Token`].
    pub generation: u64,
}

/// A device: one sign-in of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// A name for people.
    pub display_name: Option<String>,
    /// Unix time in milliseconds.
    pub created_at_ms: u64,
}

/// The last use of a device, accurate to a few minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSeen {
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// The client's address.
    pub ip: String,
}

/// A piece of account data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDatum {
    /// Its last change.
    pub position: Position,
    /// The content: a JSON object as text.
    pub content: String,
}

/// Which piece of account data changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDataChange {
    /// The room, or [`GLOBAL`].
    pub room: RoomNo,
    /// The type.
    pub kind: String,
}

/// A filter as the client gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The definition: a JSON object as text.
    pub definition: String,
    /// Unix time in milliseconds.
    pub created_at_ms: u64,
}

/// A pusher: where notifications of a user go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pusher {
    /// The pusher as the client set it, without `append`: a JSON object as text.
    pub definition: String,
    /// The device that set it; the pusher ends with the device.
    pub device_id: String,
}

/// What remains to be done for a deactivated account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deactivation {
    /// As in [`Account`].
    pub erase: bool,
}

record!(
    Account,
    Token,
    DeviceToken,
    Device,
    DeviceSeen,
    AccountDatum,
    AccountDataChange,
    Filter,
    Pusher,
    Deactivation,
    IgnoredList,
);

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use crate::store::Value;

    #[test]
    fn records_survive_the_disk() {
        let account = Account {
            localpart: "anna".into(),
            password: Some(PasswordHash("$argon2id$x".into())),
            admin: true,
            guest: false,
            deactivated: false,
            erased: false,
            locked: true,
            suspended: false,
            created_at_ms: 1,
        };
        assert_eq!(Account::decode(&account.encode()).unwrap(), account);
        assert!(!format!("{account:?}").contains("argon2id"));
        let token = Token {
            kind: TokenKind::Refresh,
            user: UserNo(4),
            device_id: "D".into(),
            expires_at_ms: Some(9),
            generation: 2,
            fresh: true,
        };
        assert_eq!(Token::decode(&token.encode()).unwrap(), token);
        let index = DeviceToken { kind: TokenKind::Access, generation: 3 };
        assert_eq!(DeviceToken::decode(&index.encode()).unwrap(), index);
        let datum = AccountDatum { position: Position(8), content: "{}".into() };
        assert_eq!(AccountDatum::decode(&datum.encode()).unwrap(), datum);
    }
}
