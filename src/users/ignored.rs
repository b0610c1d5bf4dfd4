//! Whom a user ignores: the account data `m.ignored_user_list`, read as user numbers.
//!
//! Specification v1.19, client-server API, "Ignoring users".

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use parking_lot::RwLock;
use ruma::UserId;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Users, UsersError, account_data::IGNORED_USER_LIST};
use crate::store::{
    Batch, Store, StoreError, UserNo,
    schema::users::{IGNORED_LISTS, IgnoredList},
};

/// Entries of the list that count.
const IGNORED_MAX: usize = 10_000;

#[derive(Deserialize, Default)]
#[expect(clippy::zero_sized_map_values, reason = "an object of empty objects, by definition")]
struct IgnoredUserList {
    #[serde(default)]
    ignored_users: BTreeMap<String, IgnoredAny>,
}

/// Every list of ignored users, in memory, for decisions that cannot wait for the disk. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct IgnoredLists(Arc<RwLock<HashMap<UserNo, List>>>);

/// User ids.
type List = Arc<BTreeSet<Box<str>>>;

impl IgnoredLists {
    /// Reads them, blocking.
    ///
    /// # Errors
    /// The store failed.
    pub(super) fn load_blocking(store: &Store) -> Result<Self, StoreError> {
        let mut lists = HashMap::new();
        store.walk_blocking(&IGNORED_LISTS, |user, list| {
            lists.insert(user, Arc::new(list.0.into_iter().map(String::into_boxed_str).collect()));
            Ok(())
        })?;
        Ok(Self(Arc::new(RwLock::new(lists))))
    }

    /// Whether `user` ignores somebody.
    pub fn ignores(&self, user: UserNo, other: &UserId) -> bool {
        self.list(user).is_some_and(|list| list.contains(other.as_str()))
    }

    /// Whether `user` ignores anybody at all: mostly not, which spares the caller to look the other up.
    pub fn ignores_anybody(&self, user: UserNo) -> bool {
        self.0.read().contains_key(&user)
    }

    fn list(&self, user: UserNo) -> Option<List> {
        self.0.read().get(&user).cloned()
    }

    /// Adds what follows from new account data to their batch. A damaged list ignores nobody.
    pub(super) fn stage(&self, batch: &mut Batch, user: UserNo, content: &str) {
        let list: IgnoredUserList = serde_json::from_str(content).unwrap_or_default();
        let ids: Vec<String> = list.ignored_users.into_keys().take(IGNORED_MAX).collect();
        if ids.is_empty() {
            batch.delete(&IGNORED_LISTS, &user);
        } else {
            batch.put(&IGNORED_LISTS, &user, &IgnoredList(ids.clone()));
        }
        let lists = self.clone();
        batch.on_publish(move |_| {
            let mut lists = lists.0.write();
            if ids.is_empty() {
                lists.remove(&user);
            } else {
                lists.insert(user, Arc::new(ids.into_iter().map(String::into_boxed_str).collect()));
            }
        });
    }
}

impl Users {
    /// The users whose messages and invitations this user does not want. A damaged list ignores nobody.
    ///
    /// # Errors
    /// The store failed.
    pub async fn ignored(&self, user: UserNo) -> Result<Arc<HashSet<UserNo>>, UsersError> {
        let Some(content) = self.account_data.get(user, None, IGNORED_USER_LIST).await? else {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use ruma::user_id;
    use serde_json::value::RawValue;

    use super::*;
    use crate::users::test::Fixture;

    #[tokio::test]
    async fn the_lists_in_memory_follow_the_account_data_and_outlive_a_start() {
        let fixture = Fixture::new();
        let (anna, _) = fixture.register("anna").await;
        let bruno = user_id!("@bruno:school.example");
        let set = async |content: &str| {
            let content = RawValue::from_string(content.to_owned()).unwrap();
            fixture.users.account_data.set(anna.user, None, IGNORED_USER_LIST, &content).await.unwrap();
        };
        let lists = &fixture.users.ignored_lists;
        let again = || IgnoredLists::load_blocking(&fixture.store).unwrap();
        assert!(!lists.ignores_anybody(anna.user));
        set(r#"{"ignored_users":{"@bruno:school.example":{}}}"#).await;
        for lists in [lists, &again()] {
            assert!(lists.ignores(anna.user, bruno) && lists.ignores_anybody(anna.user));
            assert!(!lists.ignores(anna.user, user_id!("@carla:school.example")));
        }
        for none in [r#"{"ignored_users":{}}"#, r#"{"ignored_users":7}"#, "[]"] {
            set(r#"{"ignored_users":{"@bruno:school.example":{}}}"#).await;
            set(none).await;
            assert!(!lists.ignores(anna.user, bruno) && !again().ignores_anybody(anna.user), "{none}");
        }
    }
}
