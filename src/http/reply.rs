//! Answers: ruma's types, and JSON assembled by hand.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::TryStream;
use http::{HeaderValue, StatusCode, header};
use ruma::api::{OutgoingResponse, OutgoingResponseExt as _};

use crate::http::error::ApiError;

const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The answer of an endpoint as ruma describes it.
#[derive(Debug)]
pub struct Reply<T>(pub T);

impl<T: OutgoingResponse> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match self.0.try_into_http_response::<BytesMut>() {
            Ok(response) => response.map(|body| Body::from(body.freeze())),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}

/// 200 with JSON that was assembled by hand.
#[derive(Debug, Clone)]
pub struct JsonBytes(pub Bytes);

impl From<Vec<u8>> for JsonBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for JsonBytes {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl JsonBytes {
    /// Serialises any value.
    ///
    /// # Errors
    /// An internal error, when the value cannot be JSON (a map with keys that are no strings).
    pub fn of(value: &impl serde::Serialize) -> Result<Self, ApiError> {
        serde_json::to_vec(value).map(Self::from).map_err(ApiError::internal)
    }
}

impl IntoResponse for JsonBytes {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, self.0)
    }
}

/// 200 with `{}`.
pub fn empty_json() -> JsonBytes {
    JsonBytes(Bytes::from_static(b"{}"))
}

/// An answer with a JSON body.
pub fn json_response(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, APPLICATION_JSON);
    response
}

/// 200 with JSON from a stream of pieces. An error cuts the answer short, so that nobody takes it for whole.
pub fn json_stream<S>(pieces: S) -> Response
where
    S: TryStream<Ok = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, APPLICATION_JSON);
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn ruma_reply_is_json() {
        let response = Reply(ruma::api::client::account::whoami::v3::Response {
            user_id: ruma::owned_user_id!("@a:b"),
            device_id: None,
            is_guest: false,
        })
        .into_response();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["user_id"], "@a:b");
    }
}
