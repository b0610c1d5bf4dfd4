//! What somebody has to look after: a class without a teacher, a supervised room without a second adult.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::{
    SchoolError,
    audit::{Audit, Author},
    sequence::Sequence,
};
use crate::{
    clock::Clock,
    store::{
        Batch, Order, RoomNo, Store, StoreError, UserNo,
        schema::school::{TASKS, Task},
    },
};

/// The tasks. Cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    store: Store,
    clock: Clock,
    audit: Audit,
    numbers: Sequence,
    /// Those that are not done: at most a few for each room.
    open: Arc<Mutex<BTreeMap<u64, Task>>>,
}

impl Tasks {
    pub(super) async fn load(store: Store, clock: Clock, audit: Audit) -> Result<Self, SchoolError> {
        let numbers = Sequence::load(&store, &TASKS).await?;
        let reading = store.clone();
        let read = move || {
            let mut open = BTreeMap::new();
            reading.walk_blocking(&TASKS, |number, task| {
                if task.done_ms.is_none() {
                    open.insert(number, task);
                }
                Ok(())
            })?;
            Ok::<_, StoreError>(open)
        };
        let open = tokio::task::spawn_blocking(read).await.map_err(SchoolError::task)??;
        Ok(Self { store, clock, audit, numbers, open: Arc::new(Mutex::new(open)) })
    }

    /// Adds a task to the batch of what has brought it about, unless the room has an open one of this kind. `kind` is a
    /// short word such as `class.without_adult`.
    pub(super) fn stage(
        &self,
        batch: &mut Batch,
        (kind, room): (&str, RoomNo),
        assignee: Option<UserNo>,
        text: String,
    ) {
        let known = self.open.lock().values().any(|task| task.room == Some(room) && task.kind == kind);
        if known {
            return;
        }
        let number = self.numbers.next();
        let at_ms = self.clock.now_ms();
        let task = Task { kind: kind.into(), room: Some(room), assignee, text, at_ms, done_ms: None };
        batch.put(&TASKS, &number, &task);
        let open = self.open.clone();
        batch.on_publish(move |_| {
            open.lock().insert(number, task);
        });
    }

    /// The room's open tasks of a kind are done, because what brought them about is over.
    pub(super) fn stage_done(&self, batch: &mut Batch, kind: &str, room: RoomNo) {
        for number in self.open_in(kind, room) {
            self.close(batch, number);
        }
    }

    /// Whether a room has an open task of a kind.
    pub(super) fn is_open(&self, kind: &str, room: RoomNo) -> bool {
        !self.open_in(kind, room).is_empty()
    }

    fn open_in(&self, kind: &str, room: RoomNo) -> Vec<u64> {
        let open = self.open.lock();
        let of_room = open.iter().filter(|(_, task)| task.room == Some(room) && task.kind == kind);
        of_room.map(|(number, _)| *number).collect()
    }

    fn close(&self, batch: &mut Batch, number: u64) {
        let Some(mut task) = self.open.lock().get(&number).cloned() else { return };
        task.done_ms = Some(self.clock.now_ms());
        batch.put(&TASKS, &number, &task);
        let open = self.open.clone();
        batch.on_publish(move |_| {
            open.lock().remove(&number);
        });
    }

    /// The open tasks of somebody, or with `None` all of them, oldest first, at most `limit` from after `after`.
    pub fn open(&self, assignee: Option<UserNo>, after: Option<u64>, limit: usize) -> Vec<(u64, Task)> {
        let open = self.open.lock();
        let from = after.map_or(0, |after| after.saturating_add(1));
        let wanted = open.range(from..).filter(|(_, task)| assignee.is_none() || task.assignee == assignee);
        wanted.take(limit).map(|(number, task)| (*number, task.clone())).collect()
    }

    /// All tasks, done ones included, newest first, at most `limit` from before `before`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Task)>, SchoolError> {
        Ok(self.store.range(&TASKS, &0_u64, &before.unwrap_or(u64::MAX), Order::Descending, limit).await?)
    }

    /// Marks a task as done. `of` is who may only do their own; `None` for administrators.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`] when there is no such open task, or it is somebody else's.
    pub async fn done(&self, number: u64, of: Option<UserNo>, by: &Author) -> Result<(), SchoolError> {
        let mine = self.open.lock().get(&number).is_some_and(|task| of.is_none() || task.assignee == of);
        if !mine {
            return Err(SchoolError::NotFound("task"));
        }
        let mut batch = Batch::new();
        self.close(&mut batch, number);
        self.audit.stage(&mut batch, by, "task.done", &number.to_string(), &serde_json::json!({}));
        self.store.commit(batch).await?;
        Ok(())
    }
}
