//! What can only be checked when everything is read: what orgs and sessions are part of, and people who are nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    problems::Fault,
    read::{Reading, Target},
    table::cut,
};
use crate::school::{problem::Severity, roster::ObjectKind};

/// Checks the whole roster.
pub(super) fn check(reading: &mut Reading<'_>) {
    let orgs = reading.bundle.roster.orgs.iter().map(|(id, org)| (id.clone(), org.parent.clone())).collect();
    for id in parents(reading, ObjectKind::Org, "orgs.csv", &orgs) {
        if let Some(org) = reading.bundle.roster.orgs.get_mut(&id) {
            org.parent = None;
        }
    }
    let sessions =
        reading.bundle.roster.sessions.iter().map(|(id, session)| (id.clone(), session.parent.clone())).collect();
    for id in parents(reading, ObjectKind::Session, "academicSessions.csv", &sessions) {
        if let Some(session) = reading.bundle.roster.sessions.get_mut(&id) {
            session.parent = None;
        }
    }
    people_without_roles(reading);
}

/// Finds cycles, which are errors, and parents outside of the export, whose children are the answer.
fn parents(
    reading: &mut Reading<'_>,
    kind: ObjectKind,
    file: &str,
    parent_of: &BTreeMap<String, Option<String>>,
) -> Vec<String> {
    let mut orphans = Vec::new();
    // Those of which it is known where they lead.
    let mut known: HashSet<&str> = HashSet::new();
    for (id, parent) in parent_of {
        let line = reading.lines.get(&(kind, id.clone())).copied();
        if let Some(parent) = parent
            && !matches!(reading.target(kind, parent), Target::There)
            && !(reading.target(kind, parent) == Target::NotTold)
        {
            let message = format!(
                "there is no {} {} that this one could be a part of; it stands alone",
                kind.name(),
                cut(parent)
            );
            let fault = Fault::new("dropped_reference", message, "Add it to the export if it matters.");
            reading.problems.push(fault.at(Severity::Warning, file, line, Some("parentSourcedId")));
            orphans.push(id.clone());
        }
        let mut way: Vec<&str> = Vec::new();
        let mut on_way: BTreeSet<&str> = BTreeSet::new();
        let mut at = Some(id.as_str());
        while let Some(here) = at.filter(|here| !known.contains(here)) {
            if !on_way.insert(here) {
                let round: Vec<&str> =
                    way.iter().skip_while(|step| **step != here).take(10).map(|step| cut(step)).collect();
                let message = format!("a {} is a part of itself: {}", kind.name(), round.join(", "));
                let line = reading.lines.get(&(kind, here.to_owned())).copied();
                let fault = Fault::new("cycle", message, "Correct what they are a part of.");
                reading.problems.push(fault.at(Severity::Error, file, line, Some("parentSourcedId")));
                break;
            }
            way.push(here);
            at = parent_of.get(here).and_then(Option::as_deref);
        }
        known.extend(way);
    }
    orphans
}

/// People without any role can be seen and reached by nobody: likely the roles are missing.
fn people_without_roles(reading: &mut Reading<'_>) {
    if !reading.bundle.complete.contains(&ObjectKind::Role) || !reading.bundle.complete.contains(&ObjectKind::Person) {
        return;
    }
    let roster = &reading.bundle.roster;
    let with: HashSet<&str> = roster.roles.values().map(|role| role.person.as_str()).collect();
    let without: Vec<&String> = roster.people.keys().filter(|id| !with.contains(id.as_str())).collect();
    if let Some(first) = without.first() {
        let message = format!("{} people have no role, such as {}", without.len(), cut(first));
        let fault = Fault::new("no_role", message, "They reach nobody until they have one.");
        reading.problems.warn("", fault);
    }
}
