//! An identity server tells of a user of this server who has proved an address, and of the invitations that wait for it.
//! It proves nothing of itself: what counts is what it has signed, and the server of each room looks at that.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt as _, stream};
use ruma::{
    OwnedRoomId, OwnedUserId, api::federation::thirdparty::exchange_invite::v1 as exchange_invite_v1, serde::Raw,
};
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use crate::{
    event::content::SignedInvite,
    remote::Terms,
    rooms::{Rooms, RoomsError, policy::Verb},
};

/// Invitations of one notice.
const INVITES_MAX: usize = 50;
/// Of these, how many are answered at the same time.
const AT_ONCE: usize = 4;
/// How long another server may take to invite: it asks this one meanwhile.
const TIME_MAX: Duration = Duration::from_secs(45);

/// What an identity server tells. Spec v1.19, Server-Server API, `PUT /3pid/onbind`.
#[derive(Debug)]
pub struct Binding {
    /// Who has proved the address.
    pub user: OwnedUserId,
    /// What waited for it.
    pub invites: Vec<BoundInvite>,
}

/// One invitation that waited.
#[derive(Debug)]
pub struct BoundInvite {
    /// Who has proved the address.
    pub user: OwnedUserId,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who invited by the address.
    pub sender: OwnedUserId,
    /// What the identity server has signed.
    pub signed: Box<RawValue>,
}

impl Rooms {
    /// Has everything answered that waited for an address. Nothing tells which of it led to an invitation, and who exists.
    /// It goes on when whoever waits for it goes away.
    ///
    /// # Errors
    /// [`RoomsError::Invalid`] for somebody of another server, and for too much; [`RoomsError::Unreachable`] when another
    /// time may be better.
    pub async fn address_bound(&self, binding: Binding) -> Result<(), RoomsError> {
        let Binding { user, invites } = binding;
        if !self.is_local(&user) {
            return Err(RoomsError::Invalid("The user is of another server".to_owned()));
        }
        if invites.len() > INVITES_MAX {
            return Err(RoomsError::Invalid(format!("At most {INVITES_MAX} invitations are answered at once")));
        }
        let place = self.writes.crossings.notice();
        let place = place.ok_or_else(|| RoomsError::Unreachable("too many notices at once".to_owned()))?;
        let rooms = self.clone();
        let task = tokio::spawn(async move {
            let _place = place;
            let mut seen = HashSet::new();
            let answers = invites.into_iter().filter_map(|invite| {
                let signed = rooms.signed_for(&invite, &user)?;
                seen.insert((invite.room_id.clone(), signed.token.clone())).then_some((invite, signed))
            });
            let answers: Vec<_> = answers.collect();
            let answering = stream::iter(answers).map(|(invite, signed)| rooms.answer_bound(invite, signed));
            let failed = answering.buffer_unordered(AT_ONCE).filter_map(|answered| async { answered.err() });
            let failed: Vec<RoomsError> = failed.collect().await;
            failed.into_iter().next().map_or(Ok(()), Err)
        });
        task.await.map_err(|_| RoomsError::Unreachable("the notice was cut short".to_owned()))?
    }

    /// What was signed, if it is for that user and in the name of an identity server that the administrator has named.
    fn signed_for(&self, invite: &BoundInvite, user: &OwnedUserId) -> Option<SignedInvite> {
        let signed = SignedInvite::parse(&invite.signed)?;
        (invite.user == *user && signed.mxid == *user && self.is_of_named(&signed)).then_some(signed)
    }

    /// Whether it is signed in the name of an identity server that the administrator has named.
    pub(super) fn is_of_named(&self, signed: &SignedInvite) -> bool {
        signed.signers().iter().any(|signer| self.parts.remote.names_identity_server(signer))
    }

    /// Answers one; an error only for what may go better another time.
    async fn answer_bound(&self, invite: BoundInvite, signed: SignedInvite) -> Result<(), RoomsError> {
        let answered = if self.is_local(&invite.sender) {
            self.answer_here(&invite, &signed).await
        } else {
            self.answer_elsewhere(&invite, &signed).await
        };
        match answered {
            Err(error @ (RoomsError::Store(_) | RoomsError::Unreachable(_))) => Err(error),
            Err(error) => {
                tracing::debug!(%error, room = %invite.room_id, "an address that was proved leads to no invitation");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    pub(super) async fn answer_here(&self, invite: &BoundInvite, signed: &SignedInvite) -> Result<(), RoomsError> {
        let room = self.by_id(&invite.room_id).await?.filter(|room| !room.view().joined.is_empty());
        let room = room.ok_or(RoomsError::NoRoom)?;
        if room.view().partial {
            return Err(RoomsError::Unreachable("who is in the room is not known yet".to_owned()));
        }
        self.answer_invitation(&room, &invite.sender, &invite.user, signed).await
    }

    /// The sender's server makes the invitation, and asks this one to sign it. Whom the policy keeps from the sender, that
    /// server is not told of.
    pub(super) async fn answer_elsewhere(&self, invite: &BoundInvite, signed: &SignedInvite) -> Result<(), RoomsError> {
        self.check_invitee(&invite.sender, &invite.user, Verb::Add).await?;
        // What others see of the address stands in the room already; this server does not know it.
        let third_party = json!({ "display_name": "", "signed": signed.signed });
        let content = to_raw_value(&json!({ "membership": "invite", "third_party_invite": third_party }));
        let content = content.map_err(|error| RoomsError::Invalid(error.to_string()))?;
        let request = exchange_invite_v1::Request::new(
            invite.room_id.clone(),
            invite.sender.clone(),
            invite.user.clone(),
            Raw::from_json(content),
        );
        let terms = Terms::anyway().within(TIME_MAX);
        self.parts.remote.send_with(invite.sender.server_name(), request, terms).await?;
        Ok(())
    }
}
