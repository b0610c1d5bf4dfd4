//! The parts of this folder together, on a router without a server behind it.

mod bounds;
pub(in crate::http) mod fixture;
mod requests;
mod signed;
