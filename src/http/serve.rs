//! The accept loop.
//!
//! hyper is driven by hand, because what matters here cannot be set through `axum::serve`: small buffers (two thousand
//! clients wait in long polls), time limits on request heads, a bound on connections, and a shutdown that ends.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, server::conn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::util::MapRequest;

use crate::http::address::Peer;

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

/// Serves a router until `shutdown` is cancelled, then finishes the requests that are being answered.
///
/// Returns when the last connection has ended, at the latest after [`ServeOptions::drain`].
pub async fn serve(listener: TcpListener, router: Router, options: ServeOptions, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let protocols = Arc::new(Protocols::new(options));
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
                let connection = Arc::clone(&protocols).run(stream, peer, router.clone(), watcher, shutdown);
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
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
}

impl Protocols {
    fn new(options: ServeOptions) -> Self {
        let mut http1 = conn::http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(options.head_timeout).max_buf_size(BUFFER_BYTES_MAX);
        let mut http2 = conn::http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(BUFFER_BYTES_MAX).unwrap_or(u32::MAX))
            .keep_alive_interval(Duration::from_mins(1))
            .keep_alive_timeout(Duration::from_secs(20));
        Self { http1, http2, head_timeout: options.head_timeout }
    }

    /// Serves one connection to its end.
    async fn run(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        router: Router,
        watcher: Watcher,
        shutdown: CancellationToken,
    ) {
        // Answers are written whole; waiting for more to send would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let first = tokio::time::timeout(self.head_timeout, begins_with_http2(&stream));
        let http2 = tokio::select! {
            () = shutdown.cancelled() => return,
            first = first => first,
        };
        let Ok(Ok(http2)) = http2 else { return };
        let service = TowerToHyperService::new(with_peer(router, Peer(peer)));
        let io = TokioIo::new(stream);
        let ended = if http2 {
            // The larger state of HTTP/2 in a box: the task has the size of the smaller one.
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
mod tests {
    use axum::{extract::Extension, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Notify,
        task::JoinHandle,
    };

    use super::*;

    struct Running {
        address: SocketAddr,
        shutdown: CancellationToken,
        task: JoinHandle<()>,
    }

    async fn start(router: Router, options: ServeOptions) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, options, shutdown.clone()));
        Running { address, shutdown, task }
    }

    /// A handler that says when it has begun, and answers when it is told to.
    fn waiting() -> (Router, Arc<Notify>, Arc<Notify>) {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begun_inside, go_inside) = (Arc::clone(&begun), Arc::clone(&go));
        let handler = move || {
            let (begun, go) = (Arc::clone(&begun_inside), Arc::clone(&go_inside));
            async move {
                begun.notify_one();
                go.notified().await;
                "late"
            }
        };
        (Router::new().route("/wait", get(handler)), begun, go)
    }

    #[tokio::test]
    async fn both_protocols_are_served_and_the_peer_is_known() {
        let handler = |Extension(Peer(peer)): Extension<Peer>, version: http::Version| async move {
            format!("{} {version:?}", peer.ip())
        };
        let server = start(Router::new().route("/", get(handler)), ServeOptions::default()).await;
        let url = format!("http://{}/", server.address);
        let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
        assert_eq!(text, "127.0.0.1 HTTP/1.1");

        let stream = TcpStream::connect(server.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get(&url).body(Body::empty()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        assert_eq!(body, "127.0.0.1 HTTP/2.0");
        server.shutdown.cancel();
        server.task.await.unwrap();
        let _ = connection.await;
    }

    #[tokio::test]
    async fn requests_finish_after_the_shutdown_began() {
        let (router, begun, go) = waiting();
        let server = start(router, ServeOptions::default()).await;
        let url = format!("http://{}/wait", server.address);
        let request = tokio::spawn(async move { reqwest::get(url).await.unwrap().text().await.unwrap() });
        begun.notified().await;
        // An idle connection must not hold the shutdown up.
        let _idle = TcpStream::connect(server.address).await.unwrap();
        server.shutdown.cancel();
        assert!(!server.task.is_finished());
        go.notify_one();
        assert_eq!(request.await.unwrap(), "late");
        server.task.await.unwrap();
        assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
    }

    #[tokio::test]
    async fn requests_that_never_finish_are_cut() {
        let (router, begun, _go) = waiting();
        let options = ServeOptions { drain: Duration::from_millis(20), ..ServeOptions::default() };
        let server = start(router, options).await;
        let url = format!("http://{}/wait", server.address);
        let request = tokio::spawn(reqwest::get(url));
        begun.notified().await;
        server.shutdown.cancel();
        server.task.await.unwrap();
        assert!(request.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn silent_and_slow_clients_are_dropped() {
        let options = ServeOptions { head_timeout: Duration::from_millis(20), ..ServeOptions::default() };
        let server = start(Router::new(), options).await;
        for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"] {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            // The end of the stream: the server has closed it. An answer (408) may come first.
            let _ = stream.read_to_end(&mut rest).await;
        }
        server.shutdown.cancel();
        server.task.await.unwrap();
    }

    #[tokio::test]
    async fn connections_above_the_bound_wait() {
        let (router, begun, go) = waiting();
        let router = router.route("/", get(|| async { "now" }));
        let server = start(router, ServeOptions { connections_max: 1, ..ServeOptions::default() }).await;
        let first = tokio::spawn(reqwest::get(format!("http://{}/wait", server.address)));
        begun.notified().await;
        let mut second = tokio::spawn(reqwest::get(format!("http://{}/", server.address)));
        let early = tokio::time::timeout(Duration::from_millis(50), &mut second).await;
        assert!(early.is_err(), "answered although the bound was reached");
        go.notify_one();
        drop(first.await.unwrap().unwrap());
        assert_eq!(second.await.unwrap().unwrap().text().await.unwrap(), "now");
        server.shutdown.cancel();
        server.task.await.unwrap();
    }
}
