//! Connections, in clear.

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
    // reqwest wants it whatever it speaks. It is installed once in a process, and a second time does nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
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

/// Every client that waits in a long poll costs one.
#[tokio::test]
async fn a_connection_is_small() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (protocols, peer) = (Arc::new(Protocols::new(ServeOptions::default(), None)), stream.local_addr().unwrap());
    let (watcher, shutdown) = (GracefulShutdown::new().watcher(), CancellationToken::new());
    let connection = protocols.run(stream, peer, Router::new(), watcher, shutdown, None);
    assert!(size_of_val(&connection) <= 2048, "{} bytes", size_of_val(&connection));
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
