//! Chats of two, in which nobody else watches, and groups that have lost whoever might have made them.
//!
//! A room can become such when others leave it, or stop being allowed when the rules change. So whether two may write to
//! each other alone is asked for every message between them, not only when they begin; else the room is read-only until
//! a third comes. Pupils and guardians write in a group as long as somebody is in it who may have them there.

use super::{
    denial,
    scene::{Scene, is_family_room},
};
use crate::rooms::policy::{Decision, Verb};

/// Members of a room that is such a chat.
pub(super) const MEMBERS: usize = 2;

/// Decides about a message of one of two. State counts as one: a topic is soon a way to write.
pub(super) fn check(scene: &Scene<'_>) -> Decision {
    let proposal = scene.proposal;
    let members = proposal.view.joined.len();
    // What was said may always be taken back.
    if proposal.new || members < MEMBERS || *proposal.kind == ruma::events::TimelineEventType::RoomRedaction {
        return Ok(());
    }
    if members > MEMBERS {
        return group(scene);
    }
    if !is_family_room(&scene.people, proposal.view) {
        return Ok(());
    }
    let sender = scene.find(proposal.sender);
    let other = scene.others(proposal.sender).next();
    let Some(other) = other else { return Ok(()) };
    let (Some(sender), Some(other)) = (sender, other) else { return denial::direct() };
    let (there, back) = (scene.ruling(sender, other, Verb::Dm), scene.ruling(other, sender, Verb::Dm));
    if there.rule == "block" {
        return denial::of(&there);
    }
    // Whoever was allowed to begin may be answered.
    if there.is_allowed() || back.is_allowed() { Ok(()) } else { denial::direct() }
}

/// A pupil or guardian in a group needs one other in it whom they may write to or bring into one, or who may do so with
/// them. A teacher's group of pupils is none any more when the teacher has left it.
fn group(scene: &Scene<'_>) -> Decision {
    let sender = scene.proposal.sender;
    let Some(person) = scene.find(sender).filter(|_| scene.is_family(sender)) else { return Ok(()) };
    let may = |actor, target| [Verb::Add, Verb::Dm].iter().any(|verb| scene.ruling(actor, target, *verb).is_allowed());
    let holds = |member: Option<_>| member.is_some_and(|member| may(member, person) || may(person, member));
    if scene.others(sender).any(holds) { Ok(()) } else { denial::group() }
}
