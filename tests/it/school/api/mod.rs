//! The school's own interface, `/_homeroom/v1`, and its command line.
//!
//! - `schema`: compares replies with the `OpenAPI` document
//! - `document`: the document and the routes; who may call what
//! - `office`: what administrators do; `imports`: rosters in and out
//! - `slips`, `knocks`: their lives
//! - `command`, `demo`: `homeroom school` and `homeroom demo` as processes

mod command;
mod demo;
mod document;
mod imports;
mod knocks;
mod office;
mod room_orders;
mod schema;
mod slips;

/// The path of an endpoint.
fn v1(rest: &str) -> String {
    format!("/_homeroom/v1{rest}")
}
