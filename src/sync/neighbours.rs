//! Wakes those who share a room with somebody whose devices changed: before their next message they must know the new
//! device, or it could not read that message.

use std::time::Duration;

use super::{Sync, SyncError};
use crate::{
    notify::Concerned,
    store::{Position, schema::rooms::Membership},
    users::DEVICE_LISTS_WATCHER,
};

/// Changes within this time wake everybody once: a school signs in at eight o'clock.
const GATHERED: Duration = Duration::from_millis(500);

impl Sync {
    /// Runs until it is dropped.
    pub async fn wake_neighbours(&self) {
        let parts = self.parts();
        let waiting = parts.notifier.wait_for(DEVICE_LISTS_WATCHER.0);
        let mut since = parts.rooms.store().position();
        loop {
            let changed = waiting.changed();
            let now = parts.rooms.store().position();
            if let Err(error) = self.wake_since(since, now).await {
                tracing::warn!(%error, "changed device lists are told with the next event only");
            }
            since = now;
            changed.await;
            parts.clock.sleep(GATHERED).await;
        }
    }

    async fn wake_since(&self, since: Position, now: Position) -> Result<(), SyncError> {
        let parts = self.parts();
        for user in parts.users.device_lists.changed(DEVICE_LISTS_WATCHER, since, now).await? {
            let rooms = parts.rooms.user_rooms(user).await?;
            for entry in rooms.iter().filter(|entry| entry.record.membership == Membership::Join) {
                parts.notifier.wake(Concerned::Users(entry.room.view().joined.clone()));
            }
        }
        Ok(())
    }
}
