//! What rooms of families cannot be made to be.

use ruma::events::{
    TimelineEventType,
    room::{guest_access::GuestAccess, history_visibility::HistoryVisibility},
};

use super::{
    denial,
    scene::{Scene, is_family_room, may_hold_families},
};
use crate::{
    event::content::{self, CanonicalAlias, JoinRules},
    rooms::policy::{Decision, is_widget},
};

/// Decides about state in a room that is not the school's, and about what nobody but its members could read. Saying what
/// is in force already is allowed.
pub(super) fn check(scene: &Scene<'_>) -> Decision {
    let proposal = scene.proposal;
    // Whoever worked here and has come to be a pupil or guardian only is taken out of such rooms soon. What they said
    // they may take back.
    if scene.is_family(proposal.sender)
        && !may_hold_families(proposal.view)
        && *proposal.kind != TimelineEventType::RoomRedaction
    {
        return denial::no("rooms.families", "You cannot write in this room: it is not made for pupils and guardians.");
    }
    let readable = *proposal.kind != TimelineEventType::RoomEncrypted;
    if readable && (proposal.state_key.is_none() || fits(scene) || scene.changes_nothing()) {
        return Ok(());
    }
    if scene.is_family(proposal.sender) || is_family_room(&scene.people, proposal.view) {
        return denial::family_state(&proposal.kind.to_string());
    }
    Ok(())
}

/// Whether a room of families may have this state.
fn fits(scene: &Scene<'_>) -> bool {
    let (proposal, content) = (scene.proposal, scene.proposal.content);
    match proposal.kind {
        TimelineEventType::RoomEncryption | TimelineEventType::RoomServerAcl => false,
        TimelineEventType::RoomThirdPartyInvite => content.get() == "{}",
        TimelineEventType::RoomJoinRules => {
            matches!(JoinRules::read(content).rule.as_str(), "invite" | "private")
        }
        TimelineEventType::RoomHistoryVisibility => content::history_visibility(content) == HistoryVisibility::Joined,
        TimelineEventType::RoomGuestAccess => content::guest_access(content) != GuestAccess::CanJoin,
        TimelineEventType::RoomCanonicalAlias => CanonicalAlias::read(content).all().next().is_none(),
        // Who made a room gives its first levels; afterwards they are for those who work here.
        TimelineEventType::RoomPowerLevels => proposal.new || !scene.is_family(proposal.sender),
        // They stay in the room for whoever comes later, so it does not help that nobody else is in it yet.
        other if is_widget(&other.to_string()) => !scene.is_family(proposal.sender),
        _ => true,
    }
}
