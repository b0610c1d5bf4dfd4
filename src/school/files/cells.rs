//! What cells mean: ids, flags, dates, lists, states.

use std::borrow::Cow;

use chrono::NaiveDate;

use super::{
    problems::{Fault, Problems},
    table::{Column, Table, cut},
};
use crate::school::roster::Period;

/// Bytes of an id at most; `OneRoster`'s `GUID` has 255.
const ID_BYTES: usize = 255;

impl Table<'_> {
    /// A cell that is an id. `None` for an empty or impossible one, which is then among the problems.
    pub(super) fn id(&self, column: Column, problems: &mut Problems) -> Option<&str> {
        let id = self.cell(column);
        if id.is_empty() {
            self.error(
                problems,
                column,
                Fault::new("empty_id", "the id is empty", "Every row has an id of its own that never changes."),
            );
            return None;
        }
        if id.len() > ID_BYTES || id.chars().any(char::is_control) {
            let message = format!("\"{}\" is no id", cut(id).escape_debug());
            let hint = format!("An id has at most {ID_BYTES} bytes and no control characters.");
            self.error(problems, column, Fault::new("bad_id", message, hint));
            return None;
        }
        Some(id)
    }

    /// A cell that must not be empty.
    pub(super) fn required(&self, column: Column, problems: &mut Problems) -> Option<&str> {
        let text = self.cell(column);
        if text.is_empty() {
            self.error(
                problems,
                column,
                Fault::new("missing_value", "the cell is empty", "Fill it in where the file comes from."),
            );
            return None;
        }
        Some(text)
    }

    /// A text of one line; `None` when it is empty.
    pub(super) fn text(&self, column: Column) -> Option<String> {
        let text = self.cell(column);
        (!text.is_empty()).then(|| one_line(text))
    }

    /// The parts of a list, separated by commas; a part that holds one is quoted within the cell (`OneRoster` 1.2 CSV
    /// binding, section 2.3).
    pub(super) fn list(&self, column: Column) -> impl Iterator<Item = Cow<'_, str>> {
        parts(self.cell(column)).filter(|part| !part.is_empty())
    }

    /// A yes or no.
    pub(super) fn flag(&self, column: Column, empty: bool, problems: &mut Problems) -> bool {
        let text = self.cell(column);
        if text.is_empty() {
            return empty;
        }
        if let Some(flag) = flag(text) {
            return flag;
        }
        let message = format!("\"{}\" is neither true nor false", cut(text));
        self.error(problems, column, Fault::new("bad_flag", message, "Write true or false."));
        empty
    }

    /// A day.
    pub(super) fn date(&self, column: Column, problems: &mut Problems) -> Option<NaiveDate> {
        let text = self.cell(column);
        if text.is_empty() {
            return None;
        }
        if let Some(date) = plain_date(text) {
            return Some(date);
        }
        if let Some(date) = other_date(text) {
            let message = format!("\"{}\" is read as {date}", cut(text));
            self.warn_once(problems, column, Fault::new("odd_date", message, "Dates are written as 2026-09-01."));
            return Some(date);
        }
        let message = format!("\"{}\" is no date", cut(text));
        self.error(problems, column, Fault::new("bad_date", message, "Dates are written as 2026-09-01."));
        None
    }

    /// A first day and the first day after the last.
    pub(super) fn period(&self, begin: Column, end: Column, problems: &mut Problems) -> Period {
        let period = Period { begin: self.date(begin, problems), end: self.date(end, problems) };
        if let (Some(first), Some(last)) = (period.begin, period.end)
            && last < first
        {
            let message = format!("it ends on {last}, before it begins on {first}");
            self.warn(problems, end, Fault::new("ends_before_it_begins", message, "It never applies like this."));
        }
        period
    }
}

fn parts(cell: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = (!cell.is_empty()).then_some(cell);
    std::iter::from_fn(move || {
        let text = rest?.trim_start();
        if let Some(quoted) = text.strip_prefix('"') {
            // The end is a quotation mark that is not doubled.
            let mut marks = quoted.match_indices('"').map(|(at, _)| at);
            while let Some(at) = marks.next() {
                let after = quoted.get(at + 1..).unwrap_or_default();
                if after.starts_with('"') {
                    marks.next();
                } else if after.trim_start().is_empty() || after.trim_start().starts_with(',') {
                    rest = after.trim_start().strip_prefix(',');
                    return Some(Cow::Owned(quoted.get(..at).unwrap_or_default().replace("\"\"", "\"")));
                }
            }
        }
        let (part, after) = text.split_once(',').map_or((text, None), |(part, after)| (part, Some(after)));
        rest = after;
        Some(Cow::Borrowed(part.trim()))
    })
}

/// `true`, `TRUE`, `1`, `yes`…
pub(super) fn flag(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["true", "1", "yes", "y", "t", "wahr", "ja"]) {
        Some(true)
    } else if is(&["false", "0", "no", "n", "f", "falsch", "nein"]) {
        Some(false)
    } else {
        None
    }
}

/// `2026-09-01`
pub(super) fn plain_date(text: &str) -> Option<NaiveDate> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if shape { numbers(text, '-').and_then(|(y, m, d)| day(y, m, d)) } else { None }
}

/// Other ways to write a day, where there is only one way to read them.
fn other_date(text: &str) -> Option<NaiveDate> {
    let date = text.split(['T', ' ']).next().unwrap_or_default();
    if let Some(date) = plain_date(date) {
        return Some(date);
    }
    if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) {
        return day(date.get(..4)?.parse().ok()?, date.get(4..6)?.parse().ok()?, date.get(6..)?.parse().ok()?);
    }
    if let Some((d, m, y)) = numbers(date, '.') {
        return day(y, m, d);
    }
    if let Some((y, m, d)) = numbers(date, '-') {
        return day(y, m, d);
    }
    match numbers(date, '/')? {
        (y, m, d) if y > 31 => day(y, m, d),
        // Which is the month can only be told when the other one cannot be.
        (m, d, y) if d > 12 || d == m => day(y, m, d),
        (d, m, y) if d > 12 => day(y, m, d),
        _ => None,
    }
}

fn numbers(text: &str, separator: char) -> Option<(u32, u32, u32)> {
    let mut parts = text.split(separator).map(|part| part.parse().ok());
    let all = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(all)
}

fn day(year: u32, month: u32, day: u32) -> Option<NaiveDate> {
    if !(1900..2200).contains(&year) {
        return None;
    }
    NaiveDate::from_ymd_opt(year.cast_signed(), month, day)
}

/// A text without line breaks and other characters that cannot be seen in a name.
pub(super) fn one_line(text: &str) -> String {
    let breaks = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    if text.contains(breaks) || text.contains("  ") || text.contains(is_unseen) {
        let text: String = text.chars().filter(|character| breaks(*character) || !is_unseen(*character)).collect();
        let words: Vec<&str> = text.split(|c: char| breaks(c) || c == ' ').filter(|word| !word.is_empty()).collect();
        words.join(" ")
    } else {
        text.to_owned()
    }
}

/// Whether a character shows nothing itself, but may turn the text around it, break its line, or make two names differ
/// that look the same: controls, marks of direction and other characters of format. The two joiners stay: Persian and
/// Indian names are written with them.
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        plain_date(text).or_else(|| other_date(text)).map(|date| date.to_string())
    }

    #[test]
    fn dates_are_read_where_there_is_only_one_way_to() {
        for (text, date) in [
            ("2026-09-01", Some("2026-09-01")),
            ("2026-09-01T00:00:00.000Z", Some("2026-09-01")),
            ("2018-09-01 00:00", Some("2018-09-01")),
            ("1.9.2026", Some("2026-09-01")),
            ("20260901", Some("2026-09-01")),
            ("9/25/2026", Some("2026-09-25")),
            ("25/9/2026", Some("2026-09-25")),
            ("2026/9/1", Some("2026-09-01")),
            ("9/9/2026", Some("2026-09-09")),
            ("9/1/2026", None),
            ("2026-13-01", None),
            ("2026-02-30", None),
            ("0001-01-01", None),
            ("soon", None),
        ] {
            assert_eq!(read(text).as_deref(), date, "{text}");
        }
    }

    #[test]
    fn a_part_of_a_list_may_hold_a_comma() {
        let read = |cell| parts(cell).map(Cow::into_owned).collect::<Vec<_>>();
        assert_eq!(read("a, b ,c"), ["a", "b", "c"]);
        assert_eq!(read("\"a,b\", c,\"d \"\"e\"\"\""), ["a,b", "c", "d \"e\""]);
        assert_eq!(read("\"a"), ["\"a"]);
        assert_eq!(read(""), [""; 0]);
    }

    #[test]
    fn names_are_one_line() {
        assert_eq!(one_line("Anna\r\nMaria  Beispiel"), "Anna Maria Beispiel");
    }

    #[test]
    fn nothing_unseen_is_left_in_a_name() {
        assert_eq!(one_line("\u{feff}An\u{200b}na\u{2028}\u{2067}Beispiel\u{2069}\u{200f}"), "Anna Beispiel");
        assert_eq!(one_line("\u{202e}daeH\u{202c} \u{200e}\u{61c}"), "daeH");
        // Joiners are part of how a name is written, and of pictures made of several.
        assert_eq!(one_line("نرگس\u{200c}خاتون"), "نرگس\u{200c}خاتون");
    }
}
