//! Servers that are in a room according to the answer to a join. As long as its members are not known, each counts as
//! if it had one more member, so that it is told of everything, and asked.

use std::{sync::Arc, time::Duration};

use ruma::{OwnedServerName, ServerName};

use crate::{
    rooms::{
        Room, Rooms, Writer,
        effects::{OrderedRow, server_joined},
        writer::settled,
    },
    store::{
        EventNo, Order, Position, Rows, StoreError,
        schema::rooms::{Membership, PARTIAL, PartialRecord, STAYS, TIMELINE},
    },
};

/// How long servers are told of everything only because the answer to a join named them. Whoever tells the members at all
/// does it within minutes.
const NAMES_TIME: Duration = Duration::from_hours(24);
/// Stays whose members never came that are kept of one room. The oldest goes.
pub(super) const STAYS_MAX: usize = 16;

impl Writer {
    /// This server has entered the room: with `servers` without its members, otherwise with all of them. Servers that an
    /// earlier answer named are forgotten; the states of that stay still lack members.
    pub(in crate::rooms) async fn enter_partially(
        &mut self,
        join: EventNo,
        servers: Option<&[OwnedServerName]>,
    ) -> Result<(), StoreError> {
        let (room, number) = (self.room.clone(), self.room.number);
        if !self.new {
            // What others have handed over is in the tables before they are read.
            settled(&self.rooms).await?;
        }
        let earlier = self.rooms.partial_record(&room).await?;
        if let Some(earlier) = &earlier {
            self.close_stay(earlier.event).await?;
        }
        let mut rows = Vec::new();
        if let Some(servers) = servers {
            rows.extend(self.hold_servers(servers.iter().map(AsRef::as_ref)).await?);
        }
        if let Some(earlier) = &earlier {
            let servers: Vec<_> = earlier.server_names().collect();
            rows.extend(self.release_servers(servers.iter().map(AsRef::as_ref)).await?);
        }
        self.view.partial = servers.is_some();
        if let Some(servers) = servers {
            let own = &self.rooms.parts.server_name;
            let servers = servers.iter().filter(|server| *server != own).map(ToString::to_string).collect();
            self.batch.put(&PARTIAL, &number, &PartialRecord { event: join, servers, whole_since: None });
        } else if earlier.is_some() {
            self.batch.at_position(move |at, made| {
                made.put(&PARTIAL, &number, &PartialRecord { event: join, servers: Vec::new(), whole_since: Some(at) });
            });
            self.batch.on_publish(move |at| room.set_whole_since(at));
        }
        if !rows.is_empty() {
            self.batch.at_position(move |at, made| stand_at(at, rows, made));
        }
        Ok(())
    }

    /// The stay that began with `join` has ended before its members came.
    async fn close_stay(&mut self, join: EventNo) -> Result<(), StoreError> {
        let (room, store) = (self.room.number, self.rooms.store().clone());
        let newest = store.prefix(&TIMELINE, &room, Order::Descending, 1).await?;
        if let Some((_, last)) = newest.first() {
            self.batch.put(&STAYS, &(room, join), last);
        }
        let stays = store.prefix(&STAYS, &room, Order::Ascending, STAYS_MAX).await?;
        if let [(oldest, _), ..] = &*stays
            && stays.len() == STAYS_MAX
        {
            self.batch.delete(&STAYS, oldest);
        }
        Ok(())
    }

    /// Of the servers that the answer to a join named only these are taken to be in the room from now on.
    pub(super) async fn keep_servers(
        &mut self,
        record: &PartialRecord,
        kept: Vec<OwnedServerName>,
    ) -> Result<PartialRecord, StoreError> {
        let dropped: Vec<_> = record.server_names().filter(|server| !kept.contains(server)).collect();
        let rows = self.release_servers(dropped.iter().map(AsRef::as_ref)).await?;
        let servers = kept.iter().map(ToString::to_string).collect();
        let record = PartialRecord { servers, ..record.clone() };
        self.batch.put(&PARTIAL, &self.room.number, &record);
        self.batch.at_position(move |at, made| stand_at(at, rows, made));
        Ok(record)
    }

    /// Servers are taken to be in the room. The rows name the position since when.
    async fn hold_servers<'a>(
        &mut self,
        servers: impl Iterator<Item = &'a ServerName>,
    ) -> Result<Vec<OrderedRow>, StoreError> {
        let mut rows = Vec::new();
        for server in servers {
            rows.extend(self.count_server(server, None, Membership::Join).await?);
        }
        Ok(rows)
    }

    /// Takes that back. The rows name the position from which on a server is not in the room, if it has no members.
    pub(super) async fn release_servers<'a>(
        &mut self,
        servers: impl Iterator<Item = &'a ServerName>,
    ) -> Result<Vec<OrderedRow>, StoreError> {
        let mut rows = Vec::new();
        for server in servers {
            rows.extend(self.count_server(server, Some(Membership::Join), Membership::Leave).await?);
        }
        Ok(rows)
    }

    async fn count_server(
        &mut self,
        server: &ServerName,
        old: Option<Membership>,
        new: Membership,
    ) -> Result<Option<OrderedRow>, StoreError> {
        let parts = self.rooms.parts.clone();
        if *server == *parts.server_name {
            return Ok(None);
        }
        server_joined(&parts, &self.room, &mut self.view, server, old, new, &mut self.batch).await
    }
}

impl Rooms {
    /// Nobody of this server is in the room any more: the servers that the answer named are told nothing, and nothing is
    /// fetched.
    pub(super) async fn forget_servers(&self, room: &Arc<Room>) -> Result<(), StoreError> {
        let mut writer = self.writer(room).await;
        settled(self).await?;
        let record = self.partial_record(room).await?.filter(|record| !record.servers.is_empty());
        if let Some(record) = record.filter(|_| writer.view().joined.is_empty()) {
            writer.keep_servers(&record, Vec::new()).await?;
            writer.commit().await?;
        }
        Ok(())
    }

    /// What is still to be fetched, without the servers that were named long ago and of which no member has come to light:
    /// the one who answered the join could name anybody, and never tell the members.
    pub(super) async fn narrowed(&self, room: &Arc<Room>, record: PartialRecord) -> Result<PartialRecord, StoreError> {
        let join = self.parts.events.require(room.number, record.event).await?;
        let age = self.parts.clock.now_ms().saturating_sub(join.pdu.origin_server_ts.get().into());
        if u128::from(age) < NAMES_TIME.as_millis() || self.shown_to_be_in(room, &record).await?.is_none() {
            return Ok(record);
        }
        let mut writer = self.writer(room).await;
        settled(self).await?;
        // Who holds the lock sees whether it was left, or joined anew, meanwhile.
        if self.partial_record(room).await?.as_ref() != Some(&record) {
            return Ok(record);
        }
        let Some(kept) = self.shown_to_be_in(room, &record).await? else { return Ok(record) };
        tracing::info!(room = %room.id, named = record.servers.len(), kept = kept.len(), "servers are told nothing more");
        let narrowed = writer.keep_servers(&record, kept).await?;
        writer.commit().await?;
        Ok(narrowed)
    }

    /// The servers of a record of which members are known, and the one who answered the join; `None` when that is all.
    async fn shown_to_be_in(
        &self,
        room: &Room,
        record: &PartialRecord,
    ) -> Result<Option<Vec<OwnedServerName>>, StoreError> {
        let view = room.view();
        let (mut kept, mut dropped) = (Vec::new(), false);
        for (place, name) in record.server_names().enumerate() {
            let number = self.parts.store.server(&name).await?;
            // One of what is counted is the name itself.
            let has_members = view.servers.iter().any(|(server, joined)| Some(*server) == number && *joined > 1);
            if place == 0 || has_members {
                kept.push(name);
            } else {
                dropped = true;
            }
        }
        Ok(dropped.then_some(kept))
    }
}

/// Makes rows that name a position.
pub(super) fn stand_at(at: Position, rows: Vec<OrderedRow>, made: &mut Rows) {
    let order = i64::try_from(at.0).unwrap_or(i64::MAX);
    for row in rows {
        row(order, made);
    }
}
