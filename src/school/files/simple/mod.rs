//! The simple CSV of a small school: one file, one line a person, headers in English or German.
//!
//! ```text
//! Vorname;Nachname;Rolle;Klassen;E-Mail;Kinder
//! Emil;Beispiel;Schüler;5a;;
//! Dora;Beispiel;Eltern;;dora@example.org;Emil Beispiel
//! Karl;Muster;Lehrkraft;5a*, 6b;karl@example.org;
//! ```
//!
//! - The first class of a pupil is their homeroom; a class that is anybody's first class is one. Others are ordinary.
//! - A teacher lists the classes they teach. `5a*`, `5a (KL)`, `5a (Tutor)` or a column of its own (`tutor`,
//!   `Klassenleitung`) makes them the tutor; of a homeroom with one teacher only, that one is.
//! - A person may have several roles: `Lehrkraft, Eltern`. Who lists children is a guardian too.
//! - Without a column of ids, an id is made of the name. Of several people with the same name it is the name and the
//!   mail address, or the name and the homeroom; then a column of ids is better, since either may change.
//! - Children and guardians are named by id, `Given Family` or `Family, Given`, several with `;` or `|` between them;
//!   `Emil Beispiel (5a)` says which of two.
//!
//! | file | what |
//! |---|---|
//! | `words` | headers and roles in both languages, and what counts as the same word |
//! | `rows` | reads the lines |
//! | `people` | people, their ids, roles and classes |
//! | `relations` | whose child is whose |

mod people;
mod relations;
mod rows;
mod words;

pub(super) use people::read;
