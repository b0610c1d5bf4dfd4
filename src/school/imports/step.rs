//! One step: rows and accounts in one commit.

use std::sync::atomic::Ordering;

use super::{Imports, ahead::Ahead};
use crate::{
    school::{
        SchoolError,
        roster::{Change, Object, ObjectKind},
    },
    store::{
        Batch, Order,
        schema::school::{
            CLASSES, COURSES, ENROLLMENTS, GROUPS, IMPORT_CHANGES, Import, ImportState, LINKS, ORGS, PEOPLE, ROLES,
            SESSIONS,
        },
    },
    users::UsersError,
};

/// How often a step is tried again when somebody else has taken a name meanwhile.
const TRIES: usize = 5;

impl Imports {
    /// Applies the next changes of an import, or undoes the last ones. The cursor is in the same commit.
    pub(super) async fn step(&self, number: u64, import: Import, ahead: &mut Ahead) -> Result<Import, SchoolError> {
        let changes = self.next_changes(number, &import).await?;
        let count = changes.len() as u64;
        if count == 0 {
            return Err(SchoolError::Failed(format!("changes of import {number} are missing")));
        }
        let done =
            if import.state == ImportState::Applying { import.done + count } else { import.done.saturating_sub(count) };
        let import = Import { done, ..import };
        for _ in 0..TRIES {
            match self.try_step(number, &import, &changes, ahead).await {
                Err(SchoolError::Users(UsersError::NameTaken)) => {}
                done => return done.map(|()| import),
            }
        }
        Err(SchoolError::Failed("no names could be found for new accounts".into()))
    }

    async fn next_changes(&self, number: u64, import: &Import) -> Result<Vec<Change>, SchoolError> {
        let limit = self.inner.step_size.load(Ordering::Relaxed);
        let undo = import.state == ImportState::RollingBack;
        let (from, to, order) = if undo {
            ((number, 0), (number, import.done), Order::Descending)
        } else {
            ((number, import.done), (number, u64::MAX), Order::Ascending)
        };
        let rows = self.store().range(&IMPORT_CHANGES, &from, &to, order, limit).await?;
        Ok(rows.into_iter().map(|(_, change)| if undo { change.reversed() } else { change }).collect())
    }

    async fn try_step(
        &self,
        number: u64,
        import: &Import,
        changes: &[Change],
        ahead: &mut Ahead,
    ) -> Result<(), SchoolError> {
        let mut batch = Batch::new();
        for change in changes {
            stage_row(&mut batch, &import.source, change);
        }
        self.stage(&mut batch, number, import);
        if changes.iter().any(|change| change.kind() == ObjectKind::Person) {
            self.commit_people(batch, (number, import), changes, ahead).await
        } else {
            self.store().commit(batch).await?;
            Ok(())
        }
    }
}

/// Adds an object's row, or its removal, to `batch`.
fn stage_row(batch: &mut Batch, source: &str, change: &Change) {
    let key = (source.to_owned(), change.id.clone());
    match &change.after {
        Some(Object::Org(row)) => batch.put(&ORGS, &key, row),
        Some(Object::Session(row)) => batch.put(&SESSIONS, &key, row),
        Some(Object::Course(row)) => batch.put(&COURSES, &key, row),
        Some(Object::Class(row)) => batch.put(&CLASSES, &key, row),
        Some(Object::Person(row)) => batch.put(&PEOPLE, &key, row),
        Some(Object::Role(row)) => batch.put(&ROLES, &key, row),
        Some(Object::Enrollment(row)) => batch.put(&ENROLLMENTS, &key, row),
        Some(Object::Link(row)) => batch.put(&LINKS, &key, row),
        Some(Object::Group(row)) => batch.put(&GROUPS, &key, row),
        None => match change.kind() {
            ObjectKind::Org => batch.delete(&ORGS, &key),
            ObjectKind::Session => batch.delete(&SESSIONS, &key),
            ObjectKind::Course => batch.delete(&COURSES, &key),
            ObjectKind::Class => batch.delete(&CLASSES, &key),
            ObjectKind::Person => batch.delete(&PEOPLE, &key),
            ObjectKind::Role => batch.delete(&ROLES, &key),
            ObjectKind::Enrollment => batch.delete(&ENROLLMENTS, &key),
            ObjectKind::Link => batch.delete(&LINKS, &key),
            ObjectKind::Group => batch.delete(&GROUPS, &key),
        },
    }
}
