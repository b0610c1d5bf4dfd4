//! Whoever has left the school, or is locked out of it, leaves every room: also those the school did not make. And an
//! adult who must not be in contact with a pupil leaves the rooms that people made and that pupil is in.

use std::collections::HashSet;

use ruma::events::{StateEventType, room::member::MembershipState};
use serde_json::json;

use super::{
    super::{SchoolError, people::People},
    desk::Desk,
    edit::Edit,
};
use crate::{
    event::{Content, content},
    rooms::{NewEvent, Room, Rooms, RoomsError},
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

    /// Parts pupils from the adults with whom they have no contact, in rooms that the school did not make: in its own
    /// they are only together where the roster says so. Rooms made later never have both. The answer is how many adults
    /// left any.
    pub(super) async fn part(&self, people: &People) -> Result<u64, SchoolError> {
        let apart = |adult| people.children_of(adult).iter().filter(|link| !link.is_contact());
        let pairs: HashSet<(UserNo, UserNo)> = people
            .iter()
            .flat_map(|adult| apart(adult).map(move |link| (people.user(adult), people.user(link.person))))
            .collect();
        self.parted.lock().retain(|pair| pairs.contains(pair));
        let mut parted = 0;
        for (adult, student) in pairs {
            if self.parted.lock().contains(&(adult, student)) {
                continue;
            }
            let (left, stays) = self.keep_apart(adult, student).await?;
            parted += u64::from(left);
            // Tried again in the next pass.
            if !stays {
                self.parted.lock().insert((adult, student));
            }
        }
        Ok(parted)
    }

    /// Whether the adult left any room, and whether they are still in one.
    async fn keep_apart(&self, adult: UserNo, student: UserNo) -> Result<(bool, bool), SchoolError> {
        let (mut left, mut stays) = (false, false);
        for one in self.rooms.user_rooms(adult).await?.iter() {
            let here = matches!(one.record.membership, Membership::Join | Membership::Invite | Membership::Knock);
            let both = here && Rooms::has_joined(&one.room, student);
            if !both || self.rules.rooms().get(one.room.number).is_some() {
                continue;
            }
            match self.leave(&one.room, adult).await {
                Ok(()) => left = true,
                Err(error) => {
                    stays = true;
                    tracing::warn!(%error, room = %one.room.id, "two who must be kept apart are still in one room");
                }
            }
        }
        Ok((left, stays))
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
