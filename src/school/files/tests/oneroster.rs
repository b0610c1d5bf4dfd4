use chrono::NaiveDate;

use super::*;
use crate::school::roster::{EnrollmentRole, ObjectKind, OrgType, SchoolRole};

fn day(text: &str) -> Option<NaiveDate> {
    text.parse().ok()
}

#[test]
fn version_1_1_is_read() {
    let outcome = school_11().read();
    let roster = roster(&outcome);
    assert_eq!(warnings(&outcome), [""; 0]);
    let bundle = outcome.bundle.as_ref().unwrap();
    assert_eq!(bundle.format, "oneroster-1.1");
    assert!(
        !bundle.is_delta()
            && bundle.complete.contains(&ObjectKind::Role)
            && bundle.complete.contains(&ObjectKind::Link)
    );
    assert_eq!(roster.orgs["o1"].kind, OrgType::School);
    assert!(roster.sessions["y"].school_year);
    assert_eq!(
        (roster.sessions["t"].period.end, roster.sessions["t"].parent.as_deref()),
        (day("2027-02-01"), Some("y"))
    );
    let class = &roster.classes["5a"];
    assert!(class.homeroom);
    assert_eq!((class.code.as_deref(), class.course.as_deref(), class.org.as_str()), (Some("5A"), Some("m"), "o1"));
    assert_eq!((&class.sessions, &class.grades), (&vec!["y".to_owned(), "t".to_owned()], &vec!["5".to_owned()]));
    assert_eq!(roster.people["s1"].grade.as_deref(), Some("05"));
    assert!(!roster.people["h1"].enabled && roster.people["s1"].enabled);
    assert_eq!(roster.roles["s1/o1/student"].role, SchoolRole::Student);
    let head = &roster.roles["h1/o1/principal"];
    assert_eq!((head.role, head.title.as_deref()), (SchoolRole::Leadership, Some("principal")));
    assert_eq!(roster.roles["t1/o1/teacher"].title, None);
    let enrollment = &roster.enrollments["e1"];
    assert_eq!((enrollment.role, enrollment.period.end), (EnrollmentRole::Student, day("2027-08-01")));
    assert!(roster.enrollments["e2"].primary);
}

#[test]
fn version_1_2_is_read() {
    let outcome = school_12().read();
    let roster = roster(&outcome);
    assert_eq!(warnings(&outcome), [""; 0]);
    assert_eq!(outcome.bundle.as_ref().unwrap().format, "oneroster-1.2");
    assert_eq!(roster.people["s1"].display.as_deref(), Some("Milo Beispiel"));
    assert_eq!(roster.people["t1"].master_id, roster.people["p1"].master_id);
    assert_eq!(roster.roles["r1"].period.begin, day("2026-08-01"));
    assert_eq!(roster.roles["r4"].period.end, day("2027-08-01"));
    assert_eq!((roster.roles["r6"].role, roster.roles["r6"].title.as_deref()), (SchoolRole::Staff, Some("counselor")));
    assert_eq!(roster.links.len(), 2);
}

#[test]
fn nothing_secret_and_nothing_of_pupils_that_is_not_needed_is_kept() {
    let folder = school_11()
        .with("manifest.csv", MANIFEST_11.replace("file.demographics,absent", "file.demographics,bulk"))
        .with(
            "demographics.csv",
            "sourcedId,status,birthDate,sex,asian\ns1,,2016-03-04,female,true\nnobody,,2016-03-04,,\n",
        );
    let outcome = folder.read();
    let roster = roster(&outcome);
    assert_eq!(roster.people["s1"].birth_year, Some(2016));
    assert_eq!(roster.people["s1"].email, None);
    assert_eq!(roster.people["t1"].email.as_deref(), Some("karl@example.org"));
    let all = format!("{roster:?}");
    assert!(!all.contains("secret") && !all.contains("female") && !all.contains("2016-03"));
}

#[test]
fn several_orgs_give_several_roles() {
    let folder = school_11()
        .with("orgs.csv", "sourcedId,name,type\no1,A,school\no2,B,school\n")
        .with("users.csv", "sourcedId,enabledUser,orgSourcedIds,role,givenName,familyName\nt1,1,\"o1, o2\",aide,Karl,Muster\ns1,true,o1,student,Emil,Beispiel\n");
    let outcome = folder.read();
    let ids: Vec<&String> = roster(&outcome).roles.keys().collect();
    assert_eq!(ids, ["s1/o1/student", "t1/o1/aide", "t1/o2/aide"]);
}

#[test]
fn without_a_manifest_the_files_tell_the_version_and_that_is_a_warning() {
    let outcome = school_11().without("manifest.csv").read();
    assert_eq!(outcome.bundle.as_ref().unwrap().format, "oneroster-1.1");
    assert_eq!(warnings(&outcome), ["manifest.csv:: missing_manifest"]);
    let outcome = school_12().without("manifest.csv").read();
    assert_eq!(outcome.bundle.as_ref().unwrap().format, "oneroster-1.2");
}

#[test]
fn a_bundle_that_calls_itself_1_2_may_keep_roles_in_users() {
    let outcome = school_11().with("manifest.csv", MANIFEST_11.replace("1.1", "1.2")).read();
    assert_eq!(roster(&outcome).roles.len(), 5);
    assert_eq!(warnings(&outcome), ["roles.csv:: missing_file"]);
}

#[test]
fn the_manifest_is_compared_with_the_files() {
    let outcome = school_11().without("courses.csv").read();
    assert_eq!(errors(&outcome), ["courses.csv:: missing_file"]);
    let outcome = school_11().with("manifest.csv", MANIFEST_11.replace("file.orgs,bulk", "file.orgs,all")).read();
    assert_eq!(errors(&outcome), ["manifest.csv:4:value bad_mode"]);
    let outcome =
        school_11().with("demographics.csv", "sourcedId,birthDate\ns1,2016-03-04\n").with("extra.csv", "a\n").read();
    assert_eq!(warnings(&outcome), ["demographics.csv:: unexpected_file", "extra.csv:: unknown_file"]);
    assert_eq!(roster(&outcome).people["s1"].birth_year, None);
}

#[test]
fn in_bulk_a_removed_row_is_left_out_with_all_that_needs_it() {
    let folder = school_11();
    let users = fs::read_to_string(folder.0.path().join("users.csv")).unwrap();
    let folder = folder.with("users.csv", users.replace("s1,,,TRUE", "s1,inactive,,TRUE"));
    let outcome = folder.read();
    let roster = roster(&outcome);
    assert!(!roster.people.contains_key("s1") && !roster.enrollments.contains_key("e1"));
    assert!(roster.links.is_empty() && roster.roles.keys().all(|id| !id.starts_with("s1")));
    assert_eq!(warnings(&outcome), ["enrollments.csv:2:userSourcedId reference_to_removed"]);
    assert!(outcome.bundle.unwrap().removed.is_empty());
}

#[test]
fn in_a_delta_a_removed_row_is_named() {
    let manifest = "propertyName,value\noneroster.version,1.1\nfile.users,delta\nfile.enrollments,delta\n";
    let folder = Folder::of(&[
        ("manifest.csv", manifest),
        (
            "users.csv",
            "sourcedId,status,enabledUser,orgSourcedIds,role,givenName,familyName\ns9,active,true,o1,student,Neu,Beispiel\ns1,tobedeleted,,,,,\n",
        ),
        (
            "enrollments.csv",
            "sourcedId,status,classSourcedId,userSourcedId,role\ne9,active,5a,s9,student\ne1,tobedeleted,,,\ne8,active,5a,s1,student\n",
        ),
    ]);
    let outcome = folder.read();
    let bundle = outcome.bundle.as_ref().unwrap();
    assert!(bundle.is_delta());
    let removed: Vec<_> = bundle.removed.iter().map(|(kind, id)| (*kind, id.as_str())).collect();
    assert_eq!(removed, [(ObjectKind::Person, "s1"), (ObjectKind::Enrollment, "e1")]);
    assert_eq!(bundle.roster.enrollments.keys().collect::<Vec<_>>(), ["e9"]);
    // What it refers to is checked against what is stored, when that is known.
    let stored = roster(&school_11().read()).clone();
    assert_eq!(errors(&folder.read_with(&stored)), [""; 0]);
    assert_eq!(
        errors(&folder.read_with(&Roster::default())),
        [
            "users.csv:2:orgSourcedIds dangling_reference",
            "enrollments.csv:2:classSourcedId dangling_reference",
            "enrollments.csv:4:classSourcedId dangling_reference"
        ]
    );
}

#[test]
fn bulk_and_delta_may_be_mixed() {
    let folder =
        school_11().with("manifest.csv", MANIFEST_11.replace("file.enrollments,bulk", "file.enrollments,delta"));
    let bundle = folder.read().bundle.unwrap();
    assert!(
        !bundle.is_delta()
            && !bundle.complete.contains(&ObjectKind::Enrollment)
            && bundle.complete.contains(&ObjectKind::Person)
    );
}

#[test]
fn ids_that_come_twice_are_told_with_both_lines() {
    let folder = school_11();
    let orgs = fs::read_to_string(folder.0.path().join("orgs.csv")).unwrap();
    let outcome = folder.with("orgs.csv", format!("{orgs}o2,,,Other,school,,\no1,,,Again,school,,\n")).read();
    assert_eq!(errors(&outcome), ["orgs.csv:4:sourcedId duplicate_id"]);
    assert!(outcome.problems[0].message.contains("line 2"));
}

#[test]
fn references_into_nowhere_are_errors_and_optional_ones_are_dropped() {
    let enrollments =
        "sourcedId,classSourcedId,userSourcedId,role\ne1,5a,s1,student\ne2,5x,s1,student\ne3,5a,s9,student\n";
    let outcome = school_11().with("enrollments.csv", enrollments).read();
    assert_eq!(
        errors(&outcome),
        ["enrollments.csv:3:classSourcedId dangling_reference", "enrollments.csv:4:userSourcedId dangling_reference"]
    );
    let outcome = school_12().with("roles.csv", "sourcedId,userSourcedId,role,orgSourcedId\nr,s1,student,o9\n").read();
    assert_eq!(errors(&outcome), ["roles.csv:2:orgSourcedId dangling_reference"]);

    let classes =
        "sourcedId,title,courseSourcedId,classType,schoolSourcedId,termSourcedIds\n5a,5a,gone,homeroom,o1,\"t,gone\"\n";
    let orgs = "sourcedId,name,type,parentSourcedId\no1,A,school,district-of-another-export\n";
    let outcome = school_11().with("classes.csv", classes).with("orgs.csv", orgs).read();
    let class = &roster(&outcome).classes["5a"];
    assert_eq!((class.course.as_deref(), class.sessions.as_slice()), (None, ["t".to_owned()].as_slice()));
    assert_eq!(roster(&outcome).orgs["o1"].parent, None);
    assert_eq!(
        warnings(&outcome),
        [
            "classes.csv:2:termSourcedIds dropped_reference",
            "classes.csv:2:courseSourcedId dropped_reference",
            "orgs.csv:2:parentSourcedId dropped_reference"
        ]
    );
}

#[test]
fn files_that_are_absent_are_not_referred_to() {
    let manifest =
        MANIFEST_11.replace("file.courses,bulk", "file.courses,absent").replace("file.academicSessions,bulk\n", "");
    let outcome =
        school_11().without("courses.csv").without("academicSessions.csv").with("manifest.csv", manifest).read();
    assert_eq!(roster(&outcome).classes["5a"].sessions, [""; 0]);
    assert_eq!(
        warnings(&outcome),
        ["classes.csv:2:termSourcedIds dropped_reference", "classes.csv:2:courseSourcedId dropped_reference"]
    );
}

#[test]
fn orgs_that_are_parts_of_themselves_are_errors() {
    for (orgs, line) in [("o1,A,school,o1\n", 2), ("o0,Z,school,\no1,A,school,o2\no2,B,school,o3\no3,C,school,o1\n", 3)]
    {
        let outcome = school_11().with("orgs.csv", format!("sourcedId,name,type,parentSourcedId\n{orgs}")).read();
        assert_eq!(errors(&outcome), [format!("orgs.csv:{line}:parentSourcedId cycle")]);
    }
}

#[test]
fn words_nobody_knows_are_errors_where_they_matter() {
    let users = "sourcedId,status,enabledUser,orgSourcedIds,role,givenName,familyName\n\
        a,,true,o1,wizard,A,B\nb,gone,true,o1,student,A,B\nc,,maybe,o1,student,A,B\nd,,true,o1,,A,B\ne,,true,o1,ext:wizard,A,B\nf,,true,o1,student,,\n";
    let outcome = school_11().with("users.csv", users).with("enrollments.csv", "sourcedId,classSourcedId,userSourcedId,role,beginDate\ne,5a,a,wizard,\nf,5a,a,parent,\ng,5a,a,student,1/2/2026\n").read();
    assert_eq!(
        errors(&outcome),
        [
            "users.csv:2:role unknown_role",
            "users.csv:3:status unknown_status",
            "users.csv:4:enabledUser bad_flag",
            "users.csv:5:role missing_value",
            "users.csv:7:givenName missing_value",
            "enrollments.csv:2:role unknown_role",
            "enrollments.csv:4:beginDate bad_date",
        ]
    );
    assert_eq!(warnings(&outcome)[..2], ["users.csv:6:role unknown_role", "enrollments.csv:3:role not_in_class"]);
}

#[test]
fn nobody_is_made_answerable_for_safety_by_a_file() {
    let roles = "sourcedId,userSourcedId,role,orgSourcedId,metadata.homeroom.role\nr,h1,aide,o1,safeguarding_lead\n";
    assert_eq!(
        errors(&school_12().with("roles.csv", roles).read()),
        ["roles.csv:2:metadata.homeroom.role unknown_role"]
    );
}

#[test]
fn the_hash_is_that_of_names_and_contents() {
    let hash = |folder: Folder| folder.read().bundle.unwrap().sha256;
    assert_eq!(hash(school_11()), hash(school_11()));
    let orgs = "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\no1,,,Beispielschulf,school,,\n";
    assert_ne!(hash(school_11()), hash(school_11().with("orgs.csv", orgs)));
}
