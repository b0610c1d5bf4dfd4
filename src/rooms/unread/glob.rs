//! Patterns of push rules: `*` stands for any characters, `?` for one.
//!
//! Patterns come from clients and text from anybody, so the work is bounded by the product of the text's length and
//! that of the longest stretch with a `?`; without `?` by their sum.

use super::facts::lower;

/// A pattern, without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    /// What stands between the stars, in lower case. Never empty.
    pieces: Box<[Piece]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    text: Box<str>,
    /// It contains a `?`.
    open: bool,
}

impl Glob {
    /// Reads a pattern.
    pub(super) fn new(pattern: &str) -> Self {
        let pattern = lower(pattern);
        let pieces = pattern.split('*').map(|text| Piece { text: text.into(), open: text.contains('?') });
        Self { pieces: pieces.collect() }
    }

    /// A pattern without wildcards: `text` as it is.
    pub(super) fn literal(text: &str) -> Self {
        Self { pieces: Box::new([Piece { text: lower(text).into(), open: false }]) }
    }

    /// Whether the whole text matches. It must be in lower case.
    pub(super) fn matches(&self, text: &str) -> bool {
        let (Some((first, rest)), Some(last)) = (self.pieces.split_first(), self.pieces.last()) else { return false };
        let Some(mut from) = first.at(text, 0) else { return false };
        let Some((_, middle)) = rest.split_last() else { return from == text.len() };
        for piece in middle {
            match piece.find(text, from) {
                Some((_, end)) => from = end,
                None => return false,
            }
        }
        // The last piece ends where the text ends; it may not reach back into what is matched already.
        let chars = last.text.chars().count();
        let start = match chars.checked_sub(1) {
            None => text.len(),
            Some(back) => match text.char_indices().rev().nth(back) {
                Some((start, _)) => start,
                None => return false,
            },
        };
        start >= from && last.at(text, start).is_some()
    }

    /// Whether a part of the text between two word boundaries matches. It must be in lower case. A boundary is a
    /// place that does not have a letter, digit or underscore of ASCII on both sides.
    pub(super) fn matches_words(&self, text: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return false };
        if rest.is_empty() {
            return (first.text.is_empty() && text.is_empty())
                || (!first.text.is_empty()
                    && first.all(text, 0).any(|(start, end)| boundary(text, start) && boundary(text, end)));
        }
        // A star follows the first piece: the leftmost place leaves the most to the others.
        let begins = if first.text.is_empty() {
            Some((0, 0))
        } else {
            first.all(text, 0).find(|(start, _)| boundary(text, *start))
        };
        let Some((_, mut from)) = begins else { return false };
        let Some((last, middle)) = rest.split_last() else { return false };
        for piece in middle {
            match piece.find(text, from) {
                Some((_, end)) => from = end,
                None => return false,
            }
        }
        last.text.is_empty() || last.all(text, from).any(|(_, end)| boundary(text, end))
    }
}

impl Piece {
    /// Where the piece ends, if it stands at this place.
    fn at(&self, text: &str, start: usize) -> Option<usize> {
        let rest = text.get(start..)?;
        if !self.open {
            return rest.starts_with(&*self.text).then(|| start + self.text.len());
        }
        let mut chars = rest.chars();
        for wanted in self.text.chars() {
            let found = chars.next()?;
            if wanted != '?' && wanted != found {
                return None;
            }
        }
        Some(text.len() - chars.as_str().len())
    }

    /// The first place from `from` on.
    fn find(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        self.all(text, from).next()
    }

    /// Every place from `from` on, overlapping ones too.
    fn all<'a>(&'a self, text: &'a str, from: usize) -> impl Iterator<Item = (usize, usize)> + 'a {
        let mut next = from;
        std::iter::from_fn(move || {
            loop {
                let rest = text.get(next..)?;
                let start = if self.open { next } else { next + rest.find(&*self.text)? };
                next = match text.get(start..).and_then(|rest| rest.chars().next()) {
                    Some(passed) => start + passed.len_utf8(),
                    // Beyond the end, so that the next call ends.
                    None => text.len() + 1,
                };
                if let Some(end) = self.at(text, start) {
                    return Some((start, end));
                }
            }
        })
    }
}

fn boundary(text: &str, place: usize) -> bool {
    let word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = text.as_bytes();
    !(place > 0 && word(bytes.get(place - 1)) && word(bytes.get(place)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word, exponential.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => slow(&pattern[1..], text) || (!text.is_empty() && slow(pattern, &text[1..])),
            (Some('?'), Some(_)) => slow(&pattern[1..], &text[1..]),
            (Some(a), Some(b)) => a == b && slow(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_it_says(pattern in "[ab?*é]{0,6}", text in "[abé]{0,8}") {
            prop_assert_eq!(Glob::new(&pattern).matches(&text), slow(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn words_match_between_boundaries(pattern in "[ab?* é]{1,5}", text in "[ab é_]{0,7}") {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let expected = places.iter().flat_map(|s| places.iter().map(move |e| (*s, *e))).any(|(s, e)| {
                s <= e && boundary(&text, s) && boundary(&text, e) && slow(&chars(&pattern), &chars(&text[s..e]))
            });
            prop_assert_eq!(Glob::new(&pattern).matches_words(&text), expected, "{} {}", pattern, text);
        }
    }

    #[test]
    fn the_specification_s_examples() {
        for (text, matches) in
            [("an example event.", true), ("exple", true), ("an exciting triple-whammy", true), ("unexampled", false)]
        {
            assert_eq!(Glob::new("ex*ple").matches_words(text), matches, "{text}");
        }
        assert!(Glob::new("").matches("") && !Glob::new("").matches("a"));
        assert!(Glob::literal("a*").matches("a*") && !Glob::literal("a*").matches("ab"));
    }

    #[test]
    fn hostile_patterns_cost_little() {
        let text = "a".repeat(60_000);
        for pattern in ["*a".repeat(250) + "b", "a?".repeat(125) + "b", "*?".repeat(250)] {
            let glob = Glob::new(&pattern);
            assert_eq!(glob.matches(&text), pattern.ends_with('?'));
            assert_eq!(glob.matches_words(&text), pattern.ends_with('?'));
        }
    }
}
