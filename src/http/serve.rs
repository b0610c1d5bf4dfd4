//! The accept loop, in clear and with TLS.
//!
//! hyper is driven by hand, because what matters here cannot be set through `axum::serve`: small buffers (two thousand
//! clients wait in long polls), time limits on request heads, a bound on connections, and a shutdown that ends.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, response::Response};
use http::Request;
use hyper::{body::Incoming, server::conn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::{Service, util::MapRequest};

use crate::http::{address::Peer, tls::Tls};

/// hyper's read buffer and the bound of a request head, in bytes. hyper starts with 8 KiB and grows up to this.
const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// Requests one HTTP/2 connection may have open. A client has one long poll and a screen of images.
const STREAMS_MAX: u32 = 100;

/// What every HTTP/2 connection begins with.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ServeOptions {
    /// Connections at one time; more wait in the system's backlog.
    pub connections_max: usize,
    /// How long a request head may take, and how long a connection may stay idle between requests.
    pub head_timeout: Duration,
    /// How long requests may go on after the shutdown began.
    pub drain: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { connections_max: 10_000, head_timeout: Duration::from_mins(1), drain: Duration::from_secs(4) }
    }
}

/// A socket, and whether it speaks TLS.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// A socket that speaks TLS.
    pub fn tls(tcp: TcpListener, tls: Arc<Tls>) -> Self {
        Self { tcp, tls: Some(tls) }
    }
}

impl From<TcpListener> for Listener {
    /// A socket in clear.
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, tls: None }
    }
}

/// Serves a router until `shutdown` is cancelled, then finishes the requests that are being answered.
///
/// Returns when the last connection has ended, at the latest after [`ServeOptions::drain`].
pub async fn serve(listener: impl Into<Listener>, router: Router, options: ServeOptions, shutdown: CancellationToken) {
    let Listener { tcp: listener, tls } = listener.into();
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let protocols = Arc::new(Protocols::new(options, tls));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            // A closed semaphore cannot happen: nobody closes it.
            let permit = Arc::clone(&permits).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            next = next => next,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let (watcher, shutdown) = (graceful.watcher(), shutdown.clone());
                connections.spawn(Arc::clone(&protocols).run(stream, peer, router.clone(), watcher, shutdown, permit));
            }
            Err(error) => accept_failed(&error).await,
        }
    }
    drop(listener);
    let waiting = connections.len();
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::info!(connections = waiting, "connections were cut at shutdown");
    }
    connections.shutdown().await;
}

/// A client that gave up is nothing; anything else (no file descriptors left) passes only with time.
async fn accept_failed(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept connections");
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// The settings of both protocols.
struct Protocols {
    http1: conn::http1::Builder,
    http2: conn::http2::Builder<TokioExecutor>,
    head_timeout: Duration,
    tls: Option<Arc<Tls>>,
}

impl Protocols {
    fn new(options: ServeOptions, tls: Option<Arc<Tls>>) -> Self {
        let mut http1 = conn::http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(options.head_timeout).max_buf_size(BUFFER_BYTES_MAX);
        let mut http2 = conn::http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(BUFFER_BYTES_MAX).unwrap_or(u32::MAX))
            .keep_alive_interval(Duration::from_mins(1))
            .keep_alive_timeout(Duration::from_secs(20));
        Self { http1, http2, head_timeout: options.head_timeout, tls }
    }

    /// Serves one connection to its end, and holds its place until then.
    ///
    /// Two thousand of these wait at a time: what is large and rare in it is in a box.
    async fn run(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        router: Router,
        watcher: Watcher,
        shutdown: CancellationToken,
        _place: Option<OwnedSemaphorePermit>,
    ) {
        // Answers are written whole; waiting for more to send would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let service = with_peer(router, Peer(peer));
        if let Some(tls) = &self.tls {
            return Box::pin(self.converse_by_tls(tls, stream, peer, service, watcher, shutdown)).await;
        }
        let first = tokio::time::timeout(self.head_timeout, begins_with_http2(&stream));
        let http2 = tokio::select! {
            () = shutdown.cancelled() => return,
            first = first => first,
        };
        let Ok(Ok(http2)) = http2 else { return };
        self.converse(stream, http2, service, watcher).await;
    }

    /// Shakes hands, then speaks HTTP.
    async fn converse_by_tls<S>(
        &self,
        tls: &Tls,
        stream: TcpStream,
        peer: SocketAddr,
        service: S,
        watcher: Watcher,
        shutdown: CancellationToken,
    ) where
        S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = tls.accept(stream, peer.ip()) => accepted,
        };
        match accepted {
            Ok(Some(accepted)) => self.converse(accepted.stream, accepted.http2, service, watcher).await,
            Ok(None) => {}
            Err(error) => tracing::trace!(%error, "no TLS connection"),
        }
    }

    /// Speaks HTTP until the connection ends.
    async fn converse<S>(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        http2: bool,
        service: S,
        watcher: Watcher,
    ) where
        S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let service = TowerToHyperService::new(service);
        let io = TokioIo::new(stream);
        let ended = if http2 {
            Box::pin(watcher.watch(self.http2.serve_connection(io, service))).await
        } else {
            let connection = pin!(watcher.watch(self.http1.serve_connection(io, service)));
            connection.await
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "connection ended");
        }
    }
}

/// Marks each request with the peer of its connection.
fn with_peer(
    router: Router,
    peer: Peer,
) -> MapRequest<Router, impl Fn(Request<Incoming>) -> Request<Body> + Clone + Send + 'static> {
    MapRequest::new(router, move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request
    })
}

/// Whether the client speaks HTTP/2, from its first bytes, which stay in the socket.
async fn begins_with_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut head = [0; HTTP2_PREFACE.len()];
    loop {
        let length = stream.peek(&mut head).await?;
        let seen = head.get(..length).unwrap_or_default();
        if seen.is_empty() || !HTTP2_PREFACE.starts_with(seen) {
            return Ok(false);
        }
        if length == HTTP2_PREFACE.len() {
            return Ok(true);
        }
        // A piece of the preface, such as the P of a POST. Clients send it whole, so this is rare.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests;
