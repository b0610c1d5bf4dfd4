//! Servers in memory, which publish keys.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName, owned_server_name};
use serde_json::json;

use crate::{
    clock::Clock,
    config::{Config, ServerPattern},
    event::{
        SigningKey,
        canonical::{Numbers, Object, Value},
    },
    remote::keys::{FetchFailure, KeyRing, KeyRingParts, KeySource, OwnKeys},
    store::{Batch, Durability, Store, StoreOptions},
};

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;
pub(crate) const DAY_MS: u64 = 24 * 3600 * 1000;

/// What every server answers, and how often it was asked.
#[derive(Default)]
pub(crate) struct Network {
    documents: Mutex<HashMap<OwnedServerName, String>>,
    notaries: Mutex<HashMap<OwnedServerName, Vec<String>>>,
    pub(crate) asked: AtomicUsize,
    pub(crate) gate: tokio::sync::RwLock<()>,
    stalling: Mutex<HashSet<OwnedServerName>>,
}

impl Network {
    pub(crate) fn publish(&self, server: &ServerName, document: impl Into<String>) {
        self.documents.lock().insert(server.to_owned(), document.into());
    }

    pub(crate) fn silence(&self, server: &ServerName) {
        self.documents.lock().remove(server);
    }

    /// It never answers.
    pub(crate) fn stall(&self, server: &ServerName) {
        self.stalling.lock().insert(server.to_owned());
    }

    pub(crate) fn notary(&self, notary: &ServerName, answers: Vec<String>) {
        self.notaries.lock().insert(notary.to_owned(), answers);
    }

    pub(crate) fn times_asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The network as a source.
pub(crate) struct Wire(pub(crate) Arc<Network>);

impl KeySource for Wire {
    fn document<'a>(&'a self, server: &'a ServerName) -> BoxFuture<'a, Result<String, FetchFailure>> {
        Box::pin(async move {
            self.0.asked.fetch_add(1, Ordering::SeqCst);
            drop(self.0.gate.read().await);
            let stalls = self.0.stalling.lock().contains(server);
            if stalls {
                std::future::pending::<()>().await;
            }
            let found = self.0.documents.lock().get(server).cloned();
            found.ok_or_else(|| FetchFailure::new("nobody there"))
        })
    }

    fn ask_notary<'a>(
        &'a self,
        notary: &'a ServerName,
        _: &'a ServerName,
        _: u64,
    ) -> BoxFuture<'a, Result<Vec<String>, FetchFailure>> {
        let found = self.0.notaries.lock().get(notary).cloned();
        Box::pin(async move { found.ok_or_else(|| FetchFailure::new("nobody there")) })
    }
}

/// A key of a server, by a number.
pub(crate) fn key(server: &ServerName, number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32], &format!("k{number}"), server.to_owned()).unwrap()
}

/// A document of a server, signed by its keys: those in use, and old ones with their end.
pub(crate) fn document(keys: &[&SigningKey], old: &[(&SigningKey, u64)], valid_until_ms: u64) -> String {
    let server = keys[0].server_name();
    let entry = |key: &SigningKey| (key.key_id().to_owned(), json!({ "key": key.verify_key() }));
    let expired = |(key, at): &(&SigningKey, u64)| {
        (key.key_id().to_owned(), json!({ "key": key.verify_key(), "expired_ts": at }))
    };
    let document = json!({
        "server_name": server,
        "valid_until_ts": valid_until_ms,
        "verify_keys": keys.iter().map(|key| entry(key)).collect::<serde_json::Map<_, _>>(),
        "old_verify_keys": old.iter().map(expired).collect::<serde_json::Map<_, _>>(),
    });
    keys.iter().fold(document.to_string(), |document, key| signed(&document, key))
}

/// A JSON object with one more signature.
pub(crate) fn signed(json: &str, key: &SigningKey) -> String {
    let mut object = Object::parse(json.as_bytes(), Numbers::Strict, 20).unwrap();
    let mut signatures = match object.remove("signatures") {
        Some(Value::Object(signatures)) => signatures,
        _ => Object::default(),
    };
    let mut own = match signatures.remove(key.server_name().as_str()) {
        Some(Value::Object(own)) => own,
        _ => Object::default(),
    };
    own.insert(key.key_id().to_owned(), Value::String(key.sign_base64(object.to_text().as_bytes()).into()));
    signatures.insert(key.server_name().to_string(), Value::Object(own));
    object.insert("signatures", Value::Object(signatures));
    object.to_text()
}

/// A ring over a store of its own, as `school.example`, and the network around it.
pub(crate) struct Fixture {
    pub(crate) ring: KeyRing,
    pub(crate) network: Arc<Network>,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) config: Arc<Config>,
    pub(crate) own: Arc<OwnKeys>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os };
        let store = Store::open(folder.path(), &options).unwrap();
        let name = owned_server_name!("school.example");
        let mut config = Config::defaults(name.clone());
        config.federation.allow = vec![ServerPattern::parse("*").unwrap()];
        change(&mut config);
        let own = Arc::new(OwnKeys::of(Arc::new(key(&name, 200))));
        let (network, clock, config) = (Arc::default(), Clock::test(NOW_MS), Arc::new(config));
        let ring = ring(&network, &store, &clock, &own, &config);
        Self { ring, network, clock, store, config, own, _folder: folder }
    }

    /// An event of a server is accepted.
    pub(crate) async fn accept_of(&self, server: &ServerName) {
        let mut batch = Batch::new();
        self.ring.keep_with(server, &mut batch);
        self.store.commit(batch).await.unwrap();
    }

    /// The ring of the same server after a restart.
    pub(crate) fn restarted(&self) -> KeyRing {
        ring(&self.network, &self.store, &self.clock, &self.own, &self.config)
    }
}

fn ring(network: &Arc<Network>, store: &Store, clock: &Clock, own: &Arc<OwnKeys>, config: &Arc<Config>) -> KeyRing {
    KeyRing::new(KeyRingParts {
        source: Arc::new(Wire(network.clone())),
        store: store.clone(),
        clock: clock.clone(),
        own: own.clone(),
        config: config.clone(),
    })
}
