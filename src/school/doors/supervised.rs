//! Supervised rooms: nobody writes in one while fewer than two adults of the school watch.
//!
//! Who is in such a room the school decides, and keeps true to the roster; but an adult can be locked out or leave the
//! school from one moment to the next. What is written is therefore asked about here, by the people of this moment.

use super::{
    super::people::{People, PersonNo},
    denial,
    scene::Scene,
};
use crate::{rooms::policy::Decision, store::UserNo};

/// The fewest adults.
const ADULTS_MIN: usize = 2;

/// Decides about an event in a supervised room.
pub(super) fn check(scene: &Scene<'_>) -> Decision {
    let members = scene.proposal.view.joined.iter();
    let members: Vec<PersonNo> = members.filter_map(|number| scene.people.of_user(UserNo(*number))).collect();
    if holds(&scene.people, &members) { Ok(()) } else { denial::closed() }
}

/// Whether a room with these members may be written in.
pub(super) fn holds(people: &People, members: &[PersonNo]) -> bool {
    members.iter().filter(|person| is_adult(people, **person, members)).count() >= ADULTS_MIN
}

/// Whether somebody counts as an adult in a room with these members: they work here, or answer for a pupil in it.
fn is_adult(people: &People, person: PersonNo, members: &[PersonNo]) -> bool {
    let standing = people.standing(person);
    let answers_for =
        |pupil: &PersonNo| people.children_of(person).iter().any(|link| link.person == *pupil && link.is_contact());
    !standing.gone && !standing.service && (standing.roles.works_here() || members.iter().any(answers_for))
}
