//! What an event changes that relates to another: it becomes that one's child, and brings its thread up.

use std::sync::Arc;

use ruma::events::TimelineEventType;

use super::{
    RoomsError, Writer,
    effects::{Effects, OrderedRow},
    registry::RoomsParts,
    room::Room,
};
use crate::{
    event::{Pdu, content::RelatesTo},
    store::{
        Batch, Event, EventNo, StoreError,
        schema::rooms::{ANNOTATIONS, RELATIONS, THREAD_ORDER, THREADS},
    },
};

/// The relation that makes a thread.
const THREAD: &str = "m.thread";

/// Under which annotations of one kind are the same.
pub(super) fn annotation_key(kind: &TimelineEventType, key: &str) -> String {
    format!("{kind}\0{key}")
}

/// Refuses the second annotation of an event by one user with one key.
///
/// # Errors
/// [`RoomsError::DuplicateAnnotation`].
pub(super) async fn check_annotation(parts: &RoomsParts, room: &Room, pdu: &Pdu) -> Result<(), RoomsError> {
    let Some(relates) = RelatesTo::read(&pdu.content).filter(|_| pdu.state_key.is_none()) else { return Ok(()) };
    let (Some(("m.annotation", parent)), Some(key)) = (relates.relation(), &relates.key) else { return Ok(()) };
    let parent = parts.events.number_of(parent).await?.filter(|(of, _)| *of == room.number);
    let (Some((_, parent)), Some(sender)) = (parent, parts.store.user(&pdu.sender).await?) else { return Ok(()) };
    let row = (room.number, parent, sender, annotation_key(&pdu.kind, key));
    match parts.store.get(&ANNOTATIONS, &row).await? {
        Some(_) => Err(RoomsError::DuplicateAnnotation),
        None => Ok(()),
    }
}

impl Effects {
    /// The rows of an event that is new and relates to another.
    pub(super) async fn relation(
        &mut self,
        parts: &RoomsParts,
        room: &Room,
        event: &Arc<Event>,
        batch: &mut Batch,
    ) -> Result<Vec<OrderedRow>, StoreError> {
        let mut rows: Vec<OrderedRow> = Vec::new();
        let Some(relates) = RelatesTo::read(&event.pdu.content) else { return Ok(rows) };
        let Some((rel_type, parent)) = relates.relation() else { return Ok(rows) };
        let Some(parent) = parts.events.in_room(room.number, parent).await? else { return Ok(rows) };
        let (number, parent_number, rel_type) = (event.number, parent.number, rel_type.to_owned());
        if let ("m.annotation", Some(key)) = (rel_type.as_str(), &relates.key) {
            let key = annotation_key(&event.pdu.kind, key);
            batch.put(&ANNOTATIONS, &(room.number, parent_number, event.header.sender, key), &number);
        }
        self.related.push(parent_number);
        let room_number = room.number;
        if rel_type == THREAD {
            let place = room.thread_place(&parts.store, parent_number).await?;
            let held = place.clone();
            batch.on_publish(move |_| drop(held));
            rows.push(Box::new(move |order, made| {
                if let Some(old) = place.lock().replace(order) {
                    made.delete(&THREADS, &(room_number, old));
                }
                made.put(&THREADS, &(room_number, order), &parent_number);
                made.put(&THREAD_ORDER, &(room_number, parent_number), &order);
            }));
        }
        rows.push(Box::new(move |order, made| {
            made.put(&RELATIONS, &(room_number, parent_number, rel_type, order), &number);
        }));
        Ok(rows)
    }
}

impl Writer {
    /// An event that has its place already becomes the child of another: one of the two is older than what is here, or
    /// they came the wrong way round.
    pub(super) async fn adopt(&mut self, parent: &Event, child: &Event) -> Result<(), StoreError> {
        let relates = RelatesTo::read(&child.pdu.content);
        let Some((rel_type, _)) = relates.as_ref().and_then(RelatesTo::relation) else { return Ok(()) };
        self.effects.related.push(parent.number);
        let row = (self.room.number, parent.number, rel_type.to_owned(), child.order);
        self.batch.put(&RELATIONS, &row, &child.number);
        if rel_type == THREAD { self.list_thread(parent.number, child.order).await } else { Ok(()) }
    }

    /// Lists a thread by a reply, unless it has a newer one.
    async fn list_thread(&mut self, root: EventNo, order: i64) -> Result<(), StoreError> {
        let (store, key) = (&self.rooms.parts.store, (self.room.number, root));
        let place = self.room.thread_place(store, root).await?;
        let held = place.clone();
        self.batch.on_publish(move |_| drop(held));
        self.batch.rows_later(move |made| {
            let mut place = place.lock();
            if place.is_some_and(|listed| listed >= order) {
                return;
            }
            if let Some(old) = place.replace(order) {
                made.delete(&THREADS, &(key.0, old));
            }
            made.put(&THREADS, &(key.0, order), &root);
            made.put(&THREAD_ORDER, &key, &order);
        });
        Ok(())
    }
}
