//! What is sent at once (spec v1.19, Server-Server API, "Transactions").

use std::collections::BTreeMap;

use ruma::ServerName;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{destination::Outgoing, service::Inner};
use crate::{
    remote::Taken,
    store::{Event, Position, RoomNo, ServerNo, StoreError, Verdict, schema::rooms::TIMELINE},
};

/// Events in one transaction.
pub(super) const PDUS_MAX: usize = 50;
/// Other items in one transaction.
const EDUS_MAX: usize = 100;
/// Everything in one transaction.
pub(super) const ITEMS_MAX: usize = PDUS_MAX + EDUS_MAX;
/// Bytes of all items, unless there is only one: what a web server before the other side lets through without being told.
const BYTES_MAX: usize = 768 * 1024;
/// Characters of a transaction's id.
const ID_LENGTH: usize = 24;
/// Errors of single events that are logged for one transaction, and the length of what the other side says of each.
const ERRORS_LOGGED_MAX: usize = 5;
const ERROR_LENGTH_MAX: usize = 200;

/// A transaction: the same id and body however often it is sent.
pub(super) struct Transaction {
    id: String,
    body: Vec<u8>,
    /// Events and other items.
    pub(super) items: usize,
    /// How many of the offered events it disposes of: those it contains, and those that are not to be sent.
    pub(super) used: usize,
    /// Position of the last of them.
    pub(super) last: Option<Position>,
    /// Whether the server has everything up to there, once it has this.
    pub(super) in_order: bool,
    /// Rows of the outbox that are in it.
    pub(super) durable: Vec<Position>,
    /// What it took from memory.
    pub(super) taken: Taken,
    /// The outbox has more.
    pub(super) more: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    origin: &'a ServerName,
    origin_server_ts: u64,
    pdus: &'a [Box<RawValue>],
    edus: &'a [Box<RawValue>],
}

/// What the other side says of each event.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    pdus: BTreeMap<String, Received>,
}

#[derive(Deserialize)]
struct Received {
    #[serde(default)]
    error: Option<String>,
}

/// What is put into a transaction.
#[derive(Default)]
struct Load {
    pdus: Vec<Box<RawValue>>,
    edus: Vec<Box<RawValue>>,
    bytes: usize,
}

impl Load {
    fn items(&self) -> usize {
        self.pdus.len() + self.edus.len()
    }

    /// Whether something of this length still fits.
    fn fits(&self, length: usize) -> bool {
        self.items() == 0 || self.bytes + length <= BYTES_MAX
    }
}

impl Transaction {
    /// Puts events, as many as fit, and what the outbox has for a server into a transaction of at most `most` items.
    pub(super) async fn compose(
        inner: &Inner,
        server: ServerNo,
        events: &[Outgoing],
        in_order: bool,
        most: usize,
    ) -> Result<Self, StoreError> {
        let mut load = Load::default();
        let (mut used, mut last) = (0, None);
        for (at, room) in events.iter().take(most.min(PDUS_MAX)) {
            if let Some(event) = inner.event_to_send(*room, *at).await? {
                if !load.fits(event.pdu.json.len()) {
                    break;
                }
                load.bytes += event.pdu.json.len();
                load.pdus.push(raw(String::from(&*event.pdu.json))?);
            }
            (used, last) = (used + 1, Some(*at));
        }
        let left = most.saturating_sub(load.pdus.len()).min(EDUS_MAX);
        let mut durable = Vec::new();
        let mut more = left == 0;
        if left > 0 {
            let waiting = inner.parts.outbox.durable(server, left).await?;
            more = waiting.len() == left;
            for (at, edu) in waiting {
                if !load.fits(edu.len()) {
                    more = true;
                    break;
                }
                load.bytes += edu.len();
                load.edus.push(raw(edu)?);
                durable.push(at);
            }
        }
        let left = left.saturating_sub(load.edus.len());
        let mut taken = inner.parts.outbox.take_fleeting(server, left)?;
        for edu in std::mem::take(&mut taken.edus) {
            load.edus.push(raw(edu)?);
        }
        more |= inner.parts.outbox.fleeting(server) > 0;
        let body = Body {
            origin: &inner.parts.server_name,
            origin_server_ts: inner.parts.clock.now_ms(),
            pdus: &load.pdus,
            edus: &load.edus,
        };
        let body = serde_json::to_vec(&body).map_err(|_| not_json())?;
        let (id, items) = (inner.parts.ids.opaque(ID_LENGTH), load.items());
        Ok(Self { id, body, items, used, last, in_order, durable, taken, more })
    }

    /// The request that sends it; `None` if it cannot be made.
    pub(super) fn request(&self) -> Option<http::Request<Vec<u8>>> {
        let path = format!("/_matrix/federation/v1/send/{}", self.id);
        http::Request::put(path).body(self.body.clone()).ok()
    }

    /// The length of its body.
    pub(super) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Logs what the other side did not like. An answer that says nothing is a good one.
    pub(super) fn log_answer(server: &ServerName, answer: &[u8]) {
        let Ok(answer) = serde_json::from_slice::<Answer>(answer) else { return };
        let errors = answer.pdus.iter().filter_map(|(id, received)| received.error.as_ref().map(|error| (id, error)));
        for (event, error) in errors.take(ERRORS_LOGGED_MAX) {
            let error: String = error.chars().filter(|c| !c.is_control()).take(ERROR_LENGTH_MAX).collect();
            let event: String = event.chars().filter(|c| !c.is_control()).take(ERROR_LENGTH_MAX).collect();
            tracing::warn!(%server, event, error, "another server has not taken an event");
        }
    }
}

impl Inner {
    /// The event at a position, as it is now; `None` when it is not to be sent.
    pub(super) async fn event_to_send(
        &self,
        room: RoomNo,
        at: Position,
    ) -> Result<Option<std::sync::Arc<Event>>, StoreError> {
        let Some(room) = self.parts.rooms.get(room).await? else { return Ok(None) };
        if !room.view().created.federate {
            tracing::error!(room = %room.id, "an event of a room that does not federate was to be sent");
            return Ok(None);
        }
        let order = i64::try_from(at.0).unwrap_or(i64::MAX);
        let recent = room.recent(order.saturating_sub(1), order).and_then(|found| found.first().copied());
        let number = match recent {
            Some((_, number)) => Some(number),
            None => self.parts.store.get(&TIMELINE, &(room.number, order)).await?,
        };
        let Some(number) = number else { return Ok(None) };
        let event = match self.parts.rooms.events().get(room.number, number).await {
            // One that cannot be read must not keep the others back.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(room = %room.id, %error, "an event cannot be sent");
                None
            }
            event => event?,
        };
        Ok(event.filter(|event| event.header.verdict == Verdict::Accepted))
    }
}

fn raw(json: String) -> Result<Box<RawValue>, StoreError> {
    RawValue::from_string(json).map_err(|_| not_json())
}

fn not_json() -> StoreError {
    StoreError::Corrupt { table: "outbox", what: "what is to be sent is no JSON" }
}
