//! Searching the rooms of a user.
//!
//! Specification v1.19, client-server API, "Server Side Search". There is no index yet: the newest events of the rooms
//! asked about are looked through, a bounded number of them.

use std::sync::Arc;

use ruma::{OwnedRoomId, UserId, events::TimelineEventType};

use super::{Reader, Rooms, RoomsError, UserRoom, event_filter::EventFilter, history::Context};
use crate::{
    event::content,
    store::{
        Event, Order, UserNo,
        schema::rooms::{Membership, TIMELINE},
    },
};

/// Events looked at in one search.
const LOOKED_AT_MAX: usize = 20_000;
/// Hits that are kept, with their events, for one search.
const HITS_MAX: usize = 2000;

/// Events read in one go.
const STEP: usize = 256;
/// Words of a search that count.
const WORDS_MAX: usize = 16;
/// The longest text that is searched, in bytes; of longer ones the beginning.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// What is searched for.
pub struct SearchQuery {
    /// The words, in any order and case; each must begin a word of the text.
    pub term: String,
    /// The types of events to look into: messages, names and topics of rooms; others have no text.
    pub kinds: Vec<TimelineEventType>,
    /// The best first; otherwise the newest.
    pub by_rank: bool,
}

/// An event that was found.
pub struct Hit {
    /// How often the words occur.
    pub rank: usize,
    /// The event.
    pub event: Arc<Event>,
    /// Its room's place in [`Found::readers`].
    pub reader: usize,
}

/// What was found.
pub struct Found {
    /// The reader in each room that was searched.
    pub readers: Vec<Reader>,
    /// The hits in the order asked for.
    pub hits: Vec<Hit>,
    /// The words that were searched for.
    pub words: Vec<String>,
}

impl Rooms {
    /// Searches the rooms that a user has joined. `reader` completes each reader, with device and ignored people.
    pub async fn search(
        &self,
        (user, user_id): (UserNo, &UserId),
        query: &SearchQuery,
        filter: &EventFilter,
        reader: impl Fn(Reader) -> Reader,
    ) -> Result<Found, RoomsError> {
        let words = words(&query.term).take(WORDS_MAX).collect::<Vec<_>>();
        let rooms = self.user_rooms(user).await?;
        let wanted: Vec<&UserRoom> = rooms
            .iter()
            .filter(|room| room.record.membership == Membership::Join && filter.wants_room(&room.room.id))
            .collect();
        let mut found = Found { readers: Vec::new(), hits: Vec::new(), words };
        if found.words.is_empty() || wanted.is_empty() {
            return Ok(found);
        }
        let each = (LOOKED_AT_MAX / wanted.len()).max(1);
        for room in wanted.into_iter().take(LOOKED_AT_MAX) {
            found.readers.push(reader(self.reader_of(&room.room, Some(room.record), user, user_id)));
            self.search_room(&mut found, query, filter, each).await?;
        }
        if query.by_rank {
            found.hits.sort_by_key(|hit| std::cmp::Reverse((hit.rank, hit.event.order)));
        } else {
            found.hits.sort_by_key(|hit| std::cmp::Reverse(hit.event.order));
        }
        Ok(found)
    }

    /// Looks through the newest events of the last reader's room.
    async fn search_room(
        &self,
        found: &mut Found,
        query: &SearchQuery,
        filter: &EventFilter,
        most: usize,
    ) -> Result<(), RoomsError> {
        let Some(reader) = found.readers.last() else { return Ok(()) };
        let (room, place) = (reader.room.number, found.readers.len() - 1);
        let (mut upto, mut left) = (i64::MAX, most);
        while left > 0 {
            let step = STEP.min(left);
            let rows = self.store().range(&TIMELINE, &(room, i64::MIN), &(room, upto), Order::Descending, step).await?;
            let numbers: Vec<_> = rows.iter().map(|(_, number)| *number).collect();
            for event in self.events().require_many(room, &numbers).await? {
                let rank = text_of(&event, query).map_or(0, |text| rank(&text, &found.words));
                if rank > 0
                    && found.hits.len() < HITS_MAX
                    && filter.wants(&event)
                    && !reader.ignores(&event)
                    && reader.sees(&event).await?
                {
                    found.hits.push(Hit { rank, event, reader: place });
                }
            }
            match rows.last() {
                Some(((_, order), _)) if rows.len() == step => upto = *order,
                _ => break,
            }
            left -= step;
            // A long search shall not hold up others.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// What happened around a hit.
    pub async fn around_hit(
        &self,
        reader: &Reader,
        event: Arc<Event>,
        around: (usize, usize),
    ) -> Result<Context, RoomsError> {
        Ok(self.around(reader, event, around, &EventFilter::default()).await?)
    }

    /// The name and picture that each sender had at their event.
    pub async fn profiles_of(&self, reader: &Reader, events: &[Arc<Event>]) -> Result<Vec<Arc<Event>>, RoomsError> {
        Ok(self.senders(reader, events).await?)
    }
}

impl Found {
    /// The room of a hit.
    pub fn room(&self, hit: &Hit) -> Option<OwnedRoomId> {
        self.readers.get(hit.reader).map(|reader| reader.room.id.clone())
    }
}

/// The text of an event that a search looks into.
fn text_of(event: &Event, query: &SearchQuery) -> Option<Box<str>> {
    let (kind, content) = (&event.pdu.kind, &*event.pdu.content);
    match kind {
        _ if !query.kinds.contains(kind) => None,
        TimelineEventType::RoomMessage => content::body(content),
        TimelineEventType::RoomName => content::name(content),
        TimelineEventType::RoomTopic => content::topic(content),
        _ => None,
    }
}

/// Lower-case words.
fn words(text: &str) -> impl Iterator<Item = String> {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    let text = text.get(..end.unwrap_or_default()).unwrap_or_default().to_lowercase();
    let words: Vec<_> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.into_iter()
}

/// How often the words of a search begin a word of the text; 0 unless each does.
fn rank(text: &str, wanted: &[String]) -> usize {
    let mut counts = vec![0; wanted.len()];
    for word in words(text) {
        for (count, wanted) in counts.iter_mut().zip(wanted) {
            *count += usize::from(word.starts_with(wanted.as_str()));
        }
    }
    if counts.contains(&0) { 0 } else { counts.iter().sum() }
}

#[cfg(test)]
mod tests {
    use super::{rank, words};

    #[test]
    fn every_word_must_begin_a_word() {
        let found = |term: &str, text: &str| rank(text, &words(term).collect::<Vec<_>>());
        assert_eq!(found("message 4", "Message number 4"), 2);
        assert_eq!(found("message 4", "Message number 5"), 0);
        assert_eq!(found("GRÜ", "grün, Grünes — ungrün"), 2);
        assert_eq!(found("4", "14"), 0);
    }
}
