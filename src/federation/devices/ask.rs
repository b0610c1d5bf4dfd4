//! Keys that a client of this server wants of other servers' users.
//!
//! From what is kept here where that holds, else from their servers: a few of them at once, and all of them together no
//! longer than the client waits. Servers whose turn does not come, or that do not answer in time, have failed.

use std::{collections::BTreeMap, time::Duration};

use futures_util::{StreamExt as _, stream};
use ruma::{
    OneTimeKeyAlgorithm, OwnedDeviceId, OwnedOneTimeKeyId, OwnedServerName, OwnedUserId, UserId,
    api::federation::keys::{claim_keys::v1 as claim_keys_v1, get_keys::v1 as get_keys_v1},
    encryption::OneTimeKey,
    serde::Raw,
};

use super::{Devices, service::Inner};
use crate::{
    clock::Clock,
    remote::Terms,
    store::{StoreError, UserNo},
    users::keys::{KeysError, Queried, RemoteDevice, RemoteKeys},
};

/// The longest that a client waits for all other servers together, and how long it does if it says nothing (spec v1.19).
const WITHIN_MAX: Duration = Duration::from_secs(10);
/// Who is asked within this of the start is given the whole time: of a server that does not answer in a shorter one
/// nothing is learned, and the next client would wait for it again.
const START: Duration = Duration::from_millis(200);
/// Servers that are asked at the same time for one client.
const ASKED_AT_ONCE: usize = 16;
/// Lists of one server that are fetched at the same time for one client.
const LISTS_AT_ONCE: usize = 4;
/// Lists of one server that are fetched while the client waits; of more, their server is asked in one request.
const FETCHED_MAX: usize = 32;
/// Servers that are asked for one client.
const SERVERS_MAX: usize = 1_000;
/// The longest answer that is read, in bytes.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest one-time key that is passed on, in bytes.
const ONE_TIME_KEY_BYTES_MAX: usize = 4_096;

/// Devices that are wanted, by user; an empty list means all.
type Wanted = BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>;
/// Devices whose one-time keys are wanted.
type Claims = BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>>;
/// One-time keys by user and device.
type Keys = BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>>>;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The keys.
    pub keys: Queried,
    /// Servers that did not answer.
    pub failed: Vec<OwnedServerName>,
}

/// One-time keys that other servers gave out.
#[derive(Debug, Default)]
pub struct Claimed {
    /// By user and device.
    pub one_time_keys: Keys,
    /// Servers that did not answer.
    pub failed: Vec<OwnedServerName>,
}

/// Until when the answer of one client may take.
struct Deadline<'a> {
    clock: &'a Clock,
    within: Duration,
    /// By the clock's `elapsed`.
    ends: Duration,
}

impl<'a> Deadline<'a> {
    fn new(clock: &'a Clock, within: Option<Duration>) -> Self {
        let within = within.unwrap_or(WITHIN_MAX).min(WITHIN_MAX);
        Self { clock, within, ends: clock.elapsed().saturating_add(within) }
    }

    /// The terms of a request that begins now; `None` when the time is over.
    fn terms(&self) -> Option<Terms> {
        let left = self.ends.saturating_sub(self.clock.elapsed());
        if left.is_zero() {
            return None;
        }
        let begins = self.within.saturating_sub(left) <= START;
        Some(Terms::default().within(if begins { self.within } else { left }).at_most(BYTES_MAX))
    }
}

impl Devices {
    /// Keys of users of other servers, for a reader of this one. `within` is how long the whole may take, at most ten
    /// seconds.
    ///
    /// # Errors
    /// The store failed.
    pub async fn query(
        &self,
        (reader, reader_id): (UserNo, &UserId),
        wanted: Wanted,
        within: Option<Duration>,
    ) -> Result<Found, KeysError> {
        let inner = &*self.0;
        let deadline = Deadline::new(&inner.parts.clock, within);
        let mut here = Wanted::new();
        let mut away: BTreeMap<OwnedServerName, Vec<Missing>> = BTreeMap::new();
        for (user_id, devices) in wanted {
            let met = match inner.stranger(&user_id).await? {
                Some(user) if inner.parts.rooms.meets_us(user).await? => Some(user),
                _ => None,
            };
            if let Some(user) = met
                && inner.holds(user).await?
            {
                here.insert(user_id, devices);
            } else {
                away.entry(user_id.server_name().to_owned()).or_default().push(Missing { user_id, met, devices });
            }
        }
        let mut found = Found::default();
        let skipped: Vec<_> = away.keys().skip(SERVERS_MAX).cloned().collect();
        found.failed.extend(skipped);
        let asked = away.into_iter().take(SERVERS_MAX);
        let mut asked = stream::iter(asked.map(|(server, users)| inner.ask(server, users, &deadline)))
            .buffer_unordered(ASKED_AT_ONCE);
        while let Some(answer) = asked.next().await {
            let (fetched, keys, failed) = answer?;
            here.extend(fetched);
            found.keys.device_keys.extend(keys.device_keys);
            found.keys.master_keys.extend(keys.master_keys);
            found.keys.self_signing_keys.extend(keys.self_signing_keys);
            found.failed.extend(failed);
        }
        let kept = inner.parts.users.keys.query_known(reader, reader_id, here).await?;
        found.keys.device_keys.extend(kept.device_keys);
        found.keys.master_keys.extend(kept.master_keys);
        found.keys.self_signing_keys.extend(kept.self_signing_keys);
        Ok(found)
    }

    /// One-time keys of devices of users of other servers. `within` is how long the whole may take, at most ten seconds.
    pub async fn claim(&self, wanted: Claims, within: Option<Duration>) -> Claimed {
        let deadline = &Deadline::new(&self.0.parts.clock, within);
        let mut servers: BTreeMap<OwnedServerName, Claims> = BTreeMap::new();
        for (user_id, devices) in wanted {
            servers.entry(user_id.server_name().to_owned()).or_default().insert(user_id, devices);
        }
        let mut claimed = Claimed::default();
        claimed.failed.extend(servers.keys().skip(SERVERS_MAX).cloned());
        let asked = servers.into_iter().take(SERVERS_MAX).map(|(server, wanted)| async move {
            let request = claim_keys_v1::Request::new(wanted.clone());
            let answer = match deadline.terms() {
                Some(terms) => Some(self.0.parts.remote.send_with(&server, request, terms).await),
                None => None,
            };
            (server, wanted, answer)
        });
        let mut asked = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE);
        while let Some((server, wanted, answer)) = asked.next().await {
            match answer {
                Some(Ok(answer)) => claimed.one_time_keys.extend(wanted_only(answer.one_time_keys, &wanted)),
                Some(Err(error)) => {
                    tracing::debug!(%server, %error, "one-time keys could not be claimed");
                    claimed.failed.push(server);
                }
                None => claimed.failed.push(server),
            }
        }
        claimed
    }
}

/// A user whose keys are not here.
struct Missing {
    user_id: OwnedUserId,
    /// Their number, if somebody here shares a room with them: then their list is kept.
    met: Option<UserNo>,
    devices: Vec<OwnedDeviceId>,
}

/// What one server had: whose lists are here now, keys that are not kept, and the server if it failed.
type Answer = (Wanted, Queried, Option<OwnedServerName>);

impl Inner {
    /// Whether what is here of a user of another server can be given out.
    async fn holds(&self, user: UserNo) -> Result<bool, StoreError> {
        let list = self.parts.users.keys.remote_list(user).await?;
        Ok(list.is_some_and(|list| !list.stale) && self.follows(user).await?)
    }

    async fn ask(
        &self,
        server: OwnedServerName,
        users: Vec<Missing>,
        deadline: &Deadline<'_>,
    ) -> Result<Answer, KeysError> {
        let mut fetched = Wanted::new();
        let mut rest = Wanted::new();
        if users.iter().filter(|missing| missing.met.is_some()).count() <= FETCHED_MAX {
            let asked = users.into_iter().map(|missing| async move {
                let done = match missing.met.zip(deadline.terms()) {
                    Some((user, terms)) => self.fetch(user, &missing.user_id, terms).await.is_ok(),
                    None => false,
                };
                (done, missing)
            });
            let mut answers = stream::iter(asked).buffer_unordered(LISTS_AT_ONCE);
            while let Some((done, missing)) = answers.next().await {
                if done { &mut fetched } else { &mut rest }.insert(missing.user_id, missing.devices);
            }
        } else {
            for missing in users {
                if let Some(user) = missing.met {
                    self.fetch_later(user);
                }
                rest.insert(missing.user_id, missing.devices);
            }
        }
        if rest.is_empty() {
            return Ok((fetched, Queried::default(), None));
        }
        let mut given = Vec::new();
        for user_id in rest.keys() {
            if let Some(user) = self.stranger(user_id).await?
                && self.parts.rooms.meets_us(user).await?
            {
                given.push(user);
            }
        }
        let Some(terms) = deadline.terms() else { return Ok((fetched, Queried::default(), Some(server))) };
        let request = get_keys_v1::Request::new(rest.clone());
        match self.parts.remote.send_with(&server, request, terms).await {
            Ok(answer) => {
                self.parts.users.keys.note_given_out(&given).await?;
                let keys = self.parts.users.keys.check_remote_answer(only_of(answer, &rest))?;
                Ok((fetched, keys, None))
            }
            Err(error) => {
                tracing::debug!(%server, %error, "keys could not be asked for");
                Ok((fetched, Queried::default(), Some(server)))
            }
        }
    }
}

/// What a server says of users and devices that it was asked about.
fn only_of(mut answer: get_keys_v1::Response, asked: &Wanted) -> BTreeMap<OwnedUserId, RemoteKeys> {
    let mut keys = BTreeMap::new();
    for (user_id, wanted) in asked {
        let devices = answer.device_keys.remove(user_id).unwrap_or_default().into_iter();
        let devices = devices.filter(|(id, _)| wanted.is_empty() || wanted.contains(id));
        let devices = devices.map(|(device_id, keys)| {
            let display_name = keys.get_field::<Names>("unsigned").ok().flatten().and_then(|n| n.device_display_name);
            RemoteDevice { device_id, keys, display_name }
        });
        let answered = RemoteKeys {
            devices: devices.collect(),
            master_key: answer.master_keys.remove(user_id),
            self_signing_key: answer.self_signing_keys.remove(user_id),
        };
        keys.insert(user_id.clone(), answered);
    }
    keys
}

/// What a device is called.
#[derive(serde::Deserialize)]
struct Names {
    device_display_name: Option<String>,
}

/// One key of each device that was asked for, of the algorithm that was asked for.
fn wanted_only(mut answer: Keys, wanted: &Claims) -> Keys {
    let mut keys = Keys::new();
    for (user_id, devices) in wanted {
        let mut given = answer.remove(user_id).unwrap_or_default();
        let mut kept = BTreeMap::new();
        for (device, algorithm) in devices {
            let good = |(id, key): &(OwnedOneTimeKeyId, Raw<OneTimeKey>)| {
                id.algorithm() == *algorithm && key.json().get().len() <= ONE_TIME_KEY_BYTES_MAX
            };
            let key = given.remove(device).unwrap_or_default().into_iter().find(good);
            kept.extend(key.map(|(id, key)| (device.clone(), BTreeMap::from([(id, key)]))));
        }
        if !kept.is_empty() {
            keys.insert(user_id.clone(), kept);
        }
    }
    keys
}
