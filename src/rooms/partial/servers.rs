//! Servers that are in a room according to the answer to a join. As long as its members are not known, each counts as
//! if it had one more member, so that it is told of everything, and asked.

use ruma::{OwnedServerName, ServerName};

use crate::{
    rooms::{
        Writer,
        effects::{OrderedRow, server_joined},
    },
    store::{
        EventNo, Position, Rows, StoreError,
        schema::rooms::{Membership, PARTIAL, PartialRecord},
    },
};

impl Writer {
    /// This server has entered the room: with `servers` without its members, otherwise with all of them. What an
    /// earlier entrance has left unfinished is over.
    pub(in crate::rooms) async fn enter_partially(
        &mut self,
        join: EventNo,
        servers: Option<&[OwnedServerName]>,
    ) -> Result<(), StoreError> {
        let number = self.room.number;
        let earlier = self.rooms.partial_record(&self.room).await?;
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
            self.batch.delete(&PARTIAL, &number);
        }
        if !rows.is_empty() {
            self.batch.at_position(move |at, made| stand_at(at, rows, made));
        }
        Ok(())
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

/// Makes rows that name a position.
pub(super) fn stand_at(at: Position, rows: Vec<OrderedRow>, made: &mut Rows) {
    let order = i64::try_from(at.0).unwrap_or(i64::MAX);
    for row in rows {
        row(order, made);
    }
}
