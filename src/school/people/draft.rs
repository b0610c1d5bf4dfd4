//! A person while a [`People`](super::People) is made.

use chrono::{Datelike, NaiveDate};

use super::{
    super::roster::SchoolRole,
    index::{Cell, GONE, JUNIOR, NO_GRADE, REACHABLE, SERVICE},
    standing::Roles,
};
use crate::store::UserNo;

/// The age below which a pupil is a junior, and the last grade of juniors.
const JUNIOR_BELOW: i32 = 13;
const JUNIOR_GRADE_MAX: u8 = 6;

/// A person in the making.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a person")]
pub(super) struct Draft {
    pub(super) user: u64,
    pub(super) localpart: Box<str>,
    pub(super) given: Box<str>,
    pub(super) family: Box<str>,
    pub(super) display: Box<str>,
    pub(super) roles: Roles,
    pub(super) grade: Option<u8>,
    pub(super) birth_year: Option<u16>,
    pub(super) reachable: bool,
    /// A source has told of them once.
    pub(super) known: bool,
    /// They belong to the school today.
    pub(super) present: bool,
    pub(super) service: bool,
}

impl Draft {
    /// Packs it; its texts go to the end of `text`.
    pub(super) fn cell(&self, day: NaiveDate, text: &mut String) -> Cell {
        let begin = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let parts = [&self.localpart, &self.given, &self.family, &self.display];
        let lengths = parts.map(|part| {
            let part = part.get(..part.floor_char_boundary(usize::from(u8::MAX))).unwrap_or_default();
            text.push_str(part);
            u8::try_from(part.len()).unwrap_or(0)
        });
        let junior = self.roles.has(SchoolRole::Student) && self.is_junior(day);
        let reachable = self.reachable || self.roles.has(SchoolRole::Leadership);
        let flags = [(junior, JUNIOR), (reachable, REACHABLE), (!self.present, GONE), (self.service, SERVICE)];
        Cell {
            user: UserNo(self.user),
            text: begin,
            lengths,
            roles: if self.present { self.roles } else { Roles::NONE },
            flags: flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum(),
            grade: self.grade.unwrap_or(NO_GRADE),
        }
    }

    /// Who is known to be neither is no junior; who is of unknown age is one, because that is the safe side.
    fn is_junior(&self, day: NaiveDate) -> bool {
        let age = self.birth_year.map(|year| day.year() - i32::from(year));
        match (age, self.grade) {
            (None, None) => true,
            (age, grade) => {
                age.is_some_and(|age| age < JUNIOR_BELOW) || grade.is_some_and(|grade| grade <= JUNIOR_GRADE_MAX)
            }
        }
    }
}

/// The grade a text begins with, as a number: `"05"`, `"7b"`, `"KG"` (0).
pub(super) fn grade_number(text: &str) -> Option<u8> {
    let text = text.trim();
    let digits = text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    match text.to_ascii_uppercase().as_str() {
        "IT" | "PR" | "PK" | "TK" | "KG" | "K" => Some(0),
        _ => digits.parse().ok().filter(|grade| *grade <= 13),
    }
}
