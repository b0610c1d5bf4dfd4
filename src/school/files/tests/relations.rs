use super::*;
use crate::school::roster::{ObjectKind, Relation};

const HEADER: &str = "sourcedId,enabledUser,orgSourcedIds,role,givenName,familyName,agentSourcedIds";

fn with_users(rows: &str) -> Folder {
    school_11()
        .with("users.csv", format!("{HEADER}\n{rows}"))
        .with("enrollments.csv", "sourcedId,classSourcedId,userSourcedId,role\n")
}

#[test]
fn links_are_told_from_either_side() {
    for rows in [
        "s,1,o1,student,A,B,p\np,1,o1,parent,C,D,\n",
        "s,1,o1,student,A,B,\np,1,o1,parent,C,D,s\n",
        "s,1,o1,student,A,B,p\np,1,o1,parent,C,D,s\n",
    ] {
        let outcome = with_users(rows).read();
        assert_eq!(warnings(&outcome), [""; 0]);
        let links = &roster(&outcome).links;
        let link = &links["s/p"];
        assert_eq!((links.len(), link.student.as_str(), link.adult.as_str()), (1, "s", "p"));
        assert_eq!((link.relation, link.legal, link.contact, link.isolated), (Relation::Parent, true, true, false));
    }
}

#[test]
fn relatives_have_no_contact_until_somebody_confirms_it() {
    let outcome = school_11().read();
    let link = &roster(&outcome).links["s1/p2"];
    assert_eq!((link.relation, link.legal, link.contact), (Relation::Relative, false, false));
}

#[test]
fn an_adult_who_is_only_staff_gets_no_contact_by_being_named() {
    let outcome = with_users("s,1,o1,student,A,B,t\nt,1,o1,teacher,C,D,\n").read();
    let link = &roster(&outcome).links["s/t"];
    assert_eq!((link.relation, link.contact), (Relation::Other, false));
    assert_eq!(warnings(&outcome), ["users.csv:2:agentSourcedIds unclear_relation"]);
}

#[test]
fn links_that_lead_nowhere_are_left_out_and_told() {
    let outcome =
        with_users("s,1,o1,student,A,B,\"x,s,s2\"\ns2,1,o1,student,C,D,\np,1,o1,parent,E,F,q\nq,1,o1,parent,G,H,\n")
            .read();
    assert!(roster(&outcome).links.is_empty());
    assert_eq!(
        warnings(&outcome),
        [
            "users.csv:2:agentSourcedIds dropped_reference",
            "users.csv:2:agentSourcedIds no_pupil_and_adult",
            "users.csv:2:agentSourcedIds no_pupil_and_adult",
            "users.csv:4:agentSourcedIds no_pupil_and_adult",
        ]
    );
}

#[test]
fn a_teacher_who_is_a_parent_is_a_parent_to_the_child() {
    let folder = school_12();
    let roles = fs::read_to_string(folder.0.path().join("roles.csv")).unwrap();
    let users = fs::read_to_string(folder.0.path().join("users.csv")).unwrap().replace("p1,p2", "t1");
    let outcome =
        folder.with("users.csv", users).with("roles.csv", format!("{roles}r9,,,t1,secondary,guardian,,,o1,\n")).read();
    let link = &roster(&outcome).links["s1/t1"];
    assert_eq!((link.relation, link.contact), (Relation::Guardian, true));
}

#[test]
fn our_own_column_tells_more_and_counts_alone() {
    let users = format!(
        "{HEADER},metadata.homeroom.links\n\
        s,1,o1,student,A,B,p,\"q%7C1|guardian|true|false|true|2026-01-01||l;r|other|false|true|false||2027-01-01|\"\n\
        p,1,o1,parent,C,D,s,\nq|1,1,o1,parent,E,F,,\nr,1,o1,aide,G,H,,\n"
    );
    let outcome = with_users("").with("users.csv", users).read();
    let links = &roster(&outcome).links;
    assert_eq!(links.keys().collect::<Vec<_>>(), ["l", "s/r"]);
    let link = &links["l"];
    assert_eq!(
        (link.adult.as_str(), link.relation, link.legal, link.contact, link.isolated),
        ("q|1", Relation::Guardian, true, false, true)
    );
    assert!(link.period.begin.is_some() && link.period.end.is_none());
    let bad = format!("{HEADER},metadata.homeroom.links\ns,1,o1,student,A,B,,p|friend|true|true|true|||\n");
    assert_eq!(errors(&with_users("").with("users.csv", bad).read()), ["users.csv:2:metadata.homeroom.links bad_link"]);
}

fn delta(rows: &str) -> Folder {
    let manifest = "propertyName,value\noneroster.version,1.1\nfile.users,delta\n";
    Folder::of(&[("manifest.csv", manifest), ("users.csv", &rows_with_status(rows))])
}

fn rows_with_status(rows: &str) -> String {
    let rows: Vec<String> = rows.lines().map(|row| format!("active,{row}\n")).collect();
    format!("status,{HEADER}\n{}", rows.concat())
}

#[test]
fn a_delta_ends_the_links_it_no_longer_tells() {
    let stored = roster(&school_11().read()).clone();
    // The pupil's row leaves one of two out.
    let outcome = delta("s1,1,o1,student,Emil,Beispiel,p1\n").read_with(&stored);
    let bundle = outcome.bundle.unwrap();
    assert!(bundle.removed.contains(&(ObjectKind::Link, "s1/p2".to_owned())) && bundle.removed.len() == 1);
    assert_eq!(bundle.roster.links["s1/p1"].relation, Relation::Parent);
    // The pupil's row names nobody, which is what half of all exporters write anyway.
    let outcome = delta("s1,1,o1,student,Emil,Beispiel,\n").read_with(&stored);
    assert!(outcome.bundle.as_ref().unwrap().removed.is_empty());
    assert_eq!(warnings(&outcome), ["users.csv:: link_stays", "users.csv:: link_stays"]);
    // Neither of two rows names the other.
    let bundle =
        delta("s1,1,o1,student,Emil,Beispiel,\np1,1,o1,parent,Dora,Beispiel,\n").read_with(&stored).bundle.unwrap();
    assert!(bundle.removed.contains(&(ObjectKind::Link, "s1/p1".to_owned())));
}

#[test]
fn a_delta_ends_the_roles_a_row_no_longer_has() {
    let stored = roster(&school_11().read()).clone();
    let bundle = delta("t1,1,o1,aide,Karl,Muster,\n").read_with(&stored).bundle.unwrap();
    assert_eq!(bundle.removed.into_iter().collect::<Vec<_>>(), [(ObjectKind::Role, "t1/o1/teacher".to_owned())]);
}
