//! The extractor of requests that other servers sign.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, OriginalUri, Request},
    http::Method,
};
use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use ruma::{
    OwnedServerName, ServerName,
    api::{
        IncomingRequest, IncomingRequestExt as _,
        federation::authentication::{ServerSignatures, XMatrix},
    },
};

use crate::{
    config,
    http::{
        address::ClientAddress,
        auth::Authenticate,
        body::BoundedBody,
        class::{Class, Route},
        error::ApiError,
        origins::{OriginPlace, Origins},
        ruma::path_arguments,
        unverified::Unverified,
        x_matrix,
    },
    places::Holder,
    remote::keys::{KeyRing, SignedRequest, VerifyError},
};

/// A transaction of 50 events of 64 KiB and 100 EDUs, with some air, in bytes.
const TRANSACTION_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Any other body, in bytes: an event with the state that explains an invite, keys of many users.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The longest `Authorization` header, in bytes.
const AUTHORIZATION_BYTES_MAX: usize = 2048;
/// `Authorization` headers that are looked at: one for each key of a server.
const AUTHORIZATIONS_MAX: usize = 3;
/// When a server whose places are all taken may come again.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// What [`Signed`] asks of the state it runs in, besides what every request asks.
pub trait Federated: Authenticate {
    /// Who is talked to.
    fn federation(&self) -> &config::Federation;

    /// Everybody's keys, and this server's name.
    fn keys(&self) -> &KeyRing;

    /// Who is being answered.
    fn origins(&self) -> &Origins;

    /// What bodies may take before it is known whose they are.
    fn unverified(&self) -> &Unverified;

    /// A server has just proved that it is up.
    fn heard_from(&self, origin: &ServerName) -> impl Future<Output = ()> + Send;
}

impl<T: Federated> Federated for Arc<T> {
    fn federation(&self) -> &config::Federation {
        T::federation(self)
    }

    fn keys(&self) -> &KeyRing {
        T::keys(self)
    }

    fn origins(&self) -> &Origins {
        T::origins(self)
    }

    fn unverified(&self) -> &Unverified {
        T::unverified(self)
    }

    fn heard_from(&self, origin: &ServerName) -> impl Future<Output = ()> + Send {
        T::heard_from(self, origin)
    }
}

/// A request of the type `R` that another server has signed.
///
/// Spec v1.19, Server-Server API, "Request Authentication". When a handler runs, `origin` is who signed the request,
/// is talked to at all, and is within its limits. Whether it may see the room it asks about is the handler's question.
pub struct Signed<R> {
    /// Path, query and body as ruma reads them.
    pub body: R,
    /// The server that sent it.
    pub origin: OwnedServerName,
    /// The JSON as it came. Empty for GET.
    pub raw_body: Bytes,
    /// One of the requests of this server that are answered at once. Kept as long as the request is.
    pub place: OriginPlace,
}

impl<R> Signed<R> {
    /// The JSON body read as another type, for keys that ruma does not know. An empty body is `{}`.
    ///
    /// # Errors
    /// `M_BAD_JSON` when the types differ.
    pub fn raw<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        let bytes: &[u8] = if self.raw_body.is_empty() { b"{}" } else { &self.raw_body };
        Ok(serde_json::from_slice(bytes)?)
    }
}

impl<R, S> FromRequest<S> for Signed<R>
where
    R: IncomingRequest<Authentication = ServerSignatures> + Send + 'static,
    S: Federated,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let (origin, raw_body, place) = authenticate(state, &mut parts, body).await?;
        let arguments = path_arguments(&mut parts, state).await?;
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let json: &[u8] = if raw_body.is_empty() && R::METHOD != Method::GET { b"{}" } else { &raw_body };
        let body = R::try_from_http_request(http::Request::from_parts(parts, json), &arguments)?;
        Ok(Self { body, origin, raw_body, place })
    }
}

/// A signed request of an endpoint that ruma does not know. Path arguments are had with `PathArgs`.
#[derive(Debug)]
pub struct SignedRaw {
    /// The server that sent it.
    pub origin: OwnedServerName,
    /// The JSON as it came. Empty for GET.
    pub raw_body: Bytes,
    /// As in [`Signed`].
    pub place: OriginPlace,
}

impl<S: Federated> FromRequest<S> for SignedRaw {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let (origin, raw_body, place) = authenticate(state, &mut parts, body).await?;
        Ok(Self { origin, raw_body, place })
    }
}

/// Lets a request without a signature through where federation is on; elsewhere the endpoint does not exist.
#[derive(Debug, Clone, Copy)]
pub struct FederationOn;

impl<S: Federated> FromRequestParts<S> for FederationOn {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if state.federation().is_on() { Ok(Self) } else { Err(ApiError::unrecognized()) }
    }
}

/// Finds out who sent a request. Puts the path as it came into `parts`.
async fn authenticate<S: Federated>(
    state: &S,
    parts: &mut Parts,
    body: Body,
) -> Result<(OwnedServerName, Bytes, OriginPlace), ApiError> {
    if !state.federation().is_on() {
        return Err(ApiError::unrecognized());
    }
    let OriginalUri(uri) = OriginalUri::from_request_parts(parts, state).await.unwrap_or_else(|e| match e {});
    parts.uri = uri;
    let headers = signatures_of(&parts.headers)?;
    let origin = check_names(state, &headers)?;
    // Before the signature is checked, the name is only a claim, and must not use up what is its owner's.
    let ClientAddress(address) = ClientAddress::of(&parts.extensions);
    if let Some(limiter) = state.limiter() {
        limiter.check_address(Class::Federation, address)?;
    }
    let mut held = state.unverified().body_from(address);
    let raw_body = if parts.method == Method::GET {
        Bytes::new()
    } else {
        BoundedBody::new(&parts.headers, body, body_bytes_max(parts))?.collect_counted(|bytes| held.add(bytes)).await?
    };
    let request = SignedRequest {
        method: parts.method.clone(),
        uri: parts.uri.path_and_query().map_or("", |uri| uri.as_str()).into(),
        body: raw_body.clone(),
    };
    verify(state.keys(), &headers, &request).await?;
    drop(held);
    state.heard_from(&origin).await;
    if let Some(limiter) = state.limiter() {
        limiter.check_name(Class::Federation, Holder::of(&origin).as_str())?;
    }
    let place = state.origins().enter(&origin).ok_or_else(|| ApiError::limit_exceeded(BUSY_WAIT))?;
    Ok((origin, raw_body, place))
}

/// The `X-Matrix` headers of a request.
fn signatures_of(headers: &HeaderMap) -> Result<Vec<XMatrix>, ApiError> {
    let mut found = Vec::new();
    for value in headers.get_all(header::AUTHORIZATION).iter().take(AUTHORIZATIONS_MAX) {
        if value.len() > AUTHORIZATION_BYTES_MAX {
            return Err(ApiError::unauthorized("The Authorization header is too long"));
        }
        let unreadable = || ApiError::unauthorized("The Authorization header cannot be read");
        let value = value.to_str().map_err(|error| unreadable().with_cause(error))?;
        found.push(x_matrix::parse(value).map_err(|error| unreadable().with_cause(error))?);
    }
    if found.is_empty() { Err(ApiError::unauthorized("The Authorization header is missing")) } else { Ok(found) }
}

/// Who claims to send the request; refused when it is not for this server, or by one that is not talked to.
fn check_names<S: Federated>(state: &S, headers: &[XMatrix]) -> Result<OwnedServerName, ApiError> {
    let Some((first, others)) = headers.split_first() else {
        return Err(ApiError::unauthorized("The Authorization header is missing"));
    };
    if others.iter().any(|other| other.origin != first.origin) {
        return Err(ApiError::unauthorized("The Authorization headers name several origins"));
    }
    let own = state.keys().server_name();
    if headers.iter().any(|header| header.destination.as_deref().is_some_and(|destination| destination != own)) {
        return Err(ApiError::unauthorized("The request is meant for another server"));
    }
    if first.origin == own {
        return Err(ApiError::unauthorized("This server does not ask itself"));
    }
    if !state.federation().allows(&first.origin) {
        return Err(ApiError::forbidden("This server does not talk to yours"));
    }
    Ok(first.origin.clone())
}

/// One good signature is enough: a server that changes its key may sign with both.
async fn verify(keys: &KeyRing, headers: &[XMatrix], request: &SignedRequest) -> Result<(), ApiError> {
    let mut refusal = VerifyError::Unavailable;
    for header in headers {
        match keys.verify_request(header, request.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) => refusal = error,
        }
    }
    Err(match refusal {
        VerifyError::Malformed(_) => ApiError::bad_json("The body is not JSON that can be signed").with_cause(refusal),
        VerifyError::Unavailable => ApiError::unavailable(refusal),
        _ => ApiError::unauthorized(format!("The request is not signed as it should be: {refusal}")),
    })
}

fn body_bytes_max(parts: &Parts) -> usize {
    match Route::of(parts).segments() {
        ["send", _] => TRANSACTION_BYTES_MAX,
        _ => BODY_BYTES_MAX,
    }
}
