//! Whoever has left the school, or is locked out of it, leaves every room: also those the school did not make. And an
//! adult who must not be in contact with a pupil leaves the rooms that people made, or that have ended, and that pupil
//! is in. Who worked here and is now a guardian only leaves the rooms that are not made for families.

use std::collections::HashSet;

use ruma::events::{
    StateEventType,
    room::{guest_access::GuestAccess, member::MembershipState},
};
use serde_json::json;

use super::{
    super::{
        SchoolError,
        doors::may_hold_families,
        people::{People, PersonNo},
    },
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
            if !is_in(one.record.membership) {
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

    /// Takes pupils and guardians out of rooms that are not made for them. They came as people who work here; nobody else
    /// is let in. Only those are looked at who are new since the last time. The answer is how many left any.
    pub(super) async fn clear_families(&self, people: &People) -> Result<u64, SchoolError> {
        let is_family = |person: &PersonNo| people.roles(*person).is_family();
        let families: HashSet<UserNo> = people.iter().filter(is_family).map(|person| people.user(person)).collect();
        let new: Vec<UserNo> = {
            let mut known = self.families.lock();
            known.retain(|user| families.contains(user));
            families.difference(&known).copied().collect()
        };
        let mut departed = 0;
        for user in new {
            let (left, stays) = self.leave_unfit(user).await?;
            departed += u64::from(left);
            // Tried again in the next pass.
            if !stays {
                self.families.lock().insert(user);
            }
        }
        Ok(departed)
    }

    /// Whether the user left any room, and whether they are still in one that is not made for families.
    async fn leave_unfit(&self, user: UserNo) -> Result<(bool, bool), SchoolError> {
        let (mut left, mut stays) = (false, false);
        for one in self.rooms.user_rooms(user).await?.iter() {
            let of_school = self.rules.rooms().get(one.room.number).is_some();
            if of_school || !is_in(one.record.membership) || self.holds_families(&one.room).await? {
                continue;
            }
            match self.leave(&one.room, user).await {
                Ok(()) => left = true,
                Err(error) => {
                    stays = true;
                    tracing::warn!(%error, room = %one.room.id, "somebody is in a room that is not made for families");
                }
            }
        }
        Ok((left, stays))
    }

    /// Whether pupils and guardians may be in a room that the school did not make: the same that is asked of a room when
    /// they come into one.
    async fn holds_families(&self, room: &Room) -> Result<bool, SchoolError> {
        let view = room.view();
        if !may_hold_families(&view) {
            return Ok(false);
        }
        let state = async |kind| self.rooms.state_event(room.number, view.state, &kind, "").await;
        if state(StateEventType::RoomEncryption).await?.is_some() {
            return Ok(false);
        }
        let guests = state(StateEventType::RoomGuestAccess).await?;
        Ok(guests.is_none_or(|event| content::guest_access(&event.pdu.content) != GuestAccess::CanJoin))
    }

    /// Parts pupils from the adults with whom they have no contact, in rooms that the school did not make and in those
    /// that have ended: in its others they are only together where the roster says so. Rooms made later never have both.
    /// The answer is how many adults left any.
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

    /// The same when rooms have ended since, and so are to be looked at again.
    pub(super) async fn part_again(&self, people: &People) -> Result<u64, SchoolError> {
        self.parted.lock().clear();
        self.part(people).await
    }

    /// Whether the adult left any room, and whether they are still in one.
    async fn keep_apart(&self, adult: UserNo, student: UserNo) -> Result<(bool, bool), SchoolError> {
        let (mut left, mut stays) = (false, false);
        for one in self.rooms.user_rooms(adult).await?.iter() {
            if !is_in(one.record.membership) || !Rooms::has_joined(&one.room, student) {
                continue;
            }
            let done = match self.rules.rooms().get(one.room.number) {
                None => self.leave(&one.room, adult).await,
                Some(link) if link.archived => self.take_out(&one.room, adult).await,
                Some(_) => continue,
            };
            match done {
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
        let leave = NewEvent::state(&user_id, StateEventType::RoomMember, user_id.as_str(), leave);
        self.rooms.append_and_commit(writer, leave).await?;
        Ok(())
    }
}

/// Whether somebody is in a room, or about to be.
fn is_in(membership: Membership) -> bool {
    matches!(membership, Membership::Join | Membership::Invite | Membership::Knock)
}
