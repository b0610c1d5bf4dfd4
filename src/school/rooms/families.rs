//! The rooms in which families are told what is announced, each on its own: made for the first announcement.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    super::{
        SchoolError,
        people::{ClassInfo, ClassNo, People},
    },
    apply::Goal,
    book::is_of_family,
    desk::Desk,
    keeper::a_few_at_once,
    wanted::{Wanted, families_of, key},
};
use crate::store::{
    RoomNo,
    schema::school::{RoomKind, RoomLink},
};

impl Desk {
    /// Makes the rooms of those families whom an announcement is for and who have none. Continues where a crash cut it.
    pub(super) async fn make_families(self: &Arc<Self>, source: &RoomLink) -> Result<(), SchoolError> {
        self.load_applied().await?;
        let mut made = HashMap::new();
        loop {
            let before = *self.rules.changed().borrow();
            let goals = self.missing_families(source, &made);
            let kept: HashSet<&str> = goals.iter().map(|(family, _)| &*family.object).collect();
            for (_, number) in made.iter().filter(|(object, _)| !kept.contains(&***object)) {
                self.archive(*number, &[], |_| false).await?;
            }
            let desk = self.clone();
            let done = a_few_at_once(goals, move |(family, room)| {
                let desk = desk.clone();
                async move {
                    let goal = Goal { wanted: &family, room, parent: None, children: &[], closely: false };
                    let (number, _) = desk.apply(&goal).await?;
                    Ok::<_, SchoolError>((family.object, number))
                }
            })
            .await;
            for one in done {
                let (object, number) = one?;
                made.insert(object, number);
            }
            if *self.rules.changed().borrow() == before {
                return Ok(());
            }
            // A pass of other people may have begun before these rooms were there. So they are looked at again here,
            // before anything is said in them, and by another pass.
            if !made.is_empty() {
                self.rules.touch();
            }
        }
    }

    /// The families without a room, or with one that has ended, and those of `made`.
    fn missing_families(&self, source: &RoomLink, made: &HashMap<String, RoomNo>) -> Vec<(Wanted, Option<RoomNo>)> {
        let book = self.rules.rooms().all();
        let there: HashMap<&str, (RoomNo, bool)> = book
            .iter()
            .filter(|(_, link)| is_of_family(link))
            .map(|(number, link)| (&*link.object, (*number, link.archived)))
            .collect();
        let (people, settings) = (self.rules.people(), self.settings());
        let mut missing = Vec::new();
        for homeroom in homerooms(&people, source) {
            for family in families_of(&people, settings, homeroom) {
                let room = there.get(&*family.object).copied();
                if made.contains_key(&family.object) || room.is_none_or(|(_, archived)| archived) {
                    missing.push((family, room.map(|(number, _)| number)));
                }
            }
        }
        missing
    }
}

/// The homerooms that an announcement is for.
pub(super) fn homerooms(people: &People, source: &RoomLink) -> Vec<ClassNo> {
    let is_for = |class: &ClassInfo| match source.kind {
        RoomKind::ClassFamily => key(&class.source, &class.id) == source.object,
        _ => class.org.and_then(|org| people.org(org)).is_some_and(|org| key(&org.source, &org.id) == source.object),
    };
    people.classes().filter(|(_, class)| class.homeroom && is_for(class)).map(|(number, _)| number).collect()
}
