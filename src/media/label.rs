//! What an upload is called: its content type and its file name.

use super::MediaError;

/// Longest content type, in bytes.
const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// Longest file name that is kept, in bytes.
const FILE_NAME_BYTES_MAX: usize = 255;
/// The type of bytes of which nothing else is known.
const ANY: &str = "application/octet-stream";

/// The types that may be shown by a browser. Specification v1.19, client-server API, "Serving inline content".
const INLINE: [&str; 26] = [
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// The content type and the file name of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub(super) content_type: String,
    pub(super) file_name: Option<String>,
}

impl Label {
    /// Checks what the uploader says. Without a content type the content is bytes.
    ///
    /// # Errors
    /// [`MediaError::BadContentType`]: over 255 bytes, or not `type/subtype` with optional parameters.
    pub fn new(content_type: Option<&str>, file_name: Option<&str>) -> Result<Self, MediaError> {
        let content_type = match content_type.map(str::trim) {
            None | Some("") => ANY,
            Some(given) if is_media_type(given) => given,
            Some(_) => return Err(MediaError::BadContentType),
        };
        Ok(Self { content_type: content_type.to_owned(), file_name: file_name.and_then(clean_file_name) })
    }
}

/// Whether content of this type may be shown by a browser instead of being saved.
pub fn is_inline(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    INLINE.iter().any(|safe| safe.eq_ignore_ascii_case(essence))
}

/// A file name without what could deceive the reader or break a header: control characters and those that reverse
/// the direction of the text. `None` when nothing is left.
pub(super) fn clean_file_name(name: &str) -> Option<String> {
    let mut clean: String = name.chars().filter(|c| !c.is_control() && !is_direction(*c)).collect();
    let end = (0..=FILE_NAME_BYTES_MAX).rev().find(|end| clean.is_char_boundary(*end)).unwrap_or(0);
    clean.truncate(end);
    (!clean.is_empty()).then_some(clean)
}

/// With these, `exe.gnp` reads `png.exe`.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
    text.len() <= CONTENT_TYPE_BYTES_MAX
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && essence.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
}

/// RFC 9110, section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_checked() {
        let kept = |given| Label::new(given, None).map(|label| label.content_type).ok();
        assert_eq!(kept(None).as_deref(), Some(ANY));
        assert_eq!(kept(Some("")).as_deref(), Some(ANY));
        assert_eq!(kept(Some(" Text/Plain; charset=utf-8 ")).as_deref(), Some("Text/Plain; charset=utf-8"));
        for bad in ["png", "/", "image/", "a b/c", "image/png\r\nSet-Cookie: a=b", "image/pn\u{e9}"] {
            assert_eq!(kept(Some(bad)), None, "{bad:?}");
        }
        assert_eq!(kept(Some(&format!("image/{}", "a".repeat(250)))), None);
    }

    #[test]
    fn only_harmless_types_are_inline() {
        for inline in ["image/png", "Text/Plain; charset=utf-8", "VIDEO/MP4"] {
            assert!(is_inline(inline), "{inline}");
        }
        for attachment in ["text/html", "image/svg+xml", "application/pdf", "text/plainer", "", ANY] {
            assert!(!is_inline(attachment), "{attachment}");
        }
    }

    #[test]
    fn file_names_are_cleaned() {
        let clean = |name| Label::new(None, Some(name)).unwrap().file_name;
        assert_eq!(clean("name;with \"all\" sorts").as_deref(), Some("name;with \"all\" sorts"));
        assert_eq!(clean("\u{202e}gnp.exe\r\n\0").as_deref(), Some("gnp.exe"));
        assert_eq!(clean("\u{1f414}").as_deref(), Some("\u{1f414}"));
        assert_eq!(clean(""), None);
        assert_eq!(clean("\n"), None);
        assert_eq!(clean(&"\u{1f414}".repeat(100)).unwrap().len(), 252);
    }
}
