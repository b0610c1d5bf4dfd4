//! Content as an answer: safe headers, parts, and nothing twice.

use std::{io::SeekFrom, ops::Range};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ruma::http_headers::{ContentDisposition, ContentDispositionType};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::{
    http::{ApiError, file_body},
    media::{Content, is_inline},
};

/// Nothing in content may run, whatever it claims to be. The specification's policy.
const POLICY: &str = "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; \
                      style-src 'unsafe-inline'; media-src 'self'; object-src 'self';";
/// Content never changes, but may be deleted; only the reader's own browser may keep it, as it needed a token.
const CACHE: &str = "private, max-age=86400, immutable";

/// The headers of every content.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::CACHE_CONTROL, CACHE),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::ACCEPT_RANGES, "bytes"),
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
];

/// Answers with content: all of it, the part that was asked for, or 304 when the reader has it.
pub(super) async fn serve(content: Content, asked: &HeaderMap) -> Result<Response, ApiError> {
    let tag = format!("\"{}\"", content.tag);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ETAG, value(&tag)?);
    if matches(asked, &header::IF_NONE_MATCH, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    headers.insert(header::CONTENT_TYPE, value(&content.content_type)?);
    headers.insert(header::CONTENT_DISPOSITION, value(&disposition(&content))?);
    let whole_asked = asked.contains_key(header::IF_RANGE) && !matches(asked, &header::IF_RANGE, &tag);
    let range = asked.get(header::RANGE).filter(|_| !whole_asked).and_then(|range| range.to_str().ok());
    let part = match range.map_or(Part::Whole, |range| part(range, content.size)) {
        Part::Whole => 0..content.size,
        Part::Of(part) => {
            headers.insert(
                header::CONTENT_RANGE,
                value(&format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), content.size))?,
            );
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            part
        }
        Part::None => {
            headers.insert(header::CONTENT_RANGE, value(&format!("bytes */{}", content.size))?);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return Ok(response);
        }
    };
    let length = part.end - part.start;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let mut file = tokio::fs::File::from_std(content.file);
    if part.start > 0 {
        file.seek(SeekFrom::Start(part.start)).await.map_err(ApiError::internal)?;
    }
    *response.body_mut() = file_body("", file.take(length), "", ());
    Ok(response)
}

/// Inline only for the specification's list of harmless types.
pub(in crate::api) fn disposition(content: &Content) -> String {
    let kind = if is_inline(&content.content_type) {
        ContentDispositionType::Inline
    } else {
        ContentDispositionType::Attachment
    };
    ContentDisposition::new(kind).with_filename(content.file_name.clone()).to_string()
}

fn value(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(text).map_err(ApiError::internal)
}

/// Whether a header names the tag, alone or in a list.
fn matches(headers: &HeaderMap, name: &HeaderName, tag: &str) -> bool {
    let named = headers.get(name).and_then(|value| value.to_str().ok());
    let strong = |entry: &str| entry.trim().trim_start_matches("W/") == tag;
    named.is_some_and(|named| named.trim() == "*" || named.split(',').any(strong))
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Of(Range<u64>),
    None,
}

/// The one part that a `Range` header asks for (RFC 9110, section 14). A list of parts, or something else than
/// bytes, is answered with the whole.
fn part(range: &str, size: u64) -> Part {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse::<u64>().ok().map(Some) };
    let part = match (number(first), number(last)) {
        (Some(Some(first)), Some(Some(last))) if first > last => return Part::Whole,
        (Some(Some(first)), Some(last)) => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
        (Some(None), Some(Some(suffix))) => size.saturating_sub(suffix)..size,
        _ => return Part::Whole,
    };
    if part.is_empty() { Part::None } else { Part::Of(part) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_at_the_end_of_the_content() {
        for (range, expected) in [
            ("bytes=0-", Part::Of(0..10)),
            ("bytes=2-4", Part::Of(2..5)),
            ("bytes=2-99", Part::Of(2..10)),
            ("bytes=-3", Part::Of(7..10)),
            ("bytes=-30", Part::Of(0..10)),
            ("bytes=10-", Part::None),
            ("bytes=-0", Part::None),
            ("bytes=4-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=-", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes=0-18446744073709551615", Part::Of(0..10)),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
    }

    #[test]
    fn tags_are_compared_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"x\", W/\"abc\""));
        assert!(matches(&headers, &header::IF_NONE_MATCH, "\"abc\""));
        assert!(!matches(&headers, &header::IF_NONE_MATCH, "\"ab\""));
        assert!(!matches(&headers, &header::IF_RANGE, "\"abc\""));
    }
}
