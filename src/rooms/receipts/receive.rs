//! Receipts over the border: how far users of other servers have read, and what their servers are told of those here.

use std::sync::Arc;

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, ServerName, UserId,
    events::receipt::{Receipt, ReceiptThread},
};

use super::{MARKS_MAX, READ, Receipts, early::EarlyReceipt};
use crate::{
    rooms::Room,
    store::{Batch, Event, RoomNo, StoreError, UserNo, Verdict},
};

/// What a receipt from elsewhere stands at.
enum Target {
    /// An event of the room.
    Here(Arc<Event>),
    /// An event that may become part of the room.
    NotYet,
    /// One that never will.
    Never,
}

impl Receipts {
    /// Another server says how far one of its users has read. Nothing happens unless the user is in the room, and the
    /// room admits the server. If the event is not part of the room yet, it happens when it is.
    ///
    /// # Errors
    /// The store failed.
    pub async fn receive(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        user_id: &UserId,
        event_id: &EventId,
        receipt: &Receipt,
    ) -> Result<(), StoreError> {
        let Some((room, user)) = self.inner.rooms.member_of_server(origin, room_id, user_id).await? else {
            return Ok(());
        };
        // Anything else could be as long as a whole transaction, and is not kept.
        let thread = match &receipt.thread {
            ReceiptThread::Unthreaded => String::new(),
            ReceiptThread::Main => "main".to_owned(),
            ReceiptThread::Thread(thread) => thread.to_string(),
            _ => return Ok(()),
        };
        let early = &self.inner.rooms.writes.early_receipts;
        let event = match self.target(room.number, event_id).await? {
            Target::Here(event) => event,
            Target::Never => return Ok(()),
            Target::NotYet => {
                let (origin, room_id, user_id) = (origin.to_owned(), room_id.to_owned(), user_id.to_owned());
                let (event, receipt) = (event_id.to_owned(), receipt.clone());
                early.wait(room.number, EarlyReceipt { origin, room_id, user_id, event_id: event, receipt });
                // It may have come before there was anything that waited.
                if let Target::Here(event) = self.target(room.number, event_id).await? {
                    early.arrived(room.number, [&*event]);
                }
                return Ok(());
            }
        };
        early.overtaken(room.number, user_id, &receipt.thread);
        let kind = format!("{READ}\0{thread}");
        let ts = receipt.ts.unwrap_or_else(|| self.inner.rooms.parts.clock.now());
        let lock = self.lock(room.number, user).await;
        let marks = self.load_marks(room.number, user).await?;
        // Threads are whatever another server says they are.
        if marks.get(&kind).is_none() && marks.rows().len() >= MARKS_MAX {
            return Ok(());
        }
        let (mut batch, changed) = (Batch::new(), Arc::default());
        if Self::stage(&room, user, kind, (&event, ts), &marks, &mut batch, &changed) {
            self.publish(&room, user, true, marks, changed, &mut batch);
            batch.on_publish(move |_| drop(lock));
            self.inner.rooms.store().commit(batch).await?;
        }
        Ok(())
    }

    async fn target(&self, room: RoomNo, id: &EventId) -> Result<Target, StoreError> {
        let Some(event) = self.inner.rooms.events().in_room(room, id).await? else { return Ok(Target::NotYet) };
        Ok(match event.header.verdict {
            Verdict::Accepted if event.order != Event::UNPLACED => Target::Here(event),
            // On its way to the disk, or known only as a part of some state.
            Verdict::Accepted | Verdict::Outlier => Target::NotYet,
            Verdict::SoftFailed(_) | Verdict::Rejected(_) => Target::Never,
        })
    }

    /// Records receipts that were here before their events, until it is dropped.
    pub async fn keep_taking_up(self) {
        loop {
            for early in self.inner.rooms.writes.early_receipts.due().await {
                let EarlyReceipt { origin, room_id, user_id, event_id, receipt } = early;
                if let Err(error) = self.receive(&origin, &room_id, &user_id, &event_id, &receipt).await {
                    tracing::warn!(room = %room_id, %error, "a receipt of another server is lost");
                }
            }
        }
    }

    /// Tells other servers in a room how far one of its members has read in public.
    pub(super) async fn tell_servers(
        &self,
        room: &Room,
        user: UserNo,
        read: Vec<(OwnedEventId, String)>,
        at: MilliSecondsSinceUnixEpoch,
    ) -> Result<(), StoreError> {
        let view = room.view();
        if view.servers.is_empty() || read.is_empty() {
            return Ok(());
        }
        let user_id = self.inner.rooms.store().user_id(user).await?;
        for (event, thread) in read {
            let thread = if thread.is_empty() { None } else { Some(thread) };
            let thread = ReceiptThread::try_from(thread).unwrap_or_default();
            let servers = view.servers.iter().map(|(server, _)| *server);
            self.inner.rooms.parts.outbox.receipt(servers, (&room.id, &user_id), &event, thread, at);
        }
        Ok(())
    }
}
