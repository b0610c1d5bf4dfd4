//! Tells other servers what has changed of the devices and keys of this one's users.
//!
//! Every change leaves a row in the commit that makes it. What other servers were told last is kept beside; what differs
//! is what they are told next. So a change is told though the program was killed after it, and once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ruma::{
    OwnedDeviceId, UInt, UserId,
    api::federation::transactions::edu::{DeviceListUpdateContent, SigningKeyUpdateContent},
};
use sha2::{Digest as _, Sha256};

use super::service::Inner;
use crate::{
    store::{
        Batch, Order, Position, ServerNo, UserNo,
        schema::{
            federation::{DEVICES_TOLD, DEVICES_TOLD_UPTO},
            keys::KEY_CHANGES,
        },
    },
    users::{
        DEVICE_LISTS_WATCHER,
        keys::{KeysError, PublicDevice, PublicKeys},
    },
};

/// Changes read at once.
const PAGE: usize = 1_000;
/// How long to wait after the store has failed.
const RETRY: Duration = Duration::from_secs(30);

impl Inner {
    /// Tells of changes as they come. Never ends by itself.
    pub(super) async fn keep_telling(&self) {
        let waiting = self.parts.notifier.wait_for(DEVICE_LISTS_WATCHER.0);
        let mut upto = None;
        loop {
            let changed = waiting.changed();
            match self.tell_all(&mut upto).await {
                Ok(()) => changed.await,
                Err(error) => {
                    tracing::warn!(%error, "other servers are told later of changed devices");
                    self.parts.clock.sleep(RETRY).await;
                }
            }
        }
    }

    async fn tell_all(&self, upto: &mut Option<Position>) -> Result<(), KeysError> {
        let store = self.parts.rooms.store();
        let now = store.position();
        let mut from = match *upto {
            Some(upto) => upto,
            // On the first start nobody was told anything; who is told first is told everything.
            None => store.get(&DEVICES_TOLD_UPTO, &()).await?.unwrap_or_default(),
        };
        while from < now {
            let (start, end) = (Position(from.0 + 1), Position(now.0 + 1));
            let rows = store.range(&KEY_CHANGES, &start, &end, Order::Ascending, PAGE).await?;
            let page_end = rows.last().filter(|_| rows.len() == PAGE).map_or(now, |(at, _)| *at);
            // Whose list others follow: it has changed, or they have come among others.
            let told_of = rows.into_iter().filter(|(_, change)| change.seen_by.is_none_or(|by| by == change.user));
            let users: BTreeSet<UserNo> = told_of.map(|(_, change)| change.user).collect();
            let mut told = false;
            for user in users {
                let user_id = store.user_id(user).await?;
                // Lists of other servers' users are fetched when somebody here asks for them.
                if self.parts.rooms.is_local(&user_id) {
                    told |= self.tell(user, &user_id).await?;
                }
            }
            if told {
                let mut batch = Batch::new();
                batch.put(&DEVICES_TOLD_UPTO, &(), &page_end);
                store.commit(batch).await?;
            }
            from = page_end;
            *upto = Some(from);
        }
        *upto = Some(from);
        Ok(())
    }

    /// Tells of one user; whether there was anything to tell.
    async fn tell(&self, user: UserNo, user_id: &UserId) -> Result<bool, KeysError> {
        let outbox = &self.parts.outbox;
        let servers = self.parts.rooms.servers_with(user).await?;
        // Of whom nobody has ever been told nobody has an older list.
        if servers.is_empty() && outbox.device_stream(user).await? == 0 {
            return Ok(false);
        }
        let mut told = self.parts.rooms.store().get(&DEVICES_TOLD, &user).await?.unwrap_or_default();
        let names = self.parts.federation.device_names;
        let public = self.parts.users.keys.public_keys(user, user_id).await?;
        let newcomers = !servers.is_subset(&told.servers);
        let to: Vec<ServerNo> = servers.iter().copied().collect();
        let mut batch = Batch::new();
        let keys = hash_of_keys(&public);
        if keys != told.keys && keys.is_some() {
            let mut content = SigningKeyUpdateContent::new(user_id.to_owned());
            content.master_key.clone_from(&public.master_key);
            content.self_signing_key.clone_from(&public.self_signing_key);
            outbox.signing_keys(&mut batch, &to, content).await?;
        }
        let mut devices = BTreeMap::new();
        let mut updates = Vec::new();
        for (id, device) in &public.devices {
            let hash = hash_of_device(device, names);
            if told.devices.get(id.as_str()) != Some(&hash) {
                updates.push(update(user_id, id.clone(), Some(device), names));
            }
            devices.insert(id.to_string(), hash);
        }
        let gone = told.devices.keys().filter(|id| !devices.contains_key(*id));
        updates.extend(gone.map(|id| update(user_id, id.as_str().into(), None, names)));
        // Servers that hear of this user for the first time have to learn that there is a list to fetch.
        if newcomers && updates.is_empty() {
            let first = public.devices.iter().next();
            updates.extend(first.map(|(id, device)| update(user_id, id.clone(), Some(device), names)));
        }
        for content in updates {
            outbox.device_list(&mut batch, &to, user, content).await?;
        }
        if batch.is_empty() && told.servers == servers {
            return Ok(false);
        }
        (told.devices, told.keys, told.servers) = (devices, keys, servers);
        batch.put(&DEVICES_TOLD, &user, &told);
        self.parts.rooms.store().commit(batch).await?;
        Ok(true)
    }
}

fn update(
    user_id: &UserId,
    device_id: OwnedDeviceId,
    device: Option<&PublicDevice>,
    names: bool,
) -> DeviceListUpdateContent {
    // The outbox says which change it is.
    let mut content = DeviceListUpdateContent::new(user_id.to_owned(), device_id, UInt::MIN);
    match device {
        Some(device) => {
            content.keys.clone_from(&device.keys);
            content.device_display_name = device.display_name.clone().filter(|_| names);
        }
        None => content.deleted = Some(true),
    }
    content
}

fn hash_of_device(device: &PublicDevice, names: bool) -> [u8; 32] {
    let name = device.display_name.as_deref().filter(|_| names).unwrap_or_default();
    let keys = device.keys.as_ref().map_or("", |keys| keys.json().get());
    Sha256::new().chain_update(keys).chain_update([0]).chain_update(name).finalize().into()
}

fn hash_of_keys(public: &PublicKeys) -> Option<[u8; 32]> {
    let (master, own) = (public.master_key.as_ref(), public.self_signing_key.as_ref());
    if master.is_none() && own.is_none() {
        return None;
    }
    let text = |key: Option<&ruma::serde::Raw<_>>| key.map_or(String::new(), |key| key.json().get().to_owned());
    Some(Sha256::new().chain_update(text(master)).chain_update([0]).chain_update(text(own)).finalize().into())
}
