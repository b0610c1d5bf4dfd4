//! Chats of two, in which nobody else watches.
//!
//! A room can become one when others leave it, or stop being allowed when the rules change. So whether two may write to
//! each other alone is asked for every message between them, not only when they begin; else the room is read-only until
//! a third comes.

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
    if proposal.new || proposal.view.joined.len() != MEMBERS {
        return Ok(());
    }
    // What was said may always be taken back.
    if *proposal.kind == ruma::events::TimelineEventType::RoomRedaction {
        return Ok(());
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
