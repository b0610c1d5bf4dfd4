//! Homeroom.
pub mod notify;
pub mod store;
pub mod event;
pub mod clock;
pub mod config;
pub mod ids;
pub mod secret;
pub mod http;
pub mod cli;
pub mod rooms;
pub mod media;
pub mod users;
pub mod api;
pub mod routes;
pub mod app;
pub mod sync;
