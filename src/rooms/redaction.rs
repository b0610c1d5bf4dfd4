//! What a redaction does to the event it names (specification v1.19, room version 3, "Handling redactions").

use std::sync::Arc;

use ruma::{EventId, UserId, events::TimelineEventType};

use super::{RoomsError, effects::refresh, registry::RoomsParts, related::annotation_key, room::Room, room::RoomView};
use crate::{
    event::{Pdu, content::RelatesTo, redact},
    store::{
        Batch, Event, Verdict,
        schema::rooms::{ANNOTATIONS, RELATIONS},
    },
};

/// Whether somebody may redact what another has sent.
pub(super) fn may_redact(view: &RoomView, redacter: &UserId, sender: &UserId) -> bool {
    view.power.user_level(redacter).reaches(view.power.redact()) || redacter.server_name() == sender.server_name()
}

/// Empties the event that a redaction names, and everything that was derived from it.
pub(super) async fn redact_target(
    parts: &RoomsParts,
    room: &Room,
    view: &mut RoomView,
    (event, target): (&Arc<Event>, &EventId),
    batch: &mut Batch,
) -> Result<(), RoomsError> {
    let Some(mut target) = parts.events.in_room(room.number, target).await? else { return Ok(()) };
    // In room versions 1 and 2 events are named as their server likes: one may redact itself.
    if target.number == event.number || target.header.verdict == Verdict::Outlier {
        // Of an outlier nobody has seen anything: it is emptied when it takes its place.
        return Ok(());
    }
    if target.order == Event::UNPLACED && target.header.verdict == Verdict::Accepted {
        // On its way to the disk. Its row has to be there first, with its place.
        parts.store.commit(Batch::new()).await?;
        target = parts.events.require(room.number, target.number).await?;
    }
    if !may_redact(view, &event.pdu.sender, &target.pdu.sender)
        || target.header.redacted_by.is_some()
        || target.pdu.kind == TimelineEventType::RoomCreate
    {
        return Ok(());
    }
    if let Some(relates) = RelatesTo::read(&target.pdu.content)
        && let Some((rel_type, parent)) = relates.relation()
        && let Some(parent) = parts.events.in_room(room.number, parent).await?
    {
        batch.delete(&RELATIONS, &(room.number, parent.number, rel_type.to_owned(), target.order));
        if let Some(key) = &relates.key {
            let key = annotation_key(&target.pdu.kind, key);
            batch.delete(&ANNOTATIONS, &(room.number, parent.number, target.header.sender, key));
        }
    }
    let json =
        redact::redact(&target.pdu.json, &room.rules.redaction).map_err(|e| RoomsError::Invalid(e.to_string()))?;
    let redacted =
        Pdu::from_stored(target.pdu.event_id.clone(), json).map_err(|e| RoomsError::Invalid(e.to_string()))?;
    if let Some((kind, key)) = target.pdu.state_pair() {
        let pair = parts.store.mint_state_key(&kind, key, batch).await?;
        if parts.tree.get(view.state, pair).await? == Some(target.number) {
            refresh(view, room, &kind, key, Some(&redacted));
        }
    }
    parts.events.redact(&target, redacted, event.number, batch)?;
    Ok(())
}
