//! Backups of the keys of messages, encrypted by the client: the server sees numbers and ciphertext.
//!
//! Specification v1.19, client-server API, "Server-side key backups".

use std::collections::BTreeMap;

use super::{Keys, KeysError};
use crate::store::{
    Batch, Order, StoreError, UserNo,
    schema::keys::{BACKUP_SESSIONS, BACKUPS, Backup, BackupSession},
};

/// Longest `auth_data` and session, in bytes.
const PART_BYTES_MAX: usize = 65_536;
/// Longest algorithm and session id, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Sessions in one backup.
const SESSIONS_MAX: u64 = 1_000_000;
/// Sessions that are written or deleted in one commit.
const PAGE: usize = 1_000;

/// A backup as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupInfo {
    /// Its number.
    pub version: u64,
    /// How its sessions are encrypted.
    pub algorithm: String,
    /// What the algorithm needs: JSON text.
    pub auth_data: String,
    /// What its sessions are now.
    pub now: SessionsWritten,
}

/// What the sessions of a backup are after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionsWritten {
    /// Differs whenever the sessions differ.
    pub etag: u64,
    /// How many there are.
    pub count: u64,
}

/// A session and where it belongs: room id, session id.
pub type PlacedSession = (String, String, BackupSession);

impl BackupInfo {
    fn new(version: u64, backup: Backup) -> Self {
        let Backup { algorithm, auth_data, etag, count, .. } = backup;
        Self { version, algorithm, auth_data, now: SessionsWritten { etag, count } }
    }
}

impl Keys {
    /// Begins a new backup, which becomes the current one; answers its number.
    ///
    /// # Errors
    /// The description is too long.
    pub async fn create_backup(&self, user: UserNo, algorithm: String, auth_data: String) -> Result<u64, KeysError> {
        check_description(&algorithm, &auth_data)?;
        let _guard = self.locks.user(user).await;
        let last = self.store.prefix(&BACKUPS, &user, Order::Descending, 1).await?;
        let version = last.first().map_or(1, |((_, version), _)| version + 1);
        let mut batch = Batch::new();
        let backup = Backup { algorithm, auth_data, etag: 0, count: 0, deleted: false };
        batch.put(&BACKUPS, &(user, version), &backup);
        self.store.commit(batch).await?;
        Ok(version)
    }

    /// The current backup.
    ///
    /// # Errors
    /// The store failed.
    pub async fn current_backup(&self, user: UserNo) -> Result<Option<BackupInfo>, StoreError> {
        let mut newest = self.store.prefix(&BACKUPS, &user, Order::Descending, PAGE).await?.into_iter();
        Ok(newest.find(|(_, backup)| !backup.deleted).map(|((_, version), backup)| BackupInfo::new(version, backup)))
    }

    /// A backup.
    ///
    /// # Errors
    /// The store failed.
    pub async fn backup(&self, user: UserNo, version: u64) -> Result<Option<BackupInfo>, StoreError> {
        let backup = self.store.get(&BACKUPS, &(user, version)).await?.filter(|backup| !backup.deleted);
        Ok(backup.map(|backup| BackupInfo::new(version, backup)))
    }

    /// Changes what the algorithm of a backup needs.
    ///
    /// # Errors
    /// There is no such backup, or it is of another algorithm.
    pub async fn update_backup(
        &self,
        user: UserNo,
        version: u64,
        algorithm: &str,
        auth_data: String,
    ) -> Result<(), KeysError> {
        check_description(algorithm, &auth_data)?;
        let _guard = self.locks.user(user).await;
        let backup = self.known_backup(user, version).await?;
        if backup.algorithm != algorithm {
            return Err(KeysError::Invalid("The algorithm of a backup cannot change"));
        }
        let mut batch = Batch::new();
        batch.put(&BACKUPS, &(user, version), &Backup { auth_data, ..backup });
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Deletes a backup with its sessions. One that is deleted already is fine.
    ///
    /// # Errors
    /// There never was such a backup.
    pub async fn delete_backup(&self, user: UserNo, version: u64) -> Result<(), KeysError> {
        let _guard = self.locks.user(user).await;
        let backup = self.store.get(&BACKUPS, &(user, version)).await?;
        let backup = backup.ok_or(KeysError::NotFound("There is no such backup"))?;
        let mut batch = Batch::new();
        batch.put(&BACKUPS, &(user, version), &Backup { deleted: true, auth_data: "{}".to_owned(), ..backup });
        loop {
            let page = self.store.prefix(&BACKUP_SESSIONS, &(user, version), Order::Ascending, PAGE).await?;
            for (key, _) in &page {
                batch.delete(&BACKUP_SESSIONS, key);
            }
            self.store.commit(std::mem::take(&mut batch)).await?;
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Adds sessions to the current backup. Of two versions of a session the better one is kept: verified, else
    /// readable from an earlier message on, else forwarded less often.
    ///
    /// # Errors
    /// Not the current backup, or too much for it.
    pub async fn put_sessions(
        &self,
        user: UserNo,
        version: u64,
        sessions: Vec<PlacedSession>,
    ) -> Result<SessionsWritten, KeysError> {
        let too_long = |(room, session, data): &PlacedSession| {
            room.len().max(session.len()) > NAME_BYTES_MAX || data.session_data.len() > PART_BYTES_MAX
        };
        if sessions.iter().any(too_long) {
            return Err(KeysError::TooMany("A session is too long"));
        }
        let _guard = self.locks.user(user).await;
        let mut backup = self.known_backup(user, version).await?;
        let current = self.current_backup(user).await?.map_or(version, |current| current.version);
        if current != version {
            return Err(KeysError::WrongVersion { current });
        }
        let placed: BTreeMap<_, _> =
            sessions.into_iter().map(|(room, session, data)| ((user, version, room, session), data)).collect();
        let keys: Vec<_> = placed.keys().cloned().collect();
        let known = self.store.multi_get(&BACKUP_SESSIONS, &keys).await?;
        let mut batch = Batch::new();
        for ((key, data), known) in placed.into_iter().zip(known) {
            if known.as_ref().is_some_and(|known| rank(known) <= rank(&data)) {
                continue;
            }
            backup.count += u64::from(known.is_none());
            batch.put(&BACKUP_SESSIONS, &key, &data);
        }
        if backup.count > SESSIONS_MAX {
            return Err(KeysError::TooMany("A backup may have at most 1,000,000 sessions"));
        }
        if !batch.is_empty() {
            backup.etag += 1;
            batch.put(&BACKUPS, &(user, version), &backup);
            self.store.commit(batch).await?;
        }
        Ok(SessionsWritten { etag: backup.etag, count: backup.count })
    }

    /// The next page of the sessions of a backup, or of one of its rooms: those after `after`, by room and session id.
    ///
    /// # Errors
    /// The store failed.
    pub async fn sessions(
        &self,
        user: UserNo,
        version: u64,
        room: Option<&str>,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<PlacedSession>, StoreError> {
        // The end of a text sorts before any character, so NUL makes the next one.
        let next = |(room, session): (&str, &str)| (user, version, room.to_owned(), format!("{session}\0"));
        let order = Order::Ascending;
        let rows = match (room, after) {
            (Some(room), None) => {
                self.store.prefix(&BACKUP_SESSIONS, &(user, version, room.to_owned()), order, limit).await?
            }
            (None, None) => self.store.prefix(&BACKUP_SESSIONS, &(user, version), order, limit).await?,
            (Some(room), Some(after)) => {
                let end = (user, version, format!("{room}\0"));
                self.store.range(&BACKUP_SESSIONS, &next(after), &end, order, limit).await?
            }
            (None, Some(after)) => {
                self.store.range(&BACKUP_SESSIONS, &next(after), &(user, version + 1), order, limit).await?
            }
        };
        Ok(rows.into_iter().map(|((_, _, room, session), data)| (room, session, data)).collect())
    }

    /// One session.
    ///
    /// # Errors
    /// The store failed.
    pub async fn session(
        &self,
        user: UserNo,
        version: u64,
        room: &str,
        session: &str,
    ) -> Result<Option<BackupSession>, StoreError> {
        self.store.get(&BACKUP_SESSIONS, &(user, version, room.to_owned(), session.to_owned())).await
    }

    /// Deletes sessions of a backup: all, those of a room, or one.
    ///
    /// # Errors
    /// There is no such backup.
    pub async fn delete_sessions(
        &self,
        user: UserNo,
        version: u64,
        room: Option<&str>,
        session: Option<&str>,
    ) -> Result<SessionsWritten, KeysError> {
        let _guard = self.locks.user(user).await;
        let mut backup = self.known_backup(user, version).await?;
        loop {
            let mut page = match (room, session) {
                (Some(room), Some(session)) => {
                    let found = self.session(user, version, room, session).await?;
                    found.map(|data| (room.to_owned(), session.to_owned(), data)).into_iter().collect()
                }
                _ => self.sessions(user, version, room, None, PAGE).await?,
            };
            let whole = page.len() < PAGE;
            if page.is_empty() {
                return Ok(SessionsWritten { etag: backup.etag, count: backup.count });
            }
            let mut batch = Batch::new();
            backup.count = backup.count.saturating_sub(page.len() as u64);
            backup.etag += 1;
            for (room, session, _) in page.drain(..) {
                batch.delete(&BACKUP_SESSIONS, &(user, version, room, session));
            }
            batch.put(&BACKUPS, &(user, version), &backup);
            self.store.commit(batch).await?;
            if whole {
                return Ok(SessionsWritten { etag: backup.etag, count: backup.count });
            }
        }
    }

    async fn known_backup(&self, user: UserNo, version: u64) -> Result<Backup, KeysError> {
        let backup = self.store.get(&BACKUPS, &(user, version)).await?.filter(|backup| !backup.deleted);
        backup.ok_or(KeysError::NotFound("There is no such backup"))
    }
}

/// The smaller the better.
fn rank(session: &BackupSession) -> (bool, u64, u64) {
    (!session.is_verified, session.first_message_index, session.forwarded_count)
}

fn check_description(algorithm: &str, auth_data: &str) -> Result<(), KeysError> {
    if algorithm.len() > NAME_BYTES_MAX || auth_data.len() > PART_BYTES_MAX {
        return Err(KeysError::TooMany("The description of the backup is too long"));
    }
    Ok(())
}
