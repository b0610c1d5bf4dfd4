//! The accounts behind the people of rosters, and their activation slips.

use serde::{Deserialize, Serialize};

use super::ObjectKey;
use crate::store::{
    UserNo,
    codec::{Table, record},
};

/// The account of each person a roster ever named. Kept when they leave: an id is never given to anybody else.
pub static PERSON_ACCOUNTS: Table<ObjectKey, PersonAccount> = Table::rows(150, "school_person_accounts");
/// The same from the account: several rows when records turned out to be one person.
pub static ACCOUNT_PEOPLE: Table<(UserNo, String, String), ()> = Table::rows(151, "school_account_people");

/// Accounts that are locked because their person has left; those that an administrator locked are not among them.
pub static ROSTER_LOCKS: Table<UserNo, ()> = Table::rows(152, "school_roster_locks");
/// Activation slips by the SHA-256 of their code.
pub static SLIPS: Table<[u8; 32], Slip> = Table::rows(172, "school_slips");
/// The slip of each account that has one.
pub static USER_SLIPS: Table<UserNo, [u8; 32]> = Table::rows(173, "school_user_slips");

/// The account of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonAccount {
    /// The account.
    pub user: UserNo,
    /// The part of its user id before the colon.
    pub localpart: String,
}

/// An activation slip: a code that lets a person set their first password once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slip {
    /// Whose account.
    pub user: UserNo,
    /// Unix time in milliseconds.
    pub created_ms: u64,
    /// When it ends.
    pub until_ms: u64,
    /// When it was used.
    pub used_ms: Option<u64>,
    /// Whether it may replace a password that is there already.
    pub reset: bool,
}

record!(PersonAccount, Slip, [u8; 32]);
