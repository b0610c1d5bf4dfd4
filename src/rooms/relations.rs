//! Events that relate to an event, in pages.
//!
//! Specification v1.19, client-server API, "Relationships API".

use std::{collections::HashSet, sync::Arc};

use ruma::{EventId, api::Direction, events::TimelineEventType};

use super::{Reader, Rooms, RoomsError};
use crate::store::{Event, EventNo, Order, RoomNo, StoreError, schema::rooms::RELATIONS};

/// Most events of one page.
const PAGE_MAX: usize = 100;
/// Events of a page when the client does not say.
const PAGE_DEFAULT: usize = 50;
/// Relating events looked at.
const CHILDREN_MAX: usize = 10_000;
/// Relations are followed this far when asked to recurse; the specification asks for a limit and suggests three.
pub const RECURSION_DEPTH: u64 = 3;

/// Which relating events are wanted.
#[derive(Debug, Default)]
pub struct RelationsQuery {
    /// Only these relations.
    pub rel_type: Option<String>,
    /// Only events of this type.
    pub kind: Option<TimelineEventType>,
    /// Where to begin.
    pub from: Option<i64>,
    /// Where to end.
    pub to: Option<i64>,
    /// Oldest first.
    pub forwards: bool,
    /// Events at most.
    pub limit: Option<usize>,
    /// With what relates to them in turn.
    pub recurse: bool,
}

/// A page of relating events.
pub struct RelationsPage {
    /// The events, in the direction asked for.
    pub events: Vec<Arc<Event>>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<i64>,
}

/// A child: its place, its number, and how it relates.
struct Child {
    order: i64,
    number: EventNo,
    rel_type: String,
}

impl Rooms {
    /// The events that relate to `parent`, as far as `reader` may see them.
    ///
    /// # Errors
    /// [`RoomsError::NoEvent`] when the reader may not see the parent.
    pub async fn relations(
        &self,
        reader: &Reader,
        parent: &EventId,
        query: &RelationsQuery,
    ) -> Result<RelationsPage, RoomsError> {
        let parent = self.visible_event(reader, parent).await?;
        let limit = query.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX);
        let mut children = self.children(parent.room, parent.number, query).await?;
        children.sort_unstable_by_key(|child| child.order);
        let direction = if query.forwards { Direction::Forward } else { Direction::Backward };
        let (low, high) = match direction {
            Direction::Forward => (query.from, query.to),
            Direction::Backward => (query.to, query.from),
        };
        let between = |order: i64| low.is_none_or(|low| order > low) && high.is_none_or(|high| order <= high);
        children.retain(|child| between(child.order));
        if direction == Direction::Backward {
            children.reverse();
        }
        let mut events = Vec::new();
        let mut next = None;
        for child in children {
            if events.len() == limit {
                next = events.last().map(|last: &Arc<Event>| match direction {
                    Direction::Forward => last.order,
                    Direction::Backward => last.order.saturating_sub(1),
                });
                break;
            }
            let event = self.events().require(parent.room, child.number).await?;
            let wanted = query.kind.as_ref().is_none_or(|kind| event.pdu.kind == *kind);
            if wanted && !reader.ignores(&event) && reader.sees(&event).await? {
                events.push(event);
            }
        }
        Ok(RelationsPage { events, next })
    }

    /// Children and, when asked for, theirs; each once.
    async fn children(&self, room: RoomNo, parent: EventNo, query: &RelationsQuery) -> Result<Vec<Child>, StoreError> {
        let depth = if query.recurse { RECURSION_DEPTH } else { 1 };
        // Only what is reached by any relation is followed; the wanted relation is looked at in the end.
        let followed = query.rel_type.as_ref().filter(|_| !query.recurse);
        let (mut level, mut all, mut known) = (vec![parent], Vec::new(), HashSet::from([parent]));
        for _ in 0..depth {
            let mut next = Vec::new();
            for parent in level {
                let room_left = CHILDREN_MAX.saturating_sub(all.len());
                if room_left == 0 {
                    break;
                }
                for child in self.children_of(room, parent, followed, room_left).await? {
                    if known.insert(child.number) {
                        next.push(child.number);
                        all.push(child);
                    }
                }
            }
            level = next;
        }
        all.retain(|child| query.rel_type.as_ref().is_none_or(|wanted| child.rel_type == *wanted));
        Ok(all)
    }

    async fn children_of(
        &self,
        room: RoomNo,
        parent: EventNo,
        rel_type: Option<&String>,
        limit: usize,
    ) -> Result<Vec<Child>, StoreError> {
        let rows = match rel_type {
            Some(rel_type) => {
                let part = (room, parent, rel_type.clone());
                self.store().prefix(&RELATIONS, &part, Order::Descending, limit).await?
            }
            None => self.store().prefix(&RELATIONS, &(room, parent), Order::Descending, limit).await?,
        };
        Ok(rows.into_iter().map(|((_, _, rel_type, order), number)| Child { order, number, rel_type }).collect())
    }
}
