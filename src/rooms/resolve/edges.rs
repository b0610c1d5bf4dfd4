//! The auth graph as stored.

use ruma::events::TimelineEventType;

use crate::{
    event::Pdu,
    store::{
        EventNo, Events, RoomNo, Store, StoreError,
        schema::rooms::{AUTH_EDGES, AuthRecord},
    },
};

/// The row of a state event in `AUTH_EDGES`. `auth_events` are the numbers of those that this server has.
///
/// To be written for every state event that is stored, own or received, outlier or rejected, in the batch that stores
/// it.
pub fn auth_record(pdu: &Pdu, auth_events: Vec<EventNo>) -> AuthRecord {
    AuthRecord { auth_events, power_levels: pdu.is_state(&TimelineEventType::RoomPowerLevels, "") }
}

/// The auth events of many events, in the order of the numbers.
pub(super) async fn edges(
    store: &Store,
    events: &Events,
    room: RoomNo,
    numbers: &[EventNo],
) -> Result<Vec<AuthRecord>, StoreError> {
    let keys: Vec<_> = numbers.iter().map(|number| (room, *number)).collect();
    let found = store.multi_get(&AUTH_EDGES, &keys).await?;
    let mut records = Vec::with_capacity(numbers.len());
    for (record, number) in found.into_iter().zip(numbers) {
        records.push(match record {
            Some(record) => record,
            None => from_event(events, room, *number).await?,
        });
    }
    Ok(records)
}

/// From the event itself, when the row is not there: not durable yet, or older than the table.
async fn from_event(events: &Events, room: RoomNo, number: EventNo) -> Result<AuthRecord, StoreError> {
    let event = events.require(room, number).await?;
    let mut auth_events = Vec::with_capacity(event.pdu.auth_events.len());
    for id in &event.pdu.auth_events {
        if let Some((_, auth)) = events.number_of(id).await?.filter(|(in_room, _)| *in_room == room) {
            auth_events.push(auth);
        }
    }
    Ok(auth_record(&event.pdu, auth_events))
}
