//! The list of changes.
//!
//! New and changed objects come first, in the order of [`ObjectKind`]; removals follow in the reverse order. So no
//! object ever refers to one that is not there, wherever the list is cut.

use super::{gone::Gone, holds::After, outline::Outline};
use crate::school::roster::{Bundle, Change, Object, ObjectKind, Roster};

/// What an import would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The changes, in the order in which they are applied.
    pub changes: Vec<Change>,
    /// How large it is, and whether it is held.
    pub outline: Outline,
}

impl Change {
    /// The change that undoes this one.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { id: self.id, before: self.after, after: self.before }
    }

    /// What kind of object it is about. A change without an object, which nobody makes, counts as an organisation.
    pub fn kind(&self) -> ObjectKind {
        self.after.as_ref().or(self.before.as_ref()).map_or(ObjectKind::Org, Object::kind)
    }
}

/// The changes that make what is stored into what a source tells now.
///
/// Of the kinds that the bundle tells completely, what it does not name is removed; of the others only what it removes
/// by name, and what cannot be without something removed: the roles, enrollments and links of a person, the
/// enrollments of a class, what belongs to an organisation.
pub fn reconcile(stored: &Roster, bundle: &Bundle) -> Plan {
    let mut changes = Vec::new();
    let outline = walk(stored, bundle, &mut |change| changes.push(change));
    Plan { changes, outline }
}

/// The same, handing out one change after the other: a first import has as many as there are objects.
pub fn walk(stored: &Roster, bundle: &Bundle, each: &mut dyn FnMut(Change)) -> Outline {
    let gone = Gone::of(stored, bundle);
    let mut outline = Outline::default();
    let mut hand_out = |change: Change| {
        outline.summary.touch(&change);
        match (&change.before, &change.after) {
            (None, _) => outline.counts.created += 1,
            (_, None) => outline.counts.removed += 1,
            _ => outline.counts.updated += 1,
        }
        each(change);
    };
    set(stored, bundle, &gone, &mut hand_out);
    remove(stored, &gone, &mut hand_out);
    let after = After { stored, bundle, gone: &gone };
    after.tell(&mut outline);
    outline
}

/// New and changed objects.
fn set(stored: &Roster, bundle: &Bundle, gone: &Gone<'_>, each: &mut dyn FnMut(Change)) {
    let mends = gone.mends();
    macro_rules! set {
        ($map:ident, $variant:ident, $mendable:literal) => {
            for (id, object) in &bundle.roster.$map {
                let before = stored.$map.get(id);
                if before != Some(object) {
                    let (before, after) = (before.cloned().map(Object::$variant), Object::$variant(object.clone()));
                    each(Change { id: id.clone(), before, after: Some(after) });
                }
            }
            if mends && $mendable {
                for (id, object) in &stored.$map {
                    if bundle.roster.$map.contains_key(id) || gone.$map.contains(id.as_str()) {
                        continue;
                    }
                    let before = Object::$variant(object.clone());
                    if let Some(after) = gone.mend(&before) {
                        each(Change { id: id.clone(), before: Some(before), after: Some(after) });
                    }
                }
            }
        };
    }
    set!(orgs, Org, true);
    set!(sessions, Session, true);
    set!(courses, Course, true);
    set!(classes, Class, true);
    set!(people, Person, false);
    set!(roles, Role, false);
    set!(enrollments, Enrollment, false);
    set!(links, Link, false);
    set!(groups, Group, true);
}

/// Removed objects.
fn remove(stored: &Roster, gone: &Gone<'_>, each: &mut dyn FnMut(Change)) {
    macro_rules! remove {
        ($map:ident, $variant:ident) => {
            if !gone.$map.is_empty() {
                for (id, object) in stored.$map.iter().filter(|(id, _)| gone.$map.contains(id.as_str())) {
                    each(Change { id: id.clone(), before: Some(Object::$variant(object.clone())), after: None });
                }
            }
        };
    }
    remove!(groups, Group);
    remove!(links, Link);
    remove!(enrollments, Enrollment);
    remove!(roles, Role);
    remove!(people, Person);
    remove!(classes, Class);
    remove!(courses, Course);
    remove!(sessions, Session);
    remove!(orgs, Org);
}
