use std::{collections::BTreeSet, fs, path::Path};

use chrono::{Days, NaiveDate};
use proptest::{collection::vec, prelude::*};

use super::super::{Files, files, folder, zip};
use crate::school::{
    files::{Hints, ReadOutcome, read},
    generate::{Dirt, Plan, Verdict, demo, mid_year, next_year, roster},
    roster::{
        Class, Course, Enrollment, EnrollmentRole, Group, Link, ObjectKind, Org, OrgType, Period, Person, Relation,
        RoleGrant, Roster, SchoolRole, Session,
    },
};

fn read_at(path: &Path) -> ReadOutcome {
    read(path, &Hints::default())
}

fn read_files(files: &Files) -> ReadOutcome {
    let place = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(place.path().join(name), bytes).unwrap();
    }
    read_at(place.path())
}

/// Compares kind by kind: two whole rosters side by side are too long to read.
#[track_caller]
fn assert_same(read: &Roster, written: &Roster, what: &str) {
    assert_eq!(read.orgs, written.orgs, "{what}");
    assert_eq!(read.sessions, written.sessions, "{what}");
    assert_eq!(read.courses, written.courses, "{what}");
    assert!(read.classes == written.classes, "{what}: classes");
    for (id, person) in &written.people {
        assert_eq!(read.people.get(id), Some(person), "{what}");
    }
    for (id, role) in &written.roles {
        assert_eq!(read.roles.get(id), Some(role), "{what}");
    }
    for (id, link) in &written.links {
        assert_eq!(read.links.get(id), Some(link), "{what}");
    }
    assert!(read == written, "{what}");
}

#[test]
fn generated_rosters_come_back_without_a_word() {
    let plan = Plan::small(7);
    let small = roster(&plan);
    let later = mid_year(&small, 1, plan.today.checked_add_days(Days::new(90)).unwrap()).roster;
    let next = next_year(&later, 2);
    let place = tempfile::tempdir().unwrap();
    for (number, roster) in [small, later, next, demo(plan.today).roster].into_iter().enumerate() {
        let path = place.path().join(format!("{number}.zip"));
        zip(&roster, fs::File::create(&path).unwrap()).unwrap();
        let outcome = read_at(&path);
        assert_eq!(outcome.problems, []);
        let bundle = outcome.bundle.unwrap();
        assert_eq!(bundle.format, "oneroster-1.2");
        assert_eq!(bundle.complete, BTreeSet::from(ObjectKind::ALL));
        assert_eq!(bundle.removed, BTreeSet::new());
        assert_same(&bundle.roster, &roster, "in the archive");
        let unpacked = place.path().join(number.to_string());
        folder(&roster, &unpacked).unwrap();
        assert_eq!(read_at(&unpacked).bundle, Some(bundle));
    }
}

#[test]
fn nothing_is_also_read() {
    let outcome = read_files(&files(&Roster::default()).unwrap());
    assert_eq!(outcome.problems, []);
    assert_eq!(outcome.bundle.unwrap().roster, Roster::default());
}

#[test]
fn dirt_is_accepted_or_refused_as_it_is_said() {
    let clean = roster(&Plan::small(1));
    for dirt in Dirt::ALL {
        let mut files = files(&clean).unwrap();
        dirt.soil(&mut files);
        let outcome = read_files(&files);
        let codes: BTreeSet<&str> = outcome.problems.iter().map(|problem| problem.code).collect();
        match dirt.verdict() {
            Verdict::Accepted(warning) => {
                assert_eq!(codes, warning.into_iter().collect(), "{dirt:?} {:?}", outcome.problems);
                assert_same(&outcome.bundle.unwrap().roster, &clean, &format!("{dirt:?}"));
            }
            Verdict::Refused(code) => {
                assert!(codes.contains(code), "{dirt:?} {:?}", outcome.problems);
                assert_eq!(outcome.bundle, None, "{dirt:?}");
            }
        }
    }
}

/// A text as a school may write it: one line, no space around it, not empty.
fn text() -> impl Strategy<Value = String> {
    "[=+@'\"|;%,.:a-zA-ZäöüßŁıİşéñœ漢😀-]{1,9}( [=+@'\"|;%,.a-zÅøč-]{1,6}){0,2}"
}

/// An id, also one with what separates the parts of a list, a row, a link.
fn id() -> impl Strategy<Value = String> {
    "[=+@'\"|,;%./:{}a-zA-Z0-9äŁ_-]{1,12}"
}

/// Takes one choice after the other, and begins again at the end.
struct Choices {
    texts: Vec<String>,
    ids: Vec<String>,
    numbers: Vec<u16>,
    at: usize,
}

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.at += 1;
        usize::from(self.numbers[self.at % self.numbers.len()]) % bound
    }

    fn text(&mut self) -> String {
        self.at += 1;
        self.texts[self.at % self.texts.len()].clone()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| make(self))
    }

    /// An id that is not taken: the number tells two apart.
    fn id(&mut self) -> String {
        self.at += 1;
        format!("{}{}", self.ids[self.at % self.ids.len()], self.at)
    }

    fn period(&mut self) -> Period {
        let day = |choices: &mut Self| {
            let first = NaiveDate::from_ymd_opt(1999, 1, 1).unwrap();
            first.checked_add_days(Days::new(choices.below(30_000) as u64)).unwrap()
        };
        let (begin, end) = (self.maybe(day), self.maybe(day));
        Period { begin: begin.min(end).or(begin), end }
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn of(&mut self, ids: &[String]) -> String {
        ids[self.below(ids.len())].clone()
    }

    fn roster(&mut self) -> Roster {
        let mut roster = Roster::default();
        let (mut orgs, mut sessions, mut courses, mut people, mut classes) = (vec![], vec![], vec![], vec![], vec![]);
        for number in 0..3 {
            let kind = self.one(&[OrgType::School, OrgType::Department, OrgType::District, OrgType::Other]);
            let parent = if number == 0 { None } else { self.maybe(|choices| choices.of(&orgs)) };
            let id = self.id();
            roster.orgs.insert(id.clone(), Org { name: self.text(), kind, parent });
            orgs.push(id);
            let parent = if number == 0 { None } else { self.maybe(|choices| choices.of(&sessions)) };
            let session =
                Session { title: self.text(), school_year: self.below(2) == 0, period: self.period(), parent };
            let id = self.id();
            roster.sessions.insert(id.clone(), session);
            sessions.push(id);
            let course = Course { title: self.text(), org: self.maybe(|choices| choices.of(&orgs)) };
            let id = self.id();
            roster.courses.insert(id.clone(), course);
            courses.push(id);
            let class = Class {
                title: self.text(),
                code: self.maybe(Self::text),
                org: self.of(&orgs),
                course: self.maybe(|choices| choices.of(&courses)),
                homeroom: self.below(2) == 0,
                grades: (0..self.below(3)).map(|number| format!("0{number}")).collect(),
                sessions: sessions[..self.below(sessions.len() + 1)].to_vec(),
            };
            let id = self.id();
            roster.classes.insert(id.clone(), class);
            classes.push(id);
        }
        for _ in 0..5 {
            let person = Person {
                given: self.text(),
                family: self.text(),
                display: self.maybe(Self::text),
                username: self.maybe(Self::text),
                email: self.maybe(Self::text),
                master_id: self.maybe(Self::id),
                enabled: self.below(2) == 0,
                grade: self.maybe(|choices| format!("{:02}", choices.below(13))),
                birth_year: self.maybe(|choices| 2000 + u16::try_from(choices.below(20)).unwrap()),
            };
            let id = self.id();
            roster.people.insert(id.clone(), person);
            people.push(id);
        }
        self.relations(&mut roster, &orgs, &classes, &people);
        roster
    }

    fn relations(&mut self, roster: &mut Roster, orgs: &[String], classes: &[String], people: &[String]) {
        for person in people {
            let role = self.one(&SchoolRole::ALL[..5]);
            let title = match self.below(3) {
                0 => None,
                1 => Some(self.text()),
                _ => Some(self.one(&["parent", "principal", "aide", "student", "counselor", "staff"]).to_owned()),
            };
            let grant = RoleGrant { person: person.clone(), org: self.of(orgs), role, title, period: self.period() };
            if let (SchoolRole::Student, Some(pupil)) = (role, roster.people.get_mut(person)) {
                // The reader does not take addresses of pupils.
                pupil.email = None;
            }
            roster.roles.insert(self.id(), grant);
            let enrollment = Enrollment {
                class: self.of(classes),
                person: self.of(people),
                role: self.one(&[EnrollmentRole::Student, EnrollmentRole::Teacher, EnrollmentRole::Aide]),
                primary: self.below(2) == 0,
                period: self.period(),
            };
            roster.enrollments.insert(self.id(), enrollment);
            let link = Link {
                student: person.clone(),
                adult: self.of(people),
                relation: self.one(&[Relation::Parent, Relation::Guardian, Relation::Relative, Relation::Other]),
                legal: self.below(2) == 0,
                contact: self.below(2) == 0,
                isolated: self.below(2) == 0,
                period: self.period(),
            };
            roster.links.insert(self.id(), link);
        }
        let members = people[..self.below(people.len() + 1)].to_vec();
        let group = Group { title: self.text(), org: self.maybe(|choices| choices.of(orgs)), members };
        roster.groups.insert(self.id(), group);
    }
}

fn any_roster() -> impl Strategy<Value = Roster> {
    let choices = (vec(text(), 5..30), vec(id(), 5..30), vec(any::<u16>(), 30..90));
    choices.prop_map(|(texts, ids, numbers)| Choices { texts, ids, numbers, at: 0 }.roster())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_a_roster_holds_comes_back(roster in any_roster()) {
        let outcome = read_files(&files(&roster).unwrap());
        prop_assert_eq!(outcome.errors, 0, "{:?}", outcome.problems);
        prop_assert_eq!(outcome.bundle.unwrap().roster, roster);
    }

    #[test]
    fn every_seed_comes_back(seed: u64) {
        let roster = roster(&Plan { pupils: 16, ..Plan::small(seed) });
        let outcome = read_files(&files(&roster).unwrap());
        prop_assert_eq!(&outcome.problems, &[]);
        prop_assert!(outcome.bundle.unwrap().roster == roster);
    }
}
