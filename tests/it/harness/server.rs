//! A server on a loopback port.

use std::sync::atomic::{AtomicU64, Ordering};

use homeroom::{
    app::{App, Listeners},
    clock::Clock,
    config::{Config, Durability, RegistrationMode, Size},
    ids::Ids,
};
use ruma::{ServerName, owned_server_name};

use super::Client;

/// A running server. Its data folder outlives a restart and goes with the value.
pub(crate) struct Server {
    app: App,
    config: Config,
    clock: Clock,
    folder: tempfile::TempDir,
    transactions: AtomicU64,
}

impl Server {
    /// A server where anybody may register and nothing is limited.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with something changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(Clock::system(), change).await
    }

    /// The same with a clock of the test's.
    pub(crate) async fn at(clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let (folder, mut config) = Self::prepare();
        change(&mut config);
        let listeners = Listeners::bind(&config.listen).await.unwrap();
        Self::on(listeners, folder, config, clock).await
    }

    /// A folder, and the configuration of a server in it.
    pub(crate) fn prepare() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::defaults(owned_server_name!("school.example"));
        config.listen.client = ([127, 0, 0, 1], 0).into();
        config.database.path = folder.path().join("data");
        config.database.memory = Size::mib(16);
        config.database.durability = Durability::Os;
        config.registration.mode = RegistrationMode::Open;
        config.limits.enabled = false;
        // Hashes that cost next to nothing.
        config.passwords.memory = Size::kib(8);
        config.passwords.iterations = 1;
        (folder, config)
    }

    /// A server on sockets that are open already.
    pub(crate) async fn on(listeners: Listeners, folder: tempfile::TempDir, config: Config, clock: Clock) -> Self {
        super::install_provider();
        let app = App::start_on(listeners, config.clone(), clock.clone(), Ids::system()).await.unwrap();
        Self { app, config, clock, folder, transactions: AtomicU64::new(0) }
    }

    /// Stops the server. Its folder is kept.
    pub(crate) async fn stop(self) -> Stopped {
        let Self { app, config, clock, folder, transactions } = self;
        app.stop().await;
        Stopped { config, clock, folder, transactions }
    }

    /// Stops the server and starts it again on the same folder, perhaps at another port.
    pub(crate) async fn restart(self) -> Self {
        self.stop().await.start().await
    }

    /// Its name.
    pub(crate) fn name(&self) -> &ServerName {
        &self.config.server.name
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.addresses().client)
    }

    /// The address of `/metrics` and `/health`, if the server has them.
    pub(crate) fn operations_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.addresses().metrics.unwrap())
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// The running server.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Somebody who has not signed in.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(self)
    }

    /// Makes an account and signs it in.
    pub(crate) async fn register(&self, name: &str) -> Client {
        Client::register(self, name).await
    }

    /// A number that no other call of this server's test got.
    pub(crate) fn unique(&self) -> u64 {
        self.transactions.fetch_add(1, Ordering::Relaxed)
    }
}

/// A server that does not run.
pub(crate) struct Stopped {
    config: Config,
    clock: Clock,
    folder: tempfile::TempDir,
    transactions: AtomicU64,
}

impl Stopped {
    /// Starts it again, for other servers where it was, for clients perhaps at another port.
    pub(crate) async fn start(self) -> Server {
        let Self { config, clock, folder, transactions } = self;
        let app = App::start(config.clone(), clock.clone(), Ids::system()).await.unwrap();
        Server { app, config, clock, folder, transactions }
    }

    /// What is set may change while it does not run.
    pub(crate) fn config(&mut self) -> &mut Config {
        &mut self.config
    }
}
