//! Refusals in words. What the policy says of two people is its own to word; these are about rooms.

use super::super::policy::{Outcome, Ruling};
use crate::rooms::policy::{Decision, Denial};

/// A refusal of something about a room.
pub(super) fn no(reason: &str, message: &str) -> Decision {
    Err(Denial { reason: reason.into(), message: message.into(), hidden: false })
}

/// What a ruling is at a door: whoever needs other adults in the room, or to be asked first, does not pass here.
pub(super) fn of(ruling: &Ruling) -> Decision {
    match ruling.outcome {
        Outcome::Allow => Ok(()),
        _ => Err(Denial { reason: ruling.told().rule.into(), message: ruling.message.into(), hidden: ruling.hidden }),
    }
}

/// A room anybody could find or enter, wanted by a pupil or guardian.
pub(super) fn public_room() -> Decision {
    no("rooms.public", "Pupils and guardians cannot make rooms that everybody can find or enter.")
}

/// A name or a place in the directory for a room of families.
pub(super) fn published() -> Decision {
    no("rooms.published", "A room with pupils or guardians in it has no public address and is not listed.")
}

/// Something only the school does in its rooms.
pub(super) fn school_room() -> Decision {
    no(
        "rooms.school",
        "This room belongs to the school: who is in it and how it is set up follows from the class lists.",
    )
}

/// A room that is read-only.
pub(super) fn closed() -> Decision {
    no("rooms.closed", "This room is closed. You can read it, but nobody can write in it at the moment.")
}

/// A chat of two that the school has closed.
pub(super) fn closed_chat() -> Decision {
    no("rooms.closed", super::super::rooms::CLOSED)
}

/// An invitation for whoever proves an address.
pub(super) fn by_address() -> Decision {
    no("rooms.by_address", "The rules of your school do not let you invite people by their e-mail addresses.")
}

/// Somebody who cannot come into this company.
pub(super) fn company(own: bool) -> Decision {
    if own {
        no("rooms.company", "You cannot join this room: the rules of your school keep you and somebody in it apart.")
    } else {
        no("rooms.company", "The rules of your school keep this person and somebody in this room apart.")
    }
}

/// A pupil or guardian, and a room that is not made for them.
pub(super) fn unfit(why: Unfit) -> Decision {
    let message = match why {
        Unfit::Federates => {
            "Pupils and guardians cannot come into this room: it is open to other servers. Make a new room with them."
        }
        Unfit::Encrypted => {
            "Pupils and guardians cannot come into this room: it is encrypted. Make a new room with them."
        }
        Unfit::Open => {
            "Pupils and guardians cannot come into this room: others could enter it without being invited. Make a new \
             room with them."
        }
        Unfit::History => {
            "Pupils and guardians cannot come into this room: they could read what was written before they came. Make \
             a new room with them."
        }
    };
    no("rooms.families", message)
}

/// Why a room is not fit for families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Other servers may take part.
    Federates,
    /// It is encrypted.
    Encrypted,
    /// Others can enter without an invitation.
    Open,
    /// Newcomers read what was before.
    History,
}

/// A change of a room of families.
pub(super) fn family_state(kind: &str) -> Decision {
    let message = match kind {
        "m.room.encryption" | "m.room.encrypted" => {
            "Rooms with pupils or guardians in them are not encrypted, so that the school can help."
        }
        "m.room.power_levels" => "Who may do what in this room is not yours to change.",
        _ => "This cannot be changed in a room with pupils or guardians in it.",
    };
    no("rooms.families", message)
}

/// A chat of two that is not allowed, or not any more.
pub(super) fn direct() -> Decision {
    no("rooms.direct", "The rules of your school do not let the two of you write to each other here, without others.")
}

/// A picture of a pupil where nobody is to see any.
pub(super) fn picture() -> Decision {
    no("rooms.picture", "Your school shows no pictures of pupils in rooms.")
}

/// A group in which nobody is left who may have this member in one.
pub(super) fn group() -> Decision {
    no("rooms.group", "Nobody is left in this room with whom the rules of your school let you have a group.")
}

/// A call that is not allowed with everybody in the room.
pub(super) fn call() -> Decision {
    no("rooms.call", "The rules of your school do not allow calls with everybody in this room.")
}
