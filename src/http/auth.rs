//! Who asks.
//!
//! A handler's identity follows from its request type: ruma names an authentication scheme for every endpoint, and
//! [`Identity`] gives each scheme the type that its handlers see. So an endpoint that needs a token has a [`Session`],
//! never an `Option` to unwrap.

use std::{future::Future, net::IpAddr, sync::Arc};

use http::{HeaderMap, Uri, header, request::Parts};
use ruma::api::auth_scheme::{
    AccessToken, AccessTokenOptional, AppserviceToken, AppserviceTokenOptional, AuthScheme, NoAccessToken,
    NoAuthentication, extract_bearer_or_query_token,
};

use crate::http::{
    access,
    address::ClientAddress,
    body::BODY_BYTES_MAX,
    class::{Class, Route},
    error::ApiError,
    limit::Limiter,
};
pub use crate::users::Session;

/// Tokens longer than this are unknown without being looked up, in bytes. Ours are under 100.
const TOKEN_BYTES_MAX: usize = 1024;

/// An application service that identified itself by its own token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appservice {
    /// The `id` of its registration.
    pub id: Arc<str>,
}

/// What a request brought to prove who asks.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The access token. Never log it.
    pub token: &'a str,
    /// `user_id` of the query: the account an application service acts for.
    pub asserted_user_id: Option<&'a str>,
    /// `device_id` of the query: the device an application service acts as.
    pub asserted_device_id: Option<&'a str>,
    /// Where the request came from, for the device's `last_seen_ip`.
    pub address: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: Option<&'a str>,
}

/// What the extractors ask of the state they run in.
pub trait Authenticate: Send + Sync + 'static {
    /// The session of an access token.
    ///
    /// # Errors
    /// [`ApiError::unknown_token`] for tokens that are unknown, expired or logged out. Locked, suspended and guest
    /// accounts are answered with their session; `http::access` refuses what they may not do.
    fn session(&self, credentials: Credentials<'_>) -> impl Future<Output = Result<Arc<Session>, ApiError>> + Send;

    /// The application service of a token; `None` when the token is not one of theirs.
    fn appservice(&self, token: &str) -> impl Future<Output = Result<Option<Appservice>, ApiError>> + Send {
        let _ = token;
        async { Ok(None) }
    }

    /// The rate limits that requests count against; `None` for no limits.
    fn limiter(&self) -> Option<&Limiter> {
        None
    }

    /// How large a JSON body may be, in bytes.
    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }
}

impl<T: Authenticate> Authenticate for Arc<T> {
    fn session(&self, credentials: Credentials<'_>) -> impl Future<Output = Result<Arc<Session>, ApiError>> + Send {
        T::session(self, credentials)
    }

    fn appservice(&self, token: &str) -> impl Future<Output = Result<Option<Appservice>, ApiError>> + Send {
        T::appservice(self, token)
    }

    fn limiter(&self) -> Option<&Limiter> {
        T::limiter(self)
    }

    fn body_bytes_max(&self) -> usize {
        T::body_bytes_max(self)
    }
}

/// What a handler learns about who asks, by the endpoint's authentication scheme.
pub trait Identity: AuthScheme {
    /// The handler's view: `Arc<Session>`, `Option<Arc<Session>>`, [`Appservice`], `Option<Appservice>` or `()`.
    type Who: Send + 'static;

    /// Identifies the sender of a request and counts it against the rate limits.
    fn identify<S: Authenticate>(state: &S, parts: &Parts) -> impl Future<Output = Result<Self::Who, ApiError>> + Send;
}

impl Identity for AccessToken {
    type Who = Arc<Session>;

    async fn identify<S: Authenticate>(state: &S, parts: &Parts) -> Result<Arc<Session>, ApiError> {
        required_session(state, parts).await
    }
}

impl Identity for AccessTokenOptional {
    type Who = Option<Arc<Session>>;

    async fn identify<S: Authenticate>(state: &S, parts: &Parts) -> Result<Option<Arc<Session>>, ApiError> {
        let session = optional_session(state, parts).await?;
        if session.is_none() {
            anonymous(state, parts)?;
        }
        Ok(session)
    }
}

impl Identity for NoAccessToken {
    type Who = ();

    async fn identify<S: Authenticate>(state: &S, parts: &Parts) -> Result<(), ApiError> {
        anonymous(state, parts)
    }
}

impl Identity for NoAuthentication {
    type Who = ();

    async fn identify<S: Authenticate>(state: &S, parts: &Parts) -> Result<(), ApiError> {
        anonymous(state, parts)
    }
}

impl Identity for AppserviceToken {
    type Who = Appservice;

    async fn identify<S: Authenticate>(state: &S, parts: &Parts) -> Result<Appservice, ApiError> {
        let token = token_of(&parts.headers, &parts.uri)?.ok_or_else(ApiError::missing_token)?;
        let found = state.appservice(&token).await?;
        found.ok_or_else(|| ApiError::forbidden("Only application services can do this"))
    }
}

impl Identity for AppserviceTokenOptional {
    type Who = Option<Appservice>;

    /// `/login` and `/register`: clients send a stale token of their own along, so an unknown token is no token here.
    async fn identify<S: Authenticate>(state: &S, parts: &Parts) -> Result<Option<Appservice>, ApiError> {
        let found = match token_of(&parts.headers, &parts.uri) {
            Ok(Some(token)) => state.appservice(&token).await?,
            Ok(None) | Err(_) => None,
        };
        if found.is_none() {
            anonymous(state, parts)?;
        }
        Ok(found)
    }
}

/// The session of a request that must have one.
pub(crate) async fn required_session<S: Authenticate>(state: &S, parts: &Parts) -> Result<Arc<Session>, ApiError> {
    optional_session(state, parts).await?.ok_or_else(ApiError::missing_token)
}

/// The session of a request, if it has a token.
pub(crate) async fn optional_session<S: Authenticate>(
    state: &S,
    parts: &Parts,
) -> Result<Option<Arc<Session>>, ApiError> {
    let Some(token) = token_of(&parts.headers, &parts.uri)? else { return Ok(None) };
    let asserted = Asserted::from_query(&parts.uri);
    let credentials = Credentials {
        token: &token,
        asserted_user_id: asserted.user_id.as_deref(),
        asserted_device_id: asserted.device_id.as_deref(),
        address: ClientAddress::of(&parts.extensions).0,
        user_agent: parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()),
    };
    let session = state.session(credentials).await?;
    let route = Route::of(parts);
    access::check(&session, &route)?;
    if let (Some(limiter), Some(class)) = (state.limiter(), Class::of(&route)) {
        limiter.check_user(class, session.user)?;
    }
    Ok(Some(session))
}

/// Counts a request without a token against its address.
fn anonymous<S: Authenticate>(state: &S, parts: &Parts) -> Result<(), ApiError> {
    if let (Some(limiter), Some(class)) = (state.limiter(), Class::of(&Route::of(parts))) {
        limiter.check_address(class, ClientAddress::of(&parts.extensions).0)?;
    }
    Ok(())
}

/// The access token of the `Authorization` header or, deprecated, of the query.
fn token_of(headers: &HeaderMap, uri: &Uri) -> Result<Option<String>, ApiError> {
    let mut request = http::Request::new(());
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        request.headers_mut().insert(header::AUTHORIZATION, value.clone());
    } else if uri.query().is_some_and(|query| query.contains("access_token")) {
        *request.uri_mut() = uri.clone();
    } else {
        return Ok(None);
    }
    // Another scheme, such as Basic, is no access token: the same answer as for none at all.
    let token = extract_bearer_or_query_token(&request).map_err(|error| ApiError::missing_token().with_cause(error))?;
    match token {
        Some(token) if token.is_empty() => Ok(None),
        Some(token) if token.len() > TOKEN_BYTES_MAX => Err(ApiError::unknown_token(false)),
        token => Ok(token),
    }
}

/// The identity an application service asserts in the query (specification v1.19, "Identity assertion").
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Asserted {
    user_id: Option<String>,
    #[serde(alias = "org.matrix.msc3202.device_id")]
    device_id: Option<String>,
}

impl Asserted {
    fn from_query(uri: &Uri) -> Self {
        // Nearly every request has neither; parsing the query for each would be waste.
        if !uri.query().is_some_and(|query| query.contains("user_id") || query.contains("device_id")) {
            return Self::default();
        }
        axum::extract::Query::try_from_uri(uri).map_or_else(|_| Self::default(), |query| query.0)
    }
}
