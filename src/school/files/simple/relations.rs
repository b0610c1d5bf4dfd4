//! Whose child is whose: people name each other in words.

use std::collections::{HashMap, HashSet};

use super::{
    super::{
        problems::Fault,
        read::Reading,
        table::{Column, Table, cut},
    },
    people::give_role,
    rows::{Columns, Row, class_key},
    words::fold,
};
use crate::school::roster::{Link, Period, Relation, SchoolRole};

/// Makes the links.
pub(super) fn relate(rows: &[Row], table: &Table<'_>, columns: &Columns, reading: &mut Reading<'_>) {
    let names = Names::of(rows);
    let mut linked = HashSet::new();
    for (place, row) in rows.iter().enumerate() {
        for (cell, column, children) in
            [(&row.children, columns.children, true), (&row.guardians, columns.guardians, false)]
        {
            if cell.is_empty() {
                continue;
            }
            if children != row.is_adult() && children == row.is(SchoolRole::Student) {
                let message = if children { "a pupil has no children here" } else { "only pupils have guardians here" };
                table.error_at(
                    &mut reading.problems,
                    row.line,
                    column,
                    Fault::new("wrong_column", message, "Look whether the role is right."),
                );
                continue;
            }
            for other in names.all(cell, children, (table, column, row.line), reading) {
                let (student, adult) = if children { (other, place) } else { (place, other) };
                if let (Some(student), Some(adult)) = (rows.get(student), rows.get(adult)) {
                    linked.insert(adult.id.as_str());
                    link(student, adult, reading);
                }
            }
        }
    }
    for row in rows.iter().filter(|row| row.is(SchoolRole::Guardian) && !linked.contains(row.id.as_str())) {
        let fault =
            Fault::new("no_child", "the guardian has no child here", "Write the children into the column of children.");
        table.warn_at(&mut reading.problems, row.line, columns.children, fault);
    }
}

fn link(student: &Row, adult: &Row, reading: &mut Reading<'_>) {
    let relations =
        adult.roles.iter().filter(|(role, ..)| *role == SchoolRole::Guardian).map(|(_, _, relation)| *relation);
    let relation =
        relations.clone().find(|relation| *relation != Relation::Relative).or_else(|| relations.clone().next());
    if relation.is_none() {
        give_role(reading, &adult.id, SchoolRole::Guardian, Some("parent"));
    }
    let relation = relation.unwrap_or(Relation::Parent);
    let legal = relation != Relation::Relative;
    let id = format!("{}/{}", student.id, adult.id);
    let (student, adult) = (student.id.clone(), adult.id.clone());
    let link = Link { student, adult, relation, legal, contact: legal, isolated: false, period: Period::default() };
    reading.bundle.roster.links.insert(id, link);
}

/// People by what they may be called.
struct Names<'a> {
    rows: &'a [Row],
    ids: HashMap<&'a str, usize>,
    places: HashMap<String, Vec<usize>>,
}

impl<'a> Names<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let mut names: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            let (forth, back) =
                (fold(&format!("{}{}", row.given, row.family)), fold(&format!("{}{}", row.family, row.given)));
            if forth != back {
                names.entry(back).or_default().push(place);
            }
            names.entry(forth).or_default().push(place);
        }
        let ids = rows.iter().enumerate().map(|(place, row)| (row.id.as_str(), place)).collect();
        Self { rows, ids, places: names }
    }

    /// Everybody a cell names. Who cannot be found, or is one of several, is among the problems.
    fn all(&self, cell: &str, children: bool, at: (&Table<'_>, Column, u64), reading: &mut Reading<'_>) -> Vec<usize> {
        let (table, column, line) = at;
        let mut found = Vec::new();
        for part in cell.split([';', '|', '\n', '&']).map(str::trim).filter(|part| !part.is_empty()) {
            // A comma stands within one name, or between several.
            let whole = self.find(part, children);
            let names: Vec<(&str, Vec<usize>)> = if whole.is_empty() && part.contains(',') {
                part.split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty())
                    .map(|name| (name, self.find(name, children)))
                    .collect()
            } else {
                vec![(part, whole)]
            };
            for (name, people) in names {
                let what = if children { "pupil" } else { "adult" };
                match people.as_slice() {
                    [one] => found.push(*one),
                    [] => {
                        let hint = "Each person has a line of their own; write the name as it is there, or the id.";
                        let fault =
                            Fault::new("dangling_reference", format!("there is no {what} \"{}\"", cut(name)), hint);
                        table.error_at(&mut reading.problems, line, column, fault);
                    }
                    several => {
                        let message = format!("there are {} {what}s \"{}\"", several.len(), cut(name));
                        let hint = "Write the id, or the class behind the name: Emil Beispiel (5a).";
                        table.error_at(
                            &mut reading.problems,
                            line,
                            column,
                            Fault::new("ambiguous_reference", message, hint),
                        );
                    }
                }
            }
        }
        found
    }

    fn find(&self, text: &str, children: bool) -> Vec<usize> {
        let fits = |place: &usize| {
            self.rows.get(*place).is_some_and(|row| if children { row.is(SchoolRole::Student) } else { row.is_adult() })
        };
        if let Some(place) = self.ids.get(text).filter(|place| fits(place)) {
            return vec![*place];
        }
        let (name, class) = match text.strip_suffix(')').and_then(|text| text.rsplit_once('(')) {
            Some((name, class)) => (name, Some(class_key(class))),
            None => (text, None),
        };
        let in_class = |place: &usize| {
            class.as_ref().is_none_or(|key| {
                self.rows.get(*place).is_some_and(|row| row.classes.iter().any(|class| class.key == *key))
            })
        };
        let named = self.places.get(&fold(name)).into_iter().flatten();
        named.copied().filter(|place| fits(place) && in_class(place)).collect()
    }
}
