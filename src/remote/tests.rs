//! Requests to servers that these tests start, with certificates, names and addresses of their own.

mod backoff;
mod discovery;
mod egress;
mod peer;
mod requests;
