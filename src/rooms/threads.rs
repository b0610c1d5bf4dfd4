//! Threads: how many replies they have, who took part, and which are the newest.
//!
//! Specification v1.19, client-server API, "Threading".

use std::{collections::HashMap, sync::Arc};

use super::{Reader, Rooms, RoomsError};
use crate::store::{
    Event, EventNo, Order, RoomNo, StoreError, UserNo,
    schema::rooms::{RELATIONS, THREADS},
};

/// Replies counted in one thread.
const REPLIES_MAX: usize = 20_000;
/// Threads looked at for one page: those a reader may not see or took no part in fill no page.
const LOOKED_AT_MAX: usize = 1000;
/// Threads read in one go.
const STEP: usize = 100;

/// What a reader is told of a thread besides its newest reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// Replies, without those of ignored users.
    pub count: u64,
    /// Whether the reader began it or replied.
    pub participated: bool,
}

/// Who replied how often, as far as counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    replies: usize,
    upto: i64,
    senders: HashMap<UserNo, u64>,
}

/// Which threads are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// All.
    All,
    /// Those in which the reader took part.
    Participated,
}

/// A page of threads.
pub struct ThreadsPage {
    /// Thread roots, those with the newest replies first.
    pub roots: Vec<Arc<Event>>,
    /// Where the next page begins (exclusive); `None` at the end.
    pub next: Option<i64>,
}

impl Rooms {
    /// What `reader` is told of the thread below `root`.
    pub(super) async fn thread(&self, reader: &Reader, root: &Event) -> Result<Thread, StoreError> {
        let (counted, before_horizon) = self.counted(root.room, root.number, reader.horizon().await?).await?;
        let participated = root.header.sender == reader.user || counted.senders.contains_key(&reader.user);
        let ignored: u64 = reader.ignored.iter().filter_map(|user| counted.senders.get(user)).sum();
        // Beyond the horizon it is not known who replied; there it is enough not to count what came later.
        let count = (before_horizon as u64).min((counted.replies as u64).saturating_sub(ignored));
        Ok(Thread { count, participated })
    }

    /// Counts the replies. What was counted before is kept; a redaction takes a row away, which shows in the number of
    /// rows, and then everything is counted again.
    async fn counted(&self, room: RoomNo, parent: EventNo, horizon: i64) -> Result<(Arc<Counted>, usize), StoreError> {
        let part = (room, parent, "m.thread".to_owned());
        let rows = self.store().prefix(&RELATIONS, &part, Order::Ascending, REPLIES_MAX).await?;
        let before_horizon = rows.partition_point(|((.., order), _)| *order <= horizon);
        let known = self.thread_counts.get(&(room, parent)).unwrap_or_default();
        let old = rows.partition_point(|((.., order), _)| *order <= known.upto);
        if old == known.replies && old == rows.len() {
            return Ok((known, before_horizon));
        }
        let (mut senders, old) = if old == known.replies { (known.senders.clone(), old) } else { (HashMap::new(), 0) };
        for (_, number) in rows.iter().skip(old) {
            let reply = self.events().require(room, *number).await?;
            *senders.entry(reply.header.sender).or_default() += 1;
        }
        let upto = rows.last().map_or(0, |((.., order), _)| *order);
        let counted = Arc::new(Counted { replies: rows.len(), upto, senders });
        self.thread_counts.insert((room, parent), counted.clone());
        Ok((counted, before_horizon))
    }

    /// The threads of a room, those with the newest replies first, from `from` (exclusive) downwards.
    pub async fn threads(
        &self,
        reader: &Reader,
        include: Include,
        from: Option<i64>,
        limit: usize,
    ) -> Result<ThreadsPage, RoomsError> {
        let room = reader.room.number;
        let mut upto = from.unwrap_or(i64::MAX);
        let mut roots = Vec::new();
        let mut looked_at = 0;
        loop {
            let rows = self.store().range(&THREADS, &(room, i64::MIN), &(room, upto), Order::Descending, STEP).await?;
            let more = rows.len() == STEP;
            for ((_, order), parent) in rows {
                upto = order;
                looked_at += 1;
                let parent = self.events().require(room, parent).await?;
                if self.lists(reader, &parent, include).await? {
                    roots.push(parent);
                    if roots.len() == limit {
                        return Ok(ThreadsPage { roots, next: Some(upto) });
                    }
                }
            }
            if !more || looked_at >= LOOKED_AT_MAX {
                return Ok(ThreadsPage { roots, next: more.then_some(upto) });
            }
        }
    }

    async fn lists(&self, reader: &Reader, root: &Event, include: Include) -> Result<bool, StoreError> {
        if reader.ignores(root) || !reader.sees(root).await? {
            return Ok(false);
        }
        let thread = self.thread(reader, root).await?;
        // All replies may have been redacted, or come after the reader left.
        Ok(thread.count > 0 && (include == Include::All || thread.participated))
    }
}
