//! Checks on a JSON body before any parser sees it.
//!
//! Parsers that keep values raw do not look inside strings, and a deep value is a deep recursion in whoever reads the
//! event later. Both are refused here, in one pass without allocation.

use crate::http::error::ApiError;

/// How deep objects and arrays may nest. The deepest thing clients send (relations in encrypted contents, filters,
/// power levels) stays under ten.
pub const DEPTH_MAX: usize = 64;

/// Checks a body that shall be a JSON object: UTF-8, nesting, no NUL and no unpaired surrogate in a string.
///
/// # Errors
/// `M_NOT_JSON` for bytes that are no JSON at all, `M_BAD_JSON` for JSON that cannot be stored or is no object. Syntax
/// inside the object is left to the parser.
pub fn check_object(body: &[u8]) -> Result<(), ApiError> {
    if std::str::from_utf8(body).is_err() {
        return Err(ApiError::not_json("The body is not UTF-8"));
    }
    scan(body)?;
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        return Ok(());
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => Err(ApiError::bad_json("The body is not a JSON object")),
        Err(_) => Err(ApiError::not_json("The body is not valid JSON")),
    }
}

fn scan(body: &[u8]) -> Result<(), ApiError> {
    let mut bytes = body.iter().copied();
    let mut depth = 0_usize;
    let mut in_string = false;
    while let Some(byte) = bytes.next() {
        match (in_string, byte) {
            (_, b'"') => in_string = !in_string,
            (true, b'\\') => escape(&mut bytes)?,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(ApiError::bad_json("The body is nested too deeply"));
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Passes one escape sequence; the backslash has been read.
fn escape(bytes: &mut impl Iterator<Item = u8>) -> Result<(), ApiError> {
    const UNPAIRED: &str = "A string contains an unpaired surrogate";
    if bytes.next() != Some(b'u') {
        return Ok(());
    }
    match code_unit(bytes)? {
        0 => Err(ApiError::bad_json("A string contains NUL")),
        0xD800..=0xDBFF => {
            let paired = bytes.next() == Some(b'\\') && bytes.next() == Some(b'u');
            if paired && (0xDC00..=0xDFFF).contains(&code_unit(bytes)?) {
                Ok(())
            } else {
                Err(ApiError::bad_json(UNPAIRED))
            }
        }
        0xDC00..=0xDFFF => Err(ApiError::bad_json(UNPAIRED)),
        _ => Ok(()),
    }
}

/// Four hexadecimal digits.
fn code_unit(bytes: &mut impl Iterator<Item = u8>) -> Result<u32, ApiError> {
    let mut value = 0;
    for _ in 0..4 {
        let digit = bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let Some(digit) = digit else {
            return Err(ApiError::not_json("A string contains a broken escape"));
        };
        value = value * 16 + digit;
    }
    Ok(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use proptest::prelude::*;
    use ruma::api::error::ErrorCode;

    use super::*;

    fn refused(body: &[u8]) -> ErrorCode {
        check_object(body).unwrap_err().errcode().unwrap()
    }

    #[test]
    fn accepts_ordinary_objects() {
        for body in [r"{}", r#" {"a":[1,{"b":"\ud83d\ude00 \" \\ \u0041"}]}"#, "{\"body\":\"grüße\"}"] {
            check_object(body.as_bytes()).unwrap();
        }
    }

    #[test]
    fn refuses_what_cannot_be_stored() {
        assert_eq!(refused(b"{\"a\":\"\x81\"}"), ErrorCode::NotJson);
        assert_eq!(refused(br#"{"a":"\u00"}"#), ErrorCode::NotJson);
        for body in [r#"{"a":"\u0000"}"#, r#"{"a":"\ud800"}"#, r#"{"a":"\ud800A"}"#, r#"{"a":"\udc00"}"#] {
            assert_eq!(refused(body.as_bytes()), ErrorCode::BadJson, "{body}");
        }
        assert_eq!(refused(br#"{"a":"\ud800\u0041"}"#), ErrorCode::BadJson);
        assert_eq!(refused(b"[]"), ErrorCode::BadJson);
        assert_eq!(refused(b"null"), ErrorCode::BadJson);
        assert_eq!(refused(b"[}"), ErrorCode::NotJson);
        assert_eq!(refused(b"hello"), ErrorCode::NotJson);
        assert_eq!(refused(b"  "), ErrorCode::NotJson);
    }

    #[test]
    fn nesting_is_bounded_exactly() {
        let nested = |depth: usize| format!("{}{}{}", r#"{"a":"#.repeat(depth), 1, "}".repeat(depth));
        check_object(nested(DEPTH_MAX).as_bytes()).unwrap();
        assert_eq!(refused(nested(DEPTH_MAX + 1).as_bytes()), ErrorCode::BadJson);
        // Brackets inside strings do not count.
        check_object(format!(r#"{{"a":"{}"}}"#, "[".repeat(500)).as_bytes()).unwrap();
    }

    proptest! {
        /// Whatever serde writes for a string passes, unless it holds a NUL.
        #[test]
        fn written_strings_pass(text in ".*") {
            let body = serde_json::to_vec(&serde_json::json!({ "a": text })).unwrap();
            prop_assert_eq!(check_object(&body).is_ok(), !text.contains('\0'));
        }
    }
}
