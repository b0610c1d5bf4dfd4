//! Access and refresh tokens as rows: given out, ended.
//!
//! Only hashes are stored. Each token stands in two tables, by its hash and by its device; both change in one batch.

use std::{sync::Arc, time::Duration};

use quick_cache::sync::Cache;

use super::{UsersError, sessions::Entry};
use crate::{
    clock::Clock,
    ids::Ids,
    secret::token_hash,
    store::{
        Batch, Order, Store, UserNo,
        schema::users::{DEVICE_TOKENS, DeviceToken, TOKENS, Token, TokenKind},
    },
};

/// Sessions kept in memory. One takes about 200 bytes; a token that is not among them costs one disk read.
const SESSIONS_CACHED: usize = 50_000;

/// A device has one or two pairs of tokens; this bounds a scan all the same.
const TOKENS_MAX: usize = 100_000;

/// The SHA-256 of a token.
pub(super) type TokenHash = [u8; 32];

/// Which tokens of a user end.
pub(super) enum Ending<'a> {
    /// All of them.
    All,
    /// All but those of this device.
    AllBut(&'a str),
    /// Those of one device.
    Device(&'a str),
    /// Those of one device, but for one generation.
    Generations { device_id: &'a str, except: u64 },
}

/// Makes and ends tokens. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tokens {
    store: Store,
    clock: Clock,
    ids: Ids,
    lifetime: Duration,
    cache: Arc<Cache<TokenHash, Arc<Entry>>>,
}

/// Tokens as the client gets them.
pub(super) struct Issued {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) expires_in: Option<Duration>,
}

impl Tokens {
    pub(super) fn new(store: Store, clock: Clock, ids: Ids, lifetime: Duration) -> Self {
        Self { store, clock, ids, lifetime, cache: Arc::new(Cache::new(SESSIONS_CACHED)) }
    }

    pub(super) fn cache(&self) -> &Cache<TokenHash, Arc<Entry>> {
        &self.cache
    }

    pub(super) async fn get(&self, hash: &TokenHash) -> Result<Option<Token>, UsersError> {
        Ok(self.store.get(&TOKENS, hash).await?)
    }

    /// Gives a device an access token and, when it can use one, a refresh token. Only then does the access token end
    /// by itself. `fresh` tokens end those of other generations at their first use.
    pub(super) fn issue(
        &self,
        batch: &mut Batch,
        (user, device_id): (UserNo, &str),
        refreshable: bool,
        generation: u64,
        fresh: bool,
    ) -> Issued {
        let mut put = |token: &str, kind, expires_at_ms| {
            let hash = token_hash(token);
            let device_id = device_id.to_owned();
            batch.put(&DEVICE_TOKENS, &(user, device_id.clone(), hash), &DeviceToken { kind, generation });
            batch.put(&TOKENS, &hash, &Token { kind, user, device_id, expires_at_ms, generation, fresh });
        };
        let expires_in = refreshable.then_some(self.lifetime);
        let lifetime_ms = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX);
        let expires_at_ms = expires_in.map(|_| self.clock.now_ms().saturating_add(lifetime_ms));
        let access_token = self.ids.access_token();
        put(&access_token, TokenKind::Access, expires_at_ms);
        let refresh_token = refreshable.then(|| self.ids.refresh_token());
        if let Some(token) = &refresh_token {
            put(token, TokenKind::Refresh, None);
        }
        Issued { access_token, refresh_token, expires_in }
    }

    /// Ends tokens of a user, with the sessions in memory that rest on them. The caller holds the user's lock.
    pub(super) async fn end(&self, batch: &mut Batch, user: UserNo, ending: Ending<'_>) -> Result<(), UsersError> {
        let tokens = self.of(user, &ending).await?;
        for (key, _) in &tokens {
            batch.delete(&DEVICE_TOKENS, key);
            batch.delete(&TOKENS, &key.2);
        }
        self.forget(batch, tokens.into_iter().map(|(key, _)| key.2).collect());
        Ok(())
    }

    /// Has every session of a user read anew, because the account has changed. The caller holds the user's lock.
    pub(super) async fn reread(&self, batch: &mut Batch, user: UserNo) -> Result<(), UsersError> {
        let tokens = self.of(user, &Ending::All).await?;
        self.forget(batch, tokens.into_iter().map(|(key, _)| key.2).collect());
        Ok(())
    }

    /// Marks the tokens of a generation as used.
    pub(super) async fn settle(
        &self,
        batch: &mut Batch,
        user: UserNo,
        device_id: &str,
        generation: u64,
    ) -> Result<(), UsersError> {
        for ((_, _, hash), index) in self.of(user, &Ending::Device(device_id)).await? {
            if index.generation != generation {
                continue;
            }
            if let Some(token) = self.get(&hash).await? {
                batch.put(&TOKENS, &hash, &Token { fresh: false, ..token });
            }
        }
        Ok(())
    }

    async fn of(
        &self,
        user: UserNo,
        ending: &Ending<'_>,
    ) -> Result<Vec<((UserNo, String, TokenHash), DeviceToken)>, UsersError> {
        let mut tokens = match ending {
            Ending::All | Ending::AllBut(_) => {
                self.store.prefix(&DEVICE_TOKENS, &user, Order::Ascending, TOKENS_MAX).await?
            }
            Ending::Device(device_id) | Ending::Generations { device_id, .. } => {
                let device = (user, (*device_id).to_owned());
                self.store.prefix(&DEVICE_TOKENS, &device, Order::Ascending, TOKENS_MAX).await?
            }
        };
        tokens.retain(|((_, device, _), token)| match ending {
            Ending::All | Ending::Device(_) => true,
            Ending::AllBut(kept) => device != kept,
            Ending::Generations { except, .. } => token.generation != *except,
        });
        Ok(tokens)
    }

    /// Drops sessions from memory once the batch is durable. A session that is being read at that moment is not kept
    /// either: removing a key also removes the place that its reader holds.
    fn forget(&self, batch: &mut Batch, hashes: Vec<TokenHash>) {
        if hashes.is_empty() {
            return;
        }
        let cache = self.cache.clone();
        batch.on_publish(move |_| {
            for hash in hashes {
                cache.remove(&hash);
            }
        });
    }
}
