//! Users of this server who are invited by others.

use std::sync::Arc;

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedServerName, RoomVersionId, UserId,
    events::{StateEventType, TimelineEventType, room::member::MembershipState},
    room_version_rules::RoomVersionRules,
};
use serde_json::value::RawValue;

use super::knock::stripped_array;
use crate::{
    event::{Pdu, content::Member, room_version, sign::cosigned, stripped},
    rooms::{Rooms, RoomsError, policy::Verb},
    store::{
        Batch, Position, UserNo,
        schema::rooms::{Membership, OutsideRecord},
    },
};

/// Servers besides the inviter's that are kept for the answer.
const SERVERS_MAX: usize = 4;
/// The same words for whoever cannot be invited: they must not tell who exists.
const NOBODY: &str = "This user cannot be invited";
/// Who can be invited, and is by many already. Not a limit of requests: clients would try again at once.
const TOO_MANY: &str = "This user has to answer other invitations first";

/// An invitation that another server asks this one to sign.
pub struct Invitation {
    /// Who asks.
    pub origin: OwnedServerName,
    /// The room of the path.
    pub room_id: OwnedRoomId,
    /// The event of the path.
    pub event_id: OwnedEventId,
    /// The room's version.
    pub version: RoomVersionId,
    /// The event.
    pub event: Box<RawValue>,
    /// What is shown of the room.
    pub state: Vec<Box<RawValue>>,
    /// Others who can be asked about the room.
    pub via: Vec<OwnedServerName>,
    /// The user has asked not to be invited by anybody.
    pub blocked: bool,
}

impl Rooms {
    /// Signs an invitation for a user of this server, and tells them of it. The answer is the signed event.
    ///
    /// # Errors
    /// [`RoomsError::IncompatibleVersion`]; [`RoomsError::Invalid`] for what is no invitation of the room and event in
    /// the path; [`RoomsError::Forbidden`] for a sender of another server than asks, for users who do not exist or whom
    /// the policy keeps from the inviter, who are told the same, and for users with too many invitations to answer.
    pub async fn accept_invitation(&self, invitation: Invitation) -> Result<Arc<Pdu>, RoomsError> {
        let rules = room_version::supported(&invitation.version)
            .ok_or_else(|| RoomsError::IncompatibleVersion(invitation.version.clone()))?;
        let pdu = self.check_invitation(&invitation, &rules).await?;
        check_shown(self, &invitation, &rules).await?;
        let (target, user) = self.invited_user(&pdu).await?;
        if invitation.blocked {
            return Err(RoomsError::InviteBlocked);
        }
        let signed = Arc::new(cosigned(&pdu, &self.parts.key, &rules).map_err(|e| RoomsError::Invalid(e.to_string()))?);
        let here = self.by_id(&invitation.room_id).await?;
        if here.is_some_and(|room| !room.view().joined.is_empty()) {
            // This server is in the room: it hears of the invitation like everybody there.
            tracing::debug!(room = %invitation.room_id, %target, "an invitation to a room that is here");
            return Ok(signed);
        }
        let mut servers = vec![invitation.origin.to_string()];
        servers.extend(invitation.via.iter().take(SERVERS_MAX).map(ToString::to_string));
        servers.dedup();
        let record = OutsideRecord {
            membership: Membership::Invite,
            position: Position::ZERO,
            version: invitation.version.to_string(),
            event: signed.json.to_string(),
            event_id: signed.event_id.to_string(),
            state: stripped_array(invitation.state.iter().map(|entry| &**entry)),
            servers,
        };
        if !self.put_invitation(user, &invitation.room_id, &invitation.origin, record).await? {
            return Err(RoomsError::Forbidden(TOO_MANY.to_owned()));
        }
        Ok(signed)
    }

    /// The event is an invitation of the room and id in the path, made by the server that asks, and signed by it.
    async fn check_invitation(
        &self,
        invitation: &Invitation,
        rules: &RoomVersionRules,
    ) -> Result<Arc<Pdu>, RoomsError> {
        let invalid = |what: &str| RoomsError::Invalid(what.to_owned());
        let Invitation { origin, room_id, event_id, event, .. } = invitation;
        let pdu = Pdu::parse(event.get().as_bytes(), rules).map_err(|error| RoomsError::Invalid(error.to_string()))?;
        if pdu.room_id != *room_id || pdu.event_id != *event_id {
            return Err(invalid("The path names another room or event"));
        }
        let member = Member::read(&pdu.content);
        if pdu.kind != TimelineEventType::RoomMember || member.membership != Some(MembershipState::Invite) {
            return Err(invalid("The event is no invitation"));
        }
        let target = pdu.state_key.as_deref().and_then(|key| <&UserId>::try_from(key).ok());
        if !target.is_some_and(|target| self.is_local(target)) {
            return Err(invalid("The invitation is not for a user of this server"));
        }
        if pdu.sender.server_name() != *origin {
            return Err(RoomsError::Forbidden("The invitation is of another server".to_owned()));
        }
        let verified = self.verify_one(room_id, rules, event.get()).await;
        let verified = verified.map_err(|error| RoomsError::Forbidden(error.to_string()))?;
        // A wrong hash leaves the redacted form: that is not what the inviter wants signed.
        if verified.pdu().json != pdu.json {
            return Err(invalid("The event's hash is wrong"));
        }
        Ok(verified.pdu().clone())
    }

    /// The user an invitation is for, if they exist and the policy lets the inviter write to them.
    async fn invited_user(&self, invite: &Pdu) -> Result<(ruma::OwnedUserId, UserNo), RoomsError> {
        let nobody = || RoomsError::Forbidden(NOBODY.to_owned());
        let target = invite.state_key.as_deref().and_then(|key| UserId::parse(key).ok()).ok_or_else(nobody)?;
        let direct = Member::read(&invite.content).is_direct == Some(true);
        let verb = if direct { Verb::Dm } else { Verb::Add };
        match self.check_invitee(&invite.sender, &target, verb).await {
            Ok(_) => {}
            Err(RoomsError::NoUser) => return Err(nobody()),
            Err(error) => return Err(error),
        }
        let mut batch = Batch::new();
        let user = self.parts.store.mint_user(&target, &mut batch).await?;
        if !batch.is_empty() {
            self.parts.store.commit(batch).await?;
        }
        Ok((target, user))
    }

    /// The user a signed invitation is about, and who sends it; for those who ask before it is accepted.
    pub fn invitation_parties(event: &RawValue) -> Option<(ruma::OwnedUserId, ruma::OwnedUserId)> {
        #[derive(serde::Deserialize)]
        struct Parties {
            sender: ruma::OwnedUserId,
            state_key: ruma::OwnedUserId,
        }
        let parties: Parties = serde_json::from_str(event.get()).ok()?;
        Some((parties.sender, parties.state_key))
    }
}

/// What is shown of the room must show its create event: in full and signed from version 12, whose ids stand on it
/// (MSC4311); in older rooms as far as it is there.
async fn check_shown(rooms: &Rooms, invitation: &Invitation, rules: &RoomVersionRules) -> Result<(), RoomsError> {
    let Invitation { room_id, state, .. } = invitation;
    if !rules.authorization.room_create_event_id_as_room_id {
        return Ok(());
    }
    let missing = || RoomsError::MissingParam("invite_room_state does not show the room's create event".to_owned());
    let entries = || state.iter().take(stripped::ENTRIES_MAX).map(|entry| &**entry);
    let create = entries().find(|entry| {
        Pdu::parse(entry.get().as_bytes(), rules).is_ok_and(|pdu| {
            pdu.state_pair().is_some_and(|(kind, key)| kind == StateEventType::RoomCreate && key.is_empty())
        })
    });
    let create = create.ok_or_else(missing)?;
    let create = rooms.verify_one(room_id, rules, create.get()).await;
    create.map_err(|error| RoomsError::Invalid(format!("the room's create event: {error}")))?;
    Ok(())
}
