//! Ids and dates. Ids tell what they are, so a failing test can be read.

use std::fmt;

use chrono::{Datelike, NaiveDate};

use crate::school::roster::Period;

/// The grades of a school, `OneRoster`'s way of writing them (CEDS) is with two digits.
pub(super) const GRADES: std::ops::RangeInclusive<u8> = 5..=12;

/// A grade as it is written.
pub(super) fn grade_text(grade: u8) -> String {
    format!("{grade:02}")
}

/// A day that exists.
pub(super) fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default()
}

/// The calendar year in which the school year of a day begins: on 1 August.
pub(super) fn year_of(today: NaiveDate) -> i32 {
    if today.month() >= 8 { today.year() } else { today.year() - 1 }
}

/// A school year.
pub(super) fn year_period(year: i32) -> Period {
    Period { begin: Some(day(year, 8, 1)), end: Some(day(year + 1, 8, 1)) }
}

/// The id of a school year's session; its halves append `-1` and `-2`.
pub(super) fn session_id(year: i32) -> String {
    format!("ses-{year}")
}

/// The id of a school.
pub(super) fn school_id(school: usize) -> String {
    format!("org-{school}")
}

/// The id of a course: of a school, a grade and a subject.
pub(super) fn course_id(school: usize, grade: u8, subject: &str) -> String {
    format!("crs-{school}-{grade:02}-{subject}")
}

/// What the id of a class tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClassKey {
    /// The calendar year in which its school year begins.
    pub(super) year: i32,
    /// The school, from 1.
    pub(super) school: usize,
    /// The grade.
    pub(super) grade: u8,
    /// The letter of its homeroom; empty when several homerooms are taught together.
    pub(super) section: String,
    /// The subject; `None` is the homeroom itself.
    pub(super) subject: Option<String>,
}

impl ClassKey {
    /// What an id tells; `None` for classes of another kind.
    pub(super) fn parse(id: &str) -> Option<Self> {
        let mut parts = id.strip_prefix("cls-")?.split('-');
        let (year, school, place) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
        let subject = parts.next().map(str::to_owned);
        let (grade, section) = place.split_at_checked(2)?;
        Some(Self { year, school, grade: grade.parse().ok()?, section: section.to_owned(), subject })
    }

    /// The same homeroom's class of a subject.
    pub(super) fn of(&self, subject: &str) -> Self {
        Self { subject: Some(subject.to_owned()), ..self.clone() }
    }

    /// How people call it: `5a`, `5a Mathematik`, `Französisch 5`.
    pub(super) fn title(&self, subject: Option<&str>) -> String {
        let Self { grade, section, .. } = self;
        match subject {
            None => format!("{grade}{section}"),
            Some(subject) if section.is_empty() => format!("{subject} {grade}"),
            Some(subject) => format!("{grade}{section} {subject}"),
        }
    }

    /// The id of its course.
    pub(super) fn course(&self) -> String {
        course_id(self.school, self.grade, self.subject.as_deref().unwrap_or("home"))
    }
}

impl fmt::Display for ClassKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, school, grade, section, subject } = self;
        write!(formatter, "cls-{year}-{school}-{grade:02}{section}")?;
        subject.as_ref().map_or(Ok(()), |subject| write!(formatter, "-{subject}"))
    }
}

/// The letter of a homeroom: `a` to `z`, then `aa` and so on.
pub(super) fn section(mut index: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'a' + u8::try_from(index % 26).unwrap_or(0)));
        if index < 26 {
            return letters.iter().rev().collect();
        }
        index = index / 26 - 1;
    }
}

/// The number in an id such as `stu-000123`.
pub(super) fn number(id: &str, prefix: &str) -> Option<usize> {
    id.strip_prefix(prefix)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_read_from_its_id() {
        for id in ["cls-2026-1-05a", "cls-2026-12-11ab-mathe", "cls-2026-2-07-latein"] {
            assert_eq!(ClassKey::parse(id).unwrap().to_string(), id);
        }
        assert_eq!(ClassKey::parse("cls-2026-1-x12"), None);
        assert_eq!(ClassKey::parse("org-1"), None);
    }

    #[test]
    fn sections_go_on_after_z() {
        assert_eq!([0, 25, 26, 52, 701, 702].map(section), ["a", "z", "aa", "ba", "zz", "aaa"]);
    }

    #[test]
    fn a_school_year_begins_in_august() {
        assert_eq!(year_of(day(2026, 7, 31)), 2025);
        assert_eq!(year_of(day(2026, 8, 1)), 2026);
        assert!(year_period(2026).holds(day(2027, 7, 31)));
        assert!(!year_period(2026).holds(day(2027, 8, 1)));
    }
}
