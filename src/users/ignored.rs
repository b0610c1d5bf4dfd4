//! Whom a user ignores: the account data `m.ignored_user_list`, read as user numbers.
//!
//! Specification v1.19, client-server API, "Ignoring users".

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use ruma::UserId;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Users, UsersError};
use crate::store::UserNo;

/// Entries of the list that count.
const IGNORED_MAX: usize = 10_000;

#[derive(Deserialize, Default)]
#[expect(clippy::zero_sized_map_values, reason = "an object of empty objects, by definition")]
struct IgnoredUserList {
    #[serde(default)]
    ignored_users: BTreeMap<String, IgnoredAny>,
}

impl Users {
    /// The users whose messages and invitations this user does not want. A damaged list ignores nobody.
    ///
    /// # Errors
    /// The store failed.
    pub async fn ignored(&self, user: UserNo) -> Result<Arc<HashSet<UserNo>>, UsersError> {
        let Some(content) = self.account_data.get(user, None, "m.ignored_user_list").await? else {
            return Ok(Arc::default());
        };
        let list: IgnoredUserList = serde_json::from_str(content.get()).unwrap_or_default();
        let mut ignored = HashSet::new();
        for id in list.ignored_users.keys().take(IGNORED_MAX) {
            if let Ok(id) = <&UserId>::try_from(id.as_str())
                && let Some(number) = self.store.user(id).await?
            {
                ignored.insert(number);
            }
        }
        ignored.remove(&user);
        Ok(Arc::new(ignored))
    }
}
