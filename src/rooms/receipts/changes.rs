//! Receipts as `/sync` tells them: the content of `m.receipt` events.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ruma::OwnedUserId;
use serde::Serialize;

use super::{READ, Receipts};
use crate::{
    rooms::Room,
    store::{
        Order, Position, StoreError, UserNo,
        schema::rooms::{RECEIPT_LOG, RECEIPTS, ReceiptRecord},
    },
};

/// Receipts told to somebody who knows none of them: the newest ones. A class fits, a hall of thousands does not.
const FIRST_MAX: usize = 200;
/// Receipts told to somebody who was away. Older ones belong to people who have not read on since.
const CHANGED_MAX: usize = 1_000;

/// What a receipt's event says of one user.
#[derive(Serialize)]
struct Said {
    ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<String>,
}

/// The content of an `m.receipt` event: event, type, user.
type Content = BTreeMap<String, BTreeMap<String, BTreeMap<OwnedUserId, Said>>>;

impl Receipts {
    /// The receipts that changed after `since` and up to `upto`, as contents of `m.receipt` events; those that stand
    /// when `since` is zero, the newest first if there are too many. Private ones are the reader's own.
    ///
    /// Nearly always there is one content or none. There is a second one when somebody has both a threaded and an
    /// unthreaded receipt at one event, which one content cannot express.
    ///
    /// # Errors
    /// The store failed.
    pub async fn changes(
        &self,
        room: &Arc<Room>,
        reader: UserNo,
        since: Position,
        upto: Position,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        if self.newest(room).await? <= since {
            return Ok(Vec::new());
        }
        let store = self.inner.rooms.store();
        let (from, before) = ((room.number, Position(since.0 + 1)), (room.number, Position(upto.0.saturating_add(1))));
        let limit = if since == Position::ZERO { FIRST_MAX } else { CHANGED_MAX };
        let log = store.range(&RECEIPT_LOG, &from, &before, Order::Descending, limit).await?;
        let cut = log.len() == limit;
        let seen = |user: UserNo, kind: &str| user == reader || kind.split('\0').next() == Some(READ);
        let log = log.into_iter().filter(|(_, (user, kind))| seen(*user, kind));
        let (positions, keys): (Vec<_>, Vec<_>) =
            log.map(|((_, position), (user, kind))| (position, (room.number, user, kind))).unzip();
        let records = store.multi_get(&RECEIPTS, &keys).await?;
        let mut found: Vec<(UserNo, String, ReceiptRecord)> = Vec::with_capacity(keys.len());
        for ((position, (_, user, kind)), record) in positions.into_iter().zip(keys).zip(records) {
            // One that has moved since the log was read is told by the next answer.
            if let Some(record) = record.filter(|record| record.position == position) {
                found.push((user, kind, record));
            }
        }
        if cut && since == Position::ZERO {
            found.retain(|(user, ..)| *user != reader);
            let marks = self.marks(room.number, reader).await?;
            let own = marks.rows().iter().filter(|(_, record)| record.position <= upto);
            found.extend(own.map(|(kind, record)| (reader, kind.clone(), record.clone())));
        }
        self.contents(found).await
    }

    async fn contents(&self, found: Vec<(UserNo, String, ReceiptRecord)>) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut contents: Vec<Content> = Vec::new();
        let mut ids: HashMap<UserNo, OwnedUserId> = HashMap::new();
        for (user, kind, record) in found {
            let id = match ids.get(&user) {
                Some(id) => id.clone(),
                None => self.inner.rooms.store().user_id(user).await?,
            };
            ids.insert(user, id.clone());
            let Some((kind, thread)) = kind.split_once('\0') else { continue };
            let said = Said { ts: record.ts, thread_id: (!thread.is_empty()).then(|| thread.to_owned()) };
            let free = |content: &Content| {
                let users = content.get(&record.event_id).and_then(|kinds| kinds.get(kind));
                !users.is_some_and(|users| users.contains_key(&id))
            };
            let place = contents.iter().position(free).unwrap_or(contents.len());
            if place == contents.len() {
                contents.push(Content::new());
            }
            if let Some(content) = contents.get_mut(place) {
                content.entry(record.event_id).or_default().entry(kind.to_owned()).or_default().insert(id, said);
            }
        }
        let written = contents.iter().map(serde_json::to_vec).collect::<Result<_, _>>();
        written.map_err(|_| StoreError::Corrupt { table: RECEIPTS.name, what: "a receipt cannot be written" })
    }
}
