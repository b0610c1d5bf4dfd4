//! Headers and roles in both languages.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::school::roster::{Relation, SchoolRole};

/// A text without what people write differently: case, accents, spaces, signs. `Müller-Lüdenscheidt` is
/// `muellerluedenscheidt`.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.nfc().flat_map(char::to_lowercase) {
        match c {
            'ä' => folded.push_str("ae"),
            'ö' => folded.push_str("oe"),
            'ü' => folded.push_str("ue"),
            'ß' => folded.push_str("ss"),
            c => folded.extend(std::iter::once(c).nfd().filter(|c| c.is_alphanumeric() && !is_combining_mark(*c))),
        }
    }
    folded
}

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Id,
    Given,
    Family,
    /// Both names in one.
    Name,
    Role,
    Classes,
    Tutor,
    Grade,
    Email,
    Children,
    Guardians,
    BirthYear,
}

/// The meaning of a header.
pub(super) fn meaning(header: &str) -> Option<Meaning> {
    Some(match fold(header).as_str() {
        "id" | "sourcedid" | "sourceid" | "personid" | "kennung" | "nummer" | "schuelernummer" | "schuelerid"
        | "personalnummer" => Meaning::Id,
        "given" | "givenname" | "firstname" | "first" | "forename" | "vorname" | "vornamen" | "rufname" => {
            Meaning::Given
        }
        "family" | "familyname" | "lastname" | "last" | "surname" | "nachname" | "familienname" | "zuname" => {
            Meaning::Family
        }
        "name" | "fullname" => Meaning::Name,
        "role" | "roles" | "rolle" | "rollen" | "funktion" | "typ" | "type" => Meaning::Role,
        "class" | "classes" | "klasse" | "klassen" | "lerngruppe" | "lerngruppen" | "kurse" => Meaning::Classes,
        "tutor" | "tutorof" | "homeroom" | "klassenleitung" | "klassenlehrer" | "klassenlehrerin"
        | "klassenlehrkraft" => Meaning::Tutor,
        "grade" | "year" | "stufe" | "jahrgang" | "jahrgangsstufe" | "klassenstufe" => Meaning::Grade,
        "email" | "emailaddress" | "mail" | "emailadresse" | "mailadresse" => Meaning::Email,
        "child" | "children" | "kind" | "kinder" => Meaning::Children,
        "guardian"
        | "guardians"
        | "parent"
        | "parents"
        | "eltern"
        | "elternteil"
        | "elternteile"
        | "erziehungsberechtigte"
        | "erziehungsberechtigter"
        | "erziehungsberechtigten"
        | "sorgeberechtigte"
        | "sorgeberechtigter" => Meaning::Guardians,
        "birthyear" | "yearofbirth" | "geburtsjahr" => Meaning::BirthYear,
        _ => return None,
    })
}

/// A role in words: what it is, what it is called if that says more, and what a guardian is to the child.
pub(super) fn role(word: &str) -> Option<(SchoolRole, Option<&'static str>, Relation)> {
    let parent = Some((SchoolRole::Guardian, Some("parent"), Relation::Parent));
    let other = |role, title| Some((role, title, Relation::Other));
    match fold(word).as_str() {
        "student" | "students" | "pupil" | "learner" | "schueler" | "schuelerin" | "schuelerinnen" | "lernende"
        | "lernender" | "sus" | "s" => other(SchoolRole::Student, None),
        "parent" | "parents" | "mother" | "father" | "eltern" | "elternteil" | "mutter" | "vater" => parent,
        "guardian"
        | "legalguardian"
        | "erziehungsberechtigte"
        | "erziehungsberechtigter"
        | "erziehungsberechtigt"
        | "sorgeberechtigte"
        | "sorgeberechtigter"
        | "vormund" => Some((SchoolRole::Guardian, None, Relation::Guardian)),
        "relative" | "grandparent" | "verwandte" | "verwandter" | "grosseltern" | "grossmutter" | "grossvater"
        | "oma" | "opa" => Some((SchoolRole::Guardian, Some("relative"), Relation::Relative)),
        "teacher" | "teachers" | "lehrer" | "lehrerin" | "lehrkraft" | "lehrkraefte" | "lehrperson" | "l" => {
            other(SchoolRole::Teacher, None)
        }
        "aide" | "assistant" | "schulbegleitung" | "schulbegleiter" | "schulbegleiterin" | "integrationshilfe" => {
            other(SchoolRole::Staff, Some("aide"))
        }
        "counselor"
        | "counsellor"
        | "schulsozialarbeit"
        | "schulsozialarbeiter"
        | "schulsozialarbeiterin"
        | "beratung" => other(SchoolRole::Staff, Some("counselor")),
        "office" | "secretary" | "sekretariat" | "sekretaer" | "sekretaerin" => {
            other(SchoolRole::Staff, Some("office"))
        }
        "staff" | "mitarbeiter" | "mitarbeiterin" | "mitarbeitende" | "personal" | "verwaltung" | "hausmeister"
        | "hausmeisterin" => other(SchoolRole::Staff, None),
        "principal" | "head" | "headteacher" | "schulleitung" | "schulleiter" | "schulleiterin" | "rektor"
        | "rektorin" | "direktor" | "direktorin" => other(SchoolRole::Leadership, Some("principal")),
        "leadership"
        | "administrator"
        | "deputyhead"
        | "konrektor"
        | "konrektorin"
        | "stellvertretendeschulleitung" => other(SchoolRole::Leadership, None),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_however_they_are_written() {
        for word in ["Schüler/in", "SCHÜLERIN", "Schu\u{308}ler*in", "Schueler:in", "pupil"] {
            assert_eq!(role(word).map(|(role, ..)| role), Some(SchoolRole::Student), "{word}");
        }
        assert_eq!(meaning("Klasse(n)"), Some(Meaning::Classes));
        assert_eq!(meaning("E-Mail"), Some(Meaning::Email));
        assert_eq!(fold("Renée Großmann"), "reneegrossmann");
    }
}
