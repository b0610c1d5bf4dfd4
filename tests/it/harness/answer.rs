//! What came back.

use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;

/// An answer of the server.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// What was asked, for messages.
    pub(crate) asked: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body; null when it is empty or no JSON.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(asked: String, response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { asked, status, headers, body }
    }

    /// The body of an answer that must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.status.is_success(), "{}: {} {}", self.asked, self.status, self.body);
        self.body
    }

    /// Makes sure that this is a refusal of that status and code.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, errcode: &str) -> Value {
        let found = (self.status.as_u16(), self.body["errcode"].as_str().unwrap_or_default());
        assert_eq!(found, (status, errcode), "{}: {}", self.asked, self.body);
        assert!(self.body["error"].is_string(), "{}: no text for people in {}", self.asked, self.body);
        self.body
    }
}
