//! Accounts and what belongs to a person, over HTTP.

mod account_data;
mod admin;
mod devices;
mod discovery;
mod limits;
mod login;
mod profile;
mod push_rules;
mod registration;
