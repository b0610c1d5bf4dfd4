//! A small school that runs: a roster written in code, imported, and everybody signed in.
//!
//! | name | who |
//! |---|---|
//! | `tutor` | teaches 8a and is its tutor; teaches 5b too |
//! | `junior_tutor` | teaches 5b and is its tutor |
//! | `other_teacher` | teaches 9c only |
//! | `parent_teacher` | teaches 9c, and is a parent of `classmate` |
//! | `head`, `counsellor`, `office`, `aide` | leadership; staff families may turn to; staff without a class |
//! | `lead` | staff, and safeguarding lead by a role given here |
//! | `pupil`, `classmate` | in 8a |
//! | `junior` | in 5b, of grade 5 |
//! | `stranger` | in 9c |
//! | `guardian`, `coguardian` | parents of `pupil`; `guardian` is a parent of `junior` too |
//! | `separated` | a parent of `classmate`, apart from `parent_teacher` |
//! | `stranger_guardian` | a parent of `stranger` |
//! | `relative` | a relative of `pupil` without contact to the school |
//! | `isolated` | a parent who must be kept apart from `pupil` |
//! | `gone` | was a pupil of 8a; may not use the server any more, and is not signed in |
//! | `admin` | no part of the roster: an administrator of the server |

use std::collections::BTreeMap;

use homeroom::{
    clock::Clock,
    school::{
        School,
        audit::Author,
        roster::{
            Bundle, Class, Enrollment, EnrollmentRole, Link, ObjectKind, Org, OrgType, Period, Person, Relation,
            RoleGrant, Roster, SchoolRole,
        },
    },
    store::{
        Batch, UserNo,
        schema::school::{LOCAL_ROLES, LocalRole, PERSON_ACCOUNTS},
    },
    users::NewAccount,
};

use crate::harness::{Client, PASSWORD, Server};

/// The source of the small school's roster.
pub(crate) const SOURCE: &str = "small";

/// 2026-11-22, noon, a Sunday.
pub(crate) const NOON_MS: u64 = 1_795_348_800_000;

/// Given name, family name and grade of everybody, by their name here.
const PEOPLE: [(&str, &str, &str, Option<&str>); 20] = [
    ("tutor", "Tilda", "Tafel", None),
    ("junior_tutor", "Jon", "Kreide", None),
    ("other_teacher", "Olga", "Zirkel", None),
    ("parent_teacher", "Paula", "Doppel", None),
    ("head", "Hanna", "Leitner", None),
    ("counsellor", "Conrad", "Rat", None),
    ("office", "Olaf", "Amt", None),
    ("aide", "Ada", "Hilfe", None),
    ("lead", "Lena", "Schutz", None),
    ("pupil", "Pia", "Apfel", Some("08")),
    ("classmate", "Karl", "Doppel", Some("08")),
    ("junior", "Juna", "Apfel", Some("05")),
    ("stranger", "Stefan", "Fern", Some("09")),
    ("guardian", "Gerda", "Apfel", None),
    ("coguardian", "Gustav", "Apfel", None),
    ("separated", "Sven", "Birne", None),
    ("stranger_guardian", "Sofia", "Fern", None),
    ("relative", "Rita", "Apfel", None),
    ("isolated", "Ivo", "Apfel", None),
    ("gone", "Gina", "Weg", Some("08")),
];

/// What the small school's source tells.
pub(crate) fn roster() -> Roster {
    let mut roster = Roster::default();
    let org = Org { name: "Small School".into(), kind: OrgType::School, parent: None };
    roster.orgs.insert("school".into(), org);
    for (id, given, family, grade) in PEOPLE {
        let person = person(given, family, grade);
        roster.people.insert(id.into(), Person { enabled: id != "gone", ..person });
    }
    for (id, title, grade) in [("8a", "8a", "08"), ("5b", "5b", "05"), ("9c", "9c", "09")] {
        let class = Class {
            title: title.into(),
            code: None,
            org: "school".into(),
            course: None,
            homeroom: true,
            grades: vec![grade.into()],
            sessions: vec![],
        };
        roster.classes.insert(id.into(), class);
    }
    for (people, role, title) in [
        (&["tutor", "junior_tutor", "other_teacher", "parent_teacher"][..], SchoolRole::Teacher, None),
        (&["head"], SchoolRole::Leadership, Some("principal")),
        (&["counsellor"], SchoolRole::Staff, Some("counselor")),
        (&["office"], SchoolRole::Staff, Some("office")),
        (&["aide", "lead"], SchoolRole::Staff, None),
        (&["pupil", "classmate", "junior", "stranger", "gone"], SchoolRole::Student, None),
        (
            &["guardian", "coguardian", "separated", "stranger_guardian", "relative", "isolated", "parent_teacher"],
            SchoolRole::Guardian,
            None,
        ),
    ] {
        for person in people {
            give_role(&mut roster, person, role, title);
        }
    }
    for (class, person, role, primary) in [
        ("8a", "tutor", EnrollmentRole::Teacher, true),
        ("5b", "tutor", EnrollmentRole::Teacher, false),
        ("5b", "junior_tutor", EnrollmentRole::Teacher, true),
        ("9c", "other_teacher", EnrollmentRole::Teacher, true),
        ("9c", "parent_teacher", EnrollmentRole::Teacher, false),
        ("8a", "pupil", EnrollmentRole::Student, false),
        ("8a", "classmate", EnrollmentRole::Student, false),
        ("8a", "gone", EnrollmentRole::Student, false),
        ("5b", "junior", EnrollmentRole::Student, false),
        ("9c", "stranger", EnrollmentRole::Student, false),
    ] {
        enroll(&mut roster, class, person, role, primary);
    }
    for (student, adult) in [
        ("pupil", "guardian"),
        ("pupil", "coguardian"),
        ("junior", "guardian"),
        ("classmate", "parent_teacher"),
        ("classmate", "separated"),
        ("stranger", "stranger_guardian"),
        ("pupil", "relative"),
        ("pupil", "isolated"),
    ] {
        link(&mut roster, student, adult);
    }
    let relative = roster.links.get_mut("pupil/relative").unwrap();
    (relative.relation, relative.legal, relative.contact) = (Relation::Relative, false, false);
    roster.links.get_mut("pupil/isolated").unwrap().isolated = true;
    roster
}

/// Somebody who may use the server.
pub(crate) fn person(given: &str, family: &str, grade: Option<&str>) -> Person {
    Person {
        given: given.into(),
        family: family.into(),
        display: None,
        username: None,
        email: None,
        master_id: None,
        enabled: true,
        grade: grade.map(str::to_owned),
        birth_year: None,
    }
}

/// Gives a role in the school; its id is `person/role`.
pub(crate) fn give_role(roster: &mut Roster, person: &str, role: SchoolRole, title: Option<&str>) {
    let grant = RoleGrant {
        person: person.into(),
        org: "school".into(),
        role,
        title: title.map(str::to_owned),
        period: Period::default(),
    };
    roster.roles.insert(format!("{person}/{}", role.name()), grant);
}

/// Puts somebody into a class; the id is `class/person`.
pub(crate) fn enroll(roster: &mut Roster, class: &str, person: &str, role: EnrollmentRole, primary: bool) {
    let row = Enrollment { class: class.into(), person: person.into(), role, primary, period: Period::default() };
    roster.enrollments.insert(format!("{class}/{person}"), row);
}

/// Makes an adult a parent; the id is `student/adult`.
pub(crate) fn link(roster: &mut Roster, student: &str, adult: &str) {
    let link = Link {
        student: student.into(),
        adult: adult.into(),
        relation: Relation::Parent,
        legal: true,
        contact: true,
        isolated: false,
        period: Period::default(),
    };
    roster.links.insert(format!("{student}/{adult}"), link);
}

/// Removes a person with all their rows.
pub(crate) fn remove(roster: &mut Roster, person: &str) {
    roster.people.remove(person);
    roster.roles.retain(|_, role| role.person != person);
    roster.enrollments.retain(|_, row| row.person != person);
    roster.links.retain(|_, link| link.student != person && link.adult != person);
}

/// A bundle that tells everything.
pub(crate) fn bundle(roster: Roster) -> Bundle {
    Bundle { format: "test", roster, complete: ObjectKind::ALL.into_iter().collect(), ..Bundle::default() }
}

/// The small school, running.
pub(crate) struct Small {
    pub(crate) server: Server,
    /// What its source tells now.
    pub(crate) roster: Roster,
    clients: BTreeMap<String, Client>,
}

impl Small {
    /// Imports the roster into a new server and signs everybody in.
    pub(crate) async fn start() -> Self {
        Self::on(Server::at(Clock::test(NOON_MS), |_| {}).await).await
    }

    /// The same on a server that runs.
    pub(crate) async fn on(server: Server) -> Self {
        let roster = roster();
        let school = &server.app().services().school;
        school.imports.import_now(SOURCE, bundle(roster.clone()), &Author::console()).await.unwrap();
        let mut small = Self { server, roster, clients: BTreeMap::new() };
        small.give_local_role("lead", SchoolRole::SafeguardingLead).await;
        for (name, ..) in PEOPLE.iter().filter(|(name, ..)| *name != "gone") {
            let client = small.sign_in(name).await;
            small.clients.insert((*name).to_owned(), client);
        }
        let new = NewAccount {
            localpart: Some("root-of-small".into()),
            password: Some(PASSWORD.into()),
            admin: true,
            guest: false,
        };
        small.server.app().services().users.register(new, None).await.unwrap();
        let admin = Client::login(&small.server, "root-of-small").await;
        small.clients.insert("admin".into(), admin);
        small
    }

    /// The school's services.
    pub(crate) fn school(&self) -> &School {
        &self.server.app().services().school
    }

    /// Somebody's device.
    #[track_caller]
    pub(crate) fn client(&self, name: &str) -> &Client {
        self.clients.get(name).unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    /// Everybody who is signed in, by their names here.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (&str, &Client)> {
        self.clients.iter().map(|(name, client)| (name.as_str(), client))
    }

    /// Somebody's user id.
    #[track_caller]
    pub(crate) fn id(&self, name: &str) -> &str {
        &self.client(name).user_id
    }

    /// The account of a person of the roster, also of one who left.
    pub(crate) async fn account(&self, name: &str) -> (UserNo, String) {
        let store = &self.server.app().services().store;
        let account = store.get(&PERSON_ACCOUNTS, &(SOURCE.into(), name.into())).await.unwrap();
        let account = account.unwrap_or_else(|| panic!("{name} has no account"));
        (account.user, account.localpart)
    }

    /// Gives somebody of the roster a password and signs them in on a new device.
    pub(crate) async fn sign_in(&self, name: &str) -> Client {
        let (user, localpart) = self.account(name).await;
        let users = &self.server.app().services().users;
        users.change_password(user, PASSWORD.into(), false, None).await.unwrap();
        Client::login(&self.server, &localpart).await
    }

    /// Gives somebody a role that only this server gives.
    pub(crate) async fn give_local_role(&self, name: &str, role: SchoolRole) {
        let (user, _) = self.account(name).await;
        let grant = LocalRole { by: "console".into(), at_ms: NOON_MS, until_ms: None };
        let mut batch = Batch::new();
        batch.put(&LOCAL_ROLES, &(user, role.number()), &grant);
        self.server.app().services().store.commit(batch).await.unwrap();
        self.school().refresh().await.unwrap();
    }

    /// Changes what the source tells, and imports it: the import's number.
    pub(crate) async fn reimport(&mut self, change: impl FnOnce(&mut Roster)) -> u64 {
        change(&mut self.roster);
        self.import(self.roster.clone()).await
    }

    /// Imports what the source tells.
    pub(crate) async fn import(&self, roster: Roster) -> u64 {
        self.school().imports.import_now(SOURCE, bundle(roster), &Author::console()).await.unwrap()
    }

    /// Stops the server and starts it again; everybody stays signed in.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, roster, clients } = self;
        let server = Box::pin(server.restart()).await;
        let clients = clients.into_iter().map(|(name, client)| (name, client.at(&server))).collect();
        Self { server, roster, clients }
    }
}
