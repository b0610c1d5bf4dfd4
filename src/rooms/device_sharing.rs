//! Who follows whose device list: servers and users that share a room.
//!
//! Specification v1.19, server-server API, "Device Management".

use std::collections::BTreeSet;

use super::{Room, Rooms};
use crate::store::{Position, ServerNo, StoreError, UserNo, schema::rooms::Membership};

/// Members of one room that are asked since when they are there.
const ASKED_MAX: usize = 32;

impl Rooms {
    /// The servers that have users in the rooms a user has joined.
    ///
    /// # Errors
    /// The store failed.
    pub async fn servers_with(&self, user: UserNo) -> Result<BTreeSet<ServerNo>, StoreError> {
        let mut servers = BTreeSet::new();
        for entry in self.user_rooms(user).await?.iter() {
            if entry.record.membership == Membership::Join {
                servers.extend(entry.room.view().servers.iter().map(|(server, _)| *server));
            }
        }
        Ok(servers)
    }

    /// Whether a user of another server is in a room with somebody of this one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn meets_us(&self, user: UserNo) -> Result<bool, StoreError> {
        let list = self.user_rooms(user).await?;
        Ok(list.iter().any(|entry| entry.record.membership == Membership::Join && !entry.room.view().joined.is_empty()))
    }

    /// Whether a user of another server has been in a room with somebody of this one without a break since a position:
    /// only then was this server told of all changes of their devices. The answer may be no where that is hard to tell.
    ///
    /// # Errors
    /// The store failed.
    pub async fn meets_us_since(&self, user: UserNo, at: Position) -> Result<bool, StoreError> {
        for entry in self.user_rooms(user).await?.iter() {
            let there = entry.record.membership == Membership::Join && entry.record.position <= at;
            if there && self.is_inhabited_since(&entry.room, at).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a user of another server has come into a room in which somebody of this one already was.
    ///
    /// # Errors
    /// The store failed.
    pub async fn came_to_us(&self, user: UserNo) -> Result<bool, StoreError> {
        for entry in self.user_rooms(user).await?.iter() {
            let before = Position(entry.record.position.0.saturating_sub(1));
            if entry.record.membership == Membership::Join && self.is_inhabited_since(&entry.room, before).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_inhabited_since(&self, room: &Room, at: Position) -> Result<bool, StoreError> {
        for local in room.view().joined.iter().take(ASKED_MAX) {
            let record = self.membership(room.number, UserNo(*local)).await?;
            if record.is_some_and(|record| record.membership == Membership::Join && record.position <= at) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
