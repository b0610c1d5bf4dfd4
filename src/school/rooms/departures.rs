//! Whoever has left the school, or is locked out of it, leaves every room: also those the school did not make.

use ruma::events::{StateEventType, room::member::MembershipState};
use serde_json::json;

use super::{
    super::{SchoolError, people::People},
    desk::Desk,
    edit::Edit,
};
use crate::{
    event::{Content, content},
    rooms::{NewEvent, Room, RoomsError},
    store::{UserNo, schema::rooms::Membership},
};

impl Desk {
    /// Takes everybody who is gone out of their rooms. The answer is how many had any. Rooms that adults watch over are
    /// left to those who find other adults for them.
    pub(super) async fn clear_departed(&self, people: &People) -> Result<u64, SchoolError> {
        let gone: Vec<UserNo> =
            people.iter().filter(|person| people.standing(*person).gone).map(|person| people.user(person)).collect();
        self.cleared.lock().retain(|user| gone.binary_search(user).is_ok());
        let mut departed = 0;
        for user in gone {
            if self.cleared.lock().contains(&user) {
                continue;
            }
            departed += u64::from(self.clear(user).await?);
            self.cleared.lock().insert(user);
        }
        Ok(departed)
    }

    async fn clear(&self, user: UserNo) -> Result<bool, SchoolError> {
        let mut any = false;
        for one in self.rooms.user_rooms(user).await?.iter() {
            if !matches!(one.record.membership, Membership::Join | Membership::Invite | Membership::Knock) {
                continue;
            }
            any = true;
            let done = match self.rules.rooms().get(one.room.number) {
                Some(_) => self.take_out(&one.room, user).await,
                None => self.leave(&one.room, user).await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, room = %one.room.id, "somebody who has left the school is still in a room");
            }
        }
        Ok(any)
    }

    async fn take_out(&self, room: &std::sync::Arc<Room>, user: UserNo) -> Result<(), SchoolError> {
        let mut edit = Edit::of(self, room).await?;
        edit.remove(user).await?;
        edit.commit().await?;
        Ok(())
    }

    /// Leaves a room for somebody.
    async fn leave(&self, room: &std::sync::Arc<Room>, user: UserNo) -> Result<(), SchoolError> {
        let user_id = self.user_id(user).await?;
        let mut writer = self.rooms.writer(room).await;
        writer.for_the_house();
        let member = writer.state_event(&StateEventType::RoomMember, user_id.as_str()).await?;
        let membership = member.and_then(|member| content::membership(&member.pdu.content));
        if matches!(membership, None | Some(MembershipState::Leave | MembershipState::Ban)) {
            return Ok(());
        }
        let leave = Content::from_serialize(&json!({ "membership": "leave" })).map_err(RoomsError::from)?;
        writer.append(NewEvent::state(&user_id, StateEventType::RoomMember, user_id.as_str(), leave)).await?;
        writer.commit().await?;
        Ok(())
    }
}
