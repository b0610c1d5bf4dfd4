//! By what name somebody goes in a room.
//!
//! Pupils and guardians go by the name of the roster, everywhere: a room in which somebody of them could be called like
//! the head would be one in which nobody knows who speaks. Their member events carry the name of their profile, which
//! is not theirs to change; who works here chooses.

use ruma::{UserId, events::room::member::MembershipState};

use super::{
    super::{
        Rules,
        people::{People, PersonNo},
    },
    denial,
    scene::Scene,
};
use crate::{event::content::Member, rooms::policy::Decision};

/// Decides about the name in a member event: that of somebody who goes by the roster's, or one that they give another.
pub(super) fn check(scene: &Scene<'_>) -> Decision {
    let proposal = scene.proposal;
    let Some(Ok(target)) = proposal.state_key.map(<&UserId>::try_from) else { return Ok(()) };
    let bound = |user: &UserId| scene.find(user).is_some_and(|person| is_bound(&scene.people, person));
    if !bound(target) && (target == proposal.sender || !bound(proposal.sender)) {
        return Ok(());
    }
    let new = Member::read(proposal.content);
    let name = new.displayname.as_deref();
    // Clients send the whole content again to change a picture. It may be older than the profile: the server renews it.
    let before = proposal.before.map(Member::read).filter(|before| before.membership == Some(MembershipState::Join));
    let kept = before.is_some_and(|before| before.displayname.as_deref() == name);
    // Who only goes, or is asked in, is named by the events that follow or were before.
    let unnamed = name.is_none() && new.membership != Some(MembershipState::Join);
    if name == proposal.name || kept || unnamed { Ok(()) } else { denial::no(REASON, MESSAGE) }
}

/// The reason of every refusal of a name.
pub const REASON: &str = "profile.name";

/// The same in words.
pub const MESSAGE: &str = "Your name here is the one in the school's records. If it is wrong, ask the school's office.";

impl Rules {
    /// Whether a user of this server goes by the name of the roster and cannot choose another: everybody whom the
    /// school knows, but for those who work there.
    pub fn keeps_name(&self, user: &UserId) -> bool {
        let people = self.people();
        people.is_loaded() && self.known(&people, user).is_some_and(|person| is_bound(&people, person))
    }
}

fn is_bound(people: &People, person: PersonNo) -> bool {
    !people.roles(person).works_here() && !people.standing(person).service
}
