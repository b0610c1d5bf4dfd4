//! Which servers an event goes to.

use ruma::{
    OwnedServerName, ServerName, UserId,
    events::{TimelineEventType, room::member::MembershipState},
};

use super::{destination::Outgoing, service::Inner};
use crate::{
    event::content,
    rooms::{Room, Sight},
    store::{
        Batch, Event, Order, Position, ServerNo, StoreError,
        schema::{
            federation::OUTGOING,
            rooms::{SERVER_ROOMS, ServerRoomRecord},
        },
    },
};

/// Rows read at once.
const PAGE: usize = 1_000;

impl Inner {
    /// Hands out all visible events after `at`, which follows. Answers how many.
    pub(super) async fn dispatch(&self, at: &mut Position) -> Result<usize, StoreError> {
        let upto = self.parts.store.position();
        let mut handed_out = 0;
        while *at < upto {
            let (from, to) = (Position(at.0 + 1), Position(upto.0 + 1));
            let rows = self.parts.store.range(&OUTGOING, &from, &to, Order::Ascending, PAGE).await?;
            let full = rows.len() == PAGE;
            for event in rows {
                match self.hand_out(event).await {
                    // One damaged room must not keep the others from being heard.
                    Err(error @ StoreError::Corrupt { .. }) => {
                        tracing::error!(room = event.1.0, %error, "an event could not be handed out to other servers");
                    }
                    handed_out => handed_out?,
                }
                (*at, handed_out) = (event.0, handed_out + 1);
            }
            if !full {
                *at = upto;
            }
        }
        Ok(handed_out)
    }

    /// Gives an event to the servers in its room, as it is now. Who has come since gets it if they may see it.
    async fn hand_out(&self, event: Outgoing) -> Result<(), StoreError> {
        let (at, room_no) = event;
        let Some(room) = self.parts.rooms.get(room_no).await? else { return Ok(()) };
        let Some(found) = self.event_to_send(room_no, at).await? else { return Ok(()) };
        let origin = found.pdu.sender.server_name();
        let view = room.view();
        // Nearly always nothing has changed since, and so nobody has come.
        let moved_on = found.header.state_after != view.state;
        for (server, _) in &*view.servers {
            if !moved_on || self.is_meant_for(*server, &room, (&found, at)).await? {
                self.offer(*server, origin, event).await?;
            }
        }
        if let Some(server) = self.server_put_out(&found, event).await?
            && !view.has_server(server)
        {
            self.offer(server, origin, event).await?;
        }
        Ok(())
    }

    /// Whether a server was in the room at an event, or may see what was before its time there.
    async fn is_meant_for(
        &self,
        server: ServerNo,
        room: &Room,
        (event, at): (&Event, Position),
    ) -> Result<bool, StoreError> {
        let known = self.parts.store.get(&SERVER_ROOMS, &(server, room.number)).await?;
        if known.is_none_or(|record| record.since <= at) {
            return Ok(true);
        }
        let name = self.parts.store.server_name(server).await?;
        let Some(reader) = self.parts.rooms.server_reader(&room.id, &name).await? else { return Ok(false) };
        Ok(matches!(reader.sight(event).await?, Some(Sight::Whole)))
    }

    async fn offer(&self, server: ServerNo, origin: &ServerName, event: Outgoing) -> Result<(), StoreError> {
        if let Some(name) = self.allowed(server).await?.filter(|name| name != origin) {
            self.board.add_event(server, &name, event);
        }
        Ok(())
    }

    /// The server of somebody whose membership, invitation or knock this event ends. It is no longer in the room, if it
    /// ever was, and has to hear of it all the same.
    async fn server_put_out(&self, event: &Event, (at, room): Outgoing) -> Result<Option<ServerNo>, StoreError> {
        let ended =
            matches!(content::membership(&event.pdu.content), Some(MembershipState::Leave | MembershipState::Ban));
        if event.pdu.kind != TimelineEventType::RoomMember || !ended {
            return Ok(None);
        }
        let target = event.pdu.state_key.as_deref().and_then(|key| <&UserId>::try_from(key).ok());
        let Some(server) = target.map(UserId::server_name) else { return Ok(None) };
        let Some(before) = event.header.replaces_state else { return Ok(None) };
        if server == self.parts.server_name || server == event.pdu.sender.server_name() {
            return Ok(None);
        }
        let before = self.parts.rooms.events().require(room, before).await?;
        let before = content::membership(&before.pdu.content);
        // A ban of somebody who had nothing to do with the room is no business of their server's.
        if matches!(before, None | Some(MembershipState::Leave | MembershipState::Ban)) {
            return Ok(None);
        }
        let mut batch = Batch::new();
        let number = self.parts.store.mint_server(server, &mut batch).await?;
        let known = self.parts.store.get(&SERVER_ROOMS, &(number, room)).await?;
        // Where it never was in the room, nothing else says after an outage that it is to have this event.
        if known.is_none_or(|record| record.left.is_some_and(|left| left < at)) {
            batch.put(&SERVER_ROOMS, &(number, room), &ServerRoomRecord { since: at, left: Some(at) });
        }
        if !batch.is_empty() {
            self.parts.store.commit(batch).await?;
        }
        Ok(Some(number))
    }

    /// The name of a server that may be told anything.
    pub(super) async fn allowed(&self, server: ServerNo) -> Result<Option<OwnedServerName>, StoreError> {
        if let Some(name) = self.board.name(server) {
            return Ok(name);
        }
        let name = Some(self.parts.store.server_name(server).await?).filter(|name| self.parts.outbox.allows(name));
        self.board.set_name(server, name.clone());
        Ok(name)
    }
}
