//! Who may call into a room.

use ruma::events::TimelineEventType;

use super::{super::policy::Outcome, denial, scene::Scene};
use crate::rooms::policy::{Decision, Verb, is_call};

/// What belongs to a call that another has begun, or ends one.
const ANSWERS: [&str; 7] = [
    "m.call.answer",
    "m.call.candidates",
    "m.call.hangup",
    "m.call.negotiate",
    "m.call.reject",
    "m.call.select_answer",
    "m.call.sdp_stream_metadata_changed",
];

/// Whether events of a type belong to calls.
pub(super) fn is_one(kind: &TimelineEventType) -> bool {
    is_call(&kind.to_string())
}

/// Decides about an event of a call: it must be allowed with everybody in the room. Whoever is called may answer.
pub(super) fn check(scene: &Scene<'_>) -> Decision {
    let Some(answer) = call_event(scene) else { return Ok(()) };
    let sender = scene.find(scene.proposal.sender);
    let may = |member| {
        let (Some(sender), Some(member)) = (sender, member) else { return false };
        scene.ruling(sender, member, Verb::Call).is_allowed()
            || (answer && scene.ruling(member, sender, Verb::Call).is_allowed())
    };
    if scene.others(scene.proposal.sender).all(may) { Ok(()) } else { denial::call() }
}

/// The same in a room of the school, where adults watch: it must be allowed between each pupil or guardian and those in
/// the room who work here, whoever of them begins.
pub(super) fn check_in_school_room(scene: &Scene<'_>) -> Decision {
    if call_event(scene).is_none() {
        return Ok(());
    }
    let Some(sender) = scene.find(scene.proposal.sender) else { return denial::call() };
    let works_here = |person| scene.people.roles(person).works_here();
    let open = |actor, target| {
        matches!(scene.ruling(actor, target, Verb::Call).outcome, Outcome::Allow | Outcome::Supervised { .. })
    };
    let mut adults = works_here(sender);
    for member in scene.others(scene.proposal.sender) {
        let Some(member) = member else { return denial::call() };
        adults |= works_here(member);
        let asked = works_here(sender) || works_here(member);
        if asked && !open(sender, member) && !open(member, sender) {
            return denial::call();
        }
    }
    if adults { Ok(()) } else { denial::call() }
}

/// Whether the event belongs to a call, and if so whether it is an answer. Leaving a call is always allowed.
fn call_event(scene: &Scene<'_>) -> Option<bool> {
    let kind = scene.proposal.kind.to_string();
    let leaves = scene.proposal.state_key.is_some() && scene.proposal.content.get() == "{}";
    (is_call(&kind) && !leaves).then(|| ANSWERS.contains(&kind.as_str()))
}
