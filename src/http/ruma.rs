//! The extractor of requests that ruma describes.

use axum::{
    extract::{FromRequest, FromRequestParts as _, OriginalUri, RawPathParams, Request},
    http::Method,
};
use bytes::Bytes;
use http::request::Parts;
use ruma::api::{IncomingRequest, IncomingRequestExt as _};

use crate::http::{
    address::ClientAddress,
    auth::{Authenticate, Identity},
    body::BoundedBody,
    error::ApiError,
    extract::check_argument,
    json,
};

/// A request of the type `R`, and who sent it.
///
/// The order matters: who asks is known and counted before a byte of the body is read. For endpoints with JSON bodies;
/// uploads read [`BoundedBody`] themselves.
pub struct Ruma<R>
where
    R: IncomingRequest,
    R::Authentication: Identity,
{
    /// Path, query, headers and body as ruma reads them.
    pub body: R,
    /// Who asks, by the endpoint's scheme: `Arc<Session>`, `Option<Arc<Session>>`, `()`, `Appservice` or
    /// `Option<Appservice>`.
    pub session: <R::Authentication as Identity>::Who,
    /// Where the request came from.
    pub address: ClientAddress,
    /// The JSON as it came: ruma drops keys it does not know, proposals live in them. Empty for GET.
    pub raw_body: Bytes,
    /// The query as it came, without `?`.
    // A copy: a slice of the request line would keep the connection's read buffer alive through a long poll.
    pub query: Box<str>,
}

impl<R> Ruma<R>
where
    R: IncomingRequest,
    R::Authentication: Identity,
{
    /// The JSON body read as another type, for keys that ruma does not know. An empty body is `{}`.
    ///
    /// # Errors
    /// `M_BAD_JSON` when the types differ.
    pub fn raw<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        let bytes: &[u8] = if self.raw_body.is_empty() { b"{}" } else { &self.raw_body };
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The first value of a query argument that ruma does not know, decoded.
    pub fn query_argument(&self, name: &str) -> Option<String> {
        let uri = http::Uri::builder().path_and_query(format!("/?{}", self.query)).build().ok()?;
        let arguments = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?.0;
        arguments.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl<R, S> FromRequest<S> for Ruma<R>
where
    R: IncomingRequest + Send + 'static,
    R::Authentication: Identity,
    S: Authenticate,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let session = R::Authentication::identify(state, &parts).await?;
        let raw_body = if matches!(R::METHOD, Method::GET) {
            Bytes::new()
        } else {
            read_json(&parts, body, state.body_bytes_max()).await?
        };
        let address = ClientAddress::of(&parts.extensions);
        let arguments = path_arguments(&mut parts, state).await?;
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let query = parts.uri.query().unwrap_or_default().into();
        let OriginalUri(uri) = OriginalUri::from_request_parts(&mut parts, state).await.unwrap_or_else(|e| match e {});
        parts.uri = uri;
        // The routes say which methods lead here; ruma knows one.
        parts.method = R::METHOD;
        // Not all of ruma's readers take no body for an empty one, as clients send it to join a room.
        let json: &[u8] = if raw_body.is_empty() && R::METHOD != Method::GET { b"{}" } else { &raw_body };
        let request = http::Request::from_parts(parts, json);
        let body = R::try_from_http_request(request, &arguments)?;
        Ok(Self { body, session, address, raw_body, query })
    }
}

/// A JSON body, bounded and checked, but not parsed. No body at all is empty bytes.
pub(crate) async fn read_json(parts: &Parts, body: axum::body::Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let bytes = BoundedBody::new(&parts.headers, body, bytes_max)?.collect().await?;
    if !bytes.is_empty() {
        json::check_object(&bytes)?;
    }
    Ok(bytes)
}

/// The arguments in the path, decoded, in their order.
pub(crate) async fn path_arguments<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Vec<Box<str>>, ApiError> {
    let Ok(params) = RawPathParams::from_request_parts(parts, state).await else {
        return Err(ApiError::invalid_param("An argument in the path is not UTF-8"));
    };
    params.iter().map(|(_, value)| check_argument(value).map(Into::into)).collect()
}
