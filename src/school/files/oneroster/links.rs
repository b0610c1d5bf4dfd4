//! Which adult belongs to which pupil: from users that name each other, from our own export's exact column, or from School
//! Data Sync's `relationships.csv`.

use std::collections::{BTreeMap, HashMap, HashSet};

use percent_encoding::percent_decode_str;

use super::{
    super::{
        cells::{flag, plain_date},
        problems::{Fault, Problems},
        read::{Reading, Target},
        source::Source,
        table::{Column, Table, cut},
    },
    manifest::{Mode, warn_line},
    roles::grant,
};
use crate::school::roster::{Link, ObjectKind, Period, Relation, Roster, SchoolRole};

/// What users' rows say of each other.
pub(super) struct Family {
    mode: Mode,
    file: String,
    /// Whether the file has the exact column.
    pub(super) exact: bool,
    /// Who names whom, and in which line.
    agents: Vec<(String, String, u64)>,
    /// Pupils of whom the exact column tells.
    told: BTreeMap<String, Vec<(String, Link)>>,
    /// Everybody who has a row, to know in a delta of whom it tells.
    rows: HashSet<String>,
}

impl Family {
    pub(super) fn new(mode: Mode, file: String) -> Self {
        Self { mode, file, exact: false, agents: Vec::new(), told: BTreeMap::new(), rows: HashSet::new() }
    }

    /// Takes note of a row.
    pub(super) fn note(&mut self, id: &str, table: &Table<'_>, agents: Column, links: Column, problems: &mut Problems) {
        self.agents.extend(table.list(agents).map(|agent| (id.to_owned(), agent.into_owned(), table.line())));
        let cell = table.cell(links);
        if !cell.is_empty() {
            let mut exact = Vec::new();
            for part in cell.split(';').filter(|part| !part.trim().is_empty()) {
                if let Some(link) = exact_link(id, part) {
                    exact.push(link);
                } else {
                    let message = format!("\"{}\" is no link", cut(part));
                    let hint = "Write adult|relation|legal|contact|isolated|begin|end|id.";
                    table.error(problems, links, Fault::new("bad_link", message, hint));
                }
            }
            self.told.insert(id.to_owned(), exact);
        }
        if self.mode == Mode::Delta {
            self.rows.insert(id.to_owned());
        }
    }

    /// Makes the links, now that all roles are known.
    pub(super) fn build(self, reading: &mut Reading<'_>) {
        let mut links = BTreeMap::new();
        let relations = Adults::of(&reading.bundle.roster, reading.hints.stored, self.agents.iter());
        let mut named: HashSet<(&str, &str)> = HashSet::new();
        for (user, other, line) in &self.agents {
            let warn = |problems: &mut Problems, code, message: &str, hint: &str| {
                let message = message.replace("{}", cut(other));
                warn_line(problems, &self.file, *line, "agentSourcedIds", Fault::new(code, message, hint));
            };
            if self.told.contains_key(user) || self.told.contains_key(other) {
                continue;
            }
            match reading.target(ObjectKind::Person, other) {
                Target::There => {}
                Target::Removed => continue,
                Target::Missing | Target::NotTold => {
                    warn(
                        &mut reading.problems,
                        "dropped_reference",
                        "there is no person {}; the link is left out",
                        "Add the person to the export.",
                    );
                    continue;
                }
            }
            let Some((student, adult)) = relations.sides(user, other) else {
                warn(
                    &mut reading.problems,
                    "no_pupil_and_adult",
                    "this person and {} are not a pupil and an adult; the link is left out",
                    "Look at their roles.",
                );
                continue;
            };
            named.insert((student, adult));
            let relation = relations.relation(adult);
            if relation == Relation::Other && !links.contains_key(&format!("{student}/{adult}")) {
                warn(
                    &mut reading.problems,
                    "unclear_relation",
                    "the roles do not tell what this person and {} are to each other; there is no contact until somebody confirms it",
                    "Give the adult the role parent or guardian.",
                );
            }
            links.insert(format!("{student}/{adult}"), link(student, adult, relation));
        }
        if let (Mode::Delta, Some(stored)) = (self.mode, reading.hints.stored) {
            self.ended(stored, &named, reading);
        }
        reading.bundle.roster.links.append(&mut links);
        for (student, told) in self.told {
            for (id, link) in told {
                add_exact(reading, &self.file, &student, id, link);
            }
        }
    }

    /// Stored links that a delta no longer tells: the pupil's row leaves the adult out, or both have rows and neither
    /// names the other.
    fn ended(&self, stored: &Roster, named: &HashSet<(&str, &str)>, reading: &mut Reading<'_>) {
        let speaks: HashSet<&str> = self.agents.iter().map(|(user, _, _)| user.as_str()).collect();
        for (id, link) in &stored.links {
            let (student, adult) = (link.student.as_str(), link.adult.as_str());
            let of_student = self.rows.contains(student);
            let kept = match self.told.get(student) {
                Some(told) => told.iter().any(|(told, _)| told == id),
                None => named.contains(&(student, adult)),
            };
            if of_student && !kept && (self.exact || speaks.contains(student) || self.rows.contains(adult)) {
                reading.bundle.removed.insert((ObjectKind::Link, id.clone()));
            } else if of_student && !kept {
                let message = format!("the row of {} names nobody; the link to {} stays", cut(student), cut(adult));
                let hint = "To end it, remove the adult, or send both their rows.";
                reading.problems.warn(&self.file, Fault::new("link_stays", message, hint));
            }
        }
    }
}

/// Adds a link that our own export tells exactly.
fn add_exact(reading: &mut Reading<'_>, file: &str, student: &str, id: String, link: Link) {
    match reading.target(ObjectKind::Person, &link.adult) {
        Target::There | Target::NotTold => _ = reading.bundle.roster.links.insert(id, link),
        Target::Removed => {}
        Target::Missing => {
            let message = format!("{} is linked to {}, and there is no such person", cut(student), cut(&link.adult));
            reading.problems.error(file, Fault::new("dangling_reference", message, "Add the person to the export."));
        }
    }
}

fn link(student: &str, adult: &str, relation: Relation) -> Link {
    let legal = matches!(relation, Relation::Parent | Relation::Guardian);
    let (student, adult) = (student.to_owned(), adult.to_owned());
    Link { student, adult, relation, legal, contact: legal, isolated: false, period: Period::default() }
}

/// `adult|relation|legal|contact|isolated|begin|end|id`, each percent-encoded.
fn exact_link(student: &str, text: &str) -> Option<(String, Link)> {
    let mut parts = text.trim().split('|').map(|part| percent_decode_str(part).decode_utf8().ok());
    let mut next = || parts.next().flatten();
    let date = |text: &str| if text.is_empty() { Some(None) } else { plain_date(text).map(Some) };
    let adult = next().filter(|adult| !adult.is_empty())?.into_owned();
    let relation = match &*next()? {
        "parent" => Relation::Parent,
        "guardian" => Relation::Guardian,
        "relative" => Relation::Relative,
        "other" => Relation::Other,
        _ => return None,
    };
    let (legal, contact, isolated) = (flag(&next()?)?, flag(&next()?)?, flag(&next()?)?);
    let period = Period { begin: date(&next()?)?, end: date(&next()?)? };
    let id =
        next().filter(|id| !id.is_empty()).map_or_else(|| format!("{student}/{adult}"), std::borrow::Cow::into_owned);
    Some((id, Link { student: student.to_owned(), adult, relation, legal, contact, isolated, period }))
}

/// What the people who are named are by their roles.
struct Adults<'a> {
    known: HashMap<&'a str, Sides>,
}

#[derive(Default, Clone, Copy)]
struct Sides {
    student: bool,
    other: bool,
    guardian: Option<Relation>,
}

impl<'a> Adults<'a> {
    fn of(roster: &Roster, stored: Option<&Roster>, agents: impl Iterator<Item = &'a (String, String, u64)>) -> Self {
        let mut known: HashMap<&str, Sides> = HashMap::new();
        for (user, other, _) in agents {
            known.insert(user, Sides::default());
            known.insert(other, Sides::default());
        }
        // What the files say of a person's roles counts before what is stored.
        let told: HashSet<&str> = roster
            .roles
            .values()
            .map(|role| role.person.as_str())
            .filter(|person| known.contains_key(person))
            .collect();
        let before = stored
            .into_iter()
            .flat_map(|stored| stored.roles.values())
            .filter(|role| !told.contains(role.person.as_str()));
        for role in roster.roles.values().chain(before) {
            let Some(sides) = known.get_mut(role.person.as_str()) else { continue };
            match role.role {
                SchoolRole::Student => sides.student = true,
                SchoolRole::Guardian => {
                    let relation = match role.title.as_deref() {
                        Some("parent") => Relation::Parent,
                        Some("relative") => Relation::Relative,
                        _ => Relation::Guardian,
                    };
                    let rank = |relation| {
                        [Relation::Relative, Relation::Guardian, Relation::Parent]
                            .iter()
                            .position(|other| *other == relation)
                    };
                    if sides.guardian.is_none_or(|before| rank(before) < rank(relation)) {
                        sides.guardian = Some(relation);
                    }
                }
                _ => sides.other = true,
            }
        }
        Self { known }
    }

    /// Which of two is the pupil, and which the adult.
    fn sides<'b>(&self, a: &'b str, b: &'b str) -> Option<(&'b str, &'b str)> {
        let [first, second] = [a, b].map(|id| self.known.get(id).copied().unwrap_or_default());
        let adult = |sides: Sides| sides.guardian.is_some() || sides.other;
        if a == b {
            None
        } else if first.student && (adult(second) || !second.student) && !(second.student && adult(first)) {
            Some((a, b))
        } else if second.student && (adult(first) || !first.student) && !(first.student && adult(second)) {
            Some((b, a))
        } else {
            None
        }
    }

    fn relation(&self, adult: &str) -> Relation {
        self.known.get(adult).and_then(|sides| sides.guardian).unwrap_or(Relation::Other)
    }
}

/// School Data Sync's `relationships.csv`: adults in it are guardians wherever their pupils are.
pub(super) fn relationships(source: &mut Source, reading: &mut Reading<'_>, mode: Mode) {
    if mode == Mode::Absent {
        return;
    }
    let Some(mut table) = reading.open(source, "relationships.csv") else { return };
    let student = table.required_column("userSourcedId", &["usersourceid"], &mut reading.problems);
    let adult = table.required_column("relationshipUserSourcedId", &[], &mut reading.problems);
    let role = table.required_column("relationshipRole", &["role"], &mut reading.problems);
    let (Some(student), Some(adult), Some(role)) = (student, adult, role) else { return };
    let mut places: HashMap<String, Vec<String>> = HashMap::new();
    for role in reading.bundle.roster.roles.values().filter(|role| role.role == SchoolRole::Student) {
        places.entry(role.person.clone()).or_default().push(role.org.clone());
    }
    while table.next(&mut reading.problems) {
        let pair = (
            table.id(student, &mut reading.problems).map(str::to_owned),
            table.id(adult, &mut reading.problems).map(str::to_owned),
        );
        let (Some(pupil), Some(other)) = pair else { continue };
        let missing = [(student, &pupil), (adult, &other)]
            .into_iter()
            .find(|(_, id)| !matches!(reading.target(ObjectKind::Person, id), Target::There | Target::NotTold));
        if let Some((column, id)) = missing {
            let message = format!("there is no person {}", cut(id));
            table.error(
                &mut reading.problems,
                column,
                Fault::new("dangling_reference", message, "Add the person to the export, or leave this row out."),
            );
            continue;
        }
        let word = table.cell(role).to_ascii_lowercase();
        let (relation, title) = match word.as_str() {
            "parent" | "mother" | "father" => (Relation::Parent, Some("parent")),
            "guardian" => (Relation::Guardian, None),
            "relative" | "grandparent" | "sibling" => (Relation::Relative, Some("relative")),
            _ => {
                let message = format!(
                    "the relation \"{}\" is not known; there is no contact until somebody confirms it",
                    cut(&word)
                );
                table.warn(
                    &mut reading.problems,
                    role,
                    Fault::new("unclear_relation", message, "Write parent, guardian or relative."),
                );
                (Relation::Other, Some("relative"))
            }
        };
        for org in places.get(&pupil).into_iter().flatten() {
            let id = format!("{other}/{org}/{}", title.unwrap_or(SchoolRole::Guardian.name()));
            let granted = grant(&other, org.clone(), SchoolRole::Guardian, title.map(str::to_owned), Period::default());
            reading.bundle.roster.roles.insert(id, granted);
        }
        reading.bundle.roster.links.insert(format!("{pupil}/{other}"), link(&pupil, &other, relation));
    }
}
