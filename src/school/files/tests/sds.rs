use super::*;
use crate::school::roster::{EnrollmentRole, OrgType, Relation, SchoolRole};

fn school() -> Folder {
    Folder::of(&[
        (
            "orgs.csv",
            "sourcedId,name,type,parentSourcedId\no1,Beispielschule,school,o2\no2,Ministerium,ministryOfEducation,\n",
        ),
        (
            "users.csv",
            "sourcedId,username,givenName,familyName,password,email,phone\ns1,emil,Emil,Beispiel,P@ss,,\np1,,Dora,Beispiel,P@ss,dora@example.org,1\nt1,,Karl,Muster,P@ss,,\n",
        ),
        (
            "roles.csv",
            "userSourcedId,orgSourcedId,role,sessionSourcedId,grade,isPrimary,roleStartDate,roleEndDate\n\
             s1,o1,student,y1,10,TRUE,2026-08-24,2027-06-11\ns1,o1,student,y2,10,FALSE,2026-02-01,2026-08-01\n\
             t1,o1,professor,y1,,TRUE,,\nt1,o1,alumnus,y1,,FALSE,,\n",
        ),
        ("classes.csv", "sourcedId,orgSourcedId,title,sessionSourcedIds,courseSourcedId\nc1,o1,Biology,y1,\n"),
        (
            "academicSessions.csv",
            "sourcedId,title,type,schoolYear,startDate,endDate\ny1,2026,schoolYear,2026,2026-08-24,2027-06-11\n",
        ),
        ("enrollments.csv", "classSourcedId,userSourcedId,role\nc1,s1,Student\nc1,t1,professor\nc1,s1,student\n"),
        ("relationships.csv", "userSourcedId,relationshipUserSourcedId,relationshipRole\ns1,p1,guardian\n"),
        ("demographics.csv", "userSourcedId,sex,birthDate\ns1,male,2011-07-02\n"),
        ("userFlags.csv", "userSourcedId,flag\ns1,iep\n"),
    ])
}

#[test]
fn school_data_sync_is_read() {
    let outcome = school().read();
    let roster = roster(&outcome);
    assert_eq!(outcome.bundle.as_ref().unwrap().format, "sds-2.1");
    assert_eq!(warnings(&outcome), ["roles.csv:5:role unknown_role", "enrollments.csv:4:userSourcedId repeated_row"]);
    assert_eq!((roster.orgs["o2"].kind, roster.orgs["o1"].parent.as_deref()), (OrgType::Other, Some("o2")));
    let pupil = &roster.people["s1"];
    assert_eq!((pupil.grade.as_deref(), pupil.birth_year), (Some("10"), Some(2011)));
    let role = &roster.roles["s1/o1/student"];
    assert_eq!(role.period.begin.unwrap().to_string() + &role.period.end.unwrap().to_string(), "2026-02-012027-06-11");
    assert_eq!(
        (roster.roles["t1/o1/professor"].role, roster.roles["p1/o1/guardian"].role),
        (SchoolRole::Teacher, SchoolRole::Guardian)
    );
    assert_eq!(roster.enrollments["c1/t1/teacher"].role, EnrollmentRole::Teacher);
    let link = &roster.links["s1/p1"];
    assert_eq!((link.relation, link.contact), (Relation::Guardian, true));
    assert!(!format!("{roster:?}").contains("P@ss"));
}

#[test]
fn its_relations_are_checked() {
    let relations = "userSourcedId,relationshipUserSourcedId,relationshipRole\ns1,p9,guardian\ns1,p1,neighbour\n";
    let outcome = school().with("relationships.csv", relations).read();
    assert_eq!(errors(&outcome), ["relationships.csv:2:relationshipUserSourcedId dangling_reference"]);
    assert!(warnings(&outcome).contains(&"relationships.csv:3:relationshipRole unclear_relation".to_owned()));
}
