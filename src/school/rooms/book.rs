//! Which rooms the school made, and what for. In memory, because every event in a room is asked about.
//!
//! Chats of two that people make for themselves stand here too, apart from the others: they are their members' own, and
//! the school only knows of them so that it can close them when its rules no longer allow them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::RwLock;

use super::watched::{pair_key, pair_of};
use crate::store::{
    Batch, RoomNo, Store, StoreError, UserNo,
    schema::school::{OBJECT_ROOMS, ROOM_LINKS, RoomKind, RoomLink},
};

/// A chat that two people made for themselves while the rules were in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chat {
    /// The two.
    pub pair: (UserNo, UserNo),
    /// It is read-only until an administrator opens it.
    pub held: bool,
}

impl Chat {
    /// As it is written down.
    pub(super) fn link(self) -> RoomLink {
        let object = pair_key(self.pair.0, self.pair.1);
        RoomLink { kind: RoomKind::Direct, object, frozen: self.held, archived: false, held: self.held }
    }
}

/// The objects of the rooms in which families are told what is announced, the archived ones too.
pub(super) fn families(book: &[(RoomNo, Arc<RoomLink>)]) -> BTreeSet<String> {
    book.iter().filter(|(_, link)| is_of_family(link)).map(|(_, link)| link.object.clone()).collect()
}

/// Whether a room is one of those.
pub(super) fn is_of_family(link: &RoomLink) -> bool {
    link.kind == RoomKind::ClassFamily && link.object.contains('#')
}

/// The school's rooms. Clones share them.
#[derive(Clone, Default)]
pub struct RoomBook {
    links: Arc<RwLock<HashMap<RoomNo, Arc<RoomLink>>>>,
    chats: Arc<RwLock<HashMap<RoomNo, Chat>>>,
}

impl RoomBook {
    /// Reads all of them, blocking.
    ///
    /// # Errors
    /// The store failed.
    pub fn load_blocking(store: &Store) -> Result<Self, StoreError> {
        let (mut links, mut chats) = (HashMap::new(), HashMap::new());
        store.walk_blocking(&ROOM_LINKS, |room, link| {
            if link.kind != RoomKind::Direct {
                links.insert(room, Arc::new(link));
            } else if let Some(pair) = pair_of(&link.object) {
                chats.insert(room, Chat { pair, held: link.held });
            }
            Ok(())
        })?;
        Ok(Self { links: Arc::new(RwLock::new(links)), chats: Arc::new(RwLock::new(chats)) })
    }

    /// What a room is for; `None` when the school did not make it.
    pub fn get(&self, room: RoomNo) -> Option<Arc<RoomLink>> {
        self.links.read().get(&room).cloned()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<(RoomNo, Arc<RoomLink>)> {
        self.links.read().iter().map(|(room, link)| (*room, link.clone())).collect()
    }

    /// A chat that two people made for themselves.
    pub fn chat(&self, room: RoomNo) -> Option<Chat> {
        self.chats.read().get(&room).copied()
    }

    /// All of those, in no order.
    pub fn chats(&self) -> Vec<(RoomNo, Chat)> {
        self.chats.read().iter().map(|(room, chat)| (*room, *chat)).collect()
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

    /// Writes a chat of two down, or changes it; known once the batch is durable.
    pub fn stage_chat(&self, batch: &mut Batch, room: RoomNo, chat: Chat) {
        batch.put(&ROOM_LINKS, &room, &chat.link());
        let chats = self.chats.clone();
        batch.on_publish(move |_| {
            chats.write().insert(room, chat);
        });
    }
}
