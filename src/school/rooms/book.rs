//! Which rooms the school made, and what for. In memory, because every event in a room is asked about.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;

use crate::store::{
    Batch, RoomNo, Store, StoreError,
    schema::school::{OBJECT_ROOMS, ROOM_LINKS, RoomKind, RoomLink},
};

/// The school's rooms. Clones share them.
#[derive(Clone, Default)]
pub struct RoomBook {
    links: Arc<RwLock<HashMap<RoomNo, Arc<RoomLink>>>>,
}

impl RoomBook {
    /// Reads all of them, blocking.
    ///
    /// # Errors
    /// The store failed.
    pub fn load_blocking(store: &Store) -> Result<Self, StoreError> {
        let mut links = HashMap::new();
        store.walk_blocking(&ROOM_LINKS, |room, link| {
            links.insert(room, Arc::new(link));
            Ok(())
        })?;
        Ok(Self { links: Arc::new(RwLock::new(links)) })
    }

    /// What a room is for; `None` when the school did not make it.
    pub fn get(&self, room: RoomNo) -> Option<Arc<RoomLink>> {
        self.links.read().get(&room).cloned()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<(RoomNo, Arc<RoomLink>)> {
        self.links.read().iter().map(|(room, link)| (*room, link.clone())).collect()
    }

    /// The room of an object, archived ones excepted.
    ///
    /// # Errors
    /// The store failed.
    pub async fn of_object(&self, store: &Store, kind: RoomKind, object: &str) -> Result<Option<RoomNo>, StoreError> {
        store.get(&OBJECT_ROOMS, &(kind.number(), object.to_owned())).await
    }

    /// Writes what a room is for, or changes it; known once the batch is durable.
    pub fn stage(&self, batch: &mut Batch, room: RoomNo, link: RoomLink) {
        batch.put(&ROOM_LINKS, &room, &link);
        let key = (link.kind.number(), link.object.clone());
        if link.archived {
            batch.delete(&OBJECT_ROOMS, &key);
        } else {
            batch.put(&OBJECT_ROOMS, &key, &room);
        }
        let links = self.links.clone();
        batch.on_publish(move |_| {
            links.write().insert(room, Arc::new(link));
        });
    }
}
