//! Schools in memory.

use std::sync::Arc;

use ruma::OwnedUserId;

use crate::{
    clock::Clock,
    config::{Config, SchoolPreset},
    school::{
        Rules,
        directory::viewer::Viewer,
        generate::{self, Plan},
        people::{Builder, People, PersonNo},
        roster::{Class, Enrollment, EnrollmentRole, Period, Person, RoleGrant, Roster, SchoolRole},
    },
    store::{Durability, Store, StoreOptions, UserNo},
    users::IgnoredLists,
};

const SOURCE: &str = "sis";

/// 2026-10-05, noon: the day of the generator's plans.
pub(super) const NOON_MS: u64 = 1_791_201_600_000;

pub(super) struct School {
    pub(super) rules: Rules,
    pub(super) people: Arc<People>,
    _folder: tempfile::TempDir,
}

impl School {
    pub(super) fn new(roster: &Roster, preset: SchoolPreset) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os };
        let store = Store::open(folder.path(), &options).unwrap();
        let mut config = Config::defaults(ruma::owned_server_name!("school.example"));
        config.school.preset = preset;
        let ignored = IgnoredLists::default();
        let rules = Rules::load_blocking(&store, &config, ignored, Clock::test(NOON_MS)).unwrap();
        rules.people.store(Arc::new(people(roster)));
        Self { people: rules.people(), rules, _folder: folder }
    }

    pub(super) fn small(seed: u64, preset: SchoolPreset) -> Self {
        Self::new(&generate::roster(&Plan::small(seed)), preset)
    }

    pub(super) fn id(&self, person: PersonNo) -> OwnedUserId {
        self.people.user_id(person, self.rules.server()).unwrap()
    }

    pub(super) fn find(&self, localpart: &str) -> PersonNo {
        self.people.find(&OwnedUserId::try_from(format!("@{localpart}:school.example")).unwrap()).unwrap()
    }

    /// The localparts a viewer finds, best first, in pages of so many.
    pub(super) fn found(&self, viewer: &str, text: &str, page: usize) -> Vec<String> {
        let id = OwnedUserId::try_from(format!("@{viewer}:school.example")).unwrap();
        let viewer = Viewer::new(&self.rules, &id);
        let query = viewer.query(text).unwrap();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = viewer.page(viewer.seen(query.as_ref()), after, page);
            found.extend(page.people.iter().map(|person| self.people.localpart(*person).to_owned()));
            match page.next_batch {
                Some(token) => after = Some(viewer.read_token(&token).unwrap()),
                None => return found,
            }
        }
    }
}

/// The people of a roster; localparts are the ids of the roster in lower case.
pub(super) fn people(roster: &Roster) -> People {
    let mut builder = Builder::new("2026-10-05".parse().unwrap());
    for (number, id) in (1..).zip(roster.people.keys()) {
        builder.account(SOURCE, id, UserNo(number), &id.to_lowercase());
    }
    roster.orgs.iter().for_each(|(id, org)| builder.org(SOURCE, id, org));
    roster.sessions.iter().for_each(|(id, session)| builder.session(SOURCE, id, session));
    roster.classes.iter().for_each(|(id, class)| builder.class(SOURCE, id, class));
    roster.people.iter().for_each(|(id, person)| builder.person(SOURCE, id, person));
    roster.roles.values().for_each(|role| builder.role(SOURCE, role));
    roster.enrollments.values().for_each(|row| builder.enrollment(SOURCE, row));
    roster.links.values().for_each(|link| builder.link(SOURCE, link));
    builder.finish()
}

pub(super) fn add_person(roster: &mut Roster, id: &str, given: &str, family: &str, role: SchoolRole) {
    let person = Person {
        given: given.into(),
        family: family.into(),
        display: None,
        username: None,
        email: None,
        master_id: None,
        enabled: true,
        grade: (role == SchoolRole::Student).then(|| "08".into()),
        birth_year: None,
    };
    roster.people.insert(id.into(), person);
    let org = "school".into();
    let grant = RoleGrant { person: id.into(), org, role, title: None, period: Period::default() };
    roster.roles.insert(format!("{id}-role"), grant);
}

pub(super) fn add_class(roster: &mut Roster, id: &str, members: &[(&str, EnrollmentRole)]) {
    let class = Class {
        title: id.into(),
        code: None,
        org: "school".into(),
        course: None,
        homeroom: true,
        grades: vec!["08".into()],
        sessions: vec![],
    };
    roster.classes.insert(id.into(), class);
    for (person, role) in members {
        let row = Enrollment {
            class: id.into(),
            person: (*person).into(),
            role: *role,
            primary: *role == EnrollmentRole::Teacher,
            period: Period::default(),
        };
        roster.enrollments.insert(format!("{id}-{person}"), row);
    }
}
