//! Who may vouch for a restricted join.

use ruma::{
    OwnedUserId, RoomId, UserId,
    events::{StateEventType, room::member::MembershipState},
};

use crate::{
    event::content,
    rooms::{Room, RoomView, Rooms, RoomsError},
    store::{StoreError, UserNo, schema::rooms::Membership},
};

/// Members asked whether they can vouch for a restricted join, of those without a power level of their own.
const VOUCHERS_MAX: usize = 16;

/// Whether somebody has joined a room that a restricted rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// They have.
    Yes,
    /// They have joined none of them.
    No,
    /// None of those that this server is in; it is not in all of them.
    Unknown,
}

impl Rooms {
    /// The user of this server who vouches for somebody's join; `None` where nobody has to.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`] for who is in none of the rooms that the rule allows,
    /// [`RoomsError::UnableToAuthorise`] where this server cannot tell, [`RoomsError::UnableToGrant`] where nobody of it
    /// has the power.
    pub(in crate::rooms::membership) async fn voucher_for(
        &self,
        room: &Room,
        view: &RoomView,
        user_id: &UserId,
    ) -> Result<Option<OwnedUserId>, RoomsError> {
        if !view.join_rules.is_restricted() || !room.rules.authorization.restricted_join_rule {
            return Ok(None);
        }
        let member = self.state_event(room.number, view.state, &StateEventType::RoomMember, user_id.as_str()).await?;
        let membership = member.and_then(|event| content::membership(&event.pdu.content));
        // Whom the rules refuse in any case is told so by them.
        if matches!(membership, Some(MembershipState::Join | MembershipState::Invite | MembershipState::Ban)) {
            return Ok(None);
        }
        match self.admission(view, user_id).await? {
            Admission::Yes => {}
            Admission::No => {
                return Err(RoomsError::Forbidden("you are in none of the rooms whose members may join".into()));
            }
            Admission::Unknown => return Err(RoomsError::UnableToAuthorise),
        }
        self.voucher_of(view).await?.map(Some).ok_or(RoomsError::UnableToGrant)
    }

    /// Whether a user of this server that vouches for a join may do so, and the one who joins may join.
    pub(super) async fn check_voucher(
        &self,
        view: &RoomView,
        voucher: &UserId,
        user_id: &UserId,
    ) -> Result<(), RoomsError> {
        let number = self.parts.store.user(voucher).await?;
        let joined = number.is_some_and(|number| view.joined.binary_search(&number.0).is_ok());
        if !joined || !view.power.user_level(voucher).reaches(view.power.invite()) {
            return Err(RoomsError::UnableToGrant);
        }
        match self.admission(view, user_id).await? {
            Admission::Yes => Ok(()),
            Admission::No => {
                Err(RoomsError::Forbidden("the user is in none of the rooms whose members may join".into()))
            }
            Admission::Unknown => Err(RoomsError::UnableToAuthorise),
        }
    }

    async fn admission(&self, view: &RoomView, user_id: &UserId) -> Result<Admission, StoreError> {
        let user = self.parts.store.user(user_id).await?;
        let mut unknown = false;
        for id in &view.join_rules.allow {
            match self.has_joined_known(id, user).await? {
                Some(true) => return Ok(Admission::Yes),
                Some(false) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Admission::Unknown } else { Admission::No })
    }

    /// Whether somebody has joined a room; `None` when this server is not in it.
    async fn has_joined_known(&self, room_id: &RoomId, user: Option<UserNo>) -> Result<Option<bool>, StoreError> {
        let room = self.by_id(room_id).await?.filter(|room| !room.view().joined.is_empty());
        let Some(room) = room else { return Ok(None) };
        let Some(user) = user else { return Ok(Some(false)) };
        let record = self.membership(room.number, user).await?;
        Ok(Some(record.is_some_and(|record| record.membership == Membership::Join)))
    }

    /// A user of this server who has joined and has the power to invite: those with a power level of their own first.
    async fn voucher_of(&self, view: &RoomView) -> Result<Option<OwnedUserId>, StoreError> {
        let (power, invite) = (&view.power, view.power.invite());
        let named = power.creators().iter().map(AsRef::as_ref).chain(power.users().map(|(user, _)| user));
        for candidate in named.filter(|user| self.is_local(user) && power.user_level(user).reaches(invite)) {
            let number = self.parts.store.user(candidate).await?;
            if number.is_some_and(|number| view.joined.binary_search(&number.0).is_ok()) {
                return Ok(Some(candidate.to_owned()));
            }
        }
        for number in view.joined.iter().take(VOUCHERS_MAX) {
            let candidate = self.parts.store.user_id(UserNo(*number)).await?;
            if power.user_level(&candidate).reaches(invite) {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }
}
