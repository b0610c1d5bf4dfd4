//! The rules of the house, about events of other servers that are about users of this one. The policy cannot say what
//! happens elsewhere, but nobody of another server brings somebody of this one into a room, or writes to them through the
//! reason of a ban, who could not do so by asking this server first. What it refuses is rejected: no other server can need
//! an invitation that this one has not signed.

use ruma::{
    UserId,
    events::{TimelineEventType, room::member::MembershipState},
};

use crate::{
    event::{Pdu, content},
    rooms::{Rooms, Writer, policy::Verb},
    store::StoreError,
};

const REFUSED: &str = "the rules here keep its sender from whom it is about";

/// Why the policy does not let an event pass; `None` when it does.
pub(super) async fn refusal(writer: &Writer, pdu: &Pdu) -> Result<Option<String>, StoreError> {
    let rooms = &writer.rooms;
    let policy = &rooms.parts.policy;
    if pdu.kind != TimelineEventType::RoomMember || !policy.is_active() || rooms.is_local(&pdu.sender) {
        return Ok(None);
    }
    let Some(Ok(target)) = pdu.state_key.as_deref().map(<&UserId>::try_from) else { return Ok(None) };
    if !rooms.is_local(target) {
        return Ok(None);
    }
    let may = |verb| policy.decide(&pdu.sender, target, verb).is_ok();
    let allowed = match content::membership(&pdu.content) {
        Some(MembershipState::Invite) => may(Verb::Add) || may(Verb::Dm),
        // Who is in the room knows its members anyway.
        _ => may(Verb::See) || belongs(writer, target).await?,
    };
    Ok((!allowed).then(|| REFUSED.to_owned()))
}

/// Whether an event of a room's state is an invitation of a user of this server that the policy does not let pass. The one
/// who enters the room is not asked about: they were, before.
pub(super) fn refuses_invitation(rooms: &Rooms, pdu: &Pdu, entering: &UserId) -> bool {
    let policy = &rooms.parts.policy;
    let invites = || content::membership(&pdu.content) == Some(MembershipState::Invite);
    if pdu.kind != TimelineEventType::RoomMember || !policy.is_active() || !invites() {
        return false;
    }
    let target = pdu.state_key.as_deref().and_then(|key| <&UserId>::try_from(key).ok());
    let target = target.filter(|target| rooms.is_local(target) && *target != entering && !rooms.is_local(&pdu.sender));
    let may = |target, verb| policy.decide(&pdu.sender, target, verb).is_ok();
    target.is_some_and(|target| !may(target, Verb::Add) && !may(target, Verb::Dm))
}

async fn belongs(writer: &Writer, target: &UserId) -> Result<bool, StoreError> {
    let now = writer.membership(target).await?;
    Ok(matches!(now, Some(MembershipState::Join | MembershipState::Invite | MembershipState::Knock)))
}
