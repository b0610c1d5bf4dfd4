//! Homeroom, a Matrix homeserver for schools: one binary, one data folder.
//!
//! Bottom to top; a module imports only what stands above it in this list, and what shares a line is independent of
//! each other. A test holds it. `docs/architecture.md` is the map with the reasons.
//!
//! | module | what |
//! |---|---|
//! | [`clock`], [`ids`], [`secret`], [`notify`], [`places`] | the only wall clock; random ids; secrets that never print; wake-ups; who does how much at once |
//! | [`config`], [`event`] | what can be set; events as pure values |
//! | [`store`] | the only user of RocksDB |
//! | [`remote`] | other servers: found, asked, believed |
//! | [`users`], [`media`] | people and their devices; uploads |
//! | [`rooms`] | everything that makes, accepts, stores and shows events |
//! | [`federation`] | transactions of other servers in, and this server's out |
//! | [`school`] | the roster, who may see and reach whom, and the rooms that follow from it |
//! | [`sync`] | what changed for somebody since they last asked |
//! | [`http`] | what every request passes |
//! | [`api`] | handlers: parse, one service call, reply |
//! | [`routes`] | the whole route table |
//! | [`app`] | builds everything in the order of this list, starts the tasks, shuts down |
//! | [`cli`] | the commands |

pub mod clock;
pub mod ids;
pub mod notify;
pub mod places;
pub mod secret;

pub mod config;
pub mod event;
pub mod federation;

pub mod store;

pub mod remote;

pub mod media;
pub mod users;

pub mod rooms;

pub mod school;
pub mod sync;

pub mod http;

pub mod api;

pub mod routes;

pub mod app;

pub mod cli;
