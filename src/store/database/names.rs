//! Numbers for the ids of the specification, and the ids behind them.

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId, events::StateEventType};

use super::Store;
use crate::store::{Batch, EventNo, RoomNo, ServerNo, StateKeyNo, StoreError, UserNo};

impl Store {
    /// A new event's number. It is in use once a batch that names it is committed.
    pub fn next_event(&self) -> EventNo {
        EventNo(self.inner.counters.next_event())
    }

    /// The number of a user this server has met.
    pub async fn user(&self, id: &UserId) -> Result<Option<UserNo>, StoreError> {
        Ok(self.inner.users.number(&self.inner.engine, id.as_str()).await?.map(UserNo))
    }

    /// The number of a user, minted with `batch` when new.
    pub async fn mint_user(&self, id: &UserId, batch: &mut Batch) -> Result<UserNo, StoreError> {
        let inner = &self.inner;
        inner.users.mint(&inner.engine, &inner.counters, id.as_str(), batch).await.map(UserNo)
    }

    /// The id of a user.
    pub async fn user_id(&self, user: UserNo) -> Result<OwnedUserId, StoreError> {
        let name = self.inner.users.name(&self.inner.engine, user.0).await?;
        name.and_then(|name| UserId::parse(&*name).ok())
            .ok_or(StoreError::Corrupt { table: "user_names", what: "no such user" })
    }

    /// The number of a room this server knows.
    pub async fn room(&self, id: &RoomId) -> Result<Option<RoomNo>, StoreError> {
        Ok(self.inner.rooms.number(&self.inner.engine, id.as_str()).await?.map(RoomNo))
    }

    /// The number of a room, minted with `batch` when new.
    pub async fn mint_room(&self, id: &RoomId, batch: &mut Batch) -> Result<RoomNo, StoreError> {
        let inner = &self.inner;
        inner.rooms.mint(&inner.engine, &inner.counters, id.as_str(), batch).await.map(RoomNo)
    }

    /// The id of a room.
    pub async fn room_id(&self, room: RoomNo) -> Result<OwnedRoomId, StoreError> {
        let name = self.inner.rooms.name(&self.inner.engine, room.0).await?;
        name.and_then(|name| RoomId::parse(&*name).ok())
            .ok_or(StoreError::Corrupt { table: "room_names", what: "no such room" })
    }

    /// The number of another server this one has met.
    pub async fn server(&self, name: &ServerName) -> Result<Option<ServerNo>, StoreError> {
        Ok(self.inner.servers.number(&self.inner.engine, name.as_str()).await?.map(ServerNo))
    }

    /// The number of another server, minted with `batch` when new.
    pub async fn mint_server(&self, name: &ServerName, batch: &mut Batch) -> Result<ServerNo, StoreError> {
        let inner = &self.inner;
        inner.servers.mint(&inner.engine, &inner.counters, name.as_str(), batch).await.map(ServerNo)
    }

    /// The name of another server.
    pub async fn server_name(&self, server: ServerNo) -> Result<OwnedServerName, StoreError> {
        let name = self.inner.servers.name(&self.inner.engine, server.0).await?;
        name.and_then(|name| ServerName::parse(&*name).ok())
            .ok_or(StoreError::Corrupt { table: "server_names", what: "no such server" })
    }

    /// The number of a pair of event type and state key, if any room ever used it. States that are not durable yet can be
    /// read, so their keys can as well.
    pub async fn state_key(&self, kind: &StateEventType, key: &str) -> Result<Option<StateKeyNo>, StoreError> {
        let name = state_key_name(kind, key);
        Ok(self.inner.state_keys.number_or_pending(&self.inner.engine, &name).await?.map(StateKeyNo))
    }

    /// The number of a pair of event type and state key, minted with `batch` when new.
    pub async fn mint_state_key(
        &self,
        kind: &StateEventType,
        key: &str,
        batch: &mut Batch,
    ) -> Result<StateKeyNo, StoreError> {
        let inner = &self.inner;
        inner.state_keys.mint(&inner.engine, &inner.counters, &state_key_name(kind, key), batch).await.map(StateKeyNo)
    }

    /// The pair behind a number.
    pub async fn state_key_pair(&self, number: StateKeyNo) -> Result<(StateEventType, String), StoreError> {
        let name = self.inner.state_keys.name(&self.inner.engine, number.0).await?;
        name.as_deref()
            .and_then(|name| name.split_once('\0'))
            .map(|(kind, key)| (kind.into(), key.to_owned()))
            .ok_or(StoreError::Corrupt { table: "state_key_names", what: "no such pair" })
    }
}

/// An event type cannot contain NUL (it is refused on the way in), so the first NUL ends it.
fn state_key_name(kind: &StateEventType, key: &str) -> String {
    format!("{kind}\0{key}")
}
