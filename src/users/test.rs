//! What the unit tests of this folder share: services over a temporary store.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{sync::Arc, time::Duration};

use ruma::owned_server_name;

use super::{Grant, NewAccount, NewDevice, Registered, Users};
use crate::{
    clock::Clock,
    config::{self, Config, Size},
    ids::Ids,
    notify::Notifier,
    remote::{Outbox, OutboxParts},
    store::{Durability, Store, StoreOptions},
};

/// Hashes that cost next to nothing.
pub(crate) fn cheap_passwords() -> config::Passwords {
    config::Passwords { length_min: 8, memory: Size::kib(8), iterations: 1, parallel_hashes: 2 }
}

pub(crate) const PASSWORD: &str = "correct horse";

/// Services over a store of their own, with a clock that stands still.
pub(crate) struct Fixture {
    pub(crate) users: Users,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
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
        let mut config = Config::defaults(owned_server_name!("school.example"));
        config.passwords = cheap_passwords();
        change(&mut config);
        let clock = Clock::test(1_800_000_000_000);
        let notifier = Notifier::start().unwrap();
        let outbox = Outbox::new(OutboxParts {
            store: store.clone(),
            clock: clock.clone(),
            ids: Ids::system(),
            server_name: config.server.name.clone(),
            federation: config.federation.clone(),
        });
        let users =
            Users::new(&Arc::new(config), store.clone(), clock.clone(), Ids::system(), notifier, outbox).unwrap();
        Self { users, store, clock, _folder: folder }
    }

    pub(crate) async fn register(&self, name: &str) -> (Registered, Grant) {
        self.register_on(name, NewDevice::default()).await
    }

    pub(crate) async fn register_on(&self, name: &str, device: NewDevice) -> (Registered, Grant) {
        let new =
            NewAccount { localpart: Some(name.to_owned()), password: Some(PASSWORD.into()), ..NewAccount::default() };
        let registered = self.users.register(new, Some(device)).await.unwrap();
        let grant = registered.grant.clone().unwrap();
        (registered, grant)
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}
