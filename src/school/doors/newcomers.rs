//! Who may come into which company.
//!
//! Whoever comes into a room, invited, by themselves or as a knock, is seen by everybody in it. So they and each member
//! must be two of whom at least one may know of the other, and nothing must keep them apart. Members are asked one by
//! one: a third in a chat of two is a newcomer like any other.

use ruma::{
    UserId,
    events::room::{history_visibility::HistoryVisibility, member::MembershipState},
};

use super::{
    super::people::PersonNo,
    denial::{self, Unfit},
    names,
    scene::Scene,
};
use crate::{
    event::content::{self, Member},
    rooms::policy::{Decision, Denial, Verb},
};

/// Decides about a member event in a room that is not the school's.
pub(super) fn check(scene: &Scene<'_>) -> Decision {
    company(scene)?;
    picture(scene)?;
    names::check(scene)
}

/// A picture of somebody whose pictures are not shown. Asked after the company, which tells nothing of hidden people.
fn picture(scene: &Scene<'_>) -> Decision {
    let proposal = scene.proposal;
    let Some(Ok(target)) = proposal.state_key.map(<&UserId>::try_from) else { return Ok(()) };
    let of = |content| Member::read(content).avatar_url;
    let new = of(proposal.content);
    if new.is_some() && new != proposal.before.and_then(of) && !scene.rules.shows_picture_of(target) {
        return denial::picture();
    }
    Ok(())
}

fn company(scene: &Scene<'_>) -> Decision {
    let proposal = scene.proposal;
    let Some(Ok(target)) = proposal.state_key.map(<&UserId>::try_from) else { return Ok(()) };
    let new = Member::read(proposal.content);
    let before = proposal.before.and_then(content::membership);
    let own = target == proposal.sender;
    match new.membership {
        // The creator of a room is its first member: there is no company yet, and the room is made as it has to be.
        Some(MembershipState::Join) if proposal.new && own => Ok(()),
        Some(MembershipState::Join) if before == Some(MembershipState::Join) => Ok(()),
        Some(MembershipState::Invite) => {
            may_invite(scene, target, &new)?;
            may_enter(scene, target, own)
        }
        Some(MembershipState::Join | MembershipState::Knock) => may_enter(scene, target, own),
        _ if own => Ok(()),
        // Their own client tells somebody who is banned, with a reason: nobody is written to that way.
        _ if matches!(before, Some(MembershipState::Join | MembershipState::Invite | MembershipState::Knock)) => Ok(()),
        _ => denial::of(&scene.rules.ruling(proposal.sender, target, Verb::See)),
    }
}

/// The one who invites must be allowed to, for a chat of two or for a group.
fn may_invite(scene: &Scene<'_>, target: &UserId, invitation: &Member) -> Decision {
    let proposal = scene.proposal;
    let may = |verb| denial::of(&scene.rules.ruling(proposal.sender, target, verb));
    if proposal.new {
        // Whom the whole request invites was asked about before; here only one of them is known.
        let direct = invitation.is_direct == Some(true);
        return if direct {
            may(Verb::Dm).or_else(|_| may(Verb::Add))
        } else {
            may(Verb::Add).or_else(|_| may(Verb::Dm))
        };
    }
    may(if proposal.view.is_alone() { Verb::Dm } else { Verb::Add })
}

/// Newcomer and room must fit each other.
fn may_enter(scene: &Scene<'_>, target: &UserId, own: bool) -> Decision {
    let sender = scene.proposal.sender;
    if target.server_name() != scene.rules.server() {
        // Whether the one who invites may reach them was asked before. Families meet nobody of other servers.
        let works_here = |member: PersonNo| scene.people.roles(member).works_here();
        let fits = scene.others(target).all(|member| member.is_some_and(works_here));
        return if fits { Ok(()) } else { denial::company(own) };
    }
    let newcomer = scene.find(target);
    if scene.others(target).all(|member| may_meet(scene, newcomer, member)) {
        return if scene.is_family(target) { fits_families(scene) } else { Ok(()) };
    }
    if !own {
        let ruling = scene.rules.ruling(sender, target, Verb::See);
        if ruling.hidden {
            return Err(Denial { reason: ruling.rule.into(), message: ruling.message.into(), hidden: true });
        }
    }
    denial::company(own)
}

/// Whether two may be in one room. Of accounts that the school does not know nobody knows anything.
fn may_meet(scene: &Scene<'_>, newcomer: Option<PersonNo>, member: Option<PersonNo>) -> bool {
    let (Some(newcomer), Some(member)) = (newcomer, member) else { return false };
    let (there, back) = (scene.ruling(newcomer, member, Verb::See), scene.ruling(member, newcomer, Verb::See));
    let apart = |rule: &str| rule.starts_with("hard.");
    !apart(there.rule) && !apart(back.rule) && (there.is_allowed() || back.is_allowed())
}

/// Pupils and guardians only come into rooms that stay here, can be read by the school, and that nobody enters who was
/// not invited.
fn fits_families(scene: &Scene<'_>) -> Decision {
    let (proposal, view) = (scene.proposal, scene.proposal.view);
    let by_invitation = matches!(view.join_rules.rule.as_str(), "invite" | "private");
    match () {
        () if view.created.federate => denial::unfit(Unfit::Federates),
        () if proposal.encrypted => denial::unfit(Unfit::Encrypted),
        () if !by_invitation || proposal.guests => denial::unfit(Unfit::Open),
        () if view.history_visibility != HistoryVisibility::Joined => denial::unfit(Unfit::History),
        () => Ok(()),
    }
}
