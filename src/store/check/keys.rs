//! End-to-end keys, messages to devices, key backups.

use std::collections::HashMap;

use super::rows::Check;
use crate::store::{
    StoreError, UserNo,
    schema::{
        keys::{
            BACKUP_SESSIONS, BACKUPS, CROSS_SIGNING_KEYS, DEVICE_KEYS, FALLBACK_KEYS, KEY_CHANGES, ONE_TIME_KEY_IDS,
            ONE_TIME_KEYS, TO_DEVICE, TO_DEVICE_ORIGINS, TO_DEVICE_PARTS,
        },
        users::DEVICES,
    },
};

impl Check<'_> {
    /// Keys and messages belong to devices that exist; one-time keys are found by their id. Keys are not told.
    pub(super) fn keys(&mut self) -> Result<(), StoreError> {
        self.walk(&DEVICE_KEYS, |check, (user, device), json| {
            if serde_json::from_str::<serde::de::IgnoredAny>(&json).is_err() {
                check.report.find(DEVICE_KEYS.name, || format!("the keys of a device of user {} are no JSON", user.0));
            }
            check.is_device(DEVICE_KEYS.name, &(user, device))
        })?;
        self.walk(&ONE_TIME_KEYS, |check, (user, device, algorithm, order), row| {
            let name = row.key_id.split_once(':').map(|(algorithm, _)| algorithm);
            let listed = check.get(&ONE_TIME_KEY_IDS, &(user, device.clone(), row.key_id.clone()))?;
            if name != Some(algorithm.as_str()) || listed != Some(order) {
                check
                    .report
                    .find(ONE_TIME_KEYS.name, || format!("a one-time key of user {} is not in its index", user.0));
            }
            check.is_device(ONE_TIME_KEYS.name, &(user, device))
        })?;
        self.walk(&ONE_TIME_KEY_IDS, |check, (user, device, key_id), order| {
            let algorithm = key_id.split_once(':').map(|(algorithm, _)| algorithm.to_owned()).unwrap_or_default();
            if check.get(&ONE_TIME_KEYS, &(user, device, algorithm, order))?.is_none_or(|row| row.key_id != key_id) {
                check.report.find(ONE_TIME_KEY_IDS.name, || format!("a one-time key of user {} is missing", user.0));
            }
            Ok(())
        })?;
        self.walk(&FALLBACK_KEYS, |check, (user, device, _), _| check.is_device(FALLBACK_KEYS.name, &(user, device)))?;
        self.walk(&CROSS_SIGNING_KEYS, |check, (user, _), _| check.user_is_named(CROSS_SIGNING_KEYS.name, user))?;
        self.walk(&KEY_CHANGES, |check, _, change| check.user_is_named(KEY_CHANGES.name, change.user))?;
        self.walk(&TO_DEVICE, |check, (user, device, _), _| check.is_device(TO_DEVICE.name, &(user, device)))?;
        self.walk(&TO_DEVICE_ORIGINS, |check, (user, device, server, at), ()| {
            if !check.has(&TO_DEVICE, &(user, device, at))? {
                check.report.find(TO_DEVICE_ORIGINS.name, || format!("a message to user {} is missing", user.0));
            }
            check.server_is_named(TO_DEVICE_ORIGINS.name, server)
        })?;
        self.walk(&TO_DEVICE_PARTS, |check, device, _| check.is_device(TO_DEVICE_PARTS.name, &device))?;
        self.backups()
    }

    /// Backups hold as many sessions as they say.
    fn backups(&mut self) -> Result<(), StoreError> {
        let mut sessions = HashMap::<_, u64>::new();
        self.walk(&BACKUP_SESSIONS, |_, (user, version, _, _), _| {
            *sessions.entry((user, version)).or_default() += 1;
            Ok(())
        })?;
        self.walk(&BACKUPS, |check, key, backup| {
            let found = sessions.remove(&key).unwrap_or(0);
            // Sessions of a deleted backup go in the background.
            if !backup.deleted && found != backup.count {
                check.report.find(BACKUPS.name, || {
                    format!("version {} of user {} should hold {} sessions, not {found}", key.1, key.0.0, backup.count)
                });
            }
            Ok(())
        })?;
        for ((user, version), _) in sessions {
            self.report.find(BACKUP_SESSIONS.name, || format!("version {version} of user {} does not exist", user.0));
        }
        Ok(())
    }

    fn is_device(&mut self, table: &'static str, device: &(UserNo, String)) -> Result<(), StoreError> {
        if !self.has(&DEVICES, device)? {
            self.report.find(table, || format!("a device of user {} is missing", device.0.0));
        }
        Ok(())
    }
}
