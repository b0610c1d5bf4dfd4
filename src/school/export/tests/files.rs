use std::{collections::BTreeMap, io::Cursor, io::Read, os::unix::fs::PermissionsExt};

use super::super::*;
use crate::school::{
    generate::{Plan, roster},
    roster::{Class, Link, Org, OrgType, Period, Person, Relation, RoleGrant, Roster, SchoolRole},
};

/// The rows of a file as maps from header to cell.
fn rows(files: &Files, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(files[name].as_slice());
    reader.deserialize().map(Result::unwrap).collect()
}

fn person(given: &str) -> Person {
    Person {
        given: given.to_owned(),
        family: "Müller".to_owned(),
        display: None,
        username: None,
        email: None,
        master_id: None,
        enabled: true,
        grade: None,
        birth_year: None,
    }
}

/// A school with one pupil and one adult.
fn family(tie: Link) -> Roster {
    let mut roster = Roster::default();
    let org = Org { name: "Schule".to_owned(), kind: OrgType::School, parent: None };
    roster.orgs.insert("o".to_owned(), org);
    roster.people.insert("s".to_owned(), person("Anna"));
    roster.people.insert("a".to_owned(), person("Ben"));
    roster.links.insert("l|1;%".to_owned(), tie);
    roster
}

fn tie() -> Link {
    Link {
        student: "s".to_owned(),
        adult: "a".to_owned(),
        relation: Relation::Parent,
        legal: true,
        contact: true,
        isolated: false,
        period: Period::default(),
    }
}

fn header(files: &Files, name: &str) -> String {
    String::from_utf8_lossy(&files[name]).lines().next().unwrap().to_owned()
}

#[test]
fn columns_stand_in_the_order_of_the_binding() {
    // OneRoster 1.2.1 CSV binding, the tables of section 3, with our extension columns behind them.
    let files = files(&Roster::default()).unwrap();
    assert_eq!(
        header(&files, "users.csv"),
        "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName,middleName,identifier,email,\
         sms,phone,agentSourcedIds,grades,password,userMasterIdentifier,preferredGivenName,preferredMiddleName,\
         preferredFamilyName,primaryOrgSourcedId,pronouns,metadata.homeroom.display,metadata.homeroom.birthYear,\
         metadata.homeroom.links"
    );
    assert_eq!(
        header(&files, "roles.csv"),
        "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,\
         userProfileSourcedId,metadata.homeroom.role,metadata.homeroom.title"
    );
    assert_eq!(
        header(&files, "enrollments.csv"),
        "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate"
    );
    assert_eq!(
        header(&files, "classes.csv"),
        "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,\
         termSourcedIds,subjects,subjectCodes,periods"
    );
    assert_eq!(
        header(&files, "courses.csv"),
        "sourcedId,status,dateLastModified,schoolYearSourcedId,title,courseCode,grades,orgSourcedId,subjects,subjectCodes"
    );
    assert_eq!(
        header(&files, "academicSessions.csv"),
        "sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId,schoolYear"
    );
    assert_eq!(header(&files, "orgs.csv"), "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId");
    assert_eq!(header(&files, "metadata.homeroom.groups.csv"), "sourcedId,title,orgSourcedId,memberSourcedIds");
}

#[test]
fn the_manifest_tells_of_every_file() {
    let files = files(&roster(&Plan::small(1))).unwrap();
    let manifest: BTreeMap<String, String> = rows(&files, "manifest.csv")
        .into_iter()
        .map(|row| (row["propertyName"].clone(), row["value"].clone()))
        .collect();
    assert_eq!(manifest["manifest.version"], "1.0");
    assert_eq!(manifest["oneroster.version"], "1.2");
    assert_eq!(manifest.keys().filter(|name| name.starts_with("file.")).count(), 21);
    for (name, value) in manifest.iter().filter(|(name, _)| name.starts_with("file.")) {
        let file = format!("{}.csv", name.trim_start_matches("file."));
        assert_eq!(value == "bulk", files.contains_key(file.as_str()), "{name}");
        assert!(value == "bulk" || value == "absent");
    }
}

#[test]
fn every_row_of_a_generated_roster_is_there() {
    let roster = roster(&Plan::small(1));
    let files = files(&roster).unwrap();
    for (name, count) in [
        ("orgs.csv", roster.orgs.len()),
        ("academicSessions.csv", roster.sessions.len()),
        ("courses.csv", roster.courses.len()),
        ("classes.csv", roster.classes.len()),
        ("users.csv", roster.people.len()),
        ("roles.csv", roster.roles.len()),
        ("enrollments.csv", roster.enrollments.len()),
        ("metadata.homeroom.groups.csv", roster.groups.len()),
    ] {
        assert_eq!(rows(&files, name).len(), count, "{name}");
    }
    let links = rows(&files, "users.csv")
        .iter()
        .map(|row| {
            row["metadata.homeroom.links"].matches(';').count()
                + usize::from(!row["metadata.homeroom.links"].is_empty())
        })
        .sum::<usize>();
    assert_eq!(links, roster.links.len());
    let year = rows(&files, "academicSessions.csv").into_iter().find(|row| row["type"] == "schoolYear").unwrap();
    assert_eq!((year["schoolYear"].as_str(), year["endDate"].as_str()), ("2027", "2027-08-01"));
}

#[test]
fn a_link_keeps_its_separators_apart() {
    let files = files(&family(tie())).unwrap();
    let pupil = &rows(&files, "users.csv")[1];
    assert_eq!(pupil["metadata.homeroom.links"], "a|parent|true|true|false|||l%7C1%3B%25");
    assert_eq!(pupil["agentSourcedIds"], "a");
}

#[test]
fn who_must_not_be_taken_for_a_parent_is_no_agent() {
    let day = chrono::NaiveDate::from_ymd_opt(2026, 1, 1);
    for kept in [
        Link { isolated: true, ..tie() },
        Link { contact: false, ..tie() },
        Link { period: Period { begin: None, end: day }, ..tie() },
    ] {
        let files = files(&family(kept)).unwrap();
        let pupil = &rows(&files, "users.csv")[1];
        assert_eq!(pupil["agentSourcedIds"], "");
        assert!(pupil["metadata.homeroom.links"].starts_with("a|parent|"));
    }
}

#[test]
fn a_role_says_itself_unless_oneroster_would_say_another() {
    for (role, title, written) in [
        (SchoolRole::Student, None, ["student", "", ""]),
        (SchoolRole::Guardian, None, ["guardian", "", ""]),
        (SchoolRole::Guardian, Some("parent"), ["parent", "", ""]),
        (SchoolRole::Teacher, None, ["teacher", "", ""]),
        (SchoolRole::Teacher, Some("substitute"), ["teacher", "teacher", "substitute"]),
        (SchoolRole::Staff, Some("counselor"), ["counselor", "", ""]),
        (SchoolRole::Staff, Some("office"), ["aide", "staff", "office"]),
        (SchoolRole::Staff, None, ["aide", "staff", ""]),
        (SchoolRole::Staff, Some("principal"), ["aide", "staff", "principal"]),
        (SchoolRole::Leadership, Some("principal"), ["principal", "", ""]),
        (SchoolRole::Leadership, None, ["siteAdministrator", "leadership", ""]),
        (SchoolRole::SafeguardingLead, None, ["aide", "staff", ""]),
    ] {
        let mut roster = family(tie());
        let title = title.map(str::to_owned);
        let grant = RoleGrant { person: "a".into(), org: "o".into(), role, title, period: Period::default() };
        roster.roles.insert("r".to_owned(), grant);
        let row = &rows(&files(&roster).unwrap(), "roles.csv")[0];
        let cells = ["role", "metadata.homeroom.role", "metadata.homeroom.title"].map(|name| row[name].as_str());
        assert_eq!(cells, written);
    }
}

#[test]
fn what_looks_like_a_formula_is_not_changed() {
    let mut roster = family(tie());
    for (at, given) in ["=1+1", "+49", "-x", "@anna", "\t=x", "a\"b,c\r\nd"].into_iter().enumerate() {
        roster.people.insert(format!("p{at}"), person(given));
    }
    let given: Vec<String> =
        rows(&files(&roster).unwrap(), "users.csv")[..6].iter().map(|row| row["givenName"].clone()).collect();
    assert_eq!(given[1..], ["=1+1", "+49", "-x", "@anna", "\t=x"]);
}

#[test]
fn a_list_quotes_what_holds_a_comma() {
    let mut roster = family(tie());
    let class = Class {
        title: "5a".to_owned(),
        code: None,
        org: "o".to_owned(),
        course: None,
        homeroom: true,
        grades: vec!["05".to_owned(), "a,\"b".to_owned()],
        sessions: Vec::new(),
    };
    roster.classes.insert("c".to_owned(), class);
    assert_eq!(rows(&files(&roster).unwrap(), "classes.csv")[0]["grades"], "05,\"a,\"\"b\"");
}

#[test]
fn the_archive_and_the_folder_hold_the_same_files() {
    let roster = roster(&Plan::small(1));
    let files = files(&roster).unwrap();
    let mut bytes = Cursor::new(Vec::new());
    zip(&roster, &mut bytes).unwrap();
    let mut again = Cursor::new(Vec::new());
    zip(&roster, &mut again).unwrap();
    assert_eq!(bytes, again);
    let mut archive = ::zip::ZipArchive::new(bytes).unwrap();
    assert_eq!(archive.len(), files.len());
    let place = tempfile::tempdir().unwrap();
    folder(&roster, &place.path().join("out")).unwrap();
    for (name, expected) in &files {
        let mut found = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut found).unwrap();
        assert_eq!(found, *expected, "{name}");
        let path = place.path().join("out").join(name);
        assert_eq!(std::fs::read(&path).unwrap(), *expected, "{name}");
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}
