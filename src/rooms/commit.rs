//! How what a writer has made becomes durable and visible.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::{
    Rooms, Writer,
    append::mark_head,
    room::{Room, RoomView},
    writer::OWN_ECHO_DELAY,
};
use crate::{
    notify::Concerned,
    store::{Batch, Position, StoreError},
};

/// A room as a writer leaves it, locked until its batch is handed over.
struct Left {
    room: Arc<Room>,
    head: OwnedMutexGuard<Arc<RoomView>>,
    view: Arc<RoomView>,
    new: bool,
}

impl Writer {
    /// Makes everything durable and visible. The answer is the position of the last event.
    pub async fn commit(self) -> Result<Position, StoreError> {
        let rooms = self.rooms.clone();
        let (left, batch) = self.leave().await?;
        rooms.hand_over(vec![left], batch).await
    }

    /// The same for this room and one that is being made, in one commit: both of it are durable, or neither. The lock of
    /// a new room is nobody else's to wait for, so it may be held together with another one.
    pub(super) async fn commit_with(self, new: Self) -> Result<Position, StoreError> {
        debug_assert!(new.new, "two rooms that others can lock may wait for each other");
        let rooms = self.rooms.clone();
        let (made, mut batch) = new.leave().await?;
        let (left, rows) = self.leave().await?;
        batch.append(rows);
        rooms.hand_over(vec![made, left], batch).await
    }

    /// The batch, with what is to happen once it is durable.
    async fn leave(self) -> Result<(Left, Batch), StoreError> {
        let Self { rooms, room, head, mut view, mut batch, added, placed, gaps, effects, new, outgoing, .. } = self;
        rooms.bring_push_rules(&room, &view, effects.newcomers()).await?;
        mark_head(&room, &mut view, &head, added.last().map(|event| event.number), &mut batch);
        let view = Arc::new(view);
        // Who sent it with a transaction has a local echo, and hears of it a moment later.
        let author = added.iter().find(|event| event.header.transaction.is_some()).map(|event| event.header.sender);
        let concerned = effects.concerned(&view, author);
        let (publishing, published, changed, known) =
            (room.clone(), view.clone(), effects.changed_users(), rooms.clone());
        batch.on_publish(move |_| {
            for (order, gap) in std::mem::take(&mut *gaps.lock()) {
                publishing.set_gap(order, gap);
            }
            publishing.publish(published, &placed.lock(), &changed);
            known.forget_user_rooms(&changed);
            effects.publish(&known.parts.events, publishing.number);
        });
        let (notifier, early, number) =
            (rooms.parts.notifier.clone(), rooms.writes.early_receipts.clone(), room.number);
        let runtime = tokio::runtime::Handle::current();
        let sending = outgoing.then(|| rooms.parts.outgoing.clone());
        batch.on_visible(move || {
            early.arrived(number, added.iter().map(AsRef::as_ref));
            if let Some(sending) = sending {
                sending.notify_one();
            }
            for users in concerned {
                notifier.wake(users);
            }
            if let Some(author) = author {
                runtime.spawn(async move {
                    tokio::time::sleep(OWN_ECHO_DELAY).await;
                    notifier.wake(Concerned::User(author.0));
                });
            }
        });
        Ok((Left { room, head, view, new }, batch))
    }
}

impl Rooms {
    /// Hands a batch over and lets the locks of its rooms go.
    async fn hand_over(&self, mut left: Vec<Left>, batch: Batch) -> Result<Position, StoreError> {
        let place = self.parts.store.place().await?;
        // Before its rows can be read: whoever finds the number in one must not load the room a second time.
        for made in left.iter().filter(|left| left.new) {
            self.keep(&made.room);
        }
        let done = place.commit(batch);
        let mut made_whole = false;
        for Left { head, view, .. } in &mut left {
            made_whole |= head.partial && !view.partial;
            **head = view.clone();
        }
        if made_whole {
            // Where the states of known events change, whoever writes next must not find the old ones.
            let done = done.await;
            drop(left);
            return done;
        }
        drop(left);
        done.await
    }
}
