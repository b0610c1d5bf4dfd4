//! Account data: what clients keep for a user, globally and for each room (specification v1.19, "Client config").

use std::ops::Range;

use serde_json::value::RawValue;
use tokio::sync::MutexGuard;

use super::{UsersError, ignored::IgnoredLists, locks::Locks, push_rules};
use crate::{
    notify::{Concerned, Notifier},
    store::{
        Batch, Order, Position, RoomNo, Store, UserNo,
        schema::users::{ACCOUNT_DATA, ACCOUNT_DATA_LOG, AccountDataChange, AccountDatum, GLOBAL},
    },
};

/// The type of the push rules, in the user's global account data.
pub const PUSH_RULES: &str = "m.push_rules";
/// The type of the fully-read marker, in a room's account data.
pub const FULLY_READ: &str = "m.fully_read";
/// The type of the room's tags, in its account data.
pub const TAG: &str = "m.tag";

/// The type of the list of ignored users, in the user's global account data.
pub(super) const IGNORED_USER_LIST: &str = "m.ignored_user_list";

/// The longest type, in bytes, as for events.
const KIND_BYTES_MAX: usize = 255;

/// The largest content, in bytes. Emoji packs of clients are the largest that is known, with a few hundred KiB.
const CONTENT_BYTES_MAX: usize = 1024 * 1024;

/// Pieces of account data of one user. A page of `changes` is never larger.
const PIECES_MAX: usize = 100_000;

/// A piece of account data.
#[derive(Debug, Clone)]
pub struct AccountDataItem {
    /// The room; `None` for global account data.
    pub room: Option<RoomNo>,
    /// The type.
    pub kind: String,
    /// The content.
    pub content: Box<RawValue>,
}

/// Whether a type is written by the server only: clients get 405 for it.
pub fn is_reserved(kind: &str) -> bool {
    matches!(kind, PUSH_RULES | FULLY_READ)
}

/// Reads and changes account data. Cheap to clone.
#[derive(Clone)]
pub struct AccountData {
    store: Store,
    notifier: Notifier,
    locks: Locks,
    ignored: IgnoredLists,
}

impl AccountData {
    pub(super) fn new(store: Store, notifier: Notifier, locks: Locks, ignored: IgnoredLists) -> Self {
        Self { store, notifier, locks, ignored }
    }

    /// A piece of account data. Push rules are read through `PushRules`, which knows the defaults.
    ///
    /// # Errors
    /// The store failed.
    pub async fn get(
        &self,
        user: UserNo,
        room: Option<RoomNo>,
        kind: &str,
    ) -> Result<Option<Box<RawValue>>, UsersError> {
        let key = (user, room.unwrap_or(GLOBAL), kind.to_owned());
        self.store.get(&ACCOUNT_DATA, &key).await?.map(|datum| raw(datum.content)).transpose()
    }

    /// Sets a piece of account data, and wakes the user.
    ///
    /// # Errors
    /// [`UsersError::TooLarge`], [`UsersError::Invalid`].
    pub async fn set(
        &self,
        user: UserNo,
        room: Option<RoomNo>,
        kind: &str,
        content: &RawValue,
    ) -> Result<Position, UsersError> {
        let _guard = self.lock(user).await;
        let mut batch = Batch::new();
        self.stage(&mut batch, user, room, kind, content).await?;
        Ok(self.store.commit(batch).await?)
    }

    /// Changes the tags of a room in one step: `change` gets the object in the content's `tags`.
    ///
    /// # Errors
    /// [`UsersError::TooLarge`], and what `change` returns.
    pub async fn change_tags(
        &self,
        user: UserNo,
        room: RoomNo,
        change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>) -> Result<(), UsersError>,
    ) -> Result<(), UsersError> {
        let _guard = self.lock(user).await;
        let mut tags = self.tags(user, room).await?;
        change(&mut tags)?;
        let content = serde_json::value::to_raw_value(&serde_json::json!({ "tags": tags }))
            .map_err(|_| UsersError::Internal("tags cannot be written"))?;
        let mut batch = Batch::new();
        self.stage(&mut batch, user, Some(room), TAG, &content).await?;
        self.store.commit(batch).await?;
        Ok(())
    }

    /// The tags of a room.
    ///
    /// # Errors
    /// The store failed.
    pub async fn tags(
        &self,
        user: UserNo,
        room: RoomNo,
    ) -> Result<serde_json::Map<String, serde_json::Value>, UsersError> {
        let content = self.get(user, Some(room), TAG).await?;
        // Clients may also write m.tag as plain account data, in any shape.
        let content: Option<serde_json::Value> = content.and_then(|json| serde_json::from_str(json.get()).ok());
        Ok(content.and_then(|content| content.get("tags")?.as_object().cloned()).unwrap_or_default())
    }

    /// The right to change account data of a user, for [`Self::stage`].
    pub async fn lock(&self, user: UserNo) -> MutexGuard<'_, ()> {
        self.locks.user(user).await
    }

    /// Adds the setting of a piece of account data to a batch of somebody who holds [`Self::lock`].
    ///
    /// # Errors
    /// [`UsersError::TooLarge`], [`UsersError::Invalid`].
    pub async fn stage(
        &self,
        batch: &mut Batch,
        user: UserNo,
        room: Option<RoomNo>,
        kind: &str,
        content: &RawValue,
    ) -> Result<(), UsersError> {
        if kind.is_empty() || kind.len() > KIND_BYTES_MAX {
            return Err(UsersError::Invalid("The type of account data has 1 to 255 bytes"));
        }
        let content = content.get().to_owned();
        if content.len() > CONTENT_BYTES_MAX {
            return Err(UsersError::TooLarge("Account data may have at most 1 MiB"));
        }
        let (room, kind) = (room.unwrap_or(GLOBAL), kind.to_owned());
        let key = (user, room, kind.clone());
        if let Some(old) = self.store.get(&ACCOUNT_DATA, &key).await? {
            batch.delete(&ACCOUNT_DATA_LOG, &(user, old.position));
        }
        if room == GLOBAL && kind == IGNORED_USER_LIST {
            self.ignored.stage(batch, user, &content);
        }
        batch.at_position(move |position, rows| {
            rows.put(&ACCOUNT_DATA, &key, &AccountDatum { position, content });
            rows.put(&ACCOUNT_DATA_LOG, &(user, position), &AccountDataChange { room, kind });
        });
        let notifier = self.notifier.clone();
        batch.on_visible(move || notifier.wake(Concerned::User(user.0)));
        Ok(())
    }

    /// What changed after `since` and up to `to`, oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn changes(
        &self,
        user: UserNo,
        since: Position,
        to: Position,
    ) -> Result<Vec<AccountDataItem>, UsersError> {
        let Range { start, end } = since.0.saturating_add(1)..to.0.saturating_add(1);
        if start >= end {
            return Ok(Vec::new());
        }
        let (from, before) = ((user, Position(start)), (user, Position(end)));
        let log = self.store.range(&ACCOUNT_DATA_LOG, &from, &before, Order::Ascending, PIECES_MAX).await?;
        let keys: Vec<_> = log.into_iter().map(|(_, change)| (user, change.room, change.kind)).collect();
        let data = self.store.multi_get(&ACCOUNT_DATA, &keys).await?;
        let found = keys.into_iter().zip(data).filter_map(|(key, datum)| Some((key, datum?)));
        found.map(|(key, datum)| item(key, datum)).collect()
    }

    /// All account data of a user, with the push rules, which everybody has.
    ///
    /// # Errors
    /// The store failed.
    pub async fn all(&self, user: UserNo) -> Result<Vec<AccountDataItem>, UsersError> {
        let rows = self.store.prefix(&ACCOUNT_DATA, &user, Order::Ascending, PIECES_MAX).await?;
        let mut items = rows.into_iter().map(|(key, datum)| item(key, datum)).collect::<Result<Vec<_>, _>>()?;
        let is_rules = |item: &AccountDataItem| item.room.is_none() && item.kind == PUSH_RULES;
        let stored = items.iter().position(is_rules).map(|position| items.swap_remove(position).content);
        let user_id = self.store.user_id(user).await?;
        let content = push_rules::content(&push_rules::effective(stored.as_deref(), &user_id))?;
        items.push(AccountDataItem { room: None, kind: PUSH_RULES.to_owned(), content });
        Ok(items)
    }

    /// All account data of a user about a room.
    ///
    /// # Errors
    /// The store failed.
    pub async fn of_room(&self, user: UserNo, room: RoomNo) -> Result<Vec<AccountDataItem>, UsersError> {
        let rows = self.store.prefix(&ACCOUNT_DATA, &(user, room), Order::Ascending, PIECES_MAX).await?;
        rows.into_iter().map(|(key, datum)| item(key, datum)).collect()
    }
}

fn item((_, room, kind): (UserNo, RoomNo, String), datum: AccountDatum) -> Result<AccountDataItem, UsersError> {
    Ok(AccountDataItem { room: (room != GLOBAL).then_some(room), kind, content: raw(datum.content)? })
}

fn raw(json: String) -> Result<Box<RawValue>, UsersError> {
    RawValue::from_string(json).map_err(|_| UsersError::Internal("stored account data is not JSON"))
}

#[cfg(test)]
mod tests;
