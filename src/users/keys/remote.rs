//! Keys of users of other servers, kept as long as a room is shared with them.
//!
//! Whether a list still holds is for those to say who know the rooms: they pass `followed`. A list that does not is
//! fetched anew; until then its owner's server is asked each time.

use std::collections::BTreeMap;

use ruma::{
    OwnedUserId, UserId,
    api::federation::transactions::edu::{DeviceListUpdateContent, SigningKeyUpdateContent},
};

use super::{
    Keys, KeysError, Queried,
    object::KeyObject,
    query::raw,
    remote_check::{
        CheckedKeys, DEVICES_MAX, RemoteDevice, RemoteKeys, check_all, check_device, check_master, check_self_signing,
        keep_signatures_of_devices,
    },
};
use crate::{
    store::{
        Batch, Order, Position, StoreError, UserNo,
        schema::{
            federation::{REMOTE_DEVICE_LISTS, RemoteDeviceList},
            keys::{CROSS_SIGNING_KEYS, DEVICE_KEYS, MASTER, SELF_SIGNING},
        },
    },
    users::device_lists,
};

/// What is to be done after news of somebody's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// Nothing: the list is up to date.
    UpToDate,
    /// The list has to be fetched.
    Missed,
}

/// What is known of somebody whose server tells of a change.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// A room was shared with them without a break since their list was fetched.
    pub followed: bool,
    /// The list is being fetched already: what it brings is told then.
    pub fetching: bool,
    /// They have come into a room of this server's people, who were told to ask for their list then. Servers say once
    /// more that there is one; as long as nobody has asked, that is no news.
    pub came: bool,
}

/// Lists that are to be fetched, at the start.
const STALE_MAX: usize = 10_000;

impl Keys {
    /// What is known of the device list of a user of another server.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remote_list(&self, user: UserNo) -> Result<Option<RemoteDeviceList>, StoreError> {
        self.store.get(&REMOTE_DEVICE_LISTS, &user).await
    }

    /// Whose lists are to be fetched, at most so many.
    ///
    /// # Errors
    /// The store failed.
    pub async fn stale_remote_lists(&self) -> Result<Vec<UserNo>, StoreError> {
        let rows = self.store.prefix(&REMOTE_DEVICE_LISTS, &(), Order::Ascending, 10 * STALE_MAX).await?;
        Ok(rows.into_iter().filter(|(_, list)| list.stale).map(|(user, _)| user).take(STALE_MAX).collect())
    }

    /// Takes a list that was fetched. `at` is the position and `before` the list from before it was asked for: a change
    /// that was taken in meanwhile is not taken back. Those who share a room with the user learn of the list if it says
    /// something else than the one before.
    ///
    /// # Errors
    /// The store failed.
    pub async fn take_remote_list(
        &self,
        (user, user_id): (UserNo, &UserId),
        stream_id: u64,
        keys: RemoteKeys,
        (at, before): (Position, Option<&RemoteDeviceList>),
    ) -> Result<(), KeysError> {
        let CheckedKeys { mut devices, master, self_signing } = check_all(user_id, keys);
        let _guard = self.locks.user(user).await;
        let known = self.remote_list(user).await?;
        let moved = known.as_ref() != before;
        let known = known.unwrap_or_default();
        if known.at > at || moved && !known.stale && known.stream_id > stream_id {
            return Ok(());
        }
        let mut batch = Batch::new();
        let mut changed = false;
        let rows = self.store.prefix(&DEVICE_KEYS, &user, Order::Ascending, 2 * DEVICES_MAX).await?;
        for (key, text) in rows {
            match devices.remove(&key.1).map(|object| object.text()) {
                Some(same) if same == text => continue,
                Some(other) => batch.put(&DEVICE_KEYS, &key, &other),
                None => batch.delete(&DEVICE_KEYS, &key),
            }
            changed = true;
        }
        for (device, object) in devices {
            batch.put(&DEVICE_KEYS, &(user, device), &object.text());
            changed = true;
        }
        for (usage, key) in [(MASTER, master), (SELF_SIGNING, self_signing)] {
            changed |= self.replace_signing_key(&mut batch, (user, usage), key.as_ref()).await?;
        }
        // Who is told of a change while this is fetched has it fetched once more.
        batch.put(&REMOTE_DEVICE_LISTS, &user, &RemoteDeviceList { stream_id, stale: false, at });
        // Of the first list nobody was given an older form.
        if changed && known.at > Position::ZERO {
            device_lists::mark_changed(&mut batch, user, &self.notifier);
        }
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Takes in a change of one device.
    ///
    /// # Errors
    /// The store failed.
    pub async fn update_remote_device(
        &self,
        user: UserNo,
        update: DeviceListUpdateContent,
        standing: Standing,
    ) -> Result<Followed, KeysError> {
        let _guard = self.locks.user(user).await;
        let known = self.remote_list(user).await?.unwrap_or_default();
        let stream_id = u64::from(update.stream_id);
        let holds = standing.followed && !known.stale && known.at > Position::ZERO;
        if holds && stream_id <= known.stream_id {
            return Ok(Followed::UpToDate);
        }
        let follows = match update.prev_id.iter().max() {
            Some(newest) => u64::from(*newest) <= known.stream_id,
            None => stream_id <= known.stream_id.saturating_add(1),
        };
        let mut batch = Batch::new();
        if !holds || !follows {
            let list = RemoteDeviceList { stream_id: stream_id.max(known.stream_id), stale: true, ..known };
            return self.miss(batch, (user, list), standing, !known.stale).await;
        }
        let key = (user, update.device_id.to_string());
        let old = self.store.get(&DEVICE_KEYS, &key).await?;
        let new = if update.deleted == Some(true) {
            None
        } else if let Some(keys) = update.keys {
            let device = RemoteDevice { device_id: update.device_id, keys, display_name: update.device_display_name };
            let self_signing = self.signing_key(user, SELF_SIGNING).await?;
            let many = old.is_none()
                && self.store.prefix(&DEVICE_KEYS, &user, Order::Ascending, DEVICES_MAX).await?.len() == DEVICES_MAX;
            let checked = check_device(&update.user_id, &device, self_signing.as_ref()).ok().filter(|_| !many);
            checked.map(|object| object.text())
        } else {
            old.clone()
        };
        if old != new {
            match new {
                Some(text) => batch.put(&DEVICE_KEYS, &key, &text),
                None => batch.delete(&DEVICE_KEYS, &key),
            }
            device_lists::mark_changed(&mut batch, user, &self.notifier);
        }
        batch.put(&REMOTE_DEVICE_LISTS, &user, &RemoteDeviceList { stream_id, ..known });
        self.store.commit(batch).await?;
        Ok(Followed::UpToDate)
    }

    /// Takes in new cross-signing keys.
    ///
    /// # Errors
    /// The store failed.
    pub async fn update_remote_signing_keys(
        &self,
        user: UserNo,
        update: SigningKeyUpdateContent,
        standing: Standing,
    ) -> Result<Followed, KeysError> {
        let _guard = self.locks.user(user).await;
        let known = self.remote_list(user).await?.unwrap_or_default();
        let mut batch = Batch::new();
        if !standing.followed || known.stale || known.at == Position::ZERO {
            let (fresh, list) = (!known.stale, RemoteDeviceList { stale: true, ..known });
            return self.miss(batch, (user, list), standing, fresh).await;
        }
        let user_id = &update.user_id;
        let mut master = update.master_key.as_ref().and_then(|key| check_master(key, user_id).ok());
        if let Some(master) = &mut master {
            let rows = self.store.prefix(&DEVICE_KEYS, &user, Order::Ascending, DEVICES_MAX).await?;
            let devices: BTreeMap<String, KeyObject> =
                rows.into_iter().filter_map(|((_, id), text)| Some((id, KeyObject::parse(&text).ok()?))).collect();
            keep_signatures_of_devices(master, user_id, |device| devices.get(device));
        }
        let old = self.signing_key(user, MASTER).await?;
        let replaced = match (&master, &old) {
            (Some(new), Some(old)) => !new.same_content(old),
            (Some(_), None) => true,
            (None, _) => false,
        };
        let signer = master.as_ref().or(old.as_ref());
        let own = update.self_signing_key.as_ref().and_then(|key| check_self_signing(key, user_id, signer));
        let mut changed = false;
        if master.is_some() {
            changed |= self.replace_signing_key(&mut batch, (user, MASTER), master.as_ref()).await?;
        }
        // What the old master key has signed the new one has not.
        if own.is_some() || replaced {
            changed |= self.replace_signing_key(&mut batch, (user, SELF_SIGNING), own.as_ref()).await?;
        }
        if changed {
            device_lists::mark_changed(&mut batch, user, &self.notifier);
            self.store.commit(batch).await?;
        }
        Ok(Followed::UpToDate)
    }

    /// Keys of users of other servers that were asked of these, as far as they are good: nothing is kept.
    pub fn check_remote_answer(&self, answer: BTreeMap<OwnedUserId, RemoteKeys>) -> Result<Queried, KeysError> {
        let mut queried = Queried::default();
        for (user_id, keys) in answer {
            let checked = check_all(&user_id, keys);
            let mut devices = BTreeMap::new();
            for (device, object) in checked.devices {
                devices.insert(device.into(), raw(&object)?);
            }
            if let Some(master) = &checked.master {
                queried.master_keys.insert(user_id.clone(), raw(master)?);
            }
            if let Some(key) = &checked.self_signing {
                queried.self_signing_keys.insert(user_id.clone(), raw(key)?);
            }
            queried.device_keys.insert(user_id, devices);
        }
        Ok(queried)
    }

    /// A change was missed: the list does not hold any more. `first` says that it did, or that there was none.
    async fn miss(
        &self,
        mut batch: Batch,
        (user, list): (UserNo, RemoteDeviceList),
        standing: Standing,
        first: bool,
    ) -> Result<Followed, KeysError> {
        batch.put(&REMOTE_DEVICE_LISTS, &user, &list);
        let announced = first && !standing.followed && standing.came;
        if !announced && !standing.fetching {
            device_lists::mark_changed(&mut batch, user, &self.notifier);
        }
        self.store.commit(batch).await?;
        Ok(if announced { Followed::UpToDate } else { Followed::Missed })
    }

    /// Notes that keys of users were given out that are not kept: the next change of theirs is news.
    ///
    /// # Errors
    /// The store failed.
    pub async fn note_given_out(&self, users: &[UserNo]) -> Result<(), StoreError> {
        for user in users {
            let _guard = self.locks.user(*user).await;
            let known = self.remote_list(*user).await?.unwrap_or_default();
            if !known.stale {
                let mut batch = Batch::new();
                batch.put(&REMOTE_DEVICE_LISTS, user, &RemoteDeviceList { stale: true, ..known });
                self.store.commit(batch).await?;
            }
        }
        Ok(())
    }

    async fn signing_key(&self, user: UserNo, usage: u8) -> Result<Option<KeyObject>, KeysError> {
        let text = self.store.get(&CROSS_SIGNING_KEYS, &(user, usage)).await?;
        text.map(|text| KeyObject::parse(&text)).transpose()
    }

    /// Puts a key in the place of another; whether it is another one.
    async fn replace_signing_key(
        &self,
        batch: &mut Batch,
        place: (UserNo, u8),
        key: Option<&KeyObject>,
    ) -> Result<bool, StoreError> {
        let (old, new) = (self.store.get(&CROSS_SIGNING_KEYS, &place).await?, key.map(KeyObject::text));
        match &new {
            Some(text) => batch.put(&CROSS_SIGNING_KEYS, &place, text),
            None => batch.delete(&CROSS_SIGNING_KEYS, &place),
        }
        Ok(old != new)
    }
}
