//! A source's rows as a roster.

use crate::{
    school::roster::Roster,
    store::{
        Store, StoreError,
        schema::school::{CLASSES, COURSES, ENROLLMENTS, GROUPS, LINKS, ORGS, PEOPLE, ROLES, SESSIONS},
    },
};

impl Roster {
    /// Everything that is stored of one source, blocking.
    ///
    /// # Errors
    /// The store failed.
    pub fn load(store: &Store, source: &str) -> Result<Self, StoreError> {
        let (mut roster, source) = (Self::default(), source.to_owned());
        macro_rules! load {
            ($($map:ident from $table:ident),*) => {$(
                store.walk_part_blocking(&$table, &source, |(_, id), object| {
                    roster.$map.insert(id, object);
                    Ok(())
                })?;
            )*};
        }
        load!(
            orgs from ORGS, sessions from SESSIONS, courses from COURSES, classes from CLASSES, people from PEOPLE,
            roles from ROLES, enrollments from ENROLLMENTS, links from LINKS, groups from GROUPS
        );
        Ok(roster)
    }
}
