//! What administrators and teachers do with the school's rooms.

use ruma::{OwnedRoomId, RoomId, UserId};
use serde_json::json;

use super::{
    super::{SchoolError, audit::Author},
    SchoolRooms,
    content::Mode,
    desk::Desk,
    edit::Edit,
    watched::{ADULTS_MIN, Pair, is_adult, pair_of},
};
use crate::{
    event::content,
    rooms::RoomsError,
    store::{
        RoomNo, UserNo,
        schema::school::{RoomKind, RoomLink},
    },
};

/// A room of the school, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomLine {
    /// Its number: lists go on after it.
    pub number: RoomNo,
    /// Its id.
    pub room_id: OwnedRoomId,
    /// What it is for.
    pub link: RoomLink,
    /// Its name.
    pub name: Option<String>,
    /// Who has joined it, the school itself included.
    pub members: u64,
    /// Nobody but the school is in it.
    pub orphaned: bool,
}

impl SchoolRooms {
    /// At most `limit` of the school's rooms, and of the chats of two that are closed, from after room `after`, by their
    /// numbers; `wanted` chooses.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(
        &self,
        after: Option<RoomNo>,
        limit: usize,
        wanted: impl Fn(&RoomLink) -> bool,
    ) -> Result<Vec<RoomLine>, SchoolError> {
        let book = self.desk.rules.rooms();
        let mut all = book.all();
        // Chats of two are their own business until they are closed.
        let closed = book.chats().into_iter().filter(|(_, chat)| chat.held);
        all.extend(closed.map(|(number, chat)| (number, chat.link().into())));
        all.retain(|(number, link)| after.is_none_or(|after| *number > after) && wanted(link));
        all.sort_by_key(|(number, _)| *number);
        let mut lines = Vec::new();
        for (number, link) in all.into_iter().take(limit) {
            let Some(room) = self.desk.rooms.get(number).await? else { continue };
            let view = room.view();
            let alone = u64::from(link.kind != RoomKind::Direct);
            let kind = ruma::events::StateEventType::RoomName;
            let name = self.desk.rooms.state_event(number, view.state, &kind, "").await?;
            lines.push(RoomLine {
                number,
                room_id: room.id.clone(),
                link: RoomLink::clone(&link),
                name: name.and_then(|event| content::name(&event.pdu.content)).map(String::from),
                members: view.joined_count,
                orphaned: view.joined_count <= alone,
            });
        }
        Ok(lines)
    }

    /// Makes a room read-only until it is opened again, or opens it; also a chat that two people made for themselves. Opening does not bring back what the roster or a
    /// missing adult keeps shut: the next pass sees to that.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`] when it is none of the school's rooms.
    pub async fn freeze(&self, room_id: &RoomId, frozen: bool, by: &Author) -> Result<(), SchoolError> {
        if let Some(number) = self.desk.store.room(room_id).await?
            && self.desk.rules.rooms().chat(number).is_some()
        {
            return self.desk.hold(number, frozen, by, None).await;
        }
        let (desk, number, link) = self.find(room_id).await?;
        let room = desk.rooms.get(number).await?.ok_or(SchoolError::NotFound("room"))?;
        let mut edit = Edit::of(desk, &room).await?;
        let now = RoomLink { frozen, held: frozen, ..link };
        edit.link(&now);
        let powers = edit.powers().await?;
        edit.rules(&now, &powers, (None, Mode::Open)).await?;
        let text = if frozen { "This room is read-only for now." } else { "This room can be written in again." };
        if edit.has_changed() {
            edit.say(text).await?;
            let action = if frozen { "room.freeze" } else { "room.unfreeze" };
            desk.audit.stage(edit.batch(), by, action, room_id.as_str(), &json!({}));
        }
        edit.commit().await?;
        Ok(())
    }

    /// Opens a class room to everybody in it, lets only its teachers write, or nobody.
    ///
    /// # Errors
    /// [`SchoolError::Forbidden`] for who does not teach there; [`SchoolError::NotFound`] when it is no class's room.
    pub async fn set_mode(&self, room_id: &RoomId, mode: Mode, actor: &UserId) -> Result<(), SchoolError> {
        let (desk, number, link) = self.find(room_id).await?;
        if !matches!(link.kind, RoomKind::Class | RoomKind::Department | RoomKind::Staff) || link.archived {
            return Err(SchoolError::NotFound("room of a class"));
        }
        let room = desk.rooms.get(number).await?.ok_or(SchoolError::NotFound("room"))?;
        let mut edit = Edit::of(desk, &room).await?;
        let user = desk.store.user(actor).await?.filter(|user| edit.joined().contains(user));
        user.ok_or(SchoolError::NotFound("room of a class"))?;
        let teaches = edit.writer.view().power.user_level(actor).reaches(super::wanted::ADULT_POWER);
        if !teaches {
            return Err(SchoolError::Forbidden("Only who teaches here can do this".into()));
        }
        let powers = edit.powers().await?;
        edit.rules(&link, &powers, (Some(mode), mode)).await?;
        if edit.has_changed() {
            let author = Author::user(actor);
            desk.audit.stage(edit.batch(), &author, "room.mode", room_id.as_str(), &json!({ "mode": mode }));
        }
        edit.commit().await?;
        Ok(())
    }

    /// Lets a pupil leave a supervised room: `by` is one of the adults in it, or an administrator (`None`).
    ///
    /// # Errors
    /// [`SchoolError::NotFound`], [`SchoolError::Forbidden`].
    pub async fn consent_to_leave(
        &self,
        room_id: &RoomId,
        student: &UserId,
        by: (Option<&UserId>, &Author),
    ) -> Result<(), SchoolError> {
        let (desk, number, link) = self.find(room_id).await?;
        let people = desk.rules.people();
        let pair = pair(&people, &link)?;
        let student = desk.store.user(student).await?.filter(|user| *user == people.user(pair.student));
        let student = student.ok_or(SchoolError::NotFound("pupil of this room"))?;
        let room = desk.rooms.get(number).await?.ok_or(SchoolError::NotFound("room"))?;
        let mut edit = Edit::of(desk, &room).await?;
        if let (Some(adult), author) = by {
            let user = desk.store.user(adult).await?;
            let there = user.is_some_and(|user| edit.joined().contains(&user) && is_adult(&people, pair.student, user));
            if !there {
                return Err(SchoolError::Forbidden(format!("{} does not watch over this room", author.as_str())));
            }
        }
        edit.remove(student).await?;
        desk.audit.stage(edit.batch(), by.1, "room.consent_to_leave", room_id.as_str(), &json!({}));
        edit.commit().await?;
        Ok(())
    }

    /// Puts one adult in the place of another in a supervised room, in one step.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`], [`SchoolError::Invalid`] when the new one may not watch over it.
    pub async fn replace_supervisor(
        &self,
        room_id: &RoomId,
        (old, new): (&UserId, &UserId),
        by: &Author,
    ) -> Result<(), SchoolError> {
        let (desk, number, link) = self.find(room_id).await?;
        let people = desk.rules.people();
        let pair = pair(&people, &link)?;
        let old = desk.store.user(old).await?.ok_or(SchoolError::NotFound("person"))?;
        let new = desk.person_of(&people, new).ok_or(SchoolError::NotFound("person"))?;
        let fit = super::keeper::works_here(&people, people.user(new)) || pair.watchers(&people).contains(&new);
        if !fit || new == pair.student {
            return Err(SchoolError::Invalid("This person cannot watch over the room".into()));
        }
        let room = desk.rooms.get(number).await?.ok_or(SchoolError::NotFound("room"))?;
        let mut edit = Edit::of(desk, &room).await?;
        if !edit.joined().contains(&old) || !is_adult(&people, pair.student, old) {
            return Err(SchoolError::NotFound("adult of this room"));
        }
        edit.bring(people.user(new)).await?;
        edit.remove(old).await?;
        let adults: Vec<UserNo> =
            edit.joined().into_iter().filter(|user| is_adult(&people, pair.student, *user)).collect();
        if adults.len() < ADULTS_MIN {
            return Err(SchoolError::Invalid("Two adults have to stay in the room".into()));
        }
        let powers: Vec<_> = adults.into_iter().map(|user| (user, super::wanted::ADULT_POWER)).collect();
        edit.rules(&link, &powers, (None, Mode::Open)).await?;
        desk.audit.stage(edit.batch(), by, "room.replace_supervisor", room_id.as_str(), &json!({}));
        edit.commit().await?;
        Ok(())
    }

    pub(super) async fn find(&self, room_id: &RoomId) -> Result<(&Desk, RoomNo, RoomLink), SchoolError> {
        let desk = &*self.desk;
        let number = desk.store.room(room_id).await?.ok_or(SchoolError::NotFound("room"))?;
        let link = desk.rules.rooms().get(number).ok_or(SchoolError::NotFound("room"))?;
        Ok((desk, number, RoomLink::clone(&link)))
    }
}

fn pair(people: &super::super::people::People, link: &RoomLink) -> Result<Pair, SchoolError> {
    let no_pair = || SchoolError::NotFound("supervised room");
    if link.kind != RoomKind::Supervised {
        return Err(no_pair());
    }
    let (one, other) = pair_of(&link.object).ok_or_else(no_pair)?;
    let (one, other) = (people.of_user(one), people.of_user(other));
    Ok(Pair::of(people, one.ok_or_else(no_pair)?, other.ok_or_else(no_pair)?))
}

impl Desk {
    /// The room of two people again: whoever of them is not in it any more joins.
    pub(in crate::school) async fn rejoin(
        &self,
        number: RoomNo,
        users: [UserNo; 2],
    ) -> Result<OwnedRoomId, SchoolError> {
        let room = self.rooms.get(number).await?.ok_or(SchoolError::Rooms(RoomsError::NoRoom))?;
        let mut edit = Edit::of(self, &room).await?;
        for user in users {
            edit.bring(user).await?;
        }
        edit.commit().await?;
        Ok(room.id.clone())
    }
}
