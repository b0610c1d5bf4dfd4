//! Reads a school's roster files, which come from anywhere: as they are meant, as they really are, and as they must not be.
//!
//! [`read`] makes a [`Bundle`](super::roster::Bundle) of a ZIP, a folder or a CSV file, and a list of what is wrong with it.
//! With an error there is no bundle. Nothing is unpacked or written; files are read in a stream, each twice: once for its
//! hash, size and encoding, once for its rows.
//!
//! | file | what |
//! |---|---|
//! | `read` | from a path to a bundle; what is known while reading |
//! | `source`, `archive`, `bounded` | a ZIP, folder or file as named streams, and how much of them is read |
//! | `encoding` | bytes to text with one kind of line end |
//! | `table`, `cells` | columns by header, rows with their lines, what cells mean |
//! | `problems` | collects what is wrong, in bounds |
//! | [`oneroster`] | `OneRoster` 1.1 and 1.2, and Microsoft School Data Sync v2.1 |
//! | [`simple`] | one line a person |
//! | `references` | what is checked when everything is read |

mod archive;
mod bounded;
mod cells;
mod encoding;
mod oneroster;
mod problems;
mod read;
mod references;
mod simple;
mod source;
mod table;

#[cfg(test)]
mod tests;

pub use bounded::Limits;
pub use cells::is_unseen;
pub use read::{Hints, ReadOutcome, read};
