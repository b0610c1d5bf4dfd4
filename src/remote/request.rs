//! Requests in the form in which they are sent: canonical body, URL, signature (spec v1.19, Server-Server API, "Request
//! Authentication").

use std::time::Duration;

use http::{HeaderValue, Method, header};
use reqwest::Url;
use ruma::{
    ServerName,
    api::{OutgoingBody as _, OutgoingRequest, path_builder::SinglePath},
};

use super::{discovery::Route, error::RemoteError};
use crate::event::{
    SigningKey,
    canonical::{Numbers, Object, write_string},
};

/// Bodies may be nested this deep: events in a transaction.
const DEPTH_MAX: usize = 120;
/// The longest answer that is read if nothing else is said, in bytes.
const BYTES_MAX: usize = 10 << 20;
/// The longest answer that tells the state of a room, in bytes.
const STATE_BYTES_MAX: usize = 100 << 20;
/// How long an answer is waited for if nothing else is said.
const WITHIN: Duration = Duration::from_mins(1);

/// The bounds of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The longest answer that is read, in bytes.
    pub bytes_max: usize,
    /// How long the whole answer may take.
    pub within: Duration,
    /// The server is asked even while it is left alone after failures: somebody is waiting. Only after an hour of
    /// failures that happens no more than twice a minute.
    pub anyway: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { bytes_max: BYTES_MAX, within: WITHIN, anyway: false }
    }
}

impl Terms {
    /// For somebody who waits: the server is asked even if it failed before.
    pub fn anyway() -> Self {
        Self { anyway: true, ..Self::default() }
    }

    /// For the state of a room (joins, `/state`): up to 100 MiB.
    pub fn large() -> Self {
        Self { bytes_max: STATE_BYTES_MAX, ..Self::anyway() }
    }

    /// With another time.
    #[must_use]
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// With another length of the answer, in bytes.
    #[must_use]
    pub fn at_most(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }
}

/// ruma's request as HTTP. Only path and query of its URI count.
pub(super) fn to_http<R>(request: R) -> Result<http::Request<Vec<u8>>, RemoteError>
where
    R: OutgoingRequest<PathBuilder = SinglePath>,
{
    let refused = |error: &dyn std::fmt::Display| RemoteError::Request(error.to_string());
    let request = request.try_into_http_request_inner("https://server.invalid", ()).map_err(|error| refused(&error))?;
    let (parts, body) = request.into_parts();
    let body: Vec<u8> = body.try_into_buf().map_err(|error| refused(&error.into()))?;
    Ok(http::Request::from_parts(parts, body))
}

/// Where the request goes.
pub(super) fn url(route: &Route, request: &http::Request<Vec<u8>>) -> Result<Url, RemoteError> {
    let wanted = request.uri();
    let path_and_query = wanted.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let url = Url::parse(&format!("https://{}{path_and_query}", route.authority));
    let url = url.map_err(|error| RemoteError::Request(error.to_string()))?;
    // `..` in an id must not lead to another endpoint.
    if url.path() != wanted.path() {
        return Err(RemoteError::Request("an id does not fit into the path".to_owned()));
    }
    Ok(url)
}

/// The body as canonical JSON, empty if there is none.
pub(super) fn canonical_body(body: &[u8]) -> Result<String, RemoteError> {
    if body.is_empty() {
        return Ok(String::new());
    }
    // Events of old room versions may hold any number.
    let object = Object::parse(body, Numbers::Lenient, DEPTH_MAX);
    object.map(|object| object.to_text()).map_err(|error| RemoteError::Request(error.to_string()))
}

/// The `Authorization` header of a request with this body in canonical JSON.
pub(super) fn authorization(
    key: &SigningKey,
    destination: &ServerName,
    method: &Method,
    url: &Url,
    body: &str,
) -> Result<HeaderValue, RemoteError> {
    let uri = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let signature = key.sign_base64(signed_text(key.server_name(), destination, method, &uri, body).as_bytes());
    let (origin, id) = (key.server_name(), key.key_id());
    let header = format!(r#"X-Matrix origin="{origin}",destination="{destination}",key="{id}",sig="{signature}""#);
    HeaderValue::try_from(header).map_err(|error| RemoteError::Request(error.to_string()))
}

/// The canonical JSON of what is signed.
fn signed_text(origin: &ServerName, destination: &ServerName, method: &Method, uri: &str, body: &str) -> String {
    let mut text = String::with_capacity(body.len() + uri.len() + 200);
    text.push('{');
    if !body.is_empty() {
        text.push_str("\"content\":");
        text.push_str(body);
        text.push(',');
    }
    let fields =
        [("destination", destination.as_str()), ("method", method.as_str()), ("origin", origin.as_str()), ("uri", uri)];
    for (index, (name, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_string(&mut text, name);
        text.push(':');
        write_string(&mut text, value);
    }
    text.push('}');
    text
}

/// The request for the HTTP client.
pub(super) fn outgoing(
    route: &Route,
    (method, url): (Method, Url),
    headers: http::HeaderMap,
    body: String,
) -> reqwest::Request {
    let mut request = reqwest::Request::new(method, url);
    *request.headers_mut() = headers;
    if let Some(Ok(host)) = route.host.as_deref().map(HeaderValue::try_from) {
        request.headers_mut().insert(header::HOST, host);
    }
    if !body.is_empty() {
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.into());
    }
    request
}
