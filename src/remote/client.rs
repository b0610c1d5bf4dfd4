//! Requests to other servers: found, signed, bounded, and left alone while they do not work.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ruma::api::federation::authentication::ServerSignatures;
use ruma::{
    OwnedServerName, ServerName,
    api::{IncomingResponseExt as _, OutgoingRequest, auth_scheme::NoAuthentication, path_builder::SinglePath},
};

use super::{
    body::{self, BodyStream},
    connect::{Connections, Ports, failure},
    destinations::{Attempt, Destinations},
    discovery::{Route, WellKnown, may_delegate},
    dns::{Dns, DnsError, Names, SystemDns},
    egress::Egress,
    error::{Refused, RemoteError, Unreachable},
    request::{Terms, authorization, canonical_body, outgoing, to_http, url},
    tls::{TlsError, client_config_blocking},
};
use crate::{
    clock::Clock,
    config::{Config, Federation},
    event::SigningKey,
    ids::Ids,
    store::Store,
};

/// What is read of an error, in bytes.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// A request that was given less time than this says nothing about the server when the time is over.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a [`Client`] needs.
pub struct ClientParts {
    /// Where it is kept which servers work.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Chance, for choosing among hosts and for spreading retries.
    pub ids: Ids,
    /// The key that requests are signed with.
    pub key: Arc<SigningKey>,
    /// What the administrator has set.
    pub config: Arc<Config>,
}

/// What a client finds outside; tests make their own.
pub(super) struct World {
    pub(super) dns: Arc<dyn Dns>,
    pub(super) ports: Ports,
    pub(super) egress: Egress,
}

/// Why requests to others cannot be made at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Names cannot be resolved.
    #[error("name resolution: {0}")]
    Dns(#[from] DnsError),
    /// The HTTP client cannot be built.
    #[error("the HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// Asks other servers. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    clock: Clock,
    key: Arc<SigningKey>,
    federation: Federation,
    egress: Egress,
    ports: Ports,
    names: Arc<Names>,
    connections: Connections,
    well_known: WellKnown,
    destinations: Destinations,
}

/// A request that is ready but for the server's address.
struct Draft<'a> {
    server: &'a ServerName,
    request: http::Request<Vec<u8>>,
    signed: bool,
}

impl Client {
    /// A client that asks the system's name servers. Reads certificates, blocking.
    ///
    /// # Errors
    /// The certificates of the configuration cannot be read.
    pub fn new_blocking(parts: ClientParts) -> Result<Self, ClientError> {
        let egress = Egress::new(&parts.config.federation);
        let world = World { dns: Arc::new(SystemDns::new()?), ports: Ports::default(), egress };
        Self::within_blocking(parts, world)
    }

    pub(super) fn within_blocking(parts: ClientParts, world: World) -> Result<Self, ClientError> {
        let ClientParts { store, clock, ids, key, config } = parts;
        let World { dns, ports, egress } = world;
        let federation = config.federation.clone();
        let tls = client_config_blocking(&federation.trusted_ca)?;
        let names = Arc::new(Names::new(dns, clock.clone()));
        let connections = Connections::new(&tls, &names, egress, &ids, ports)?;
        let well_known = WellKnown::new(clock.clone());
        let destinations = Destinations::new(store, clock.clone(), ids);
        let inner = Inner { clock, key, federation, egress, ports, names, connections, well_known, destinations };
        Ok(Self(Arc::new(inner)))
    }

    /// What is known of each server.
    pub fn destinations(&self) -> &Destinations {
        &self.0.destinations
    }

    /// Whether this server may talk to that one.
    ///
    /// # Errors
    /// [`RemoteError::Own`], [`RemoteError::NotAllowed`].
    pub fn check(&self, server: &ServerName) -> Result<(), RemoteError> {
        if server == self.0.key.server_name() {
            return Err(RemoteError::Own);
        }
        if !self.0.federation.allows(server) {
            return Err(RemoteError::NotAllowed(server.to_owned()));
        }
        Ok(())
    }

    /// Asks a server, unless it is left alone after failures.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn send<R>(&self, server: &ServerName, request: R) -> Result<R::IncomingResponse, RemoteError>
    where
        R: OutgoingRequest<Authentication = ServerSignatures, PathBuilder = SinglePath>,
    {
        self.send_with(server, request, Terms::default()).await
    }

    /// Asks a server with bounds of one's own.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn send_with<R>(
        &self,
        server: &ServerName,
        request: R,
        terms: Terms,
    ) -> Result<R::IncomingResponse, RemoteError>
    where
        R: OutgoingRequest<Authentication = ServerSignatures, PathBuilder = SinglePath>,
    {
        self.ask(Draft { server, request: to_http(request)?, signed: true }, terms).await.and_then(read::<R>)
    }

    /// Asks a server without signature: its keys, its version.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn send_unsigned<R>(
        &self,
        server: &ServerName,
        request: R,
        terms: Terms,
    ) -> Result<R::IncomingResponse, RemoteError>
    where
        R: OutgoingRequest<Authentication = NoAuthentication, PathBuilder = SinglePath>,
    {
        self.ask(Draft { server, request: to_http(request)?, signed: false }, terms).await.and_then(read::<R>)
    }

    /// A signed request whose answer is not JSON, or whose types ruma does not have. Only path and query of its URI
    /// count, and its body must be empty or JSON.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RemoteError::Answer`] for every status from 300.
    pub async fn send_raw(
        &self,
        server: &ServerName,
        request: http::Request<Vec<u8>>,
        terms: Terms,
    ) -> Result<http::Response<Bytes>, RemoteError> {
        self.ask(Draft { server, request, signed: true }, terms).await
    }

    /// The same for long answers (media): `read` takes the answer piece by piece, all within the time of `terms`. That it
    /// breaks off or takes too long counts against the server as with short ones.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RemoteError::Answer`] for every status from 300.
    pub async fn send_streaming<T, F: Future<Output = Result<T, RemoteError>>>(
        &self,
        server: &ServerName,
        request: http::Request<Vec<u8>>,
        terms: Terms,
        read: impl FnOnce(http::Response<BodyStream>) -> F,
    ) -> Result<T, RemoteError> {
        let read = async move |answer| read(split(answer, terms.bytes_max)?).await;
        self.ask_for(Draft { server, request, signed: true }, terms, read).await
    }

    /// `GET` of an address of the web, without signature: what others point at. Redirects are followed, and no address
    /// of a private network is asked on any hop.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RemoteError::Answer`] for every status from 400.
    pub async fn fetch(
        &self,
        address: &str,
        bytes_max: usize,
        within: Duration,
    ) -> Result<http::Response<Bytes>, RemoteError> {
        let terms = Terms::default().at_most(bytes_max).within(within);
        self.fetch_for(address, terms, |answer| collect(answer, bytes_max)).await
    }

    /// The same for long answers, taken by `read` piece by piece.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RemoteError::Answer`] for every status from 400.
    pub async fn fetch_streaming<T, F: Future<Output = Result<T, RemoteError>>>(
        &self,
        address: &str,
        terms: Terms,
        read: impl FnOnce(http::Response<BodyStream>) -> F,
    ) -> Result<T, RemoteError> {
        self.fetch_for(address, terms, async |answer| read(split(answer, terms.bytes_max)?).await).await
    }

    async fn fetch_for<T, F: Future<Output = Result<T, RemoteError>>>(
        &self,
        address: &str,
        terms: Terms,
        read: impl FnOnce(reqwest::Response) -> F,
    ) -> Result<T, RemoteError> {
        let url = reqwest::Url::parse(address).map_err(|error| RemoteError::Request(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(RemoteError::Request("neither HTTP nor HTTPS".to_owned()));
        }
        if !url.host_str().is_some_and(|host| self.0.egress.allows_host(host)) {
            return Err(RemoteError::unreachable(Unreachable::Dns, "its address may not be reached"));
        }
        let request = reqwest::Request::new(http::Method::GET, url);
        let exchange = async { read(execute(&self.0.connections.web, request).await?).await };
        self.0.clock.timeout(terms.within, exchange).await.unwrap_or_else(|| Err(too_slow()))
    }

    /// A request to a host that is no server of the network, as it is: HTTPS only, no redirects, no private networks.
    pub(super) async fn ask_directly(
        &self,
        request: reqwest::Request,
        terms: Terms,
    ) -> Result<http::Response<Bytes>, RemoteError> {
        if !request.url().host_str().is_some_and(|host| self.0.egress.allows_host(host)) {
            return Err(RemoteError::unreachable(Unreachable::Dns, "its address may not be reached"));
        }
        let exchange = async { collect(execute(&self.0.connections.direct, request).await?, terms.bytes_max).await };
        self.0.clock.timeout(terms.within, exchange).await.unwrap_or_else(|| Err(too_slow()))
    }

    /// What the administrator has set.
    pub(super) fn federation(&self) -> &Federation {
        &self.0.federation
    }

    /// Asks for a whole answer.
    async fn ask(&self, draft: Draft<'_>, terms: Terms) -> Result<http::Response<Bytes>, RemoteError> {
        self.ask_for(draft, terms, |answer| collect(answer, terms.bytes_max)).await
    }

    /// Asks, reads what is wanted of the answer, and notes whether the server works. The one way of all that is noted.
    async fn ask_for<T, F: Future<Output = Result<T, RemoteError>>>(
        &self,
        draft: Draft<'_>,
        terms: Terms,
        read: impl FnOnce(reqwest::Response) -> F,
    ) -> Result<T, RemoteError> {
        let attempt = self.attempt(draft.server, terms).await?;
        let host = draft.server.host().to_owned();
        let exchange = async { read(self.open(draft).await?).await };
        let answer = self.0.clock.timeout(terms.within, exchange).await.unwrap_or_else(|| Err(too_slow()));
        if matches!(answer, Err(RemoteError::Unreachable { kind, .. }) if kind != Unreachable::Dns) {
            self.0.names.forget(&host);
        }
        self.note(&attempt, answer.as_ref().err(), terms).await;
        answer
    }

    /// Whether the server may be asked now.
    async fn attempt(&self, server: &ServerName, terms: Terms) -> Result<Attempt, RemoteError> {
        self.check(server)?;
        let attempt = self.0.destinations.attempt(server).await?;
        match if terms.anyway { attempt.sparing } else { attempt.pausing } {
            Some(until_ms) => Err(RemoteError::Backoff { until_ms }),
            None => Ok(attempt),
        }
    }

    async fn note(&self, attempt: &Attempt, error: Option<&RemoteError>, terms: Terms) {
        let destinations = &self.0.destinations;
        match error {
            Some(RemoteError::Unreachable { kind: Unreachable::Timeout, .. }) if terms.within < PATIENCE => {}
            Some(RemoteError::Unreachable { .. }) => destinations.record_failure(attempt, None).await,
            Some(RemoteError::Answer(refused)) if refused.is_down() => {
                let asked = refused.retry_after_s.map(Duration::from_secs);
                destinations.record_failure(attempt, asked).await;
            }
            // The request never left.
            Some(RemoteError::Request(_) | RemoteError::Store(_)) => {}
            Some(_) | None => destinations.record_success(attempt).await,
        }
    }

    /// Finds the server and sends the request; the body of the answer is still to be read.
    async fn open(&self, draft: Draft<'_>) -> Result<reqwest::Response, RemoteError> {
        let Draft { server, request, signed } = draft;
        let route = self.route(server).await?;
        let url = url(&route, &request)?;
        let (parts, body) = request.into_parts();
        let body = canonical_body(&body)?;
        let mut headers = parts.headers;
        if signed {
            let value = authorization(&self.0.key, server, &parts.method, &url, &body)?;
            headers.insert(http::header::AUTHORIZATION, value);
        }
        let connections = &self.0.connections;
        let client = if route.direct { &connections.direct } else { &connections.matrix };
        execute(client, outgoing(&route, (parts.method, url), headers, body)).await
    }

    async fn route(&self, server: &ServerName) -> Result<Route, RemoteError> {
        let delegate: Option<OwnedServerName> =
            if may_delegate(server) { self.0.well_known.delegate(server, &self.0.connections.web).await } else { None };
        Route::to(delegate.as_deref().unwrap_or(server), self.0.egress, self.0.ports)
    }
}

fn too_slow() -> RemoteError {
    RemoteError::unreachable(Unreachable::Timeout, "no complete answer in time")
}

/// The answer, unless it is an error.
async fn execute(client: &reqwest::Client, request: reqwest::Request) -> Result<reqwest::Response, RemoteError> {
    let mut answer = client.execute(request).await.map_err(failure)?;
    let status = answer.status();
    if status.as_u16() < 300 {
        return Ok(answer);
    }
    let headers = std::mem::take(answer.headers_mut());
    let body = body::beginning(answer, ERROR_BYTES_MAX).await;
    Err(RemoteError::Answer(Box::new(Refused::read(status, &headers, &body))))
}

async fn collect(answer: reqwest::Response, bytes_max: usize) -> Result<http::Response<Bytes>, RemoteError> {
    let (parts, body) = split(answer, bytes_max)?.into_parts();
    Ok(http::Response::from_parts(parts, body::collect(body).await?))
}

/// Status and headers, with the rest still to be read.
fn split(mut answer: reqwest::Response, bytes_max: usize) -> Result<http::Response<BodyStream>, RemoteError> {
    let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
    let mut split = http::Response::new(BodyStream::new(answer, bytes_max)?);
    *split.status_mut() = status;
    *split.headers_mut() = headers;
    Ok(split)
}

/// The answer in ruma's form.
fn read<R: OutgoingRequest>(answer: http::Response<Bytes>) -> Result<R::IncomingResponse, RemoteError> {
    let (parts, body) = answer.into_parts();
    let answer = http::Response::from_parts(parts, body.as_ref());
    R::IncomingResponse::try_from_http_response(answer).map_err(|error| RemoteError::Malformed(error.to_string()))
}
