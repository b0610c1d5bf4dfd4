//! A roster as the files of `OneRoster` 1.2: what an import reads back to the same roster.
//!
//! | file | what |
//! |---|---|
//! | `bundle` | the files of a bundle, as bytes, as a folder, as a ZIP archive |
//! | `sheets` | the columns and rows of each file |

mod bundle;
mod sheets;
#[cfg(test)]
mod tests;

pub use bundle::{ExportError, Files, files, folder, zip};
