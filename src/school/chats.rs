//! Starting chats: what `createRoom` and `POST /chats` do when the school's rules are in force.
//!
//! A stock client makes a room and invites one person. What comes of it is decided by the contact policy: the ordinary
//! room, the room of the two that adults watch over, or the room of a pupil's family. The client is told the room's id
//! either way, and never that it got another room than it asked for.

use std::sync::Arc;

use ruma::{OwnedRoomId, UserId};

use super::{
    SchoolError,
    policy::Outcome,
    rooms::{Chat, Desk, Pair, pair_key},
};
use crate::{
    rooms::{Actor, CreateRoom, Preset, RoomsError, policy::Verb},
    store::{Batch, schema::school::RoomKind},
};

/// Chats. Cheap to clone.
#[derive(Clone)]
pub struct Chats {
    desk: Arc<Desk>,
}

impl Chats {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        Self { desk }
    }

    /// Makes the room that a client asks for, or the one the rules put in its place; the answer is its id.
    ///
    /// # Errors
    /// Those of [`crate::rooms::Rooms::create_room`]; [`RoomsError::Policy`] with a reason that begins with `knock`
    /// where the other has to agree first.
    pub async fn create_room(&self, actor: &Actor<'_>, request: CreateRoom) -> Result<OwnedRoomId, SchoolError> {
        let desk = &*self.desk;
        let request = desk.rooms.look_up_addresses(actor, request).await?;
        let people = desk.rules.people();
        let target = people.is_loaded().then(|| chat_with(actor, &request)).flatten();
        let Some(target) = target.map(ToOwned::to_owned) else {
            return Ok(desk.rooms.create_room(actor, request).await?);
        };
        let (Some(one), Some(other)) = (desk.person_of(&people, actor.user_id), desk.person_of(&people, &target))
        else {
            return Ok(desk.rooms.create_room(actor, request).await?);
        };
        let ruling = desk.rules.ruling(actor.user_id, &target, Verb::Dm);
        match ruling.outcome {
            Outcome::Supervised { adults } => {
                let pair = Pair::of(&people, one, other);
                self.supervised(pair, usize::from(adults), request.topic.as_deref()).await
            }
            Outcome::FamilyThread => desk.family_room(&people, other, Some(one)).await,
            Outcome::Knock => Err(SchoolError::Rooms(RoomsError::Policy {
                message: ruling.message.into(),
                reason: format!("knock.{}", ruling.rule),
            })),
            Outcome::Allow => {
                let chat = Chat { pair: (people.user(one), people.user(other)), held: false };
                let book = desk.rules.rooms().clone();
                let record = move |room, batch: &mut Batch| book.stage_chat(batch, room, chat);
                Ok(desk.rooms.create_room_with(actor, request, record).await?)
            }
            // What is denied is denied where people who do not exist are.
            Outcome::Deny => Ok(desk.rooms.create_room(actor, request).await?),
        }
    }

    /// Starts a chat with somebody: the same as a client's `createRoom` for a direct chat.
    ///
    /// # Errors
    /// As [`Self::create_room`].
    pub async fn start_chat(
        &self,
        actor: &Actor<'_>,
        with: &UserId,
        topic: Option<String>,
    ) -> Result<OwnedRoomId, SchoolError> {
        let mut request = CreateRoom::new(self.desk.config.rooms.default_version.clone());
        request.preset = Preset::TrustedPrivate;
        request.is_direct = true;
        request.invites = vec![with.to_owned()];
        request.topic = topic;
        self.create_room(actor, request).await
    }

    /// The room of a pupil's family, made on first use, for somebody who may be in it: a guardian, a tutor, or an adult
    /// of the school whom the policy lets write to the pupil.
    ///
    /// # Errors
    /// [`RoomsError::NoUser`] for everybody else.
    pub async fn family_room(&self, actor: &Actor<'_>, student: &UserId) -> Result<OwnedRoomId, SchoolError> {
        let people = self.desk.rules.people();
        let (Some(one), Some(other)) =
            (self.desk.person_of(&people, actor.user_id), self.desk.person_of(&people, student))
        else {
            return Err(RoomsError::NoUser.into());
        };
        let related = super::people::Relations::GUARDIAN_OF.with(super::people::Relations::TUTOR_OF);
        let ruling = self.desk.rules.ruling(actor.user_id, student, Verb::Dm);
        let threads = matches!(ruling.outcome, Outcome::FamilyThread | Outcome::Supervised { .. });
        if people.relations(one, other).has_any(related) || threads {
            self.desk.family_room(&people, other, Some(one)).await
        } else {
            Err(RoomsError::NoUser.into())
        }
    }

    /// The room of two people that adults watch over: the one there is, or a new one.
    async fn supervised(&self, pair: Pair, adults: usize, topic: Option<&str>) -> Result<OwnedRoomId, SchoolError> {
        let desk = &*self.desk;
        let people = desk.rules.people();
        let key = pair_key(people.user(pair.student), people.user(pair.adult));
        let _making = desk.making(&key).await;
        if let Some(number) = desk.rules.rooms().of_object(&desk.store, RoomKind::Supervised, &key).await? {
            return desk.rejoin(number, [people.user(pair.student), people.user(pair.adult)]).await;
        }
        desk.make_supervised(&people, pair, adults, topic).await
    }
}

/// Whom a request is meant to start a chat with: one person, in a private room.
fn chat_with<'a>(actor: &Actor<'_>, request: &'a CreateRoom) -> Option<&'a UserId> {
    let mut others = request.invites.iter().filter(|user| **user != actor.user_id);
    let first = others.next()?;
    let only = others.all(|other| other == first);
    let public = request.published || request.preset == Preset::Public || request.alias_localpart.is_some();
    let content = request
        .creation_content
        .as_ref()
        .and_then(|content| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(content.get()).ok());
    let typed = content.is_some_and(|content| content.contains_key("type"));
    (only && !public && !typed && request.unbound.is_empty()).then_some(first)
}
