//! Directories between servers: aliases and published rooms of others for people here, and the other way round.
//!
//! Another server is asked about as if one of its users asked of whom nothing is known. What the policy hides from
//! strangers does not exist for it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ruma::{
    OwnedRoomId, OwnedServerName, OwnedUserId, RoomAliasId, ServerName, UInt, UserId,
    api::federation::{directory::get_public_rooms_filtered, query::get_room_information},
    directory::{Filter, RoomTypeFilter},
};

use super::{Caller, DirectoryPage, DirectoryQuery, Room, Rooms, RoomsError, policy::Verb};
use crate::{
    remote::{RemoteError, Terms},
    store::{ServerNo, StoreError, UserNo, schema::rooms::Membership},
};

/// How long somebody waits for an answer of another server.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer to such a question that is read, in bytes.
pub(super) const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Servers named for a room.
const SERVERS_MAX: usize = 20;
/// Rooms of one page of another server's directory.
const ROOMS_MAX: usize = 1_000;

/// Where an alias leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAlias {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers that are in it, or at least say so.
    pub servers: Vec<OwnedServerName>,
}

impl Rooms {
    /// The room an alias names: of this server if the viewer may know of it, of another one as that says.
    ///
    /// # Errors
    /// The store failed. An alias of a server that does not answer is `None`.
    pub async fn find_alias(
        &self,
        viewer: Option<Caller<'_>>,
        alias: &RoomAliasId,
    ) -> Result<Option<FoundAlias>, StoreError> {
        if *alias.server_name() == *self.parts.server_name {
            return match self.resolve_alias(viewer, alias).await? {
                Some(room) => self.found(&room).await.map(Some),
                None => Ok(None),
            };
        }
        if !self.may_look_outside(viewer, alias.server_name()) {
            return Ok(None);
        }
        let request = get_room_information::v1::Request::new(alias.to_owned());
        let terms = Terms::anyway().within(PATIENCE).at_most(ANSWER_BYTES_MAX);
        match self.parts.remote.send_with(alias.server_name(), request, terms).await {
            Ok(mut answer) => {
                answer.servers.truncate(SERVERS_MAX);
                if !answer.servers.iter().any(|server| server == alias.server_name()) {
                    answer.servers.push(alias.server_name().to_owned());
                }
                Ok(Some(FoundAlias { room_id: answer.room_id, servers: answer.servers }))
            }
            Err(RemoteError::Store(error)) => Err(error),
            Err(error) => {
                tracing::debug!(%alias, %error, "an alias cannot be resolved");
                Ok(None)
            }
        }
    }

    /// The room an alias of this server names, for another server.
    pub async fn alias_for_server(
        &self,
        server: &ServerName,
        alias: &RoomAliasId,
    ) -> Result<Option<FoundAlias>, StoreError> {
        let Some(room) = self.aliased_room(alias).await? else { return Ok(None) };
        if !self.shows_to_server(&room, server).await? {
            return Ok(None);
        }
        self.found(&room).await.map(Some)
    }

    async fn found(&self, room: &Arc<Room>) -> Result<FoundAlias, StoreError> {
        let mut servers = Vec::new();
        if !room.view().joined.is_empty() {
            servers.push(self.parts.server_name.clone());
        }
        servers.extend(self.other_servers_in(room, SERVERS_MAX).await?);
        if servers.is_empty() {
            servers.push(self.parts.server_name.clone());
        }
        Ok(FoundAlias { room_id: room.id.clone(), servers })
    }

    /// A page of the published rooms of another server.
    ///
    /// # Errors
    /// [`RoomsError::NoRoom`] when the viewer may not look there, or the server does not say.
    pub async fn remote_public_rooms(
        &self,
        viewer: Option<Caller<'_>>,
        server: &ServerName,
        query: DirectoryQuery,
    ) -> Result<DirectoryPage, RoomsError> {
        if !self.may_look_outside(viewer, server) {
            return Err(RoomsError::NoRoom);
        }
        let mut request = get_public_rooms_filtered::v1::Request::new();
        request.limit = query.limit.map(|limit| UInt::new_saturating(limit.min(ROOMS_MAX) as u64));
        request.since = query.since;
        let mut filter = Filter::new();
        filter.generic_search_term = query.term;
        filter.room_types = query.room_types;
        request.filter = filter;
        let terms = Terms::anyway().within(PATIENCE).at_most(ANSWER_BYTES_MAX);
        let mut answer = self.parts.remote.send_with(server, request, terms).await.map_err(|error| {
            tracing::debug!(%server, %error, "a directory cannot be had");
            RoomsError::NoRoom
        })?;
        answer.chunk.truncate(ROOMS_MAX);
        Ok(DirectoryPage {
            total: answer
                .total_room_count_estimate
                .map_or(answer.chunk.len(), |total| usize::try_from(total).unwrap_or(usize::MAX)),
            chunk: answer.chunk,
            next_batch: answer.next_batch,
            prev_batch: answer.prev_batch,
        })
    }

    /// A page of the published rooms for another server.
    ///
    /// # Errors
    /// As [`Rooms::public_rooms`].
    pub async fn public_rooms_for_server(
        &self,
        limit: Option<usize>,
        since: Option<String>,
        term: Option<String>,
        room_types: Vec<RoomTypeFilter>,
    ) -> Result<DirectoryPage, RoomsError> {
        let query = DirectoryQuery { limit, since, term, room_types };
        let mut page = self.public_rooms(None, &query).await?;
        let mut chunk = Vec::with_capacity(page.chunk.len());
        for entry in page.chunk {
            if self.by_id(&entry.room_id).await?.is_some_and(|room| room.view().created.federate) {
                chunk.push(entry);
            }
        }
        page.chunk = chunk;
        Ok(page)
    }

    /// Whether a room may be shown to another server: it is in it, or the policy shows it to strangers. Rooms that do not
    /// leave this server do not exist for others.
    pub(super) async fn shows_to_server(&self, room: &Room, server: &ServerName) -> Result<bool, StoreError> {
        let view = room.view();
        if !view.created.federate {
            return Ok(false);
        }
        let number = self.store().server(server).await?;
        Ok(number.is_some_and(|number| view.has_server(number)) || self.shows(room, None).await?)
    }

    /// Whether somebody may be shown what is on another server.
    pub(super) fn may_look_outside(&self, viewer: Option<Caller<'_>>, server: &ServerName) -> bool {
        let policy = &self.parts.policy;
        if !policy.is_active() {
            return true;
        }
        match (viewer, stand_in(server)) {
            (Some((_, user)), Some(stranger)) => policy.decide(user, &stranger, Verb::See).is_ok(),
            _ => false,
        }
    }

    /// What another server may know of a user of this one: whether they exist, and their picture.
    pub fn known_to_server(&self, server: &ServerName, user: &UserId) -> (bool, bool) {
        let policy = &self.parts.policy;
        if !policy.is_active() {
            return (true, true);
        }
        let may = |verb| stand_in(server).is_some_and(|stranger| policy.decide(&stranger, user, verb).is_ok());
        (may(Verb::See), may(Verb::See) && may(Verb::Photo))
    }

    /// Those of some servers whose users may see a user's presence.
    pub(super) async fn servers_told_of_presence(
        &self,
        servers: BTreeSet<ServerNo>,
        user: &UserId,
    ) -> Result<BTreeSet<ServerNo>, StoreError> {
        let policy = &self.parts.policy;
        if !policy.is_active() {
            return Ok(servers);
        }
        let mut told = BTreeSet::new();
        for number in servers {
            let stranger = stand_in(&self.parts.store.server_name(number).await?);
            if stranger.is_some_and(|stranger| policy.decide(&stranger, user, Verb::Presence).is_ok()) {
                told.insert(number);
            }
        }
        Ok(told)
    }

    /// Whether somebody may have content of another server: whoever may meet its people.
    pub async fn may_fetch_from(&self, viewer: Option<Caller<'_>>, server: &ServerName) -> Result<bool, StoreError> {
        if *server == *self.parts.server_name || self.may_look_outside(viewer, server) {
            return Ok(true);
        }
        match viewer {
            Some((user, _)) => self.shares_room_with_server(user, server).await,
            None => Ok(false),
        }
    }

    /// Whether a user of this server is in a room with users of another one.
    pub async fn shares_room_with_server(&self, user: UserNo, server: &ServerName) -> Result<bool, StoreError> {
        let Some(number) = self.store().server(server).await? else { return Ok(false) };
        let list = self.user_rooms(user).await?;
        Ok(list.iter().any(|entry| entry.record.membership == Membership::Join && entry.room.view().has_server(number)))
    }
}

/// A user of a server of whom nothing is known.
fn stand_in(server: &ServerName) -> Option<OwnedUserId> {
    UserId::parse(format!("@NOBODY:{server}")).ok()
}
