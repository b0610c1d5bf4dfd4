//! Uploads: stored once per content, served with safe headers, shrunk to thumbnails.
//!
//! | file | what |
//! |---|---|
//! | `repository` | `Media`: ids, uploads, downloads, quotas |
//! | `arriving` | content on its way to the disk |
//! | `elsewhere` | content of other servers, and how it is fetched |
//! | `cache` | what is kept of it, how much that is, and what goes first |
//! | `upload` | one upload, and how many an account may have under way |
//! | `files` | the folder of files, named by the SHA-256 of their content |
//! | `label` | content types and file names, and which types may be shown inline |
//! | `thumbnail` | sizes, and how one image becomes a smaller one |
//! | `thumbnailer` | who may do that at the same time, and where the results are kept |
//!
//! What is on the disk: `media/files/ab/cd/<hash>`, `media/thumbnails/ab/cd/<hash>-<size>.<type>`, and
//! `media/incoming/`, which is emptied at each start. No part of a path comes from a request.

mod arriving;
mod cache;
mod elsewhere;
mod error;
mod files;
mod label;
mod repository;
mod thumbnail;
mod thumbnailer;
mod upload;

pub use error::MediaError;
pub use label::{Label, is_inline};
pub use repository::{Content, Created, Media};
pub use thumbnail::{Method, Wanted};
pub use upload::Upload;
