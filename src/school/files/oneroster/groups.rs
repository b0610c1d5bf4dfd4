//! Groups, which plain `OneRoster` does not know: a file of our own export.

use super::{
    super::{read::Reading, source::Source},
    manifest::Mode,
    rows::Rows,
};
use crate::school::roster::{Group, ObjectKind};

/// `metadata.homeroom.groups.csv`
pub(super) fn groups(source: &mut Source, reading: &mut Reading<'_>, mode: Mode) {
    let file = ("metadata.homeroom.groups.csv", mode);
    let Some(mut rows) = Rows::open(source, reading, file, ObjectKind::Group, true) else { return };
    let title = rows.table.column(&["title"]);
    let org = rows.table.column(&["orgsourcedid", "orgsourceid"]);
    let members = rows.table.list_column(&["membersourceids", "membersourcedids"]);
    while let Some(id) = rows.next(reading) {
        let table = &rows.table;
        let mut people = Vec::new();
        for member in table.list(members) {
            if rows.may_refer(reading, members, ObjectKind::Person, &member) {
                people.push(member.into_owned());
            }
        }
        let group = Group {
            title: table.text(title).unwrap_or_else(|| id.clone()),
            org: table.text(org).filter(|org_id| rows.may_refer(reading, org, ObjectKind::Org, org_id)),
            members: people,
        };
        reading.bundle.roster.groups.insert(id, group);
    }
    rows.end(reading);
}
