//! A new school year: what it will do to the rooms, and doing it.
//!
//! Rooms follow the roster by themselves: when an import brings the next year, the rooms of classes that are gone are
//! ended, their members read on, and those of the new classes are made. What that will be can be looked at before the
//! import is applied.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::json;

use super::{
    super::{
        SchoolError,
        audit::Author,
        people::{Builder, People},
        roster::{Object, ObjectKind, SchoolRole},
    },
    RoomSettings, SchoolRooms, Summary, Wanted,
    book::families,
    desk::Desk,
    wanted,
};
use crate::{
    clock::Clock,
    store::{
        Order, Store, StoreError, UserNo,
        schema::{
            school::{
                CLASSES, Change, ENROLLMENTS, IMPORT_CHANGES, IMPORTS, LINK_DECISIONS, LINKS, LOCAL_ROLES, ORGS,
                ObjectKey, PEOPLE, PERSON_ACCOUNTS, ROLES, RoomKind, SESSIONS,
            },
            users::ACCOUNTS,
        },
    },
};

/// Rooms named in a preview, of each list.
const EXAMPLES: usize = 50;
/// Changes of an import read at once.
const PAGE: usize = 10_000;
/// Accounts that an import would make are numbered from here: no account has such a number.
const NEW_ACCOUNTS: u64 = 1 << 62;

/// A room in a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewLine {
    /// What it is for.
    pub kind: RoomKind,
    /// Its name, or the name it would get.
    pub name: String,
    /// Its name today, where it would get another.
    pub was: Option<String>,
}

/// What would become of the rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// How many would be made.
    pub made: u64,
    /// Some of them.
    pub made_examples: Vec<PreviewLine>,
    /// How many would end.
    pub archived: u64,
    /// Some of them.
    pub archived_examples: Vec<PreviewLine>,
    /// How many would get another name.
    pub renamed: u64,
    /// Some of them.
    pub renamed_examples: Vec<PreviewLine>,
    /// How many would have other members.
    pub other_members: u64,
    /// Whether this is what the rooms are already.
    pub nothing: bool,
}

impl SchoolRooms {
    /// What an import that is planned would do to the rooms; without one, what is still to be done today.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`] when there is no such import.
    pub async fn rollover_preview(&self, import: Option<u64>) -> Result<Preview, SchoolError> {
        let desk = self.desk.clone();
        let settings = desk.settings();
        let planned = match import {
            Some(number) => {
                let row = desk.store.get(&IMPORTS, &number).await?.ok_or(SchoolError::NotFound("import"))?;
                let changes = changes(&desk.store, number).await?;
                Some(Planned { source: row.source, changes })
            }
            None => None,
        };
        let compute = move || compare(&desk, planned.as_ref(), settings);
        tokio::task::spawn_blocking(compute).await.map_err(SchoolError::task)?
    }

    /// Brings every room to what the roster says, closely, and writes down who wanted it. A run that was cut short goes
    /// on at the next start.
    ///
    /// # Errors
    /// [`SchoolError::Invalid`] without `confirm`; those of [`Self::reconcile`].
    pub async fn rollover(&self, confirm: bool, by: &Author) -> Result<Summary, SchoolError> {
        if !confirm {
            return Err(SchoolError::Invalid("Look at the preview, and confirm".into()));
        }
        let summary = self.reconcile().await?;
        let mut batch = crate::store::Batch::new();
        let detail = json!({
            "made": summary.made, "changed": summary.changed, "archived": summary.archived, "failed": summary.failed,
        });
        self.desk.audit.stage(&mut batch, by, "rooms.rollover", "rooms", &detail);
        self.desk.store.commit(batch).await?;
        Ok(summary)
    }
}

/// An import that nobody has applied.
struct Planned {
    source: String,
    changes: HashMap<(ObjectKind, String), Option<Object>>,
}

async fn changes(store: &Store, number: u64) -> Result<HashMap<(ObjectKind, String), Option<Object>>, SchoolError> {
    let mut all = HashMap::new();
    let mut from = 0;
    loop {
        let rows = store.range(&IMPORT_CHANGES, &(number, from), &(number, u64::MAX), Order::Ascending, PAGE).await?;
        let read = rows.len();
        for ((_, at), change) in rows {
            from = at + 1;
            let Change { id, before, after } = change;
            if let Some(kind) = after.as_ref().or(before.as_ref()).map(Object::kind) {
                all.insert((kind, id), after);
            }
        }
        if read < PAGE {
            return Ok(all);
        }
    }
}

fn compare(desk: &Desk, planned: Option<&Planned>, settings: RoomSettings) -> Result<Preview, SchoolError> {
    let today = desk.rules.people();
    let future = match planned {
        Some(planned) => Some(people_after(&desk.store, &desk.clock, planned)?),
        None => None,
    };
    let book = desk.rules.rooms().all();
    let families = families(&book);
    let goal = wanted(future.as_ref().unwrap_or(&today), settings, &families);
    let now = wanted(&today, settings, &families);
    let now: HashMap<(RoomKind, &str), &Wanted> = now.iter().map(|room| ((room.kind, &*room.object), room)).collect();
    let there: std::collections::HashSet<(RoomKind, &str)> =
        book.iter().filter(|(_, link)| !link.archived).map(|(_, link)| (link.kind, &*link.object)).collect();
    let mut preview = Preview::default();
    for room in &goal {
        let key = (room.kind, &*room.object);
        let before = now.get(&key);
        let line = |was: Option<String>| PreviewLine { kind: room.kind, name: room.name.clone(), was };
        if !there.contains(&key) {
            preview.made += 1;
            example(&mut preview.made_examples, line(None));
        } else if let Some(before) = before {
            if before.name != room.name {
                preview.renamed += 1;
                example(&mut preview.renamed_examples, line(Some(before.name.clone())));
            }
            preview.other_members += u64::from(before.members != room.members);
        }
    }
    let kept: std::collections::HashSet<(RoomKind, &str)> =
        goal.iter().map(|room| (room.kind, &*room.object)).collect();
    for key in there.iter().filter(|key| !kept.contains(*key)) {
        if matches!(key.0, RoomKind::Family | RoomKind::Supervised) {
            continue;
        }
        preview.archived += 1;
        let name = now.get(key).map_or_else(|| key.1.to_owned(), |room| room.name.clone());
        example(&mut preview.archived_examples, PreviewLine { kind: key.0, name, was: None });
    }
    preview.nothing = preview.made + preview.archived + preview.renamed + preview.other_members == 0;
    Ok(preview)
}

fn example(list: &mut Vec<PreviewLine>, line: PreviewLine) {
    if list.len() < EXAMPLES {
        list.push(line);
    }
}

/// The rows of a table as they would be.
fn rows<V: crate::store::Value>(
    store: &Store,
    table: &crate::store::Table<ObjectKey, V>,
    planned: &Planned,
    kind: ObjectKind,
    mut each: impl FnMut(&str, &str, Option<&Object>, Option<&V>),
) -> Result<(), StoreError> {
    store.walk_blocking(table, |(source, id), row| {
        let changed = source == planned.source && planned.changes.contains_key(&(kind, id.clone()));
        if !changed {
            each(&source, &id, None, Some(&row));
        }
        Ok(())
    })?;
    for ((of, id), after) in &planned.changes {
        if *of == kind && after.is_some() {
            each(&planned.source, id, after.as_ref(), None);
        }
    }
    Ok(())
}

/// The people as they would be today with a planned import in force.
fn people_after(store: &Store, clock: &Clock, planned: &Planned) -> Result<People, SchoolError> {
    let mut builder = Builder::new(clock.today());
    let mut known = std::collections::HashSet::new();
    store.walk_blocking(&PERSON_ACCOUNTS, |(source, id), account| {
        builder.account(&source, &id, account.user, &account.localpart);
        if source == planned.source {
            known.insert(id);
        }
        Ok(())
    })?;
    let new = planned
        .changes
        .iter()
        .filter(|((kind, id), after)| *kind == ObjectKind::Person && after.is_some() && !known.contains(id));
    for (number, ((_, id), _)) in (NEW_ACCOUNTS..).zip(new) {
        builder.account(&planned.source, id, UserNo(number), &format!("new-{number}"));
    }
    macro_rules! take {
        ($table:ident, $kind:ident, $method:ident, keyed) => {
            rows(store, &$table, planned, ObjectKind::$kind, |source, id, after, row| match (after, row) {
                (Some(Object::$kind(after)), _) => builder.$method(source, id, after),
                (_, Some(row)) => builder.$method(source, id, row),
                _ => {}
            })?;
        };
        ($table:ident, $kind:ident, $method:ident) => {
            rows(store, &$table, planned, ObjectKind::$kind, |source, _, after, row| match (after, row) {
                (Some(Object::$kind(after)), _) => builder.$method(source, after),
                (_, Some(row)) => builder.$method(source, row),
                _ => {}
            })?;
        };
    }
    take!(ORGS, Org, org, keyed);
    take!(SESSIONS, Session, session, keyed);
    take!(CLASSES, Class, class, keyed);
    take!(PEOPLE, Person, person, keyed);
    take!(ROLES, Role, role);
    take!(ENROLLMENTS, Enrollment, enrollment);
    take!(LINKS, Link, link);
    decided_here(store, clock, &mut builder)?;
    Ok(builder.finish())
}

/// What was decided on this server, and accounts that are locked by hand.
fn decided_here(store: &Store, clock: &Clock, builder: &mut Builder) -> Result<(), StoreError> {
    let mut local = Vec::new();
    store.walk_blocking(&LOCAL_ROLES, |(user, role), grant| {
        let role = SchoolRole::ALL.into_iter().find(|known| known.number() == role);
        local.extend(
            role.filter(|_| grant.until_ms.is_none_or(|until| clock.now_ms() < until)).map(|role| (user, role)),
        );
        Ok(())
    })?;
    store.walk_blocking(&ACCOUNTS, |user: UserNo, account| {
        for (_, role) in local.iter().filter(|(of, _)| *of == user) {
            builder.local_role(user, &account.localpart, &account.localpart, *role);
        }
        if account.deactivated {
            builder.barred(user);
        }
        Ok(())
    })?;
    store.walk_blocking(&LINK_DECISIONS, |(student, adult), decision| {
        builder.decision(student, adult, &decision);
        Ok(())
    })
}
