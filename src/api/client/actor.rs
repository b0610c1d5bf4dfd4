//! Who acts, as the rooms see them.

use crate::{rooms::Actor, users::Session};

/// The user of a session.
pub(super) fn actor(session: &Session) -> Actor<'_> {
    Actor { user_id: &session.user_id, user: session.user, device_id: session.device_id.as_str(), guest: session.guest }
}
