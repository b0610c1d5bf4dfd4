//! The configuration: one TOML file, overridden by the environment, checked as a whole.
//!
//! - a file per section, where each option is defined once with its type, default and text: `server`, `listen`,
//!   `database`, `registration`, `sessions`, `passwords`, `limits`, `rooms`, `media`, `federation`, `features`
//!   (`[previews]`, `[presence]`, `[appservices]`), `school`, `logging`
//! - the types of options: `size`, `period`, `rate`, `network`, and `value` for all others
//! - `section`: the macro behind each section; `reader` reads one section, `environment` the overrides
//! - `whole`: all sections together, and [`load`]; `example`: the commented example file; `problem`: what is wrong
//!
//! A configuration is read once at the start and never changes while the server runs.

mod database;
mod environment;
mod example;
mod features;
mod federation;
mod limits;
mod listen;
mod logging;
mod media;
mod network;
mod passwords;
mod period;
mod problem;
mod rate;
mod reader;
mod registration;
mod rooms;
mod school;
mod section;
mod server;
mod sessions;
mod size;
mod value;
mod whole;

pub use database::{Database, Durability};
pub use example::example;
pub use features::{Appservices, Presence, Previews};
pub use federation::{Federation, ServerPattern};
pub use limits::Limits;
pub use listen::{Listen, Mailbox};
pub use logging::{LogFilter, LogFormat, Logging};
pub use media::Media;
pub use network::Network;
pub use passwords::Passwords;
pub use period::Period;
pub use problem::Problem;
pub use rate::Rate;
pub use registration::{Registration, RegistrationMode};
pub use rooms::Rooms;
pub use school::{SWITCH_LEVELS, School, SchoolPreset, SwitchSetting};
pub use server::{PublicUrl, Server};
pub use sessions::Sessions;
pub use size::Size;
pub use whole::{Config, load, parse};
