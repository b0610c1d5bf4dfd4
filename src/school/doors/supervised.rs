//! How many adults a supervised room has to have.
//!
//! A room in which a pupil and an adult write to each other has at least two adults of the school in it at any time:
//! people who work here, or a guardian of one of its pupils. Membership of these rooms is the school's to change; before
//! each change it asks here. Pure: the caller brings who is in the room.

use super::super::people::{People, PersonNo};

/// The fewest adults.
pub const ADULTS_MIN: usize = 2;

/// Whether somebody counts as an adult in a room with these members: they work here, or answer for a pupil in it.
pub fn is_adult(people: &People, person: PersonNo, members: &[PersonNo]) -> bool {
    let standing = people.standing(person);
    if standing.gone || standing.service {
        return false;
    }
    let answers_for =
        |pupil: &PersonNo| people.children_of(person).iter().any(|link| link.person == *pupil && link.is_contact());
    standing.roles.works_here() || members.iter().any(answers_for)
}

/// The adults among the members of a room.
pub fn adults(people: &People, members: &[PersonNo]) -> usize {
    members.iter().filter(|person| is_adult(people, **person, members)).count()
}

/// Whether a room with these members may be written in.
pub fn holds(people: &People, members: &[PersonNo]) -> bool {
    adults(people, members) >= ADULTS_MIN
}

/// Whether a room still holds when some leave and others come in the same step.
pub fn holds_after(people: &People, members: &[PersonNo], leaving: &[PersonNo], coming: &[PersonNo]) -> bool {
    let mut after: Vec<PersonNo> = members.iter().filter(|person| !leaving.contains(person)).copied().collect();
    after.extend(coming.iter().filter(|person| !members.contains(person)));
    holds(people, &after)
}
