//! What people are told. Nothing here tells of a person whom the reader may not see, nor why somebody cannot be
//! reached when that is the other's own business.

use super::Outcome;
use crate::rooms::policy::Verb;

/// For everything about a person whom the reader may not know of.
pub(super) const NOBODY: &str = "There is no such person, or you cannot reach them.";
/// For whoever the other does not want to hear from.
pub(super) const UNREACHABLE: &str = "You cannot reach this person at the moment.";
/// For everybody who would talk with the school's own account.
pub(super) const SERVICE: &str = "This account belongs to the server; nobody reads what is sent to it.";
/// For what an administrator has decided about two people.
pub(super) const DECIDED: &str = "Your school has decided so. Ask its office if you think this is a mistake.";

/// What the rules say of a verb, for a target whom the reader sees.
pub(super) fn message(verb: Verb, outcome: Outcome, may_write: bool) -> &'static str {
    match (verb, outcome) {
        (_, Outcome::Allow) => "",
        (_, Outcome::Supervised { .. }) => "Another adult of the school takes part in this conversation.",
        (_, Outcome::FamilyThread) => "You write to this pupil together with their family.",
        (_, Outcome::Knock) => "You can ask this person for a chat. It begins when they agree.",
        (Verb::See, Outcome::Deny) => NOBODY,
        (Verb::Dm, Outcome::Deny) => "The rules of your school do not let you start a chat with this person.",
        (Verb::Knock, Outcome::Deny) if may_write => "You can write to this person without asking.",
        (Verb::Knock, Outcome::Deny) => "The rules of your school do not let you ask this person for a chat.",
        (Verb::Add, Outcome::Deny) => "The rules of your school do not let you bring this person into a group.",
        (Verb::Call, Outcome::Deny) => "The rules of your school do not let you call this person.",
        (Verb::Presence, Outcome::Deny) => "You cannot see whether this person is online.",
        (Verb::Photo, Outcome::Deny) => "You cannot see this person's picture.",
    }
}
