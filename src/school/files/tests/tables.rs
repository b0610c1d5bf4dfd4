use super::*;

const PEOPLE: &str = "Vorname,Nachname,Rolle\r\nÄnne,Beispiel,Lehrkraft\r\n";

#[track_caller]
fn reads_aenne(bytes: impl AsRef<[u8]>) -> ReadOutcome {
    let outcome = read_file(bytes);
    assert_eq!(roster(&outcome).people.values().next().unwrap().given, "Änne");
    outcome
}

fn utf_16(text: &str, mark: bool, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = mark.then_some(0xfeff).into_iter();
    mark.chain(text.encode_utf16()).flat_map(bytes_of).collect()
}

#[test]
fn every_usual_encoding_is_read() {
    assert_eq!(warnings(&reads_aenne(PEOPLE)), [""; 0]);
    assert_eq!(warnings(&reads_aenne(format!("\u{feff}{PEOPLE}"))), [""; 0]);
    for mark in [true, false] {
        for bytes_of in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(warnings(&reads_aenne(utf_16(PEOPLE, mark, bytes_of))), ["people.csv:: encoding"]);
        }
    }
    let latin = encoding_rs::WINDOWS_1252.encode(PEOPLE).0.into_owned();
    assert_eq!(warnings(&reads_aenne(latin)), ["people.csv:: encoding"]);
}

#[test]
fn an_encoding_nobody_can_tell_is_an_error_with_its_line() {
    let mut both = format!("{PEOPLE}Kurt,Groß,Lehrkraft\n").into_bytes();
    both.extend(b"J\xf6rg,Muster,Lehrkraft\n");
    assert_eq!(errors(&read_file(both)), ["people.csv:4: bad_encoding"]);
    assert_eq!(
        errors(&read_file(b"Vorname,Nachname,Rolle\nJ\x81rg,Muster,Lehrkraft\n")),
        ["people.csv:2: bad_encoding"]
    );
    let mut broken = utf_16(PEOPLE, true, u16::to_le_bytes);
    broken.extend([0x00, 0xd8, 0x41, 0x00]);
    assert_eq!(errors(&read_file(broken)), ["people.csv:3: bad_encoding"]);
    // A character cut off at the end of the file.
    assert_eq!(errors(&read_file([PEOPLE.as_bytes(), b"K\xc3"].concat())), ["people.csv:3: bad_encoding"]);
}

#[test]
fn an_encoding_is_told_by_the_whole_file() {
    let mut text = PEOPLE.replace('Ä', "A").into_bytes();
    for number in 0..20_000 {
        text.extend(format!("Anna,Nummer{number},Lehrkraft\r\n").into_bytes());
    }
    text.extend(b"J\xf6rg,Muster,Lehrkraft\r\n");
    let outcome = read_file(&text);
    assert!(roster(&outcome).people.values().any(|person| person.given == "Jörg"));
    // Characters that lie across the borders of what is read at once.
    for shift in 0..8 {
        let text = format!(
            "Vorname,Nachname,Rolle\n{}\n{}",
            "x".repeat(shift) + ",y,Lehrkraft",
            "ß€𝄞,Z,Lehrkraft\n".repeat(9_000)
        );
        let text = text.replacen("ß€𝄞,Z", "ß€𝄞,Zuletzt", 1);
        let outcome = read_file(&text);
        assert!(
            outcome.problems.iter().all(|problem| problem.code != "bad_encoding" && problem.code != "encoding"),
            "{shift}"
        );
    }
}

#[test]
fn lines_are_those_of_the_file() {
    for end in ["\n", "\r\n", "\r"] {
        let lines = [
            "Vorname,Nachname,Rolle",
            "",
            "\"An\nna\",\"x\n\ny\",Lehrkraft",
            ",,",
            "",
            "Bert,Muster,Zauberer",
            "",
            "Carl,Muster,Hexer",
        ];
        let outcome = read_file(lines.join("\n").replace('\n', end));
        assert_eq!(
            errors(&outcome),
            ["people.csv:9:Rolle unknown_role", "people.csv:11:Rolle unknown_role"],
            "{end:?}"
        );
    }
}

#[test]
fn separators_are_found() {
    for text in [
        PEOPLE.replace(',', ";"),
        PEOPLE.replace(',', "\t"),
        format!("sep=;\r\n{}", PEOPLE.replace(',', ";")),
        "\"An;mer;kung\",Nachname,Vorname,Rolle\n-,Beispiel,Änne,Lehrkraft".to_owned(),
        PEOPLE.replace("\r\n", ",,,\r\n"),
    ] {
        reads_aenne(text);
    }
    let outcome = read_file("sep=;\nVorname;Nachname;Rolle\nA;B;Hexer\n");
    assert_eq!(errors(&outcome), ["people.csv:3:Rolle unknown_role"]);
}

#[test]
fn columns_are_found_by_their_names_in_any_order_and_case() {
    reads_aenne("metadata.x, ROLLE ,\u{200b}nachname,Vorname\nx,lehrkraft,Beispiel,\u{a0}Änne \n");
    let outcome = school_11().with("orgs.csv", "TYPE, sourcedid ,NAME\nSchool,o1,\" A \"\n").read();
    assert_eq!(roster(&outcome).orgs["o1"].name, "A");
}

#[test]
fn a_missing_column_is_named_with_the_nearest_one() {
    let outcome = school_11().with("enrollments.csv", "sourcedId,classSourceId,userSourcedId,role\n").read();
    assert_eq!(errors(&outcome), ["enrollments.csv:1:classSourcedId missing_column"]);
    assert!(outcome.problems[0].hint.contains("\"classSourceId\""));
    assert_eq!(errors(&school_11().with("orgs.csv", "").read())[0], "orgs.csv:1: no_header");
    let outcome = school_11().with("orgs.csv", "sourcedId,name,name\no1,A,B\n").read();
    assert_eq!(errors(&outcome)[0], "orgs.csv:1:name duplicate_column");
}

#[test]
fn ragged_rows_are_told() {
    let outcome = read_file(
        "Vorname,Nachname,Rolle,Klasse\nA,B,Lehrkraft\nC,D,Lehrkraft\nE,F,Lehrkraft,5a,5b\nG,H,Lehrkraft,5a,,\n",
    );
    assert_eq!(errors(&outcome), ["people.csv:4: too_many_cells"]);
    assert_eq!(warnings(&outcome), ["people.csv:2: too_few_cells"]);
}

#[test]
fn cells_that_are_damaged_are_told() {
    let long = "x".repeat(5_000);
    let outcome = school_11()
        .with("orgs.csv", format!("sourcedId,name,type,metadata.x\n o1 ,A,school,{long}\n,B,school,\no\u{1}3,B,school,\no4,B\0,school,\no5,{long},school,\n{},B,school,\n", "y".repeat(300)))
        .read();
    assert_eq!(
        errors(&outcome),
        [
            "orgs.csv:3:sourcedId empty_id",
            "orgs.csv:4:sourcedId bad_id",
            "orgs.csv:5:name nul_byte",
            "orgs.csv:6:name cell_too_long",
            "orgs.csv:7:sourcedId bad_id",
        ]
    );
}

#[test]
fn a_quote_that_is_not_closed_is_found_where_it_opens() {
    let outcome = read_file("Vorname,Nachname,Rolle\nA,B,Lehrkraft\nC,\"D,Lehrkraft\nE,F,Lehrkraft\n");
    assert_eq!(errors(&outcome), ["people.csv:3: unclosed_quote"]);
    let rows = "E,F,Lehrkraft\n".repeat(200_000);
    let outcome = read_file(format!("Vorname,Nachname,Rolle\nC,\"D,Lehrkraft\n{rows}"));
    assert_eq!(errors(&outcome), ["people.csv:2: row_too_long"]);
}

#[test]
fn problems_are_counted_and_only_so_many_are_kept() {
    let outcome = read_file(format!("Vorname,Nachname,Rolle\n{}", "A,B,Hexer\n".repeat(3_000)));
    assert_eq!((outcome.errors, outcome.problems.len()), (3_000, 1_001));
    assert_eq!(outcome.problems[1_000].message, "2000 more errors are not listed");
}

#[test]
fn dates_and_flags_are_read_as_they_are_written() {
    let enrollments = "sourcedId,classSourcedId,userSourcedId,role,primary,beginDate,endDate\n\
        e1,5a,t1,Teacher,TRUE,2026-08-01T00:00:00Z,01.02.2027\ne2,5a,s1,STUDENT,0,2026-08-01T00:00:00Z,2026-07-01\n";
    let outcome = school_11().with("enrollments.csv", enrollments).read();
    let enrollment = &roster(&outcome).enrollments["e1"];
    assert!(enrollment.primary);
    assert_eq!(enrollment.period.end.unwrap().to_string(), "2027-02-01");
    assert_eq!(
        warnings(&outcome),
        [
            "enrollments.csv:2:beginDate odd_date",
            "enrollments.csv:2:endDate odd_date",
            "enrollments.csv:3:endDate ends_before_it_begins"
        ]
    );
}
