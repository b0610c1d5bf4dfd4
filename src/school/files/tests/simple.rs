use super::*;
use crate::school::roster::{EnrollmentRole, Relation, SchoolRole};

const GERMAN: &str = "Vorname;Nachname;Rolle;Klasse(n);E-Mail;Kinder;Erziehungsberechtigte\n\
    Emil;Beispiel;Schüler;5a, AG Chor;emil@example.org;;\n\
    Änne;Groß;Schüler/in;5 A;;;Muster, Otto\n\
    Dora;Beispiel;Mutter;;dora@example.org;Emil Beispiel;\n\
    Otto;Muster;Großvater;;;;\n\
    Karl;Muster;Lehrkraft, Eltern;5a, 6b*;karl@example.org;Änne Groß;\n\
    Sara;Muster;Schulsozialarbeit;5a;;;\n\
    Hanna;Muster;Schulleitung;;;;\n";

#[test]
fn a_german_file_is_read() {
    let outcome = read_file(GERMAN);
    let roster = roster(&outcome);
    assert_eq!(warnings(&outcome), [""; 0]);
    assert_eq!(outcome.bundle.as_ref().unwrap().format, "simple-csv");
    assert_eq!(roster.orgs["school"].name, "Beispielschule");
    let pupil = &roster.people["emil.beispiel"];
    assert_eq!((pupil.grade.as_deref(), pupil.email.as_deref()), (Some("5"), None));
    assert_eq!(roster.people["karl.muster"].email.as_deref(), Some("karl@example.org"));
    let homerooms: Vec<_> =
        roster.classes.iter().map(|(id, class)| (id.as_str(), class.title.as_str(), class.homeroom)).collect();
    assert_eq!(homerooms, [("5a", "5a", true), ("6b", "6b", false), ("agchor", "AG Chor", false)]);
    // The only teacher of a homeroom is its tutor; one who is marked is anyway.
    assert!(
        roster.enrollments["5a/karl.muster/teacher"].primary && roster.enrollments["6b/karl.muster/teacher"].primary
    );
    assert_eq!(roster.enrollments["5a/sara.muster/aide"].role, EnrollmentRole::Aide);
    assert_eq!(roster.roles["sara.muster/school/counselor"].role, SchoolRole::Staff);
    assert_eq!(roster.roles["karl.muster/school/parent"].role, SchoolRole::Guardian);
    let links: Vec<_> = roster.links.iter().map(|(id, link)| (id.as_str(), link.relation, link.contact)).collect();
    assert_eq!(
        links,
        [
            ("aenne.gross/karl.muster", Relation::Parent, true),
            ("aenne.gross/otto.muster", Relation::Relative, false),
            ("emil.beispiel/dora.beispiel", Relation::Parent, true),
        ]
    );
}

#[test]
fn an_english_file_with_ids_is_read() {
    let text = "id,First name,Last name,Role,Class,Email,Children,Tutor,Grade\n\
        1,Emil,Beispiel,pupil,5a,,,,\n2,Emil,Beispiel,pupil,5b,,,,5\n3,Dora,Beispiel,guardian,,,\"1;Emil Beispiel (5b)\",,\n4,Karl,Muster,teacher,,,2,5b,\n5,Lea,Muster,teacher,5b,,,,\n";
    let outcome = read_file(text);
    let roster = roster(&outcome);
    assert_eq!(roster.links.keys().collect::<Vec<_>>(), ["1/3", "2/3", "2/4"]);
    assert!(roster.enrollments["5b/4/teacher"].primary && !roster.enrollments["5b/5/teacher"].primary);
    // A teacher who lists children is a parent.
    assert!(roster.roles.contains_key("4/school/parent"));
}

#[test]
fn the_same_names_give_the_same_ids_whatever_else_changes() {
    let ids = |text: &str| roster(&read_file(text)).people.keys().cloned().collect::<Vec<_>>();
    let later = GERMAN.replace("5a", "6a").replace("dora@", "d.beispiel@");
    assert_eq!(ids(GERMAN), ids(&later));
}

#[test]
fn people_with_the_same_name_are_told_apart_or_it_is_an_error() {
    let text = "Given,Family,Role,Class,Email\nAnna,Schmidt,pupil,5a,\nAnna,Schmidt,pupil,5b,\nAnna,Schmidt,teacher,5a,anna@example.org\n";
    let outcome = read_file(text);
    assert_eq!(
        roster(&outcome).people.keys().collect::<Vec<_>>(),
        ["anna.schmidt/5a", "anna.schmidt/5b", "anna.schmidt/annaexampleorg"]
    );
    assert_eq!(warnings(&outcome).len(), 3);
    let outcome = read_file(format!("{text}Anna,Schmidt,pupil,5b,\n"));
    assert_eq!(errors(&outcome), ["people.csv:5: ambiguous_person"]);
    assert_eq!(
        errors(&read_file("id,Given,Family,Role\n1,A,B,pupil\n1,C,D,pupil\n")),
        ["people.csv:3:id duplicate_id"]
    );
}

#[test]
fn names_that_nobody_has_or_several_have_are_errors() {
    let text = "Given,Family,Role,Class,Children\nEmil,Beispiel,pupil,5a,\nEmil,Beispiel,pupil,5b,\nDora,Beispiel,parent,,Emil Beispiel\nOtto,Muster,parent,,Nobody Atall\nKarl,Muster,teacher,,Dora Beispiel\n";
    assert_eq!(
        errors(&read_file(text)),
        [
            "people.csv:4:Children ambiguous_reference",
            "people.csv:5:Children dangling_reference",
            "people.csv:6:Children dangling_reference"
        ]
    );
}

#[test]
fn several_people_in_a_cell_are_found_however_they_are_separated() {
    for cell in ["A B;C D", "\"A B, C D\"", "\"B, A; D, C\"", "A B | D C", "\"A B\nC D\""] {
        let outcome = read_file(format!("Given,Family,Role,Children\nA,B,pupil,\nC,D,pupil,\nE,F,parent,{cell}\n"));
        assert_eq!(roster(&outcome).links.len(), 2, "{cell}");
    }
}

#[test]
fn rows_that_cannot_be_are_told() {
    let text = "Vorname;Nachname;Rolle;Klasse;Kinder\n;;Eltern;;\nA;B;;;\nC;D;Eltern;5a;\nE;F;Schüler;5a;G H\n";
    let outcome = read_file(text);
    assert_eq!(
        errors(&outcome),
        ["people.csv:2:Vorname missing_value", "people.csv:3:Rolle missing_value", "people.csv:5:Kinder wrong_column"]
    );
    assert_eq!(warnings(&outcome), ["people.csv:4:Klasse not_in_class", "people.csv:4:Kinder no_child"]);
    assert_eq!(errors(&read_file("Vorname;Klasse\nA;5a\n")), ["people.csv:1:family missing_column"]);
    assert_eq!(errors(&read_file("Vorname;Nachname;Rang\nA;B;5a\n")), ["people.csv:1:role missing_column"]);
}

#[test]
fn a_single_name_is_taken_apart() {
    let outcome = read_file("Name;Rolle\nBeispiel, Emil;Schüler\nOtto Max Muster;Lehrer\n");
    let names: Vec<_> =
        roster(&outcome).people.values().map(|person| (person.given.as_str(), person.family.as_str())).collect();
    assert_eq!(names, [("Emil", "Beispiel"), ("Otto Max", "Muster")]);
}
