//! Files as they should be, as they are, and as somebody means harm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{fs, path::Path};

use super::{Hints, Limits, ReadOutcome, read};
use crate::school::{problem::Severity, roster::Roster};

mod hostile;
mod oneroster;
mod relations;
mod round_trip;
mod sds;
mod simple;
mod tables;

/// A folder of files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    /// The same with a file more, or another one in its place.
    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        fs::write(self.0.path().join(name), bytes).unwrap();
        self
    }

    fn without(self, name: &str) -> Self {
        fs::remove_file(self.0.path().join(name)).unwrap();
        self
    }

    fn read(&self) -> ReadOutcome {
        read(self.0.path(), &Hints::default())
    }

    fn read_with(&self, stored: &Roster) -> ReadOutcome {
        read(self.0.path(), &Hints { stored: Some(stored), ..Hints::default() })
    }
}

/// A single file.
fn read_file(bytes: impl AsRef<[u8]>) -> ReadOutcome {
    read_limited(bytes, Limits::default())
}

fn read_limited(bytes: impl AsRef<[u8]>, limits: Limits) -> ReadOutcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.csv");
    fs::write(&path, bytes).unwrap();
    read(&path, &Hints { limits, school: Some("Beispielschule"), ..Hints::default() })
}

fn read_path(path: &Path) -> ReadOutcome {
    read(path, &Hints::default())
}

/// The roster, of files without an error.
#[track_caller]
fn roster(outcome: &ReadOutcome) -> &Roster {
    match &outcome.bundle {
        Some(bundle) => &bundle.roster,
        None => panic!("{:#?}", outcome.problems),
    }
}

/// `file:line:column code` of the errors.
fn errors(outcome: &ReadOutcome) -> Vec<String> {
    assert_eq!(outcome.bundle.is_none(), outcome.errors > 0);
    described(outcome, Severity::Error)
}

/// The same of the warnings.
fn warnings(outcome: &ReadOutcome) -> Vec<String> {
    described(outcome, Severity::Warning)
}

fn described(outcome: &ReadOutcome, severity: Severity) -> Vec<String> {
    let chosen = outcome.problems.iter().filter(|problem| problem.severity == severity);
    let text = chosen.map(|problem| {
        let line = problem.line.map_or_else(String::new, |line| line.to_string());
        format!("{}:{line}:{} {}", problem.file, problem.column.as_deref().unwrap_or_default(), problem.code)
    });
    text.collect()
}

const MANIFEST_11: &str = "propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\nfile.orgs,bulk\n\
    file.academicSessions,bulk\nfile.courses,bulk\nfile.classes,bulk\nfile.users,bulk\nfile.enrollments,bulk\n\
    file.demographics,absent\nfile.results,absent\nsource.systemName,Test\n";

/// A small school in version 1.1, with a pupil, two parents and a teacher.
fn school_11() -> Folder {
    Folder::of(&[
        ("manifest.csv", MANIFEST_11),
        (
            "orgs.csv",
            "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\no1,,,Beispielschule,school,,\n",
        ),
        (
            "academicSessions.csv",
            "sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId,schoolYear\n\
             y,,,2026/27,schoolYear,2026-08-01,2027-08-01,,2027\nt,,,Term 1,semester,2026-08-01,2027-02-01,y,2027\n",
        ),
        (
            "courses.csv",
            "sourcedId,status,dateLastModified,schoolYearSourcedId,title,courseCode,grades,orgSourcedId\nm,,,y,Maths,,5,o1\n",
        ),
        (
            "classes.csv",
            "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds\n\
             5a,,,Class 5a,5,m,5A,homeroom,,o1,\"y,t\"\n",
        ),
        (
            "users.csv",
            "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,email,agentSourcedIds,grades,password\n\
             s1,,,TRUE,o1,student,emil,,Emil,Beispiel,emil@example.org,\"p1,p2\",05,secret\n\
             p1,,,true,o1,parent,,,Dora,Beispiel,dora@example.org,s1,,\n\
             p2,,,true,o1,relative,,,Otto,Muster,,,,\n\
             t1,,,true,o1,teacher,,,Karl,Muster,karl@example.org,,,\n\
             h1,,,false,o1,principal,,,Hanna,Muster,,,,\n",
        ),
        (
            "enrollments.csv",
            "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate\n\
             e1,,,5a,o1,s1,student,,2026-08-01,2027-08-01\ne2,,,5a,o1,t1,teacher,true,,\n",
        ),
    ])
}

/// The same in version 1.2.
fn school_12() -> Folder {
    let manifest = MANIFEST_11.replace("1.1", "1.2").replace("file.users,bulk\n", "file.users,bulk\nfile.roles,bulk\n");
    school_11()
        .with("manifest.csv", manifest)
        .with(
            "users.csv",
            "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName,email,agentSourcedIds,grades,\
             userMasterIdentifier,preferredGivenName,preferredFamilyName\n\
             s1,,,true,,,Emil,Beispiel,,\"p1,p2\",05,,Milo,\np1,,,true,,,Dora,Beispiel,,,,m1,,\n\
             p2,,,true,,,Otto,Muster,,,,,,\nt1,,,true,,,Karl,Muster,,,,m1,,\nh1,,,false,,,Hanna,Muster,,,,,,\n",
        )
        .with(
            "roles.csv",
            "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,userProfileSourcedId\n\
             r1,,,s1,primary,student,2026-08-01,,o1,\nr2,,,p1,primary,parent,,,o1,\nr3,,,p2,primary,relative,,,o1,\n\
             r4,,,t1,primary,teacher,,2027-08-01,o1,\nr5,,,h1,primary,siteAdministrator,,,o1,\nr6,,,t1,secondary,counselor,,,o1,\n",
        )
}
