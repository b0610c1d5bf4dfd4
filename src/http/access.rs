//! What guests, locked and suspended accounts may ask.
//!
//! Specification v1.19, client-server API: "Guest access", "Account locking", "Account suspension".

use http::Method;

use crate::http::{
    auth::Session,
    class::{Class, Route},
    error::ApiError,
};

/// Refuses what the account of a session may not do.
///
/// # Errors
/// `M_USER_LOCKED`, `M_USER_SUSPENDED` or `M_GUEST_ACCESS_FORBIDDEN`.
pub fn check(session: &Session, route: &Route<'_>) -> Result<(), ApiError> {
    if session.locked && !is_logout(route) {
        return Err(ApiError::user_locked());
    }
    if session.suspended && !suspended_may(route) {
        return Err(ApiError::user_suspended());
    }
    if session.guest && !guest_may(route) {
        return Err(ApiError::guest_access_forbidden());
    }
    Ok(())
}

fn is_logout(route: &Route<'_>) -> bool {
    matches!(route.segments(), ["logout"] | ["logout", "all"])
}

/// A suspended account reads, leaves, redacts its own events (the handler checks whose), verifies and logs out.
fn suspended_may(route: &Route<'_>) -> bool {
    // In the school's own interface an administrator's account can do much more than write.
    let reads_only = route.is_school() || matches!(route.segments(), ["profile", ..]);
    if reads_only && !matches!(*route.method(), Method::GET | Method::HEAD) {
        return false;
    }
    !matches!(Class::of(route), Some(Class::Send | Class::Invite | Class::Join | Class::CreateRoom | Class::Media))
}

/// The specification's list, and what clients need to show such a session at all.
fn guest_may(route: &Route<'_>) -> bool {
    let segments = route.segments();
    match route.method().as_str() {
        "GET" | "HEAD" => guest_may_read(segments),
        "POST" => matches!(
            segments,
            ["logout", ..]
                | ["join", _]
                | ["keys", "claim" | "query" | "upload"]
                | ["user", _, "filter"]
                | ["rooms", _, "join" | "leave" | "forget" | "receipt" | "read_markers", ..]
        ),
        "PUT" => matches!(
            segments,
            ["sendToDevice" | "devices" | "profile", ..]
                | ["rooms", _, "send" | "state" | "typing", ..]
                | ["user", _, "account_data" | "rooms", ..]
        ),
        "DELETE" => matches!(segments, ["profile", ..]),
        _ => false,
    }
}

fn guest_may_read(segments: &[&str]) -> bool {
    match segments {
        [
            "sync" | "events" | "capabilities" | "versions" | "pushrules" | "joined_rooms" | "directory" | "media"
            | "download" | "thumbnail" | "config" | "profile" | "devices" | "room_keys",
            ..,
        ]
        | ["account", "whoami"]
        | ["user", _, "filter" | "account_data" | "rooms", ..] => true,
        ["rooms", _, what, ..] => matches!(
            *what,
            "context"
                | "event"
                | "initialSync"
                | "members"
                | "joined_members"
                | "messages"
                | "state"
                | "relations"
                | "threads"
                | "hierarchy"
                | "aliases"
        ),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            user_id: ruma::owned_user_id!("@a:b"),
            user: crate::store::UserNo(1),
            device_id: "D".into(),
            guest: false,
            admin: false,
            locked: false,
            suspended: false,
        }
    }

    fn allowed(session: &Session, method: &Method, path: &str) -> bool {
        check(session, &Route::new(method, path)).is_ok()
    }

    #[test]
    fn locked_accounts_only_log_out() {
        let locked = Session { locked: true, ..session() };
        assert!(allowed(&locked, &Method::POST, "/_matrix/client/v3/logout"));
        assert!(allowed(&locked, &Method::POST, "/_matrix/client/v3/logout/all"));
        assert!(!allowed(&locked, &Method::GET, "/_matrix/client/v3/sync"));
    }

    #[test]
    fn suspended_accounts_read_and_leave() {
        let suspended = Session { suspended: true, ..session() };
        for (method, path, may) in [
            (Method::GET, "/_matrix/client/v3/sync", true),
            (Method::POST, "/_matrix/client/v3/rooms/{room_id}/leave", true),
            (Method::PUT, "/_matrix/client/v3/rooms/{room_id}/redact/{event_id}/{txn_id}", true),
            (Method::PUT, "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}", false),
            (Method::POST, "/_matrix/client/v3/rooms/{room_id}/invite", false),
            (Method::POST, "/_matrix/client/v3/join/{room_id_or_alias}", false),
            (Method::PUT, "/_matrix/client/v3/profile/{user_id}/displayname", false),
            (Method::GET, "/_homeroom/v1/contacts", true),
            (Method::POST, "/_homeroom/v1/imports", false),
            (Method::PUT, "/_homeroom/v1/roles/{user_id}/{role}", false),
            (Method::DELETE, "/_homeroom/v1/overrides/{id}", false),
        ] {
            assert_eq!(allowed(&suspended, &method, path), may, "{method} {path}");
        }
    }

    #[test]
    fn guests_keep_to_their_list() {
        let guest = Session { guest: true, ..session() };
        for (method, path, may) in [
            (Method::GET, "/_matrix/client/v3/sync", true),
            (Method::PUT, "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}", true),
            (Method::GET, "/_matrix/client/v1/media/download/{server_name}/{media_id}", true),
            (Method::POST, "/_matrix/client/v3/createRoom", false),
            (Method::POST, "/_matrix/client/v3/rooms/{room_id}/invite", false),
            (Method::POST, "/_matrix/media/v3/upload", false),
            (Method::POST, "/_matrix/client/v3/user_directory/search", false),
            (Method::POST, "/_matrix/client/v3/account/password", false),
        ] {
            assert_eq!(allowed(&guest, &method, path), may, "{method} {path}");
        }
    }
}
