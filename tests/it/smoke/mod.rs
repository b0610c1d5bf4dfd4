//! The outcome of the server's first stage: two people sign in and chat, nothing gets lost, bad input is refused.

mod bad_input;
mod chat;
mod files;
mod process;
mod restart;
