//! Whether two names may be those of one person.

use std::collections::HashSet;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use crate::school::roster::Person;

/// Words that are in the names of many.
const PARTICLES: [&str; 16] =
    ["al", "da", "das", "de", "del", "den", "der", "di", "do", "dos", "du", "el", "la", "van", "von", "zu"];

/// A name without case and accents, to compare it with another.
pub fn fold_name(name: &str) -> String {
    name.nfkd().filter(|letter| !is_combining_mark(*letter)).flat_map(char::to_lowercase).collect()
}

/// The words of a name that tell people apart, without case and accents.
pub fn words(name: &str) -> HashSet<String> {
    let name = fold_name(name);
    let words = name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.filter(|word| !PARTICLES.contains(word)).map(str::to_owned).collect()
}

/// Whether a row has become somebody else's: no word of the name is what it was, neither of the given name nor of the
/// family name. Who marries keeps one of them, and so does whose columns were mixed up. Whose name is not known is not
/// known to be somebody else.
pub(super) fn is_another(before: &Person, after: &Person) -> bool {
    let (was, is) = (words(&whole(before)), words(&whole(after)));
    !was.is_empty() && !is.is_empty() && was.is_disjoint(&is)
}

/// Given and family name.
pub(super) fn whole(person: &Person) -> String {
    format!("{} {}", person.given.trim(), person.family.trim()).trim().to_owned()
}
