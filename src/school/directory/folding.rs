//! Names and queries as plain words, so that people are found however their names are typed.
//!
//! A word loses its case and its accents. German umlauts have two plain forms, `a` and `ae`: a name is kept under both
//! and a query looks for both, so Müller, Muller and Mueller are found by any way of writing them. Hyphens,
//! apostrophes and dots part a word; its parts put together again count too (`O'Hara`, `ohara`).

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// The longest query, in characters.
pub(super) const QUERY_CHARS_MAX: usize = 256;
/// Most words of a query.
pub(super) const QUERY_WORDS_MAX: usize = 12;
/// Most parts of one word; what follows is taken as one part.
const PARTS_MAX: usize = 8;

/// One way to write a word plainly, and the other if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forms {
    /// With `ä` as `a`.
    pub(super) plain: String,
    /// With `ä` as `ae`, where that differs.
    pub(super) long: Option<String>,
}

impl Forms {
    fn of(word: &str) -> Self {
        let (mut plain, mut long) = (String::with_capacity(word.len()), String::with_capacity(word.len() + 2));
        for c in word.nfkc().flat_map(char::to_lowercase).nfc() {
            if let Some((short_form, long_form)) = letters(c) {
                plain.push_str(short_form);
                long.push_str(long_form);
                continue;
            }
            for part in std::iter::once(c).nfkd().filter(|part| !is_combining_mark(*part)) {
                plain.push(part);
                long.push(part);
            }
        }
        let long = (long != plain).then_some(long);
        Self { plain, long }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.plain.as_str()).chain(self.long.as_deref())
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }
}

/// Letters that have no accent to lose, or two plain forms.
fn letters(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        'ä' => ("a", "ae"),
        'ö' | 'ø' => ("o", "oe"),
        'ü' => ("u", "ue"),
        'å' => ("a", "aa"),
        'ß' => ("ss", "ss"),
        'æ' => ("ae", "ae"),
        'œ' => ("oe", "oe"),
        'þ' => ("th", "th"),
        'ð' | 'đ' => ("d", "d"),
        'ł' => ("l", "l"),
        'ħ' => ("h", "h"),
        'ı' => ("i", "i"),
        'ŋ' => ("n", "n"),
        'ŧ' => ("t", "t"),
        'ə' => ("e", "e"),
        _ => return None,
    })
}

/// A word between spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// What lies between hyphens, apostrophes and the like.
    pub(super) parts: Vec<Forms>,
    /// The parts as one, if there are several.
    pub(super) whole: Option<Forms>,
}

/// The words of a text that have any letter or digit.
pub(super) fn words(text: &str) -> impl Iterator<Item = Word> {
    text.split_whitespace().filter_map(|word| {
        // A combining mark belongs to its letter, though it is none itself.
        let parts = word.splitn(PARTS_MAX, |c: char| !c.is_alphanumeric() && !is_combining_mark(c));
        let kept = |c: &char| c.is_alphanumeric() || is_combining_mark(*c);
        let parts: Vec<String> = parts.map(|part| part.chars().filter(kept).collect()).collect();
        let whole = Forms::of(&parts.concat());
        let parts: Vec<Forms> = parts.iter().map(|part| Forms::of(part)).filter(|part| !part.is_empty()).collect();
        let several = parts.len() > 1;
        (!parts.is_empty()).then(|| Word { parts, whole: several.then_some(whole) })
    })
}

/// What names are sorted by: family name, given name, plainly written.
pub(super) fn sort_key(family: &str, given: &str) -> String {
    let plain = |text: &str| Forms::of(text).plain;
    format!("{}\u{1}{}", plain(family), plain(given))
}

/// A query too long to be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// What somebody looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// All of these have to match.
    pub(super) words: Vec<Word>,
    /// What it means as the beginning of a localpart, in lower case.
    pub(super) localpart: Option<String>,
}

impl Query {
    /// Reads a query; `None` for one that asks for everybody.
    ///
    /// # Errors
    /// It is longer than [`QUERY_CHARS_MAX`] or has more words than [`QUERY_WORDS_MAX`].
    pub(super) fn read(text: &str, server: &str) -> Result<Option<Self>, TooLong> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if text.chars().take(QUERY_CHARS_MAX + 1).count() > QUERY_CHARS_MAX {
            return Err(TooLong);
        }
        let words: Vec<Word> = words(text).take(QUERY_WORDS_MAX + 1).collect();
        if words.len() > QUERY_WORDS_MAX {
            return Err(TooLong);
        }
        Ok(Some(Self { words, localpart: localpart(text, server) }))
    }
}

impl Query {
    /// Whether it means somebody of this name and localpart, and then whether the name has all its words whole.
    pub(super) fn matches(&self, name: &str, localpart: &str) -> Option<bool> {
        if let Some(begin) = &self.localpart
            && localpart.starts_with(begin.as_str())
        {
            return Some(localpart == begin);
        }
        let names: Vec<Forms> = words(name).flat_map(|word| word.parts.into_iter().chain(word.whole)).collect();
        let mut exact = !self.words.is_empty();
        for word in &self.words {
            let parts = word.parts.iter().map(|part| has(&names, part)).min();
            let whole = word.whole.as_ref().map(|whole| has(&names, whole));
            match parts.max(whole) {
                None | Some(Has::Not) => return None,
                Some(found) => exact &= found == Has::Whole,
            }
        }
        (!self.words.is_empty()).then_some(exact)
    }
}

/// How a name has a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Has {
    Not,
    Begun,
    Whole,
}

fn has(names: &[Forms], wanted: &Forms) -> Has {
    let pairs = names.iter().flat_map(Forms::iter).flat_map(|name| wanted.iter().map(move |form| (name, form)));
    let how = |(name, form): (&str, &str)| match name.strip_prefix(form) {
        Some("") => Has::Whole,
        Some(_) => Has::Begun,
        None => Has::Not,
    };
    pairs.map(how).max().unwrap_or(Has::Not)
}

/// The localpart that a whole or begun user id means.
fn localpart(text: &str, server: &str) -> Option<String> {
    let id = text.strip_prefix('@').unwrap_or(text).to_lowercase();
    let (localpart, rest) = id.split_once(':').map_or((id.as_str(), ""), |(localpart, rest)| (localpart, rest));
    let meant = !localpart.is_empty() && !localpart.contains(char::is_whitespace) && server.starts_with(rest);
    meant.then(|| localpart.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    fn forms(word: &str) -> Vec<String> {
        words(word)
            .flat_map(|word| word.parts.into_iter().chain(word.whole))
            .flat_map(|forms| forms.iter().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn words_lose_case_and_accents() {
        for (word, expected) in [
            ("Müller", vec!["muller", "mueller"]),
            ("Mu\u{308}ller", vec!["muller", "mueller"]),
            ("MÜLLER", vec!["muller", "mueller"]),
            ("Mueller", vec!["mueller"]),
            ("Weiß", vec!["weiss"]),
            ("WEIẞ", vec!["weiss"]),
            ("Łukasz", vec!["lukasz"]),
            ("Søren", vec!["soren", "soeren"]),
            ("Åse", vec!["ase", "aase"]),
            ("Đorđe", vec!["dorde"]),
            ("Þóra", vec!["thora"]),
            ("Çağlar", vec!["caglar"]),
            ("Işıl", vec!["isil"]),
            ("İpek", vec!["ipek"]),
            ("Nguyễn", vec!["nguyen"]),
            ("Zoë", vec!["zoe"]),
            ("Ｆｕｌｌ", vec!["full"]),
            ("Hans-Peter", vec!["hans", "peter", "hanspeter"]),
            ("O'Hara", vec!["o", "hara", "ohara"]),
            ("O’Hara", vec!["o", "hara", "ohara"]),
            ("von der Aue", vec!["von", "der", "aue"]),
            ("Dr.", vec!["dr"]),
            ("Ирина", vec!["ирина"]),
            ("王", vec!["王"]),
            ("--", vec![]),
        ] {
            assert_eq!(forms(word), expected, "{word}");
        }
    }

    #[test]
    fn queries_are_bounded() {
        assert_eq!(Query::read("  ", "s").unwrap(), None);
        assert!(Query::read(&"a".repeat(QUERY_CHARS_MAX), "s").is_ok());
        assert_eq!(Query::read(&"a".repeat(QUERY_CHARS_MAX + 1), "s"), Err(TooLong));
        assert_eq!(Query::read(&"a ".repeat(QUERY_WORDS_MAX + 1), "s"), Err(TooLong));
        assert!(words(&"a-".repeat(100)).all(|word| word.parts.len() <= PARTS_MAX));
    }

    #[test]
    fn whole_and_begun_user_ids_mean_a_localpart() {
        let localpart = |text| Query::read(text, "school.example").unwrap().unwrap().localpart;
        assert_eq!(localpart("@A.Keller:school.example").as_deref(), Some("a.keller"));
        assert_eq!(localpart("@a.kel").as_deref(), Some("a.kel"));
        assert_eq!(localpart("a.keller:sch").as_deref(), Some("a.keller"));
        assert_eq!(localpart("@a.keller:elsewhere.example"), None);
        assert_eq!(localpart("anna keller"), None);
    }
}
