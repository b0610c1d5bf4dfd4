//! Who acts, as the rooms see them.

use crate::{
    rooms::{Actor, Caller},
    users::Session,
};

/// The user of a session.
pub(super) fn actor(session: &Session) -> Actor<'_> {
    Actor { user_id: &session.user_id, user: session.user, device_id: session.device_id.as_str(), guest: session.guest }
}

/// Who asks, if they have signed in.
pub(super) fn caller(session: Option<&Session>) -> Option<Caller<'_>> {
    session.map(|session| (session.user, &*session.user_id))
}
