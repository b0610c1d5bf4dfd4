//! Forgetting rooms.

use ruma::{RoomId, events::room::member::MembershipState};

use super::super::{Actor, Rooms, RoomsError};
use crate::store::{
    Batch,
    schema::rooms::{FORGOTTEN, Membership},
};

impl Rooms {
    /// Forgets a room that the user has left or was removed from: they no longer see its history. Being invited or
    /// joining again ends it.
    ///
    /// # Errors
    /// [`RoomsError::NotLeft`]; [`RoomsError::Invalid`] when there is nothing to forget.
    pub async fn forget(&self, actor: &Actor<'_>, room_id: &RoomId) -> Result<(), RoomsError> {
        let unknown = || RoomsError::Invalid("you have never been in this room".into());
        if let Some(outside) = self.outside(actor.user, room_id).await? {
            let over = matches!(outside.record.membership, Membership::Leave | Membership::Ban);
            return if over {
                Ok(self.forget_outside(actor.user, room_id).await.map(drop)?)
            } else {
                Err(RoomsError::NotLeft)
            };
        }
        let room = self.by_id(room_id).await?.ok_or_else(unknown)?;
        // The room's lock is held until the row is durable, so that joining again cannot overtake it.
        let writer = self.writer(&room).await;
        match writer.membership(actor.user_id).await? {
            Some(MembershipState::Leave | MembershipState::Ban) => {}
            Some(_) => return Err(RoomsError::NotLeft),
            None => return Err(unknown()),
        }
        let mut batch = Batch::new();
        batch.put(&FORGOTTEN, &(actor.user, room.number), &());
        self.parts.store.commit(batch).await?;
        drop(writer);
        Ok(())
    }
}
