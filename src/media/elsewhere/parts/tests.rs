use http::HeaderValue;

use super::*;

const KIND: &str = "multipart/mixed; boundary=line";

/// An answer in pieces of that many bytes: its content and what is said of it.
fn taken_apart(kind: &str, answer: &[u8], piece: usize) -> Result<(Head, Vec<u8>), NotParts> {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap())]);
    let mut parts = Parts::new(&headers)?;
    let mut content = Vec::new();
    for piece in answer.chunks(piece) {
        content.extend(parts.read(piece)?);
        assert!(parts.buffer.len() <= FRONT_BYTES_MAX.max(piece.len()));
    }
    Ok((parts.finish()?, content))
}

/// The same, however it is cut.
fn same_in_any_pieces(answer: &[u8]) -> Result<(Head, Vec<u8>), NotParts> {
    let whole = taken_apart(KIND, answer, answer.len().max(1));
    for piece in 1..answer.len() {
        let cut = taken_apart(KIND, answer, piece);
        assert_eq!(cut.as_ref().ok(), whole.as_ref().ok(), "in pieces of {piece}");
    }
    whole
}

fn described(content_type: Option<&str>, file_name: Option<&str>) -> Head {
    Head { content_type: content_type.map(str::to_owned), file_name: file_name.map(str::to_owned), location: None }
}

#[test]
fn content_is_found_in_whatever_pieces_it_comes() {
    let about = "--line\r\nContent-Type: application/json\r\n\r\n{}";
    let fields = "content-TYPE: text/plain  \r\nContent-Disposition: attachment; filename=\"a b.txt\"\r\n";
    for (answer, head, content) in [
        (format!("\r\n{about}\r\n--line\r\n{fields}\r\nsome text\r\n--line--\r\n"), true, "some text"),
        (format!("{about}\r\n--line\r\n{fields}\r\nsome text\r\n--line--"), true, "some text"),
        (format!("To whom it\r\nconcerns--line\r\n{about}\r\n--line  \r\n\r\n\r\n--line--\r\nthe end"), false, ""),
        ("--line\n\n{}\r\n--line\n\n\n--line\r\n--lin\r\n-\r\n--line--".to_owned(), false, "\n--line\r\n--lin\r\n-"),
        (format!("{about}\r\n--line\r\n\r\n\r\n\r\n--\r\n\r\n--line--\r\n--line--"), false, "\r\n\r\n--\r\n"),
    ] {
        let expected = if head { described(Some("text/plain"), Some("a b.txt")) } else { Head::default() };
        assert_eq!(same_in_any_pieces(answer.as_bytes()).unwrap(), (expected, content.into()), "{answer}");
    }
}

#[test]
fn of_a_part_with_a_location_nothing_else_counts() {
    let answer = b"--line\r\n\r\n{}\r\n--line\r\nLocation: https://a.example/b\r\n\r\nignored, and never at its end";
    let (head, content) = same_in_any_pieces(answer).unwrap();
    assert_eq!((head.location.as_deref(), content), (Some("https://a.example/b"), vec![]));
    let answer = b"--line\r\n\r\n{}\r\n--line\r\nLocation: https://a.example/\xff\r\n\r\n\r\n--line--";
    assert!(matches!(same_in_any_pieces(answer), Err(NotParts::Location)));
}

#[test]
fn what_cannot_be_read_of_names_and_types_is_left_out() {
    let answer = b"--line\r\n\r\n{}\r\n--line\r\nContent-Type: \xff\r\nContent-Disposition: ;\r\n\r\nx\r\n--line--";
    assert_eq!(same_in_any_pieces(answer).unwrap(), (Head::default(), b"x".to_vec()));
}

#[test]
fn what_is_not_in_two_parts_is_refused() {
    for answer in [
        "",
        "some text",
        "--other\r\n\r\n{}\r\n--other\r\n\r\nsome text\r\n--other--",
        "x--line\r\n\r\n{}\r\n--line\r\n\r\nsome text\r\n--line--",
        "--line\r\n\r\n{}\r\n--line--",
        "--line\r\n\r\n{}\r\n--line--\r\n\r\nsome text\r\n--line--",
        "--line\r\n\r\nno object\r\n--line\r\n\r\nsome text\r\n--line--",
        "--line\r\n{}\r\n--line\r\n\r\nsome text\r\n--line--",
        "--line\r\n\r\n{}\r\n--line\r\nContent-Type: text/plain\r\nsome text\r\n--line--",
        "--line\r\n\r\n{}\r\n--line\r\nContent-Type: text/plain\r\n\r\nsome text",
        "--line\r\n\r\n{}\r\n--line\r\nContent-Type: text/plain\r\n\r\nsome text\r\n--lin",
    ] {
        assert!(same_in_any_pieces(answer.as_bytes()).is_err(), "{answer}");
    }
    let answer = b"--line\r\n\r\n{}\r\n--line\r\n\r\nsome text\r\n--line--";
    let long = "x".repeat(BOUNDARY_BYTES_MAX + 1);
    for kind in
        ["multipart/mixed", "multipart/form-data; boundary=line", "text/plain", "multipart/mixed; boundary=\"\""]
    {
        assert!(matches!(taken_apart(kind, answer, 10), Err(NotParts::Kind)), "{kind}");
    }
    assert!(matches!(taken_apart(&format!("multipart/mixed; boundary={long}"), answer, 10), Err(NotParts::Kind)));
    for kind in ["Multipart/Mixed; boundary=\"line\"", "multipart/mixed; charset=utf-8; boundary=line"] {
        assert_eq!(taken_apart(kind, answer, 10).unwrap().1, b"some text", "{kind}");
    }
}

#[test]
fn what_comes_before_the_content_is_bounded() {
    let long = "x".repeat(FRONT_BYTES_MAX);
    let many = "a: b\r\n".repeat(FIELDS_MAX + 1);
    for answer in [
        format!("{long}\r\n--line\r\n\r\n{{}}\r\n--line\r\n\r\nsome text\r\n--line--"),
        format!("--line\r\na: {long}\r\n\r\n{{}}\r\n--line\r\n\r\nsome text\r\n--line--"),
        format!("--line\r\n\r\n{{\"a\": \"{long}\"}}\r\n--line\r\n\r\nsome text\r\n--line--"),
        format!("--line\r\n\r\n{{}}\r\n--line\r\na: {long}\r\n\r\nsome text\r\n--line--"),
        format!("--line\r\n\r\n{{}}\r\n--line\r\n{many}\r\nsome text\r\n--line--"),
    ] {
        for piece in [1_000, answer.len()] {
            let refused = taken_apart(KIND, answer.as_bytes(), piece);
            assert!(matches!(refused, Err(NotParts::TooLong | NotParts::Head(_))), "{refused:?}");
        }
    }
}
