//! An event about to be added, with who is who in its room.

use std::sync::Arc;

use ruma::{UserId, events::room::history_visibility::HistoryVisibility};
use serde_json::Value;

use super::super::{
    Rules, SERVICE_LOCALPART,
    people::{People, PersonNo},
    policy::Ruling,
};
use crate::{
    event::content,
    rooms::{
        RoomView,
        policy::{Proposal, TERMS, Verb},
    },
    store::UserNo,
};

/// What is known when an event is decided about.
pub(super) struct Scene<'a> {
    pub(super) rules: &'a Rules,
    pub(super) people: Arc<People>,
    pub(super) proposal: &'a Proposal<'a>,
}

impl Scene<'_> {
    /// Somebody of this server whom the school knows.
    pub(super) fn find(&self, user: &UserId) -> Option<PersonNo> {
        self.rules.known(&self.people, user)
    }

    /// Everybody of this server in the room but one, as far as the school knows them. The school's own account is not
    /// company.
    pub(super) fn others(&self, but: &UserId) -> impl Iterator<Item = Option<PersonNo>> + '_ {
        let but = self.find(but);
        let members = self.proposal.view.joined.iter().map(|number| self.people.of_user(UserNo(*number)));
        members.filter(move |member| match member {
            Some(person) => Some(*person) != but && !self.people.standing(*person).service,
            None => true,
        })
    }

    /// What the policy says.
    pub(super) fn ruling(&self, actor: PersonNo, target: PersonNo, verb: Verb) -> Ruling {
        self.rules.ruling_between(&self.people, actor, target, verb)
    }

    /// Whether somebody is a pupil or guardian.
    pub(super) fn is_family(&self, user: &UserId) -> bool {
        self.find(user).is_some_and(|person| self.people.roles(person).is_family())
    }

    /// Whether somebody works here.
    pub(super) fn works_here(&self, user: &UserId) -> bool {
        self.find(user).is_some_and(|person| self.people.roles(person).works_here())
    }

    /// Whether the state that the event would replace says the same.
    pub(super) fn changes_nothing(&self) -> bool {
        let value = |content: &str| serde_json::from_str::<Value>(content).ok();
        let proposal = self.proposal;
        proposal.before.is_some_and(|before| value(before.get()) == value(proposal.content.get()))
    }
}

impl Rules {
    /// A user of this server whom the school knows.
    pub(super) fn known(&self, people: &People, user: &UserId) -> Option<PersonNo> {
        if user.server_name() == self.server() { people.find(user) } else { None }
    }

    /// Whether a user is the school's own account, and not somebody who has had its name for longer.
    pub(super) fn is_service(&self, user: &UserId) -> bool {
        if user.localpart() != SERVICE_LOCALPART {
            return false;
        }
        let people = self.people();
        self.known(&people, user).is_some_and(|person| people.standing(person).service)
    }

    /// Whether the school made a room, also while it is being made.
    pub(super) fn is_school_room(&self, view: &RoomView) -> bool {
        view.created.creators.first().is_some_and(|creator| self.is_service(creator))
    }
}

/// Whether a room is one of families: made as such, or somebody in it is a pupil or guardian.
pub(super) fn is_family_room(people: &People, view: &RoomView) -> bool {
    let member = |number: &u64| people.of_user(UserNo(*number)).is_some_and(|person| people.roles(person).is_family());
    has_terms(view) || view.joined.iter().any(member)
}

/// Whether pupils and guardians may be in a room, as far as it shows itself: it was made for them, or stays here, lets
/// nobody in who was not invited, and hides from newcomers what was before. Encryption and guests are asked about apart.
pub(in crate::school) fn may_hold_families(view: &RoomView) -> bool {
    let by_invitation = matches!(view.join_rules.rule.as_str(), "invite" | "private");
    let hides_the_past = view.history_visibility == HistoryVisibility::Joined;
    has_terms(view) || (!view.created.federate && by_invitation && hides_the_past)
}

fn has_terms(view: &RoomView) -> bool {
    content::field(&view.create.pdu.content, TERMS).is_some_and(|value| value.get() == "\"family\"")
}
