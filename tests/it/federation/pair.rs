//! Two servers that federate.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU16, Ordering},
};

use homeroom::{
    app::Listeners,
    clock::Clock,
    config::{Config, ServerPattern},
};
use ruma::{OwnedServerName, ServerName};
use tokio::net::TcpListener;

use super::authority;
use crate::harness::Server;

/// Two servers, each allowed to talk to everybody.
///
/// A story takes them apart: `let Pair { a, b } = Pair::start().await;`. To have one down for an hour, give both a test
/// clock ([`server_at`]), `let stopped = b.stop().await;`, advance the clock, `let b = stopped.start().await;`. The ports
/// for other servers stay, those for clients change ([`crate::harness::Client::at`]).
pub(crate) struct Pair {
    pub(crate) a: Server,
    pub(crate) b: Server,
}

impl Pair {
    /// Two servers on the system's time.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    /// The same with something changed.
    pub(crate) async fn with(change_a: impl FnOnce(&mut Config), change_b: impl FnOnce(&mut Config)) -> Self {
        Self { a: server(change_a).await, b: server(change_b).await }
    }
}

/// A server that talks to every other one. It is named after its port for other servers: `localhost:10123`.
pub(crate) async fn server(change: impl FnOnce(&mut Config)) -> Server {
    server_at(Clock::system(), change).await
}

/// The same with a clock of the test's.
pub(crate) async fn server_at(clock: Clock, change: impl FnOnce(&mut Config)) -> Server {
    let (name, federation) = reserve().await;
    let (folder, mut config) = Server::prepare();
    authority::certify(folder.path());
    authority::use_files(folder.path(), &mut config);
    config.server.name = name;
    config.listen.federation = Some(federation.local_addr().unwrap());
    config.federation.allow = vec![ServerPattern::parse("*").unwrap()];
    config.federation.allow_private_addresses = true;
    change(&mut config);
    let client = TcpListener::bind(config.listen.client).await.unwrap();
    let listeners = Listeners { client, federation: Some(federation), metrics: None };
    Server::on(listeners, folder, config, clock).await
}

/// A socket, and the name of the server that is to listen on it. Its port is none that the system gives to outgoing
/// connections, so it can be had again after a restart.
pub(super) async fn reserve() -> (OwnedServerName, TcpListener) {
    reserve_at("localhost", Ipv4Addr::LOCALHOST).await
}

/// The same at another address of this machine, under that name.
pub(super) async fn reserve_at(host: &str, address: Ipv4Addr) -> (OwnedServerName, TcpListener) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin at different places.
    let start = u16::try_from(std::process::id() % 200).unwrap() * 100;
    for _ in 0..20_000 {
        let port = 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if let Ok(listener) = TcpListener::bind((address, port)).await {
            let name = ServerName::parse(format!("{host}:{port}")).unwrap();
            return (name, listener);
        }
    }
    panic!("no port is free");
}
