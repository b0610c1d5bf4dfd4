//! What is so much that somebody has to confirm it.

use std::collections::{BTreeMap, HashSet};

use super::{
    gone::Gone,
    identity::{is_another, whole},
    outline::{Moved, Outline, plural},
};
use crate::school::roster::{Bundle, ObjectKind, Person, Roster, SchoolRole};

/// An import that would take away more than so many hundredths of the people of a role is held.
const ROLE_PERCENT_MAX: usize = 10;
/// An import that would take away more guardian links than this is held.
const LINKS_MAX: usize = 20;
/// People who are named one by one in the reasons of a hold.
pub const NAMED_MAX: usize = 5;

/// The roster as it will be, without a copy of it.
pub(super) struct After<'a> {
    pub(super) stored: &'a Roster,
    pub(super) bundle: &'a Bundle,
    pub(super) gone: &'a Gone<'a>,
}

impl<'a> After<'a> {
    fn person(&self, id: &str) -> Option<&'a Person> {
        let kept = || self.stored.people.get(id).filter(|_| !self.gone.people.contains(id));
        self.bundle.roster.people.get(id).or_else(kept)
    }

    /// People who may use the server, by role, and with their organisations: as it is and as it will be.
    fn roles(&self) -> [Held<'a>; 2] {
        let mut held = [Held::default(), Held::default()];
        let [before, after] = &mut held;
        let enabled = |person: Option<&Person>| person.is_some_and(|person| person.enabled);
        for (id, role) in &self.stored.roles {
            if enabled(self.stored.people.get(&role.person)) {
                before.add(role.role, &role.person, &role.org);
            }
            let kept = !self.bundle.roster.roles.contains_key(id) && !self.gone.roles.contains(id.as_str());
            if kept && enabled(self.person(&role.person)) {
                after.add(role.role, &role.person, &role.org);
            }
        }
        for role in self.bundle.roster.roles.values().filter(|role| enabled(self.person(&role.person))) {
            after.add(role.role, &role.person, &role.org);
        }
        held
    }

    pub(super) fn tell(&self, outline: &mut Outline) {
        let [before, after] = self.roles();
        let bulk = !self.bundle.is_delta() && !self.stored.is_empty();
        for role in SchoolRole::ALL {
            let (Some(was), Some(is)) = (before.people.get(&role), after.people.get(&role)) else {
                let gone = (before.people.get(&role), after.people.get(&role));
                let count = |people: Option<&HashSet<&str>>| people.map_or(0, HashSet::len);
                let (leave, join) = (count(gone.0), count(gone.1));
                Self::tell_role(outline, role, (join, leave, leave), bulk);
                continue;
            };
            let (join, leave) = (is.difference(was).count(), was.difference(is).count());
            Self::tell_role(outline, role, (join, leave, was.len()), bulk);
        }
        self.hold_others(outline);
        if bulk {
            self.hold_links(outline);
            self.hold_orgs(outline, &before, &after);
            self.hold_empty_files(outline);
        }
    }

    fn tell_role(outline: &mut Outline, role: SchoolRole, (join, leave, of): (usize, usize, usize), bulk: bool) {
        if join + leave > 0 {
            let moved = Moved { join: join as u64, leave: leave as u64 };
            outline.summary.roles.insert(role.name().to_owned(), moved);
        }
        if bulk && leave * 100 > of * ROLE_PERCENT_MAX {
            let text = format!("{leave} of {of} {} would leave: more than {ROLE_PERCENT_MAX} %", plural(role));
            outline.holds.push(text);
        }
    }

    /// Ids that would be another person's, who would get the account and all that is in it. Whatever kind of import tells
    /// so: one that says it by name may be wrong about it too.
    fn hold_others(&self, outline: &mut Outline) {
        let mut count = 0;
        for (id, after) in &self.bundle.roster.people {
            let Some(before) = self.stored.people.get(id).filter(|before| is_another(before, after)) else { continue };
            count += 1;
            if count <= NAMED_MAX {
                let (was, is) = (whole(before), whole(after));
                outline.holds.push(format!(
                    "the id \"{id}\" is that of {was} and would be that of {is}, who would get the account"
                ));
            }
        }
        match count.saturating_sub(NAMED_MAX) {
            0 => {}
            1 => outline.holds.push("and one more id would be somebody else's".into()),
            more => outline.holds.push(format!("and {more} more ids would be somebody else's")),
        }
    }

    /// Pairs of pupil and adult that are no longer linked, whatever the ids of the rows.
    fn hold_links(&self, outline: &mut Outline) {
        if self.gone.links.len() <= LINKS_MAX {
            return;
        }
        let told: HashSet<_> =
            self.bundle.roster.links.values().map(|link| (link.student.as_str(), link.adult.as_str())).collect();
        let lost = self.stored.links.iter().filter(|(id, link)| {
            self.gone.links.contains(id.as_str()) && !told.contains(&(link.student.as_str(), link.adult.as_str()))
        });
        let lost = lost.count();
        if lost > LINKS_MAX {
            outline.holds.push(format!("{lost} guardian links would be removed: more than {LINKS_MAX}"));
        }
    }

    /// Organisations that would disappear, or lose everybody.
    fn hold_orgs(&self, outline: &mut Outline, before: &Held<'_>, after: &Held<'_>) {
        for (id, org) in &self.stored.orgs {
            if self.gone.orgs.contains(id.as_str()) {
                outline.holds.push(format!("the organisation \"{}\" would be removed", org.name));
            } else if before.orgs.contains(id.as_str()) && !after.orgs.contains(id.as_str()) {
                outline.holds.push(format!("the organisation \"{}\" would lose everybody", org.name));
            }
        }
    }

    /// Files that tell nothing where something was.
    fn hold_empty_files(&self, outline: &mut Outline) {
        macro_rules! hold {
            ($($map:ident $kind:ident $name:literal),*) => {$(
                let (had, told) = (self.stored.$map.len(), self.bundle.roster.$map.len());
                if self.bundle.complete.contains(&ObjectKind::$kind) && told == 0 && had > 0 {
                    outline.holds.push(format!(concat!("the files name no ", $name, ", and {} {} stored"), had, if had == 1 { "is" } else { "are" }));
                }
            )*};
        }
        hold!(classes Class "classes", people Person "people", roles Role "roles");
        hold!(enrollments Enrollment "enrollments", links Link "guardian links");
    }
}

/// Who holds which role, and which organisations have anybody.
#[derive(Default)]
struct Held<'a> {
    people: BTreeMap<SchoolRole, HashSet<&'a str>>,
    orgs: HashSet<&'a str>,
}

impl<'a> Held<'a> {
    fn add(&mut self, role: SchoolRole, person: &'a str, org: &'a str) {
        self.people.entry(role).or_default().insert(person);
        self.orgs.insert(org);
    }
}
