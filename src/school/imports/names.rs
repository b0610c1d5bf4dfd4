//! Readable names of accounts, for those who work at the school.

use unicode_normalization::UnicodeNormalization as _;

pub(super) use crate::school::reconcile::fold_name;

/// The longest family name in a user id, in characters.
const FAMILY_MAX: usize = 40;

/// Names that sound as if the server or the school itself spoke.
const RESERVED: [&str; 22] = [
    "abuse",
    "admin",
    "administrator",
    "all",
    "everyone",
    "head",
    "help",
    "homeroom",
    "hostmaster",
    "info",
    "mail",
    "moderator",
    "noreply",
    "office",
    "postmaster",
    "root",
    "school",
    "security",
    "server",
    "support",
    "system",
    "webmaster",
];

/// The local part for a person, such as `a.keller`: the first letter of the given name, and the family name. `None` when
/// nothing of the family name can be written with the letters of user ids.
pub(super) fn readable(given: &str, family: &str) -> Option<String> {
    let family: String = folded(family).chars().take(FAMILY_MAX).collect();
    let family = family.trim_matches('-');
    if family.is_empty() {
        return None;
    }
    let name = match folded(given).chars().find(char::is_ascii_alphanumeric) {
        Some(initial) => format!("{initial}.{family}"),
        None => family.to_owned(),
    };
    (!is_reserved(&name)).then_some(name)
}

/// Whether nobody of a roster gets this name.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether two given names may be those of one person whose family name is the same: one may be short for the other.
pub(super) fn alike(a: (&str, &str), b: (&str, &str)) -> bool {
    let (given, other) = (fold_name(a.0), fold_name(b.0));
    given == other || (fold_name(a.1) == fold_name(b.1) && given.chars().next() == other.chars().next())
}

/// The letters of a name as they stand in a user id: lower case, umlauts written out, other accents dropped, spaces and
/// apostrophes too, hyphens kept.
fn folded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for letter in name.nfc().flat_map(char::to_lowercase) {
        match letter {
            'ä' | 'æ' => text.push_str("ae"),
            'ö' | 'ø' | 'œ' => text.push_str("oe"),
            'ü' => text.push_str("ue"),
            'å' => text.push_str("aa"),
            'ß' => text.push_str("ss"),
            'þ' => text.push_str("th"),
            'ð' | 'đ' => text.push('d'),
            'ł' => text.push('l'),
            'ħ' => text.push('h'),
            'ı' => text.push('i'),
            '-' | '\u{2010}' | '\u{2011}' if !text.ends_with('-') => text.push('-'),
            other => text.extend(std::iter::once(other).nfkd().filter(char::is_ascii_alphanumeric)),
        }
    }
    text.to_ascii_lowercase()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_with_the_letters_of_user_ids() {
        for (given, family, expected) in [
            ("Anna", "Keller", Some("a.keller")),
            ("Änne", "Müller", Some("a.mueller")),
            ("A\u{308}nne", "Mu\u{308}ller", Some("a.mueller")),
            ("Karl", "Groß", Some("k.gross")),
            ("Zoë", "O'Neill", Some("z.oneill")),
            ("Hans", "von der Heide", Some("h.vonderheide")),
            ("Eva", "Lang-Kurz", Some("e.lang-kurz")),
            ("Łukasz", "Śliwiński", Some("l.sliwinski")),
            ("Søren", "Ærø", Some("s.aeroe")),
            ("", "Cher", Some("cher")),
            ("Иван", "Петров", None),
            ("明", "李", None),
            ("Anna", "", None),
            ("", "Admin", None),
            ("İpek", "Yıldız", Some("i.yildiz")),
        ] {
            // An `ä` at the beginning gives its first letter.
            assert_eq!(readable(given, family).as_deref(), expected, "{given} {family}");
        }
        assert!(readable("A", &"x".repeat(500)).unwrap().len() < 50);
    }

    #[test]
    fn two_records_may_be_one_person_only_if_the_names_may() {
        assert!(alike(("Jörg", "Blau"), ("jorg", "Rot")));
        assert!(alike(("J.", "Blau"), ("Jörg", "BLAU")));
        assert!(!alike(("Jörg", "Blau"), ("Anna", "Blau")));
    }
}
