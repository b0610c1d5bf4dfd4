//! Small pages of this server's own: they load nothing, and may do only what they carry.

use std::fmt::Write as _;

use axum::response::{Html, IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, header};
use sha2::{Digest as _, Sha256};

use super::slips::unstored;
use crate::{http::ApiError, school::files::is_unseen};

/// What a page is made of. `style` and `script` are constants; `body` is HTML with every text escaped.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) style: &'a str,
    pub(super) script: &'a str,
    pub(super) body: &'a str,
}

impl Page<'_> {
    /// The page, with a policy that allows its own style and script by their hashes, and requests to this server.
    pub(super) fn response(&self) -> Result<Response, ApiError> {
        let Self { title, style, script, body } = *self;
        let mut html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"referrer\" content=\"no-referrer\"><title>{title}</title><style>{style}</style></head>\
             <body>{body}"
        );
        let mut policy = format!("default-src 'none'; style-src '{}'", hash(style));
        if !script.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(html, "<script>{script}</script>");
            let _ = write!(policy, "; script-src '{}'; connect-src 'self'", hash(script));
        }
        html.push_str("</body></html>");
        policy.push_str("; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
        let mut response = unstored(Html(html).into_response());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(&policy).map_err(ApiError::internal)?);
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
        Ok(response)
    }
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// A text as HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Names come from files: nothing invisible may turn a line round on paper.
            character if is_unseen(character) => {}
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_a_text() {
        assert_eq!(escape("<b title=\"x\">'&\u{202e}\n"), "&lt;b title=&quot;x&quot;&gt;&#39;&amp;");
        assert_eq!(escape("a\u{2066}b\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{202a}c"), "abc");
    }

    #[test]
    fn only_what_the_page_carries_may_run() {
        let page = Page { title: "T", style: "p{}", script: "", body: "" };
        let policy = |response: &Response| response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        let still = policy(&page.response().unwrap());
        assert!(
            still.starts_with("default-src 'none'; style-src 'sha256-") && !still.contains("script-src"),
            "{still}"
        );
        let lively = policy(&Page { script: "1", ..page }.response().unwrap());
        assert!(lively.contains("script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='"), "{lively}");
    }
}
