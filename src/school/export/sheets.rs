//! The columns and rows of each file (`OneRoster` 1.2.1 CSV binding, section 3).
//!
//! Columns stand in the binding's order, and all of them are there, also those that Homeroom does not know: readers
//! exist that count columns. What the binding has no place for stands behind them, in extension columns
//! (`metadata.homeroom.…`) and in the file of groups, which other systems pass over.
//!
//! An adult with whom the school has no contact, and one who must be kept apart from a pupil, never stands in
//! `agentSourcedIds`: another system would take it for an ordinary parent.

use std::{borrow::Cow, collections::BTreeMap, io::Write};

use chrono::{Datelike, Days, NaiveDate};

use crate::school::roster::{EnrollmentRole, Link, OrgType, Relation, RoleGrant, Roster, SchoolRole};

/// What rows are written to.
pub(super) type Rows<'a> = csv::Writer<&'a mut dyn Write>;

/// One file of the bundle.
pub(super) struct Sheet {
    /// Its name.
    pub(super) file: &'static str,
    /// Its header, with commas between the columns.
    pub(super) columns: &'static str,
    /// Writes its rows.
    pub(super) rows: fn(&Tables<'_>, &mut Rows<'_>) -> csv::Result<()>,
}

/// All files, in the order in which what a row names comes before it.
pub(super) const SHEETS: [Sheet; 9] = [
    Sheet { file: "manifest.csv", columns: "propertyName,value", rows: manifest },
    Sheet {
        file: "orgs.csv",
        columns: "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId",
        rows: orgs,
    },
    Sheet {
        file: "academicSessions.csv",
        columns: "sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId,schoolYear",
        rows: sessions,
    },
    Sheet {
        file: "courses.csv",
        columns: "sourcedId,status,dateLastModified,schoolYearSourcedId,title,courseCode,grades,orgSourcedId,\
            subjects,subjectCodes",
        rows: courses,
    },
    Sheet {
        file: "classes.csv",
        columns: "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,\
            schoolSourcedId,termSourcedIds,subjects,subjectCodes,periods",
        rows: classes,
    },
    Sheet {
        file: "users.csv",
        columns: "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName,middleName,\
            identifier,email,sms,phone,agentSourcedIds,grades,password,userMasterIdentifier,\
            preferredGivenName,preferredMiddleName,preferredFamilyName,primaryOrgSourcedId,pronouns,\
            metadata.homeroom.display,metadata.homeroom.birthYear,metadata.homeroom.links",
        rows: users,
    },
    Sheet {
        file: "roles.csv",
        columns: "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,\
            userProfileSourcedId,metadata.homeroom.role,metadata.homeroom.title",
        rows: roles,
    },
    Sheet {
        file: "enrollments.csv",
        columns: "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,\
            beginDate,endDate",
        rows: enrollments,
    },
    Sheet {
        file: "metadata.homeroom.groups.csv",
        columns: "sourcedId,title,orgSourcedId,memberSourcedIds",
        rows: groups,
    },
];

/// The files of the binding, in its order (section 3.1), and whether they are among ours.
const MANIFEST: [(&str, bool); 21] = [
    ("file.academicSessions", true),
    ("file.categories", false),
    ("file.classes", true),
    ("file.classResources", false),
    ("file.courses", true),
    ("file.courseResources", false),
    ("file.demographics", false),
    ("file.enrollments", true),
    ("file.lineItemLearningObjectiveIds", false),
    ("file.lineItems", false),
    ("file.lineItemScoreScales", false),
    ("file.orgs", true),
    ("file.resources", false),
    ("file.resultLearningObjectiveIds", false),
    ("file.results", false),
    ("file.resultScoreScales", false),
    ("file.roles", true),
    ("file.scoreScales", false),
    ("file.userProfiles", false),
    ("file.userResources", false),
    ("file.users", true),
];

/// A roster, and what the rows of people need of other tables.
pub(super) struct Tables<'a> {
    roster: &'a Roster,
    /// The links of each pupil, in the order of their ids.
    links: BTreeMap<&'a str, Vec<(&'a str, &'a Link)>>,
    /// The organisation of each person's first role.
    orgs: BTreeMap<&'a str, &'a str>,
}

impl<'a> Tables<'a> {
    pub(super) fn of(roster: &'a Roster) -> Self {
        let mut links: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (id, link) in &roster.links {
            links.entry(&link.student).or_default().push((id.as_str(), link));
        }
        let mut orgs = BTreeMap::new();
        for role in roster.roles.values() {
            orgs.entry(role.person.as_str()).or_insert(role.org.as_str());
        }
        Self { roster, links, orgs }
    }
}

fn manifest(_: &Tables<'_>, rows: &mut Rows<'_>) -> csv::Result<()> {
    rows.write_record(["manifest.version", "1.0"])?;
    rows.write_record(["oneroster.version", "1.2"])?;
    for (name, ours) in MANIFEST {
        rows.write_record([name, if ours { "bulk" } else { "absent" }])?;
    }
    rows.write_record(["source.systemName", "Homeroom"])?;
    rows.write_record(["source.systemCode", "homeroom"])
}

fn orgs(tables: &Tables<'_>, rows: &mut Rows<'_>) -> csv::Result<()> {
    for (id, org) in &tables.roster.orgs {
        let kind = match org.kind {
            OrgType::School => "school",
            OrgType::Department => "department",
            OrgType::District => "district",
            OrgType::Other => "local",
        };
        rows.write_record([id, "", "", &org.name, kind, "", text(org.parent.as_ref())])?;
    }
    Ok(())
}

fn sessions(tables: &Tables<'_>, rows: &mut Rows<'_>) -> csv::Result<()> {
    for (id, session) in &tables.roster.sessions {
        let kind = if session.school_year { "schoolYear" } else { "term" };
        // The binding names a school year by the calendar year in which it ends; its end is the first day after it.
        let last = session.period.end.and_then(|end| end.checked_sub_days(Days::new(1)));
        let year = last.or(session.period.begin).map(|day| day.year().to_string()).unwrap_or_default();
        let (begin, end) = (date(session.period.begin), date(session.period.end));
        let parent = text(session.parent.as_ref());
        rows.write_record([id, "", "", &session.title, kind, &begin, &end, parent, &year])?;
    }
    Ok(())
}

fn courses(tables: &Tables<'_>, rows: &mut Rows<'_>) -> csv::Result<()> {
    for (id, course) in &tables.roster.courses {
        rows.write_record([id, "", "", "", &course.title, "", "", text(course.org.as_ref()), "", ""])?;
    }
    Ok(())
}

fn classes(tables: &Tables<'_>, rows: &mut Rows<'_>) -> csv::Result<()> {
    for (id, class) in &tables.roster.classes {
        let kind = if class.homeroom { "homeroom" } else { "scheduled" };
        let (grades, sessions) = (list(&class.grades), list(&class.sessions));
        let (course, code) = (text(class.course.as_ref()), text(class.code.as_ref()));
        rows.write_record([
            id,
            "",
            "",
            &class.title,
            &grades,
            course,
            code,
            kind,
            "",
            &class.org,
            &sessions,
            "",
            "",
            "",
        ])?;
    }
    Ok(())
}

fn users(tables: &Tables<'_>, rows: &mut Rows<'_>) -> csv::Result<()> {
    for (id, person) in &tables.roster.people {
        let links = tables.links.get(id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let agents = links.iter().filter(|(_, link)| link.contact && !link.isolated && link.period.end.is_none());
        let agents = list(agents.map(|(_, link)| &link.adult));
        let links = links.iter().map(|(id, link)| link_cell(id, link)).collect::<Vec<_>>().join(";");
        let birth_year = person.birth_year.map(|year| year.to_string()).unwrap_or_default();
        // A grade is one value of a list of grades.
        let grades = list(&person.grade);
        let mut row = csv::StringRecord::new();
        row.extend([id, "", "", boolean(person.enabled), text(person.username.as_ref()), ""]);
        row.extend([&person.given, &person.family, "", "", text(person.email.as_ref()), "", ""]);
        row.extend([&agents, &grades, "", text(person.master_id.as_ref()), "", "", ""]);
        row.extend([tables.orgs.get(id.as_str()).copied().unwrap_or_default(), ""]);
        row.extend([text(person.display.as_ref()), &birth_year, &links]);
        rows.write_record(&row)?;
    }
    Ok(())
}

fn roles(tables: &Tables<'_>, rows: &mut Rows<'_>) -> csv::Result<()> {
    // A person has one primary role in an organisation (section 3.9): the first of them here.
    let mut primary = BTreeMap::new();
    for (id, role) in &tables.roster.roles {
        let first = *primary.entry((role.person.as_str(), role.org.as_str())).or_insert(id) == id;
        let kind = if first { "primary" } else { "secondary" };
        let (name, own_role, own_title) = role_cells(role);
        let (begin, end) = (date(role.period.begin), date(role.period.end));
        let mut row = csv::StringRecord::new();
        row.extend([id, "", "", &role.person, kind, name, &begin, &end, &role.org, "", own_role, own_title]);
        rows.write_record(&row)?;
    }
    Ok(())
}

fn enrollments(tables: &Tables<'_>, rows: &mut Rows<'_>) -> csv::Result<()> {
    for (id, enrollment) in &tables.roster.enrollments {
        let org = tables.roster.classes.get(&enrollment.class).map_or("", |class| class.org.as_str());
        let role = match enrollment.role {
            EnrollmentRole::Student => "student",
            EnrollmentRole::Teacher => "teacher",
            EnrollmentRole::Aide => "proctor",
        };
        let (begin, end) = (date(enrollment.period.begin), date(enrollment.period.end));
        let primary = boolean(enrollment.primary);
        rows.write_record([id, "", "", &enrollment.class, org, &enrollment.person, role, primary, &begin, &end])?;
    }
    Ok(())
}

fn groups(tables: &Tables<'_>, rows: &mut Rows<'_>) -> csv::Result<()> {
    for (id, group) in &tables.roster.groups {
        rows.write_record([id, &group.title, text(group.org.as_ref()), &list(&group.members)])?;
    }
    Ok(())
}

/// The `role` of `OneRoster`, and our own role and title where the first alone would be read as something else.
fn role_cells(role: &RoleGrant) -> (&str, &'static str, &str) {
    let title = role.title.as_deref().unwrap_or_default();
    let (plain, titles): (&str, &[&str]) = match role.role {
        SchoolRole::Student => ("student", &[]),
        SchoolRole::Guardian => ("guardian", &["parent", "relative"]),
        SchoolRole::Teacher => ("teacher", &[]),
        SchoolRole::Staff => ("", &["aide", "proctor", "counselor", "systemAdministrator"]),
        SchoolRole::Leadership => ("", &["principal", "siteAdministrator", "districtAdministrator"]),
        // Given on a server, for that server: elsewhere it is a member of staff.
        SchoolRole::SafeguardingLead => ("", &[]),
    };
    if titles.contains(&title) || (title.is_empty() && !plain.is_empty()) {
        return (if title.is_empty() { plain } else { title }, "", "");
    }
    match role.role {
        SchoolRole::Leadership => ("siteAdministrator", role.role.name(), title),
        SchoolRole::Staff | SchoolRole::SafeguardingLead => ("aide", SchoolRole::Staff.name(), title),
        _ => (plain, role.role.name(), title),
    }
}

/// A link in `metadata.homeroom.links`: `adult|relation|legal|contact|isolated|begin|end|link`, `;` between two links.
fn link_cell(id: &str, link: &Link) -> String {
    let relation = match link.relation {
        Relation::Parent => "parent",
        Relation::Guardian => "guardian",
        Relation::Relative => "relative",
        Relation::Other => "other",
    };
    let flags = [link.legal, link.contact, link.isolated].map(boolean);
    let [legal, contact, isolated] = flags;
    let (adult, id) = (escape(&link.adult), escape(id));
    let (begin, end) = (date(link.period.begin), date(link.period.end));
    format!("{adult}|{relation}|{legal}|{contact}|{isolated}|{begin}|{end}|{id}")
}

/// Percent-encodes what separates the parts of a link.
fn escape(part: &str) -> Cow<'_, str> {
    if part.contains(['%', '|', ';']) {
        Cow::Owned(part.replace('%', "%25").replace('|', "%7C").replace(';', "%3B"))
    } else {
        Cow::Borrowed(part)
    }
}

/// Several values in one cell, separated by commas; one that holds a comma is quoted within the cell, as in RFC 4180.
fn list<'a>(values: impl IntoIterator<Item = &'a String>) -> String {
    let mut cell = String::new();
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            cell.push(',');
        }
        if value.contains(',') || value.starts_with('"') {
            cell.push('"');
            cell.push_str(&value.replace('"', "\"\""));
            cell.push('"');
        } else {
            cell.push_str(value);
        }
    }
    cell
}

fn text(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}

fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// `2026-11-22`; empty when it is open.
fn date(day: Option<NaiveDate>) -> String {
    day.map(|day| day.format("%Y-%m-%d").to_string()).unwrap_or_default()
}
