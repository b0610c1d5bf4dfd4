//! Names of rooms. Spec v1.19, Client-Server API "Room aliases".

use std::sync::Arc;

use ruma::{
    OwnedRoomAliasId, RoomAliasId, RoomId, UserId,
    events::{StateEventType, room::history_visibility::HistoryVisibility},
};
use serde_json::{Map, Value};

use super::{Actor, Caller, NewEvent, Room, Rooms, RoomsError, Writer};
use crate::{
    event::{Content, content::CanonicalAlias},
    store::{
        Batch, Order, RoomNo, StoreError, UserNo,
        schema::rooms::{ALIASES, AliasRecord, ROOM_ALIASES},
    },
};

/// Aliases of one room. More cannot be made.
const ALIASES_MAX: usize = 1000;
/// The longest alias, in bytes, with its `#` and server name.
const ALIAS_BYTES_MAX: usize = 255;

impl Rooms {
    /// The room an alias of this server names, if the viewer may know of it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn resolve_alias(
        &self,
        viewer: Option<Caller<'_>>,
        alias: &RoomAliasId,
    ) -> Result<Option<Arc<Room>>, StoreError> {
        let Some(room) = self.aliased_room(alias).await? else { return Ok(None) };
        Ok(if self.shows(&room, viewer).await? { Some(room) } else { None })
    }

    /// The room an alias of this server names, whoever asks.
    pub(super) async fn aliased_room(&self, alias: &RoomAliasId) -> Result<Option<Arc<Room>>, StoreError> {
        match self.parts.store.get(&ALIASES, &alias.as_str().to_owned()).await? {
            Some(row) => self.get(row.room).await,
            None => Ok(None),
        }
    }

    /// Makes an alias for a room one has joined.
    ///
    /// # Errors
    /// [`RoomsError::AliasInUse`], [`RoomsError::Invalid`], [`RoomsError::Forbidden`].
    pub async fn create_alias(
        &self,
        actor: &Actor<'_>,
        alias: &RoomAliasId,
        room_id: &RoomId,
    ) -> Result<(), RoomsError> {
        self.check_alias(alias)?;
        let room = self.joined_room(room_id, actor.user).await?;
        self.check_publication(actor.user_id, &room)?;
        let _guard = self.writes.alias(alias).await;
        self.check_alias_free(alias).await?;
        if self.alias_rows(room.number).await?.len() >= ALIASES_MAX {
            return Err(RoomsError::Invalid("this room has too many aliases".into()));
        }
        let mut batch = Batch::new();
        put_alias(&mut batch, alias, room.number, actor.user);
        self.parts.store.commit(batch).await?;
        Ok(())
    }

    /// Removes an alias: its creator, who may change the room's main alias, and administrators can. If the room
    /// announces it, the announcement goes with it where the user has the power.
    ///
    /// # Errors
    /// [`RoomsError::NoAlias`], [`RoomsError::Forbidden`].
    pub async fn delete_alias(&self, actor: &Actor<'_>, alias: &RoomAliasId, admin: bool) -> Result<(), RoomsError> {
        let _guard = self.writes.alias(alias).await;
        let key = alias.as_str().to_owned();
        let row = self.parts.store.get(&ALIASES, &key).await?.ok_or(RoomsError::NoAlias)?;
        let room = self.get(row.room).await?.ok_or(RoomsError::NoAlias)?;
        if row.creator != actor.user && !admin && !self.knows_room(&room, actor).await? {
            return Err(RoomsError::NoAlias);
        }
        let writer = self.writer(&room).await;
        if row.creator != actor.user && !admin && !may_name(&writer, actor) {
            return Err(RoomsError::Forbidden("you did not make this alias, nor may you name the room".into()));
        }
        let mut writer = match withdrawal(&writer, actor.user_id, alias).await? {
            Some(event) => match self.agree(writer, &event).await {
                Ok((mut writer, agreed)) => match writer.append_agreed(event, agreed).await {
                    Ok(_) | Err(RoomsError::Forbidden(_)) => writer,
                    Err(error) => return Err(error),
                },
                // The alias goes all the same.
                Err(RoomsError::Forbidden(_) | RoomsError::Unreachable(_)) => self.writer(&room).await,
                Err(error) => return Err(error),
            },
            None => writer,
        };
        writer.batch().delete(&ALIASES, &key);
        writer.batch().delete(&ROOM_ALIASES, &(row.room, key));
        writer.commit().await?;
        Ok(())
    }

    /// The aliases of a room, for its members and, where anybody may read it, for anybody.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`].
    pub async fn aliases_for(&self, actor: &Actor<'_>, room_id: &RoomId) -> Result<Vec<OwnedRoomAliasId>, RoomsError> {
        let readable = |room: &Arc<Room>| {
            Self::has_joined(room, actor.user) || room.view().history_visibility == HistoryVisibility::WorldReadable
        };
        let hidden = || RoomsError::Forbidden("you are not in this room".into());
        let room = self.by_id(room_id).await?.filter(readable).ok_or_else(hidden)?;
        if !self.knows_room(&room, actor).await? {
            return Err(hidden());
        }
        Ok(self.local_aliases(room.number).await?)
    }

    /// The aliases of this server that name a room.
    ///
    /// # Errors
    /// The store failed.
    pub async fn local_aliases(&self, room: RoomNo) -> Result<Vec<OwnedRoomAliasId>, StoreError> {
        let rows = self.alias_rows(room).await?;
        Ok(rows.into_iter().filter_map(|alias| RoomAliasId::parse(alias).ok()).collect())
    }

    async fn alias_rows(&self, room: RoomNo) -> Result<Vec<String>, StoreError> {
        let rows = self.parts.store.prefix(&ROOM_ALIASES, &room, Order::Ascending, ALIASES_MAX).await?;
        Ok(rows.into_iter().map(|((_, alias), ())| alias).collect())
    }

    /// Refuses aliases that this server cannot have.
    pub(super) fn check_alias(&self, alias: &RoomAliasId) -> Result<(), RoomsError> {
        if alias.server_name() != self.parts.server_name {
            return Err(RoomsError::Invalid("this server has only aliases with its own name".into()));
        }
        if alias.alias().is_empty() || alias.as_str().len() > ALIAS_BYTES_MAX {
            return Err(RoomsError::Invalid(format!("an alias has 1 to {ALIAS_BYTES_MAX} bytes")));
        }
        if alias.as_str().chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(RoomsError::Invalid("an alias has no blanks and no control characters".into()));
        }
        Ok(())
    }

    /// Refuses aliases that are taken. The caller holds the alias's lock.
    pub(super) async fn check_alias_free(&self, alias: &RoomAliasId) -> Result<(), RoomsError> {
        match self.parts.store.get(&ALIASES, &alias.as_str().to_owned()).await? {
            Some(_) => Err(RoomsError::AliasInUse),
            None => Ok(()),
        }
    }

    /// Lets all aliases of one room name another. The rows become durable with `batch`; the caller holds the old room's
    /// lock.
    pub(super) async fn move_aliases(&self, from: RoomNo, to: RoomNo, batch: &mut Batch) -> Result<(), StoreError> {
        for alias in self.alias_rows(from).await? {
            if let Some(row) = self.parts.store.get(&ALIASES, &alias).await? {
                batch.put(&ALIASES, &alias, &AliasRecord { room: to, ..row });
            }
            batch.delete(&ROOM_ALIASES, &(from, alias.clone()));
            batch.put(&ROOM_ALIASES, &(to, alias), &());
        }
        Ok(())
    }
}

/// Adds the rows of a new alias. The caller holds the alias's lock until the commit is done.
pub(super) fn put_alias(batch: &mut Batch, alias: &RoomAliasId, room: RoomNo, creator: UserNo) {
    batch.put(&ALIASES, &alias.as_str().to_owned(), &AliasRecord { room, creator });
    batch.put(&ROOM_ALIASES, &(room, alias.as_str().to_owned()), &());
}

/// Whether a user has joined and may set the room's main alias. Who may do that may also publish the room.
pub(super) fn may_name(writer: &Writer, actor: &Actor<'_>) -> bool {
    let view = writer.view();
    let required = view.power.required_for_state(&StateEventType::RoomCanonicalAlias);
    view.joined.binary_search(&actor.user.0).is_ok() && view.power.user_level(actor.user_id).reaches(required)
}

/// The event that takes an alias out of the room's `m.room.canonical_alias`, if that announces it.
async fn withdrawal(writer: &Writer, user: &UserId, alias: &RoomAliasId) -> Result<Option<NewEvent>, RoomsError> {
    let Some(event) = writer.state_event(&StateEventType::RoomCanonicalAlias, "").await? else { return Ok(None) };
    if !CanonicalAlias::read(&event.pdu.content).all().any(|announced| announced == alias) {
        return Ok(None);
    }
    let mut content: Map<String, Value> = serde_json::from_str(event.pdu.content.get()).unwrap_or_default();
    if content.get("alias").and_then(Value::as_str) == Some(alias.as_str()) {
        content.remove("alias");
    }
    if let Some(others) = content.get_mut("alt_aliases").and_then(Value::as_array_mut) {
        others.retain(|other| other.as_str() != Some(alias.as_str()));
        if others.is_empty() {
            content.remove("alt_aliases");
        }
    }
    let kind = StateEventType::RoomCanonicalAlias;
    Ok(Some(NewEvent::state(user, kind, "", Content::from_serialize(&content)?)))
}
