//! One upload on its way to the disk.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{
    Label, MediaError,
    arriving::{Arrived, Arriving},
    files::Files,
};
use crate::store::UserNo;

/// Uploads of one account at the same time.
const UPLOADS_PER_USER: usize = 8;

/// Counts the uploads of each account that are under way.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<UserNo, usize>>);

impl Places {
    pub(super) fn take(self: &Arc<Self>, user: UserNo) -> Result<PlaceTaken, MediaError> {
        let mut counts = self.0.lock();
        let count = counts.entry(user).or_default();
        if *count >= UPLOADS_PER_USER {
            return Err(MediaError::TooMany);
        }
        *count += 1;
        Ok(PlaceTaken { places: self.clone(), user })
    }
}

/// One upload that is counted; dropping it ends that.
#[derive(Debug)]
pub(super) struct PlaceTaken {
    places: Arc<Places>,
    user: UserNo,
}

impl Drop for PlaceTaken {
    fn drop(&mut self) {
        let mut counts = self.places.0.lock();
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

/// An upload that is being received. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    place: PlaceTaken,
    label: Label,
    arriving: Arriving,
}

/// An upload of which all bytes are durable.
pub(super) struct Received {
    pub(super) user: UserNo,
    pub(super) label: Label,
    pub(super) arrived: Arrived,
    pub(super) _place: PlaceTaken,
}

impl Upload {
    pub(super) fn new(files: Arc<Files>, place: PlaceTaken, label: Label, bytes_max: u64) -> Self {
        Self { place, label, arriving: Arriving::new(files, bytes_max) }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// [`MediaError::TooLarge`] past the largest upload, [`MediaError::DiskFull`]; the disk's refusal.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        self.arriving.write(bytes).await
    }

    /// Writes the rest and makes all of it durable.
    pub(super) async fn receive(self) -> Result<Received, MediaError> {
        let arrived = self.arriving.seal().await?;
        Ok(Received { user: self.place.user, label: self.label, arrived, _place: self.place })
    }
}
