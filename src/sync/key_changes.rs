//! `GET /keys/changes`: the device lists of a stretch of time, apart from a sync.

use std::collections::BTreeSet;

use ruma::OwnedUserId;

use super::{Sync, SyncError};
use crate::{
    rooms::Room,
    store::{
        Order, Position, UserNo,
        schema::rooms::{MEMBERS, Membership},
    },
};

/// Members of one room that are looked at.
const MEMBERS_MAX: usize = 100_000;

impl Sync {
    /// Whose devices or keys changed in (from, to], and with whom the user shares no room any more.
    ///
    /// # Errors
    /// The store failed.
    pub async fn device_lists(
        &self,
        user: UserNo,
        from: Position,
        to: Position,
    ) -> Result<(Vec<OwnedUserId>, Vec<OwnedUserId>), SyncError> {
        let parts = self.parts();
        let within = |at: Position| at > from && at <= to;
        let rooms = parts.rooms.user_rooms(user).await?;
        let shares = async |other: UserNo| -> Result<bool, SyncError> {
            Ok(rooms.iter().any(|entry| parts.rooms.is_company(entry, other))
                || parts.rooms.meets_from_elsewhere(&rooms, other).await?)
        };
        let mut changed = BTreeSet::new();
        for other in parts.users.device_lists.changed(user, from, to).await? {
            if other == user || shares(other).await? {
                changed.insert(other);
            }
        }
        let mut left = BTreeSet::new();
        let newer = |room: &Room| room.last_position() > from || room.whole_since() > from;
        for entry in rooms.iter().filter(|entry| newer(&entry.room)) {
            let joined = entry.record.membership == Membership::Join;
            // A room the user came into or left brings or takes everybody in it; one whose members have become known
            // brings them.
            let moved = within(entry.record.position) || (joined && within(entry.room.whole_since()));
            if !joined && !moved {
                continue;
            }
            let members =
                parts.rooms.store().prefix(&MEMBERS, &entry.room.number, Order::Ascending, MEMBERS_MAX).await?;
            for ((_, other), member) in members {
                if other == user || !(moved || within(member.position)) {
                    continue;
                }
                if shares(other).await? {
                    if joined {
                        changed.insert(other);
                    }
                } else if member.was_joined || member.membership == Membership::Join {
                    left.insert(other);
                }
            }
        }
        Ok((self.user_ids(changed).await?, self.user_ids(left).await?))
    }

    async fn user_ids(&self, users: BTreeSet<UserNo>) -> Result<Vec<OwnedUserId>, SyncError> {
        let mut ids = Vec::with_capacity(users.len());
        for user in users {
            ids.push(self.parts().rooms.store().user_id(user).await?);
        }
        Ok(ids)
    }
}
