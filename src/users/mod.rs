//! Accounts, sessions, devices and what belongs to a person.
//!
//! | file | what |
//! |---|---|
//! | `facade` | [`Users`]: all services, built together |
//! | `accounts`, `localpart` | accounts, and the names they may have |
//! | `registration`, `registration_tokens`, `shared_secret` | who may make an account, and making it |
//! | `service` | the account through which the server itself acts |
//! | `provision` | many accounts made, locked and renamed in one batch, for a roster |
//! | `passwords`, `login` | Argon2id on a bounded pool; signing in and out, changing the password |
//! | `sessions`, `tokens` | from an access token to a [`Session`]; tokens given out, refreshed, ended |
//! | `devices`, `last_seen` | devices and when they were used last |
//! | `uia` | user-interactive authentication, bound to its request |
//! | `deactivation` | closing accounts, and the queue of those that still have to leave their rooms |
//! | `profiles`, `account_data`, `push_rules`, `pushers`, `filters`, `ignored`, `openid` | what clients keep here |
//! | `keys`, `to_device`, `device_lists` | end-to-end encryption: keys, messages to devices, whose devices changed |
//! | `orders`, `admin_socket` | what the command line orders, also from a running server |
//! | `locks` | one writer per account at a time |
//!
//! Changes that read before they write hold the user's lock and are one batch. What is kept in memory about a row is
//! dropped in the batch's `on_publish`, so nobody acts on what a finished call has ended.

mod account_data;
mod accounts;
mod admin_socket;
mod deactivation;
mod device_lists;
mod devices;
mod error;
mod facade;
mod filters;
mod ignored;
pub mod keys;
mod last_seen;
mod localpart;
mod locks;
mod login;
mod openid;
mod orders;
mod passwords;
mod profiles;
mod provision;
mod push_rules;
mod pushers;
mod registration;
mod registration_tokens;
mod service;
mod sessions;
mod shared_secret;
#[cfg(test)]
pub(crate) mod test;
pub mod to_device;
mod tokens;
mod uia;

pub use self::{
    account_data::{AccountData, AccountDataItem, FULLY_READ, PUSH_RULES, TAG, is_reserved},
    accounts::Accounts,
    admin_socket::{AdminSocket, Answers, Desk},
    deactivation::Deactivations,
    device_lists::{DEVICE_LISTS_WATCHER, DeviceLists, mark_met},
    devices::{DeviceInfo, Devices, NewDevice},
    error::UsersError,
    facade::Users,
    filters::Filters,
    ignored::IgnoredLists,
    keys::Keys,
    localpart::{RESERVED_LOCALPART, meant_user_id, new_user_id},
    openid::{OPENID_LIFETIME, OpenId},
    orders::{AccountLine, AdminAnswer, AdminOrder},
    passwords::Passwords,
    profiles::{AVATAR_URL, DISPLAYNAME, Profile, Profiles},
    provision::{HeldAccounts, NewPerson},
    push_rules::{PushRules, PushRulesError},
    pushers::Pushers,
    registration::{Grant, NewAccount, Registered},
    registration_tokens::RegistrationTokens,
    service::is_ordinary,
    sessions::{Authenticated, Refreshed, Session, Sessions},
    shared_secret::{SharedSecret, SharedSecretRequest, to_hex},
    to_device::ToDevice,
    uia::{AuthDict, Flows, Identifier, Operation, Outcome, PASSWORD_FLOWS, Stage, Uia},
};
