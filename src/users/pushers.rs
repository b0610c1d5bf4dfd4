//! Pushers: where a user's notifications go (specification v1.19, "Push notifications"). They are kept here; delivery
//! is another part's.

use ruma::api::client::push::{Pusher, PusherIds};

use super::{UsersError, locks::Locks};
use crate::store::{
    Batch, Order, Store, UserNo,
    schema::users::{PUSHER_OWNERS, PUSHERS, Pusher as StoredPusher},
};

/// Pushers of one user.
const PUSHERS_MAX: usize = 100;

/// Bytes of an app id and of a push key, by the specification.
const APP_ID_BYTES_MAX: usize = 64;
const PUSHKEY_BYTES_MAX: usize = 512;

/// Users who share one app id and push key.
const OWNERS_MAX: usize = 10_000;

/// Keeps pushers. Cheap to clone.
#[derive(Clone)]
pub struct Pushers {
    store: Store,
    locks: Locks,
}

impl Pushers {
    pub(super) fn new(store: Store, locks: Locks) -> Self {
        Self { store, locks }
    }

    /// The pushers of a user.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, user: UserNo) -> Result<Vec<Pusher>, UsersError> {
        let rows = self.store.prefix(&PUSHERS, &user, Order::Ascending, PUSHERS_MAX).await?;
        let read = |json: &str| serde_json::from_str(json);
        let pushers = rows.iter().map(|(_, row)| read(&row.definition));
        pushers.collect::<Result<_, _>>().map_err(|_| UsersError::Internal("a stored pusher does not read"))
    }

    /// Sets a pusher of a device. Unless `append`, pushers of other users with the same app id and push key end: the
    /// device has changed hands.
    ///
    /// # Errors
    /// [`UsersError::Invalid`].
    pub async fn set(&self, user: UserNo, device_id: &str, pusher: &Pusher, append: bool) -> Result<(), UsersError> {
        let PusherIds { app_id, pushkey } = &pusher.ids;
        if app_id.is_empty() || app_id.len() > APP_ID_BYTES_MAX {
            return Err(UsersError::Invalid("An app id has 1 to 64 bytes"));
        }
        if pushkey.is_empty() || pushkey.len() > PUSHKEY_BYTES_MAX {
            return Err(UsersError::Invalid("A push key has 1 to 512 bytes"));
        }
        let definition =
            serde_json::to_string(pusher).map_err(|_| UsersError::Invalid("This pusher cannot be stored"))?;
        let _guard = self.locks.user(user).await;
        let key = (user, app_id.clone(), pushkey.clone());
        let known = self.store.prefix(&PUSHERS, &user, Order::Ascending, PUSHERS_MAX).await?;
        if known.len() >= PUSHERS_MAX && !known.iter().any(|(known, _)| *known == key) {
            return Err(UsersError::Invalid("There are too many pushers"));
        }
        let mut batch = Batch::new();
        if !append {
            let ids = (app_id.clone(), pushkey.clone());
            let owners = self.store.prefix(&PUSHER_OWNERS, &ids, Order::Ascending, OWNERS_MAX).await?;
            for ((_, _, owner), ()) in owners {
                stage_delete(&mut batch, owner, app_id, pushkey);
            }
        }
        batch.put(&PUSHER_OWNERS, &(app_id.clone(), pushkey.clone(), user), &());
        batch.put(&PUSHERS, &key, &StoredPusher { definition, device_id: device_id.to_owned() });
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Ends a pusher of a user, if there is one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn delete(&self, user: UserNo, ids: &PusherIds) -> Result<(), UsersError> {
        let _guard = self.locks.user(user).await;
        let mut batch = Batch::new();
        stage_delete(&mut batch, user, &ids.app_id, &ids.pushkey);
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Adds the end of a device's pushers to `batch`. The caller holds the user's lock.
    pub(super) async fn stage_removal_of_device(
        &self,
        batch: &mut Batch,
        user: UserNo,
        device_id: &str,
    ) -> Result<(), UsersError> {
        let rows = self.store.prefix(&PUSHERS, &user, Order::Ascending, PUSHERS_MAX).await?;
        for ((_, app_id, pushkey), _) in rows.iter().filter(|(_, pusher)| pusher.device_id == device_id) {
            stage_delete(batch, user, app_id, pushkey);
        }
        Ok(())
    }

    /// Adds the end of all pushers of a user to `batch`. The caller holds the user's lock.
    pub(super) async fn stage_removal_of_all(&self, batch: &mut Batch, user: UserNo) -> Result<(), UsersError> {
        for ((_, app_id, pushkey), _) in self.store.prefix(&PUSHERS, &user, Order::Ascending, PUSHERS_MAX).await? {
            stage_delete(batch, user, &app_id, &pushkey);
        }
        Ok(())
    }
}

fn stage_delete(batch: &mut Batch, user: UserNo, app_id: &str, pushkey: &str) {
    batch.delete(&PUSHERS, &(user, app_id.to_owned(), pushkey.to_owned()));
    batch.delete(&PUSHER_OWNERS, &(app_id.to_owned(), pushkey.to_owned(), user));
}
