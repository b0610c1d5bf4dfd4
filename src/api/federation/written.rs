//! Events as answers: what is stored is copied out as it is.

use std::sync::Arc;

use axum::response::Response;

use crate::{
    http::{ApiError, ChunkWriter, JsonBytes, OriginPlace, json_chunks_holding, services::Services},
    rooms::Room,
    store::EventNo,
};

/// Events that are read at once.
const READ_AT_ONCE: usize = 256;

/// A few events in the form of a transaction.
pub(super) fn pdus<'a>(services: &Services, texts: impl IntoIterator<Item = &'a str>) -> JsonBytes {
    let (origin, now) = (&services.config.server.name, services.clock.now_ms());
    let mut out = format!("{{\"origin\":\"{origin}\",\"origin_server_ts\":{now},\"pdus\":[").into_bytes();
    join(&mut out, texts);
    out.extend_from_slice(b"]}");
    out.into()
}

/// Appends texts with commas between them.
pub(super) fn join<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a str>) {
    for (place, text) in texts.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// Lists of events, each under its name in the answer.
type Lists = Vec<(&'static str, Vec<EventNo>)>;

/// Lists of many events of a room, read while the other server reads; so long it has its place.
pub(super) fn events(services: Arc<Services>, room: Arc<Room>, lists: Lists, place: OriginPlace) -> Response {
    stream(services, room, lists, place, false)
}

/// Lists of the ids of many events of a room.
pub(super) fn ids(services: Arc<Services>, room: Arc<Room>, lists: Lists, place: OriginPlace) -> Response {
    stream(services, room, lists, place, true)
}

fn stream(services: Arc<Services>, room: Arc<Room>, lists: Lists, place: OriginPlace, only_ids: bool) -> Response {
    let (writer, response) = json_chunks_holding(place);
    tokio::spawn(async move {
        if let Err(error) = write(&services, &room, lists, only_ids, writer).await {
            tracing::debug!(%error, "a list of events was cut short");
        }
    });
    response
}

async fn write(
    services: &Services,
    room: &Room,
    lists: Lists,
    only_ids: bool,
    mut writer: ChunkWriter,
) -> Result<(), ApiError> {
    let gone = ApiError::internal;
    for (place, (name, numbers)) in lists.into_iter().enumerate() {
        let start = if place == 0 { '{' } else { ',' };
        writer.write(format!("{start}\"{name}\":[").as_bytes()).await.map_err(gone)?;
        let mut first = true;
        for some in numbers.chunks(READ_AT_ONCE) {
            for event in services.rooms.events().require_many(room.number, some).await? {
                if !std::mem::take(&mut first) {
                    writer.write(b",").await.map_err(gone)?;
                }
                if only_ids {
                    // Ids need no escaping.
                    writer.write(format!("\"{}\"", event.pdu.event_id).as_bytes()).await.map_err(gone)?;
                } else {
                    writer.write(event.pdu.json.as_bytes()).await.map_err(gone)?;
                }
            }
        }
        writer.write(b"]").await.map_err(gone)?;
    }
    writer.write(b"}").await.map_err(gone)?;
    writer.finish().await.map_err(gone)
}
