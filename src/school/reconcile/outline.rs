//! How large an import is, in numbers and in words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    school::roster::{Change, ObjectKind, SchoolRole},
    store::schema::school::Counts,
};

/// What an import would do, in short.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// How many objects are touched.
    pub counts: Counts,
    /// Why somebody has to confirm it: texts for the administrator. Empty when nobody has to.
    pub holds: Vec<String>,
    /// By kind and by role.
    pub summary: Summary,
}

/// What an import would do, by kind of object and by role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Objects touched, by [`ObjectKind::name`]; kinds without a change are left out.
    pub kinds: BTreeMap<String, Touched>,
    /// People who come and go, by [`SchoolRole::name`]; roles without either are left out.
    pub roles: BTreeMap<String, Moved>,
}

/// Objects of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// New ones.
    pub created: u64,
    /// Changed ones.
    pub updated: u64,
    /// Removed ones.
    pub removed: u64,
}

/// People of one role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Who gets the role.
    pub join: u64,
    /// Who loses it, or may not use the server any more.
    pub leave: u64,
}

impl Summary {
    /// For people: one line such as `12 pupils join, 3 leave`, one for every role and kind with a change.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for role in SchoolRole::ALL {
            let Some(moved) = self.roles.get(role.name()) else { continue };
            match (moved.join, moved.leave) {
                (0, leave) => lines.push(format!("{} {}", counted(leave, role), leaves(leave))),
                (join, 0) => lines.push(format!("{} {}", counted(join, role), joins(join))),
                (join, leave) => {
                    lines.push(format!("{} {}, {leave} {}", counted(join, role), joins(join), leaves(leave)));
                }
            }
        }
        for kind in ObjectKind::ALL {
            let Some(touched) = self.kinds.get(kind.name()) else { continue };
            let Touched { created, updated, removed } = touched;
            lines.push(format!("{}: {created} new, {updated} changed, {removed} removed", kind.name()));
        }
        lines
    }

    pub(super) fn touch(&mut self, change: &Change) {
        let Some(object) = change.after.as_ref().or(change.before.as_ref()) else { return };
        let touched = self.kinds.entry(object.kind().name().to_owned()).or_default();
        match (&change.before, &change.after) {
            (None, _) => touched.created += 1,
            (_, None) => touched.removed += 1,
            _ => touched.updated += 1,
        }
    }
}

/// People of a role, for people.
pub(super) fn plural(role: SchoolRole) -> &'static str {
    match role {
        SchoolRole::Student => "pupils",
        SchoolRole::Guardian => "guardians",
        SchoolRole::Teacher => "teachers",
        SchoolRole::Staff => "members of staff",
        SchoolRole::Leadership => "leaders",
        SchoolRole::SafeguardingLead => "safeguarding leads",
    }
}

/// So many people of a role, for people.
fn counted(count: u64, role: SchoolRole) -> String {
    let singular = match role {
        SchoolRole::Student => "pupil",
        SchoolRole::Guardian => "guardian",
        SchoolRole::Teacher => "teacher",
        SchoolRole::Staff => "member of staff",
        SchoolRole::Leadership => "leader",
        SchoolRole::SafeguardingLead => "safeguarding lead",
    };
    format!("{count} {}", if count == 1 { singular } else { plural(role) })
}

fn joins(count: u64) -> &'static str {
    if count == 1 { "joins" } else { "join" }
}

fn leaves(count: u64) -> &'static str {
    if count == 1 { "leaves" } else { "leave" }
}
