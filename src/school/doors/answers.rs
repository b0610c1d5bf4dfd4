//! What the rooms ask, answered from the rules.

use std::sync::Arc;

use ruma::{UserId, events::TimelineEventType};

use super::{
    super::Rules,
    calls, denial, direct, families, newcomers,
    scene::{Scene, is_family_room},
    school_rooms,
};
use crate::{
    rooms::policy::{Creation, Decision, Denial, Policy, Proposal, Publication, Shown, Terms, Verb},
    store::RoomNo,
};

impl Policy for Rules {
    fn decide(&self, actor: &UserId, target: &UserId, verb: Verb) -> Decision {
        denial::of(&self.ruling(actor, target, verb))
    }

    fn by_address(&self, actor: &UserId) -> Decision {
        let people = self.people();
        if !people.is_loaded() || self.is_service(actor) || self.reaches_outsiders(&people, actor) {
            return Ok(());
        }
        denial::by_address()
    }

    fn creation(&self, creation: &Creation<'_>) -> Result<Terms, Denial> {
        let people = self.people();
        if !people.is_loaded() || self.is_service(creation.creator) {
            return Ok(Terms::Ordinary);
        }
        let is_family =
            |user: &UserId| self.known(&people, user).is_some_and(|person| people.roles(person).is_family());
        if creation.is_public && is_family(creation.creator) {
            denial::public_room()?;
        }
        if let Some((room, view)) = creation.replaces {
            if self.rooms().get(room).is_some() || self.is_school_room(view) {
                denial::school_room()?;
            }
            if is_family_room(&people, view) {
                return Ok(Terms::Family);
            }
        }
        let families = is_family(creation.creator) || creation.invites.iter().any(|user| is_family(user));
        Ok(if families { Terms::Family } else { Terms::Ordinary })
    }

    fn event(&self, proposal: &Proposal<'_>) -> Decision {
        let link = self.rooms().get(proposal.room);
        let in_school_room = link.is_some() || self.is_school_room(proposal.view);
        if self.is_service(proposal.sender) {
            return Ok(());
        }
        let people = self.people();
        if !people.is_loaded() {
            return Ok(());
        }
        if self.is_closed_chat(proposal.room, proposal.kind) {
            return denial::closed_chat();
        }
        // Taking such an invitation back is always allowed.
        if *proposal.kind == TimelineEventType::RoomThirdPartyInvite && proposal.content.get() != "{}" {
            self.by_address(proposal.sender)?;
        }
        // Most events are messages of adults in larger rooms that are nobody's but their members': nothing more is
        // looked up for them.
        let family = self.known(&people, proposal.sender).is_some_and(|person| people.roles(person).is_family());
        if !in_school_room && !family && is_plain(proposal) && proposal.view.joined.len() > direct::MEMBERS {
            return Ok(());
        }
        let scene = Scene { rules: self, people, proposal };
        if in_school_room {
            return school_rooms::check(&scene, link.as_deref());
        }
        if *proposal.kind == TimelineEventType::RoomMember {
            return newcomers::check(&scene);
        }
        families::check(&scene)?;
        calls::check(&scene)?;
        direct::check(&scene)
    }

    fn publication(&self, publication: &Publication<'_>) -> Decision {
        let people = self.people();
        let Publication { actor, room, view } = *publication;
        if !people.is_loaded() || self.is_service(actor) {
            return Ok(());
        }
        if self.rooms().get(room).is_some() || self.is_school_room(view) {
            return denial::school_room();
        }
        let family = self.known(&people, actor).is_some_and(|person| people.roles(person).is_family());
        if family || is_family_room(&people, view) { denial::published() } else { Ok(()) }
    }

    /// Families are shown no room they do not belong to. Those who work here are shown what others of them have opened,
    /// and nothing of families or of the school's rooms: who belongs there is in there.
    fn shows_room(&self, shown: &Shown<'_>) -> bool {
        let people: Arc<_> = self.people();
        if !people.is_loaded() {
            return true;
        }
        let Some(viewer) = shown.viewer else { return false };
        if self.is_service(viewer) {
            return true;
        }
        let works_here = self.known(&people, viewer).is_some_and(|person| people.roles(person).works_here());
        works_here
            && self.rooms().get(shown.room).is_none()
            && !self.is_school_room(shown.view)
            && !is_family_room(&people, shown.view)
    }

    fn is_company(&self, room: RoomNo) -> bool {
        self.rooms().get(room).is_none_or(|link| !link.archived)
    }

    fn shows_picture(&self, user: &UserId) -> bool {
        self.shows_picture_of(user)
    }

    fn is_active(&self) -> bool {
        self.people().is_loaded()
    }
}

/// Whether an event is a message or the like: no state, no call.
fn is_plain(proposal: &Proposal<'_>) -> bool {
    use TimelineEventType::{Reaction, RoomEncrypted, RoomMessage, RoomRedaction, Sticker};
    let known = matches!(proposal.kind, RoomMessage | RoomEncrypted | Reaction | RoomRedaction | Sticker);
    proposal.state_key.is_none() && (known || !calls::is_one(proposal.kind))
}
