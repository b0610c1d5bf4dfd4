//! How requests that do not parse are refused.
//!
//! Malformed JSON is `M_NOT_JSON`, JSON of the wrong shape `M_BAD_JSON` (the specification counts missing keys among
//! these), identifiers and query arguments `M_INVALID_PARAM` or `M_MISSING_PARAM`.

use std::fmt::Display;

use ruma::api::error::{DeserializationError, FromHttpRequestError, HeaderDeserializationError};
use serde_json::error::Category;

use crate::http::error::ApiError;

/// The longest part of a parser's message that is given back, in bytes. Messages quote the input.
const QUOTE_BYTES_MAX: usize = 200;

impl From<FromHttpRequestError> for ApiError {
    fn from(error: FromHttpRequestError) -> Self {
        match error {
            FromHttpRequestError::Deserialization(error) => error.into(),
            FromHttpRequestError::MethodMismatch { .. } => Self::method_not_allowed(),
            _ => Self::bad_json("The request could not be read"),
        }
    }
}

impl From<DeserializationError> for ApiError {
    fn from(error: DeserializationError) -> Self {
        match error {
            DeserializationError::Utf8(_) => Self::not_json("The body is not UTF-8"),
            DeserializationError::Json(error) => error.into(),
            DeserializationError::Query(error) => parameter(&error),
            DeserializationError::Ident(error) => Self::invalid_param(quote(&error)),
            DeserializationError::Header(error @ HeaderDeserializationError::MissingHeader(_)) => {
                Self::missing_param(quote(&error))
            }
            DeserializationError::Header(error) => Self::invalid_param(quote(&error)),
            _ => Self::bad_json("The request could not be read"),
        }
    }
}

impl From<serde_json::Error> for ApiError {
    /// For JSON that came from a client. JSON of the server's own that fails is [`ApiError::internal`].
    fn from(error: serde_json::Error) -> Self {
        match error.classify() {
            Category::Data => Self::bad_json(quote(&error)),
            Category::Syntax | Category::Eof | Category::Io => Self::not_json("The body is not valid JSON"),
        }
    }
}

/// The refusal of a path or query argument, from the text of serde's error.
pub(crate) fn parameter(error: &dyn Display) -> ApiError {
    let text = quote(error);
    // serde offers no other way to tell a missing field from a wrong one.
    if text.contains("missing field") { ApiError::missing_param(text) } else { ApiError::invalid_param(text) }
}

/// A parser's message, shortened.
fn quote(error: &dyn Display) -> String {
    let mut text = error.to_string();
    if text.len() > QUOTE_BYTES_MAX {
        let end = (0..=QUOTE_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
