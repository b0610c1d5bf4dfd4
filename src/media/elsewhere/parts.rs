//! The two parts of an answer with content, taken apart as it comes: an object about the content, and the content or
//! where it is.
//!
//! `multipart/mixed` by RFC 2046, section 5.1, as the server-server API has it (specification v1.19, "Content
//! Repository"). Until the content begins, what came is kept and looked at anew with every piece: that is little. Of the
//! content only so much is held back as may be the beginning of the line that ends it.

use std::str;

use http::{HeaderMap, header};
use memchr::{memchr, memmem::Finder};
use ruma::{api::federation::authenticated_media::ContentMetadata, http_headers::ContentDisposition};

/// What may come before the content, in bytes.
const FRONT_BYTES_MAX: usize = 16 << 10;
/// Fields of a part.
const FIELDS_MAX: usize = 32;
/// The longest line between parts; RFC 2046 has this bound.
const BOUNDARY_BYTES_MAX: usize = 70;

/// Why an answer is not content in parts.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotParts {
    #[error("its content type is not multipart/mixed with a boundary")]
    Kind,
    #[error("more than {FRONT_BYTES_MAX} bytes come before the content")]
    TooLong,
    #[error("a part has no head")]
    NoHead,
    #[error("the head of the content: {0}")]
    Head(#[from] httparse::Error),
    #[error("the location is not text")]
    Location,
    #[error("what it says about the content: {0}")]
    About(#[from] serde_json::Error),
    #[error("it ends before the content does")]
    Cut,
}

/// What the content's own part says of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) content_type: Option<String>,
    pub(super) file_name: Option<String>,
    /// Where the content is, if it is not in the answer.
    pub(super) location: Option<String>,
}

/// An answer that is being taken apart.
pub(super) struct Parts {
    /// A line break, two dashes and the boundary.
    delimiter: Finder<'static>,
    buffer: Vec<u8>,
    state: State,
}

enum State {
    Front,
    Content(Head),
    Whole(Head),
}

impl Parts {
    /// For an answer with these headers.
    pub(super) fn new(headers: &HeaderMap) -> Result<Self, NotParts> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()?.parse::<mime::Mime>().ok());
        let kind = kind.filter(|kind| kind.essence_str().eq_ignore_ascii_case("multipart/mixed"));
        let boundary = kind.as_ref().and_then(|kind| kind.get_param(mime::BOUNDARY)).ok_or(NotParts::Kind)?.as_str();
        if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
            return Err(NotParts::Kind);
        }
        let delimiter = Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        // The first delimiter may stand at the very beginning, where its line break is this one.
        Ok(Self { delimiter, buffer: b"\r\n".to_vec(), state: State::Front })
    }

    /// Takes the next piece of the answer; what of the content is sure by now.
    pub(super) fn read(&mut self, piece: &[u8]) -> Result<Vec<u8>, NotParts> {
        if matches!(self.state, State::Whole(_)) {
            return Ok(Vec::new());
        }
        self.buffer.extend_from_slice(piece);
        if matches!(self.state, State::Front) {
            let front = self.front()?;
            if front.as_ref().map_or(self.buffer.len(), |(_, length)| *length) > FRONT_BYTES_MAX {
                return Err(NotParts::TooLong);
            }
            let Some((head, length)) = front else { return Ok(Vec::new()) };
            if head.location.is_some() {
                self.state = State::Whole(head);
                return Ok(Vec::new());
            }
            self.buffer.drain(..length);
            self.state = State::Content(head);
        }
        Ok(self.content())
    }

    /// What the content is, once the answer has come to its end.
    pub(super) fn finish(self) -> Result<Head, NotParts> {
        if let State::Whole(head) = self.state { Ok(head) } else { Err(NotParts::Cut) }
    }

    /// The content's head and where the content begins, if all of that has come.
    fn front(&self) -> Result<Option<(Head, usize)>, NotParts> {
        let Some((_, about)) = self.cut(&self.buffer) else { return Ok(None) };
        let Some((about, part)) = self.cut(about) else { return Ok(None) };
        let (_, about) = split_head(about).ok_or(NotParts::NoHead)?;
        serde_json::from_slice::<ContentMetadata>(about)?;
        if part.starts_with(b"--") {
            return Err(NotParts::Cut);
        }
        let Some((fields, content)) = split_head(part) else { return Ok(None) };
        Ok(Some((head(fields)?, self.buffer.len() - content.len())))
    }

    /// What stands before and behind the first delimiter.
    fn cut<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let at = self.delimiter.find(bytes)?;
        Some((bytes.get(..at)?, bytes.get(at + self.delimiter.needle().len()..)?))
    }

    fn content(&mut self) -> Vec<u8> {
        let found = self.delimiter.find(&self.buffer);
        let sure = found.unwrap_or_else(|| (self.buffer.len() + 1).saturating_sub(self.delimiter.needle().len()));
        let held_back = self.buffer.split_off(sure);
        let content = std::mem::replace(&mut self.buffer, held_back);
        if found.is_some()
            && let State::Content(head) = &mut self.state
        {
            self.state = State::Whole(std::mem::take(head));
        }
        content
    }
}

/// Splits what follows a delimiter after the empty line that ends its fields. The rest of the delimiter's own line is
/// nothing; lines end as they like.
fn split_head(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = memchr(b'\n', part)? + 1;
    let mut line = start;
    loop {
        let next = line + memchr(b'\n', part.get(line..)?)? + 1;
        if matches!(part.get(line..next)?, b"\r\n" | b"\n") {
            return Some((part.get(start..next)?, part.get(next..)?));
        }
        line = next;
    }
}

/// Reads the fields of the content's part.
fn head(fields: &[u8]) -> Result<Head, NotParts> {
    let mut parsed = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let httparse::Status::Complete((_, parsed)) = httparse::parse_headers(fields, &mut parsed)? else {
        return Err(NotParts::NoHead);
    };
    let field = |name: header::HeaderName| {
        parsed.iter().find(|field| field.name.eq_ignore_ascii_case(name.as_str())).map(|field| field.value)
    };
    let text = |value| str::from_utf8(value).ok().map(str::to_owned);
    let disposition = field(header::CONTENT_DISPOSITION).and_then(|value| ContentDisposition::try_from(value).ok());
    Ok(Head {
        content_type: field(header::CONTENT_TYPE).and_then(text),
        file_name: disposition.and_then(|it| it.filename),
        location: field(header::LOCATION).map(|value| text(value).ok_or(NotParts::Location)).transpose()?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed unwrap is a failed test")]
mod tests;
