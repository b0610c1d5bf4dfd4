//! What members may do in rooms that the school made: write as far as the power levels let them, and little else. What
//! follows from the roster the school does itself, and is not asked here.

use ruma::{
    UserId,
    events::{TimelineEventType, room::member::MembershipState},
};

use super::{super::rooms::is_family, calls, denial, names, scene::Scene, supervised};
use crate::{
    event::content::{self, Member},
    rooms::policy::{Decision, is_call},
    store::schema::school::{RoomKind, RoomLink},
};

/// Decides about any event in a room of the school. `link` is `None` while the room is being made.
pub(super) fn check(scene: &Scene<'_>, link: Option<&RoomLink>) -> Decision {
    let proposal = scene.proposal;
    if *proposal.kind == TimelineEventType::RoomMember {
        return member(scene);
    }
    if link.is_some_and(|link| link.frozen || link.archived) {
        return denial::closed();
    }
    if link.is_some_and(|link| link.kind == RoomKind::Supervised) {
        supervised::check(scene)?;
    }
    if *proposal.kind == TimelineEventType::RoomEncrypted && link.is_some_and(|link| is_family(link.kind)) {
        return denial::family_state("m.room.encrypted");
    }
    if proposal.state_key.is_some() {
        state(scene, link.map(|link| link.kind))?;
    }
    calls::check_in_school_room(scene)
}

/// Who has been put into a room may come in, and who works here may be called otherwise. Nobody invites, knocks, leaves,
/// removes or bans; only accounts of people who have left the school go by themselves.
fn member(scene: &Scene<'_>) -> Decision {
    let proposal = scene.proposal;
    let own = proposal.state_key == Some(proposal.sender.as_str());
    let before = proposal.before.and_then(content::membership);
    let picture = |content| Member::read(content).avatar_url;
    let new = picture(proposal.content);
    let other = own && new.is_some() && new != proposal.before.and_then(picture);
    if other && !scene.rules.shows_picture_of(proposal.sender) {
        return denial::picture();
    }
    match content::membership(proposal.content) {
        Some(MembershipState::Join) if own => match before {
            Some(MembershipState::Join | MembershipState::Invite) => names::check(scene),
            _ => denial::school_room(),
        },
        Some(MembershipState::Leave) if own && has_gone(scene, proposal.sender) => Ok(()),
        _ => denial::school_room(),
    }
}

fn has_gone(scene: &Scene<'_>, user: &UserId) -> bool {
    scene.find(user).is_some_and(|person| scene.people.standing(person).gone)
}

/// Who works here may pin messages and set the topic where the power levels let them, and have rooms of staff encrypted.
fn state(scene: &Scene<'_>, kind: Option<RoomKind>) -> Decision {
    let proposal = scene.proposal;
    let allowed = match proposal.kind {
        TimelineEventType::RoomTopic | TimelineEventType::RoomPinnedEvents => scene.works_here(proposal.sender),
        TimelineEventType::RoomEncryption => matches!(kind, Some(RoomKind::Staff | RoomKind::Department)),
        // Calls are decided about next.
        other => is_call(&other.to_string()),
    };
    if allowed || scene.changes_nothing() { Ok(()) } else { denial::school_room() }
}
