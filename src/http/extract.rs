//! Lighter extractors, for endpoints that are written by hand.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::request::Parts;
use serde::{Deserialize, de::DeserializeOwned};

use crate::http::{
    auth::{Authenticate, Session, optional_session, required_session},
    error::ApiError,
    refusal,
    ruma::{path_arguments, read_json},
};

/// Path arguments longer than this are refused before anything looks at them, in bytes. Identifiers end at 255 bytes;
/// state keys and directory names may be longer.
const ARGUMENT_BYTES_MAX: usize = 1024;

/// The session of a request with an access token.
#[derive(Debug)]
pub struct Auth(pub Arc<Session>);

impl<S: Authenticate> FromRequestParts<S> for Auth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        required_session(state, parts).await.map(Self)
    }
}

/// The session of a request that may have an access token.
#[derive(Debug)]
pub struct OptionalAuth(pub Option<Arc<Session>>);

impl<S: Authenticate> FromRequestParts<S> for OptionalAuth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        optional_session(state, parts).await.map(Self)
    }
}

/// The bytes of a JSON object: bounded, UTF-8, not too deep, without NUL and unpaired surrogates, but not parsed.
/// Empty when there was no body.
#[derive(Debug)]
pub struct JsonBody(pub Bytes);

impl<S: Authenticate> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        read_json(&parts, body, state.body_bytes_max()).await.map(Self)
    }
}

impl JsonBody {
    /// The body as a type. No body is `{}`.
    ///
    /// # Errors
    /// `M_NOT_JSON` or `M_BAD_JSON`.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        let bytes: &[u8] = if self.0.is_empty() { b"{}" } else { &self.0 };
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// The arguments in the path, decoded, in their order.
#[derive(Debug)]
pub struct PathArgs(Vec<Box<str>>);

impl<S: Send + Sync> FromRequestParts<S> for PathArgs {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        path_arguments(parts, state).await.map(Self)
    }
}

impl PathArgs {
    /// The argument at a position; empty where the route has none, as `…/state/{type}/` means an empty state key.
    pub fn get(&self, position: usize) -> &str {
        self.0.get(position).map_or("", AsRef::as_ref)
    }

    /// The argument at a position as an identifier, such as `&RoomId` or `OwnedUserId`.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` when it is none.
    pub fn parse<'a, T>(&'a self, position: usize) -> Result<T, ApiError>
    where
        T: TryFrom<&'a str, Error: std::fmt::Display>,
    {
        T::try_from(self.get(position)).map_err(|error| refusal::parameter(&error))
    }
}

/// Refuses path arguments that nothing could mean.
pub(crate) fn check_argument(argument: &str) -> Result<&str, ApiError> {
    if argument.len() > ARGUMENT_BYTES_MAX {
        return Err(ApiError::invalid_param("An argument in the path is too long"));
    }
    if argument.contains('\0') {
        return Err(ApiError::invalid_param("An argument in the path contains NUL"));
    }
    Ok(argument)
}

/// The query as a type.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(query) => Ok(Self(query.0)),
            Err(error) => Err(refusal::parameter(&error.body_text())),
        }
    }
}
