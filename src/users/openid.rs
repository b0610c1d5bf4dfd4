//! `OpenID` tokens: what somebody shows to a third party to prove who they are (specification v1.19, section "`OpenID`").
//!
//! They are valid for an hour and kept in memory only: after a restart, clients ask for a new one.

use std::{sync::Arc, time::Duration};

use quick_cache::sync::Cache;
use ruma::OwnedUserId;

use crate::{
    clock::Clock,
    ids::Ids,
    secret::{Secret, token_hash},
};

/// How long a token is valid.
pub const OPENID_LIFETIME: Duration = Duration::from_hours(1);

/// Tokens at once; old ones make room.
const TOKENS_MAX: usize = 10_000;

/// Gives out and checks `OpenID` tokens. Cheap to clone.
#[derive(Clone)]
pub struct OpenId {
    tokens: Arc<Cache<[u8; 32], (OwnedUserId, Duration)>>,
    clock: Clock,
    ids: Ids,
}

impl OpenId {
    pub(super) fn new(clock: Clock, ids: Ids) -> Self {
        Self { tokens: Arc::new(Cache::new(TOKENS_MAX)), clock, ids }
    }

    /// A new token for a user.
    pub fn issue(&self, user_id: OwnedUserId) -> Secret {
        let token = self.ids.opaque(43);
        self.tokens.insert(token_hash(&token), (user_id, self.clock.elapsed() + OPENID_LIFETIME));
        token.into()
    }

    /// Whose token it is, while it is valid.
    pub fn user(&self, token: &str) -> Option<OwnedUserId> {
        let (user_id, end) = self.tokens.get(&token_hash(token))?;
        (end > self.clock.elapsed()).then_some(user_id)
    }
}
