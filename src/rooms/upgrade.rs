//! Replacing a room by one of another version. Spec v1.19, Client-Server API "Room upgrades".

mod power;

use std::collections::BTreeSet;

use ruma::{
    OwnedRoomId, OwnedUserId, RoomVersionId, UserId,
    events::{StateEventType, room::member::MembershipState},
    room::RoomType,
    room_version_rules::RoomVersionRules,
};
use serde_json::{Map, Value, json};

use super::{
    Actor, NewEvent, Room, Rooms, RoomsError, Writer,
    create::{ADDITIONAL_CREATORS_MAX, family_state},
    membership::MemberContent,
    policy::{Creation, TERMS, Terms},
    room::RoomView,
    writer::settled,
};
use crate::{
    event::{Content, content, room_version},
    store::{
        Order, RoomNo, StoreError, UserNo,
        schema::rooms::{MEMBERS, Membership, PUBLISHED},
    },
    users::{PushRulesError, UsersError},
};

/// State that the new room takes over, in the order in which it is set there.
const COPIED: [StateEventType; 9] = [
    StateEventType::RoomJoinRules,
    StateEventType::RoomHistoryVisibility,
    StateEventType::RoomGuestAccess,
    StateEventType::RoomEncryption,
    StateEventType::RoomServerAcl,
    StateEventType::RoomName,
    StateEventType::RoomAvatar,
    StateEventType::RoomTopic,
    StateEventType::RoomCanonicalAlias,
];
/// Of these, what rooms of families do not have.
const NOT_FOR_FAMILIES: [StateEventType; 3] =
    [StateEventType::RoomEncryption, StateEventType::RoomServerAcl, StateEventType::RoomCanonicalAlias];
/// Most bans, and most rooms of a space, that are taken over.
const LIST_MAX: usize = 1000;
/// Members looked through for bans.
const MEMBERS_MAX: usize = 100_000;

/// How a room is replaced.
#[derive(Debug, Clone)]
pub struct UpgradeRoom {
    /// The version of the new room.
    pub version: RoomVersionId,
    /// From version 12: creators besides the one who upgrades.
    pub additional_creators: Vec<OwnedUserId>,
}

impl Rooms {
    /// Replaces a room; the answer is the id of the new one.
    ///
    /// The new room, the tombstone that names it and the names it takes over are one commit: nobody ever sees one without
    /// the others. Who asks again for what they have done already, because the answer was lost, is told of the same room.
    ///
    /// # Errors
    /// [`RoomsError::UnsupportedVersion`], [`RoomsError::Forbidden`], [`RoomsError::Policy`].
    pub async fn upgrade_room(
        &self,
        actor: &Actor<'_>,
        room_id: &ruma::RoomId,
        request: UpgradeRoom,
    ) -> Result<OwnedRoomId, RoomsError> {
        let rules = room_version::supported(&request.version)
            .ok_or_else(|| RoomsError::UnsupportedVersion(request.version.clone()))?;
        if request.additional_creators.len() > ADDITIONAL_CREATORS_MAX {
            return Err(RoomsError::Invalid("there are too many additional creators".into()));
        }
        let room = self.joined_room(room_id, actor.user).await?;
        let old = self.writer(&room).await;
        let required = old.view().power.required_for_state(&StateEventType::RoomTombstone);
        if !old.view().power.user_level(actor.user_id).reaches(required) {
            return Err(RoomsError::Forbidden("you may not replace this room".into()));
        }
        if let Some(done) = self.replaced_before(&old, actor, &request).await? {
            return Ok(done);
        }
        let creation = Creation {
            creator: actor.user_id,
            invites: &[],
            is_direct: false,
            is_public: false,
            replaces: Some((room.number, old.view())),
        };
        let terms = self.parts.policy.creation(&creation)?;

        let new = self.successor(&old, actor, &request, (&rules, terms)).await?;
        let successor = new.room().clone();
        let tombstone = json!({ "body": "This room has been replaced", "replacement_room": successor.id });
        let tombstone = Content::from_serialize(&tombstone)?;
        let tombstone = NewEvent::state(actor.user_id, StateEventType::RoomTombstone, "", tombstone);
        let (mut old, agreed) = self.agree(old, &tombstone).await?;
        let watched = agreed.is_some();
        // The policy server was asked without the room's lock.
        if watched && let Some(done) = self.replaced_before(&old, actor, &request).await? {
            return Ok(done);
        }
        old.append_agreed(tombstone, agreed).await?;
        // What follows is the server's own doing: nobody asks to change power levels.
        old.for_the_house();
        self.move_names(&mut old, successor.number).await?;
        let after = [unnamed(&old, actor.user_id).await?, power::quiet(&old, actor.user_id).await?];
        let after = after.into_iter().flatten();
        if !watched {
            for event in after {
                or_forbidden(old.append(event).await)?;
            }
            old.commit_with(new).await?;
            return Ok(successor.id.clone());
        }
        old.commit_with(new).await?;
        // The room's policy server is asked about one event after the other, each once the one before it is there.
        for event in after {
            let mut old = self.writer(&room).await;
            old.for_the_house();
            or_forbidden(self.append_and_commit(old, event).await)?;
        }
        Ok(successor.id.clone())
    }

    /// The room by which the same person has replaced this one in the same way before, if they are still in it.
    async fn replaced_before(
        &self,
        old: &Writer,
        actor: &Actor<'_>,
        request: &UpgradeRoom,
    ) -> Result<Option<OwnedRoomId>, RoomsError> {
        let Some(tombstone) = old.state_event(&StateEventType::RoomTombstone, "").await? else { return Ok(None) };
        let named = content::field(&tombstone.pdu.content, "replacement_room");
        let id = named.and_then(|id| serde_json::from_str::<OwnedRoomId>(id.get()).ok());
        let Some(id) = id.filter(|_| tombstone.pdu.sender == actor.user_id) else { return Ok(None) };
        // What is told must be durable, and the tombstone may have been handed over a moment ago.
        settled(self).await?;
        let Some(new) = self.by_id(&id).await? else { return Ok(None) };
        let view = new.view();
        let others = |users: &[OwnedUserId]| -> BTreeSet<OwnedUserId> {
            let named = users.iter().filter(|user| *user != actor.user_id);
            named.filter(|_| new.rules.authorization.additional_room_creators).cloned().collect()
        };
        let same = new.version == request.version
            && view.created.predecessor.as_ref() == Some(&old.room().id)
            && view.create.pdu.sender == actor.user_id
            && others(&view.created.creators) == others(&request.additional_creators)
            && Self::has_joined(&new, actor.user);
        Ok(same.then_some(id))
    }

    /// The new room with the state it takes over, not committed.
    async fn successor(
        &self,
        old: &Writer,
        actor: &Actor<'_>,
        request: &UpgradeRoom,
        (rules, terms): (&RoomVersionRules, Terms),
    ) -> Result<Writer, RoomsError> {
        let creator = actor.user_id;
        let mut others: Vec<OwnedUserId> = Vec::new();
        if rules.authorization.additional_room_creators {
            for user in &request.additional_creators {
                if user != creator && !others.contains(user) {
                    others.push(user.clone());
                }
            }
        }
        let create = create_content(old, &others, (rules, terms))?;
        let mut new = self.new_room(creator, &request.version, &create).await?;
        let profile = self.profile_of(creator).await?;
        let join = MemberContent::new(MembershipState::Join).with_profile(profile);
        new.append(join.event(creator, creator)?).await?;
        let levels = power::transferred(old, creator, &others, rules).await?;
        set(&mut new, creator, StateEventType::RoomPowerLevels, "", levels.during.clone()).await?;
        let given = match terms {
            Terms::Ordinary => Vec::new(),
            Terms::Family => Vec::from(family_state()),
        };
        for (kind, content) in &given {
            set(&mut new, creator, kind.clone(), "", Content::from_serialize(content)?).await?;
        }
        let kept = |kind: &StateEventType| terms == Terms::Ordinary || !NOT_FOR_FAMILIES.contains(kind);
        for kind in COPIED.into_iter().filter(|kind| kept(kind) && given.iter().all(|(other, _)| other != kind)) {
            // Content of old room versions can hold numbers that newer ones refuse: such state stays behind.
            if let Some(event) = old.state_event(&kind, "").await?
                && let Ok(content) = Content::parse(event.pdu.content.get().as_bytes())
            {
                set(&mut new, creator, kind, "", content).await?;
            }
        }
        if old.view().created.room_type == Some(RoomType::Space) {
            self.copy_children(old, &mut new, creator).await?;
        }
        self.copy_bans(old.room(), &mut new, creator).await?;
        if levels.after.as_str() != levels.during.as_str() {
            set(&mut new, creator, StateEventType::RoomPowerLevels, "", levels.after).await?;
        }
        Ok(new)
    }

    /// Those who join a room that replaces another have their push rules go along. Before they join: a rule that is
    /// there too early does nothing, one that is missing after a crash would stay so.
    pub(super) async fn bring_push_rules(
        &self,
        room: &Room,
        view: &RoomView,
        newcomers: &[UserNo],
    ) -> Result<(), StoreError> {
        let Some(old) = &view.created.predecessor else { return Ok(()) };
        for user in newcomers {
            match self.parts.push_rules.follow_room(*user, old, &room.id).await {
                Ok(()) => {}
                Err(PushRulesError::Users(UsersError::Store(error))) => return Err(error),
                // Who has too many rules goes without; this is no reason to keep them out.
                Err(error) => tracing::debug!(%error, "push rules do not go along"),
            }
        }
        Ok(())
    }

    async fn copy_children(&self, old: &Writer, new: &mut Writer, creator: &UserId) -> Result<(), RoomsError> {
        let events = self.state_events(old.room().number, old.view().state).await?;
        let children = events.iter().filter_map(|event| match event.pdu.state_pair() {
            Some((StateEventType::SpaceChild, key)) if content::field(&event.pdu.content, "via").is_some() => {
                Some((key.to_owned(), Content::parse(event.pdu.content.get().as_bytes()).ok()?))
            }
            _ => None,
        });
        for (key, content) in children.take(LIST_MAX) {
            set(new, creator, StateEventType::SpaceChild, &key, content).await?;
        }
        Ok(())
    }

    /// Who was banned stays banned. Other memberships cannot be taken over: nobody joins for somebody else.
    async fn copy_bans(&self, old: &Room, new: &mut Writer, creator: &UserId) -> Result<(), RoomsError> {
        let members = self.parts.store.prefix(&MEMBERS, &old.number, Order::Ascending, MEMBERS_MAX).await?;
        let banned = members.into_iter().filter(|(_, record)| record.membership == Membership::Ban);
        for ((_, user), record) in banned.take(LIST_MAX) {
            let event = self.parts.events.require(old.number, record.event).await?;
            let reason = content::Member::read(&event.pdu.content).reason.map(String::from);
            let user = self.parts.store.user_id(user).await?;
            if user != creator {
                let ban = MemberContent::new(MembershipState::Ban).with_reason(reason);
                new.append(ban.event(creator, &user)?).await?;
            }
        }
        Ok(())
    }

    /// Aliases and the place in the directory go over to the new room, together with the tombstone.
    async fn move_names(&self, old: &mut Writer, to: RoomNo) -> Result<(), RoomsError> {
        let from = old.room().number;
        self.move_aliases(from, to, old.batch()).await?;
        if self.parts.store.get(&PUBLISHED, &from).await?.is_some() {
            old.batch().delete(&PUBLISHED, &from);
            old.batch().put(&PUBLISHED, &to, &());
        }
        Ok(())
    }
}

/// The event that takes back what names the old room announces.
async fn unnamed(old: &Writer, user: &UserId) -> Result<Option<NewEvent>, StoreError> {
    let kind = StateEventType::RoomCanonicalAlias;
    let announced = old.state_event(&kind, "").await?.is_some();
    Ok(announced.then(|| NewEvent::state(user, kind, "", Content::empty())))
}

/// Who may not change something about the old room, for want of power or by the word of its policy server, leaves it.
fn or_forbidden<T>(done: Result<T, RoomsError>) -> Result<(), RoomsError> {
    match done {
        Ok(_) | Err(RoomsError::Forbidden(_) | RoomsError::Unreachable(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The content of the new room's `m.room.create`. Additional creators are not taken over (spec v1.16).
fn create_content(
    old: &Writer,
    others: &[OwnedUserId],
    (rules, terms): (&RoomVersionRules, Terms),
) -> Result<Content, RoomsError> {
    let view = old.view();
    let mut predecessor = Map::new();
    predecessor.insert("room_id".into(), old.room().id.as_str().into());
    // Rooms whose id is made from this event cannot be named by the tombstone before it is there; older ones say at
    // least what came last before the tombstone.
    if !rules.authorization.room_create_event_id_as_room_id
        && let Some(last) = view.extremities.first()
    {
        predecessor.insert("event_id".into(), last.id.as_str().into());
    }
    let mut content = Map::new();
    content.insert("predecessor".into(), Value::Object(predecessor));
    if let Some(room_type) = &view.created.room_type {
        content.insert("type".into(), room_type.as_str().into());
    }
    if terms == Terms::Family {
        content.insert(TERMS.into(), "family".into());
    }
    if !view.created.federate || terms == Terms::Family {
        content.insert("m.federate".into(), false.into());
    }
    if !others.is_empty() {
        content.insert("additional_creators".into(), json!(others));
    }
    Ok(Content::from_serialize(&content)?)
}

async fn set(
    writer: &mut Writer,
    sender: &UserId,
    kind: StateEventType,
    key: &str,
    content: Content,
) -> Result<(), RoomsError> {
    writer.append(NewEvent::state(sender, kind, key, content)).await.map(drop)
}
