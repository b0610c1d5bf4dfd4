//! Who may know of whom, and of which rooms: the policy's answer, with what only the rooms know.
//!
//! Keys and profiles are open to everybody who shares a room, whatever the policy says, or timelines and encryption
//! would break. Everywhere else a person whom the policy hides has to look like one who does not exist, also to a clock:
//! what is looked up for one is looked up for the other.

use std::{collections::BTreeMap, sync::Arc};

use ruma::{OwnedUserId, UserId};

use super::{
    Actor, Room, RoomView, Rooms, RoomsError, UserRoom,
    policy::{Publication, Shown, Verb, is_call},
};
use crate::store::{StoreError, UserNo, schema::rooms::Membership};

/// The number of nobody: accounts are counted from 1.
const NOBODY: UserNo = UserNo(0);
/// The name of nobody: names of accounts have no capitals.
const NOBODY_LOCALPART: &str = "NOBODY";

/// Somebody who asks: their number and id.
pub type Caller<'a> = (UserNo, &'a UserId);

impl Rooms {
    /// Whether somebody may know of a user: of themselves, of whom the policy shows to them, and of those with whom they
    /// share a room. Who has not signed in may know of nobody once there are rules.
    ///
    /// # Errors
    /// The store failed.
    pub async fn may_know(&self, caller: Option<Caller<'_>>, other: &UserId) -> Result<bool, StoreError> {
        let policy = &self.parts.policy;
        if !policy.is_active() {
            return Ok(true);
        }
        let Some((user, user_id)) = caller else { return Ok(false) };
        if user_id == other || policy.decide(user_id, other, Verb::See).is_ok() {
            return Ok(true);
        }
        let number = self.number_or_nobody(other).await?;
        self.share_room(user, number).await
    }

    /// The number of a user; that of nobody when there is no such user.
    pub(super) async fn number_or_nobody(&self, user: &UserId) -> Result<UserNo, StoreError> {
        Ok(self.parts.store.user(user).await?.unwrap_or(NOBODY))
    }

    /// The user to look up for one who was asked for: themselves, or somebody who does not exist when the caller may not
    /// know of them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn known_or_nobody(&self, caller: Option<Caller<'_>>, other: &UserId) -> Result<OwnedUserId, StoreError> {
        Ok(if self.may_know(caller, other).await? { other.to_owned() } else { self.nobody() })
    }

    /// Whether somebody may see a user's picture, of whose existence they know.
    pub fn may_see_photo(&self, caller: Option<Caller<'_>>, other: &UserId) -> bool {
        let policy = &self.parts.policy;
        match caller {
            Some((_, user_id)) => user_id == other || policy.decide(user_id, other, Verb::Photo).is_ok(),
            None => !policy.is_active(),
        }
    }

    /// Takes out of a map the users whom messages of a type from the caller's device must not reach.
    ///
    /// # Errors
    /// The store failed.
    pub async fn keep_reachable<V>(
        &self,
        caller: Caller<'_>,
        event_type: &str,
        users: &mut BTreeMap<OwnedUserId, V>,
    ) -> Result<(), StoreError> {
        self.take_unknown(caller, users).await?;
        let policy = &self.parts.policy;
        if policy.is_active() && is_call(event_type) {
            users.retain(|other, _| other == caller.1 || policy.decide(caller.1, other, Verb::Call).is_ok());
        }
        Ok(())
    }

    /// Takes out of a map the users of whom the caller may not know, of this server or of others; the answer is what was
    /// taken out.
    ///
    /// # Errors
    /// The store failed.
    pub async fn take_unknown<V>(
        &self,
        caller: Caller<'_>,
        users: &mut BTreeMap<OwnedUserId, V>,
    ) -> Result<BTreeMap<OwnedUserId, V>, StoreError> {
        let mut unknown = BTreeMap::new();
        if !self.parts.policy.is_active() {
            return Ok(unknown);
        }
        let mut known = BTreeMap::new();
        for (user_id, value) in std::mem::take(users) {
            if self.may_know(Some(caller), &user_id).await? { &mut known } else { &mut unknown }.insert(user_id, value);
        }
        *users = known;
        Ok(unknown)
    }

    /// Whether two users have joined the same room, and that is company.
    ///
    /// # Errors
    /// The store failed.
    pub async fn share_room(&self, user: UserNo, other: UserNo) -> Result<bool, StoreError> {
        let list = self.user_rooms(user).await?;
        if list.iter().any(|entry| self.is_company(entry, other)) {
            return Ok(true);
        }
        self.meets_from_elsewhere(&list, other).await
    }

    /// Whether somebody of another server is in one of the rooms of a list.
    ///
    /// # Errors
    /// The store failed.
    pub async fn meets_from_elsewhere(&self, list: &[UserRoom], other: UserNo) -> Result<bool, StoreError> {
        // A room of this server's people alone is no place to meet anybody else.
        let mut open = list
            .iter()
            .filter(|entry| entry.record.membership == Membership::Join && !entry.room.view().servers.is_empty());
        if other == NOBODY || open.next().is_none() || self.is_local(&self.parts.store.user_id(other).await?) {
            return Ok(false);
        }
        let joined = |entry: &UserRoom| entry.record.membership == Membership::Join;
        let theirs = self.user_rooms(other).await?;
        Ok(theirs.iter().filter(|entry| joined(entry)).any(|theirs| {
            let mut mine = list.iter().filter(|entry| joined(entry));
            mine.any(|mine| mine.room.number == theirs.room.number) && self.parts.policy.is_company(theirs.room.number)
        }))
    }

    /// Whether a room of somebody is one in which they know of another.
    pub fn is_company(&self, entry: &UserRoom, other: UserNo) -> bool {
        entry.record.membership == Membership::Join
            && Self::has_joined(&entry.room, other)
            && self.parts.policy.is_company(entry.room.number)
    }

    /// The id of a user that there never is.
    pub(super) fn nobody(&self) -> OwnedUserId {
        let id = format!("@{NOBODY_LOCALPART}:{}", self.parts.server_name);
        // The name of a server that runs makes a user id.
        UserId::parse(id).unwrap_or_else(|_| ruma::owned_user_id!("@NOBODY:localhost"))
    }

    /// Whether a room may be shown to somebody: who belongs to it, who is invited, and others as the policy says.
    ///
    /// # Errors
    /// The store failed.
    pub async fn shows(&self, room: &Room, viewer: Option<Caller<'_>>) -> Result<bool, StoreError> {
        let belongs = |membership| matches!(membership, Membership::Join | Membership::Invite | Membership::Knock);
        self.shows_where(room, viewer, belongs).await
    }

    /// The same for somebody who acts on the room: who was in it before knows of it too.
    pub(super) async fn knows_room(&self, room: &Room, actor: &Actor<'_>) -> Result<bool, StoreError> {
        self.shows_where(room, Some((actor.user, actor.user_id)), |_| true).await
    }

    async fn shows_where(
        &self,
        room: &Room,
        viewer: Option<Caller<'_>>,
        belongs: impl Fn(Membership) -> bool,
    ) -> Result<bool, StoreError> {
        let policy = &self.parts.policy;
        if !policy.is_active() {
            return Ok(true);
        }
        if let Some((user, _)) = viewer {
            let record = self.membership(room.number, user).await?;
            if record.is_some_and(|record| belongs(record.membership)) {
                return Ok(true);
            }
        }
        let shown = Shown { viewer: viewer.map(|(_, id)| id), room: room.number, view: &room.view() };
        Ok(policy.shows_room(&shown))
    }

    /// Asks the policy whether a room may get an alias or a place in the directory.
    pub(super) fn check_publication(&self, actor: &UserId, room: &Arc<Room>) -> Result<(), RoomsError> {
        let publication = Publication { actor, room: room.number, view: &room.view() };
        Ok(self.parts.policy.publication(&publication)?)
    }
}

/// What an invitation into a room is: the beginning of a chat of two, or one more in a group.
pub(super) fn verb_of(view: &RoomView) -> Verb {
    if view.is_alone() { Verb::Dm } else { Verb::Add }
}

impl RoomView {
    /// Whether at most one person is in the room, and nobody is invited: with the next one it is a chat of two.
    pub fn is_alone(&self) -> bool {
        self.joined_count + self.invited_count <= 1
    }
}
