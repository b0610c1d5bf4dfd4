//! The rules of the house, about events of other servers that are about users of this one. The policy cannot say what
//! happens elsewhere, but nobody of another server brings somebody of this one into a room, or writes to them through the
//! reason of a ban, who could not do so by asking this server first. What it refuses is rejected: no other server can need
//! an invitation that this one has not signed.

use std::collections::HashMap;

use ruma::{
    OwnedEventId, UserId,
    events::{StateEventType, TimelineEventType, room::member::MembershipState},
};

use super::Verified;
use crate::{
    event::{Pdu, content},
    rooms::{Room, Rooms, Writer, policy::Verb},
    store::{StoreError, state_tree::StateRoot},
};

const REFUSED: &str = "the rules here keep its sender from whom it is about";

/// Why the policy does not let an event pass; `None` when it does.
pub(super) async fn refusal(writer: &Writer, pdu: &Pdu) -> Result<Option<String>, StoreError> {
    let Some(target) = brought_upon(&writer.rooms, pdu) else { return Ok(None) };
    let now = writer.membership(target).await?;
    Ok(ruling(&writer.rooms, pdu, target, now.as_ref()))
}

/// The same for an event of the past, which comes with a state, with an auth chain or as history; with the state before
/// it, if that is known. Who is in the room now was let in, by whatever rules there were then.
pub(super) async fn refusal_of_past(
    rooms: &Rooms,
    room: &Room,
    before: Option<StateRoot>,
    pdu: &Pdu,
) -> Result<Option<String>, StoreError> {
    let Some(target) = brought_upon(rooms, pdu) else { return Ok(None) };
    let membership = async |state| {
        let member = rooms.state_event(room.number, state, &StateEventType::RoomMember, target.as_str()).await?;
        Ok::<_, StoreError>(member.and_then(|member| content::membership(&member.pdu.content)))
    };
    let now = membership(room.view().state).await?;
    if now == Some(MembershipState::Join) {
        return Ok(None);
    }
    let then = match before {
        Some(before) => membership(before).await?,
        None => now,
    };
    Ok(ruling(rooms, pdu, target, then.as_ref()))
}

/// Those of some events of the past that the policy does not let pass, and why.
pub(super) async fn refused_of_past(
    rooms: &Rooms,
    room: &Room,
    events: &[Verified],
) -> Result<HashMap<OwnedEventId, String>, StoreError> {
    let mut refused = HashMap::new();
    for event in events {
        let refusal = refusal_of_past(rooms, room, None, event.pdu()).await?;
        refused.extend(refusal.map(|refusal| (event.pdu().event_id.clone(), refusal)));
    }
    Ok(refused)
}

/// The user of this server whose membership somebody of another changes, if there are rules about that.
fn brought_upon<'a>(rooms: &Rooms, pdu: &'a Pdu) -> Option<&'a UserId> {
    if pdu.kind != TimelineEventType::RoomMember || !rooms.parts.policy.is_active() || rooms.is_local(&pdu.sender) {
        return None;
    }
    let target = pdu.state_key.as_deref().and_then(|key| <&UserId>::try_from(key).ok());
    target.filter(|target| rooms.is_local(target))
}

/// Why somebody of another server may not do this to a user of this one, who is that to the room.
fn ruling(rooms: &Rooms, pdu: &Pdu, target: &UserId, now: Option<&MembershipState>) -> Option<String> {
    let may = |verb| rooms.parts.policy.decide(&pdu.sender, target, verb).is_ok();
    let allowed = match content::membership(&pdu.content) {
        Some(MembershipState::Invite) => may(Verb::Add) || may(Verb::Dm),
        // Who is in the room knows its members anyway.
        _ => {
            matches!(now, Some(MembershipState::Join | MembershipState::Invite | MembershipState::Knock))
                || may(Verb::See)
        }
    };
    (!allowed).then(|| REFUSED.to_owned())
}

/// Whether the policy does not let an event of the state pass with which somebody enters a room. They themselves are not
/// asked about: they were, before.
pub(super) fn refuses(rooms: &Rooms, pdu: &Pdu, entering: &UserId) -> bool {
    let target = brought_upon(rooms, pdu).filter(|target| *target != entering);
    target.is_some_and(|target| ruling(rooms, pdu, target, None).is_some())
}
