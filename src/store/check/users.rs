//! Accounts and what belongs to them; uploads.

use std::collections::{HashMap, HashSet};

use super::rows::Check;
use crate::store::{
    StoreError, UserNo,
    schema::{
        USER_NAMES,
        media::{
            MEDIA, MEDIA_BY_HASH, MEDIA_PENDING, MEDIA_USAGE, MediaState, REMOTE_MEDIA, REMOTE_MEDIA_BY_HASH,
            REMOTE_MEDIA_LOOSE, REMOTE_MEDIA_OF, REMOTE_MEDIA_USED, REMOTE_THUMBNAILS,
        },
        users::{
            ACCOUNT_DATA, ACCOUNT_DATA_LOG, ACCOUNTS, AccountDataChange, DEVICE_TOKENS, DEVICES, DeviceToken,
            PROFILE_FIELDS, PUSHER_OWNERS, PUSHERS, TOKENS,
        },
    },
};

impl Check<'_> {
    /// Accounts have their id; devices, tokens, pushers and account data have an owner and their index.
    pub(super) fn users(&mut self) -> Result<(), StoreError> {
        self.walk(&ACCOUNTS, |check, user, account| {
            let name = check.get(&USER_NAMES, &user.0)?;
            let localpart =
                name.as_deref().and_then(|name| name.strip_prefix('@')?.split_once(':')).map(|(part, _)| part);
            if localpart != Some(account.localpart.as_str()) {
                check.report.find(ACCOUNTS.name, || format!("user {} has another name than its account", user.0));
            }
            Ok(())
        })?;
        self.walk(&DEVICES, |check, (user, _), _| {
            if !check.has(&ACCOUNTS, &user)? {
                check.report.find(DEVICES.name, || format!("user {} has a device but no account", user.0));
            }
            Ok(())
        })?;
        self.tokens()?;
        self.walk(&PROFILE_FIELDS, |check, (user, _), _| check.user_is_named(PROFILE_FIELDS.name, user))?;
        self.agree(&ACCOUNT_DATA, &ACCOUNT_DATA_LOG, |(user, room, kind), datum| {
            Some(((*user, datum.position), AccountDataChange { room: *room, kind: kind.clone() }))
        })?;
        self.walk(&ACCOUNT_DATA_LOG, |check, (user, position), change| {
            let datum = check.get(&ACCOUNT_DATA, &(user, change.room, change.kind))?;
            if datum.is_none_or(|datum| datum.position != position) {
                check
                    .report
                    .find(ACCOUNT_DATA_LOG.name, || format!("user {} at {}: no such account data", user.0, position.0));
            }
            Ok(())
        })?;
        self.walk(&PUSHERS, |check, (user, app, key), _| {
            if !check.has(&PUSHER_OWNERS, &(app, key, user))? {
                check.report.find(PUSHERS.name, || format!("a pusher of user {} is not in its index", user.0));
            }
            Ok(())
        })?;
        self.walk(&PUSHER_OWNERS, |check, (app, key, user), ()| {
            if !check.has(&PUSHERS, &(user, app, key))? {
                check.report.find(PUSHER_OWNERS.name, || format!("a pusher of user {} is missing", user.0));
            }
            Ok(())
        })
    }

    /// Tokens are known by their device, and their device is there. Neither tokens nor their hashes are told.
    fn tokens(&mut self) -> Result<(), StoreError> {
        self.walk(&TOKENS, |check, hash, token| {
            let expected = DeviceToken { kind: token.kind, generation: token.generation };
            let key = (token.user, token.device_id, hash);
            if check.get(&DEVICE_TOKENS, &key)? != Some(expected) {
                check
                    .report
                    .find(TOKENS.name, || format!("a token of user {} is not known by its device", token.user.0));
            }
            if !check.has(&DEVICES, &(key.0, key.1))? {
                check.report.find(TOKENS.name, || format!("a token of user {} has no device", token.user.0));
            }
            Ok(())
        })?;
        self.walk(&DEVICE_TOKENS, |check, (user, device, hash), _| {
            if check.get(&TOKENS, &hash)?.is_none_or(|token| (token.user, token.device_id) != (user, device)) {
                check
                    .report
                    .find(DEVICE_TOKENS.name, || format!("a device of user {} has a token that is not valid", user.0));
            }
            Ok(())
        })
    }

    /// Uploads are found by their hash and counted for their owner.
    pub(super) fn media(&mut self) -> Result<(), StoreError> {
        let mut used: HashMap<UserNo, u64> = HashMap::new();
        self.walk(&MEDIA, |check, id, media| {
            check.user_is_named(MEDIA.name, media.uploader)?;
            let indexed = match &media.state {
                MediaState::Pending { expires_ms } => {
                    check.has(&MEDIA_PENDING, &(media.uploader, *expires_ms, id.clone()))?
                }
                MediaState::Stored(content) => {
                    let sum = used.entry(media.uploader).or_default();
                    *sum = sum.saturating_add(content.size);
                    check.has(&MEDIA_BY_HASH, &(content.sha256, id.clone()))?
                }
            };
            if !indexed {
                check.report.find(MEDIA.name, || format!("{id} is not in its index"));
            }
            Ok(())
        })?;
        self.walk(&MEDIA_BY_HASH, |check, (hash, id), ()| {
            let stored = check.get(&MEDIA, &id)?.map(|media| media.state);
            if !matches!(stored, Some(MediaState::Stored(content)) if content.sha256 == hash) {
                check.report.find(MEDIA_BY_HASH.name, || format!("{id} is another upload or none"));
            }
            Ok(())
        })?;
        self.walk(&MEDIA_PENDING, |check, (user, expires_ms, id), ()| {
            let media = check.get(&MEDIA, &id)?;
            if media.is_none_or(|media| (media.uploader, media.state) != (user, MediaState::Pending { expires_ms })) {
                check.report.find(MEDIA_PENDING.name, || format!("{id} is not waited for"));
            }
            Ok(())
        })?;
        self.walk(&MEDIA_USAGE, |check, user, bytes| {
            let expected = used.remove(&user).unwrap_or(0);
            if bytes != expected {
                check
                    .report
                    .find(MEDIA_USAGE.name, || format!("user {} is said to use {bytes} bytes, not {expected}", user.0));
            }
            Ok(())
        })?;
        self.remote_media()?;
        for (user, bytes) in used.into_iter().filter(|(_, bytes)| *bytes > 0) {
            self.report.find(MEDIA_USAGE.name, || format!("user {} uses {bytes} bytes that are not counted", user.0));
        }
        Ok(())
    }

    /// What was fetched from other servers is found by its use and by its hash; thumbnails are of it.
    fn remote_media(&mut self) -> Result<(), StoreError> {
        let mut hashes = HashSet::new();
        self.walk(&REMOTE_MEDIA, |check, (server, id), media| {
            hashes.insert(media.content.sha256);
            let by_use = check.has(&REMOTE_MEDIA_USED, &(media.used_ms, server.clone(), id.clone()))?;
            if !by_use || !check.has(&REMOTE_MEDIA_BY_HASH, &(media.content.sha256, server.clone(), id.clone()))? {
                check.report.find(REMOTE_MEDIA.name, || format!("{server}/{id} is not in its index"));
            }
            Ok(())
        })?;
        self.walk(&REMOTE_MEDIA_USED, |check, (used_ms, server, id), ()| {
            let media = check.get(&REMOTE_MEDIA, &(server.clone(), id.clone()))?;
            if media.is_none_or(|media| media.used_ms != used_ms) {
                check.report.find(REMOTE_MEDIA_USED.name, || format!("{server}/{id} is of another time or gone"));
            }
            Ok(())
        })?;
        self.walk(&REMOTE_MEDIA_OF, |check, (server, used_ms, id), ()| {
            if !check.has(&REMOTE_MEDIA_USED, &(used_ms, server.clone(), id.clone()))? {
                check.report.find(REMOTE_MEDIA_OF.name, || format!("{server}/{id} is of another time or gone"));
            }
            Ok(())
        })?;
        self.walk(&REMOTE_MEDIA_BY_HASH, |check, (sha256, server, id), ()| {
            let media = check.get(&REMOTE_MEDIA, &(server.clone(), id.clone()))?;
            if media.is_none_or(|media| media.content.sha256 != sha256) {
                check.report.find(REMOTE_MEDIA_BY_HASH.name, || format!("{server}/{id} is other content or gone"));
            }
            Ok(())
        })?;
        self.walk(&REMOTE_MEDIA_LOOSE, |_, _, ()| Ok(()))?;
        self.walk(&REMOTE_THUMBNAILS, |check, sha256, _| {
            if !hashes.contains(&sha256) && !check.has(&REMOTE_MEDIA_LOOSE, &sha256)? {
                check.report.find(REMOTE_THUMBNAILS.name, || "thumbnails are counted of content that is gone".into());
            }
            Ok(())
        })
    }
}
