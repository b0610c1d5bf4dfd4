//! Sessions: from an access token to who asks.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ruma::{OwnedDeviceId, OwnedUserId};

use super::{
    UsersError,
    last_seen::LastSeen,
    locks::Locks,
    tokens::{Ending, TokenHash, Tokens},
};
use crate::{
    clock::Clock,
    secret::token_hash,
    store::{
        Batch, Store, UserNo,
        schema::users::{ACCOUNTS, DEVICES, Token, TokenKind},
    },
};

/// A signed-in device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about an account, each asked by itself")]
pub struct Session {
    /// The account.
    pub user_id: OwnedUserId,
    /// The account's interned number.
    pub user: UserNo,
    /// The device the token belongs to.
    pub device_id: OwnedDeviceId,
    /// A guest account: only what the specification's guest module lists is allowed.
    pub guest: bool,
    /// An administrator of this server.
    pub admin: bool,
    /// A locked account can only log out.
    pub locked: bool,
    /// A suspended account can read and leave, not write.
    pub suspended: bool,
}

/// What a token turned out to be.
#[derive(Debug, Clone)]
pub enum Authenticated {
    /// In use.
    Session(Arc<Session>),
    /// Known, but its time is over: a soft logout.
    Expired,
    /// Not known, or logged out.
    Unknown,
}

/// A pair of tokens for a session that goes on.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The new access token.
    pub access_token: String,
    /// The new refresh token.
    pub refresh_token: Option<String>,
    /// How long the access token is valid.
    pub expires_in: Option<Duration>,
}

/// A session in memory.
pub(super) struct Entry {
    session: Arc<Session>,
    expires_at_ms: Option<u64>,
    /// When its use was last noted.
    noted_ms: AtomicU64,
}

/// Finds and continues sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    store: Store,
    clock: Clock,
    locks: Locks,
    tokens: Tokens,
    last_seen: LastSeen,
}

/// Why a session could not be read into memory.
enum Missing {
    Unknown,
    Failed(UsersError),
}

impl From<UsersError> for Missing {
    fn from(error: UsersError) -> Self {
        Self::Failed(error)
    }
}

impl Sessions {
    pub(super) fn new(store: Store, clock: Clock, locks: Locks, tokens: Tokens, last_seen: LastSeen) -> Self {
        Self { store, clock, locks, tokens, last_seen }
    }

    /// Who an access token stands for. Reads the disk only the first time it sees the token.
    ///
    /// Locked, suspended and guest accounts are answered with their session; what they may do is decided above.
    ///
    /// # Errors
    /// The store failed.
    pub async fn authenticate(&self, token: &str, address: IpAddr) -> Result<Authenticated, UsersError> {
        let hash = token_hash(token);
        let entry = match self.tokens.cache().get(&hash) {
            Some(entry) => entry,
            // In a box, because every request carries the room for this.
            None => match self.tokens.cache().get_or_insert_async(&hash, Box::pin(self.load(&hash))).await {
                Ok(entry) => entry,
                Err(Missing::Unknown) => return Ok(Authenticated::Unknown),
                Err(Missing::Failed(error)) => return Err(error),
            },
        };
        let now_ms = self.clock.now_ms();
        if entry.expires_at_ms.is_some_and(|end| end <= now_ms) {
            return Ok(Authenticated::Expired);
        }
        self.note(&entry, now_ms, address);
        Ok(Authenticated::Session(entry.session.clone()))
    }

    /// The next tokens of a session (specification v1.19, "Refreshing access tokens"). The given token stays valid
    /// until one of the new ones is used; a client that lost the answer asks again.
    ///
    /// # Errors
    /// [`UsersError::UnknownRefreshToken`], or what keeps the account from signing in.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Refreshed, UsersError> {
        let hash = token_hash(refresh_token);
        let user = self.refresh_token(&hash).await?.user;
        let _guard = self.locks.user(user).await;
        // Read again: it may have been revoked while this call waited.
        let token = self.refresh_token(&hash).await?;
        let account = self.store.get(&ACCOUNTS, &user).await?.filter(|account| !account.deactivated);
        let account = account.ok_or(UsersError::UnknownRefreshToken)?;
        if account.locked {
            return Err(UsersError::Locked);
        }
        let mut batch = Batch::new();
        let device_id = &token.device_id;
        // Generations before this one are settled by its use, and later ones never reached the client.
        self.tokens.end(&mut batch, user, Ending::Generations { device_id, except: token.generation }).await?;
        if token.fresh {
            self.tokens.settle(&mut batch, user, device_id, token.generation).await?;
        }
        let issued = self.tokens.issue(&mut batch, (user, device_id), true, token.generation + 1, true);
        self.store.commit(batch).await?;
        let (access_token, refresh_token, expires_in) = (issued.access_token, issued.refresh_token, issued.expires_in);
        Ok(Refreshed { access_token, refresh_token, expires_in })
    }

    async fn refresh_token(&self, hash: &TokenHash) -> Result<Token, UsersError> {
        let token = self.tokens.get(hash).await?;
        token.filter(|token| token.kind == TokenKind::Refresh).ok_or(UsersError::UnknownRefreshToken)
    }

    async fn load(&self, hash: &TokenHash) -> Result<Arc<Entry>, Missing> {
        let access = |token: &Token| token.kind == TokenKind::Access;
        let mut token = self.tokens.get(hash).await?.filter(access).ok_or(Missing::Unknown)?;
        if token.fresh {
            let _guard = self.locks.user(token.user).await;
            token = self.tokens.get(hash).await?.filter(access).ok_or(Missing::Unknown)?;
            if token.fresh {
                let mut batch = Batch::new();
                let (device_id, generation) = (&token.device_id, token.generation);
                let others = Ending::Generations { device_id, except: generation };
                self.tokens.end(&mut batch, token.user, others).await?;
                self.tokens.settle(&mut batch, token.user, device_id, generation).await?;
                self.store.commit(batch).await.map_err(UsersError::from)?;
            }
        }
        let user = token.user;
        let device = (user, token.device_id.clone());
        let account = self.store.get(&ACCOUNTS, &user).await.map_err(UsersError::from)?.ok_or(Missing::Unknown)?;
        let exists = self.store.get(&DEVICES, &device).await.map_err(UsersError::from)?.is_some();
        if account.deactivated || !exists {
            return Err(Missing::Unknown);
        }
        let session = Session {
            user_id: self.store.user_id(user).await.map_err(UsersError::from)?,
            user,
            device_id: token.device_id.into(),
            guest: account.guest,
            admin: account.admin,
            locked: account.locked,
            suspended: account.suspended,
        };
        let (session, noted_ms) = (Arc::new(session), AtomicU64::new(0));
        Ok(Arc::new(Entry { session, expires_at_ms: token.expires_at_ms, noted_ms }))
    }

    /// Notes the use of a session, not more often than every few minutes.
    fn note(&self, entry: &Entry, now_ms: u64, address: IpAddr) {
        let noted_ms = entry.noted_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(noted_ms) < LastSeen::ACCURACY_MS {
            return;
        }
        // Of requests at the same moment one notes.
        if entry.noted_ms.compare_exchange(noted_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.last_seen.note(entry.session.user, entry.session.device_id.as_str(), now_ms, address);
        }
    }
}

#[cfg(test)]
mod tests;
