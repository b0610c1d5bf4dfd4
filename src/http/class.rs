//! Endpoints as the rate limits and the access rules see them.

use axum::extract::MatchedPath;
use http::{Method, request::Parts};

/// The longest route of the client-server API has seven segments after its version.
const SEGMENTS_MAX: usize = 10;

/// The method and path of an endpoint, without the part that names the API and its version.
#[derive(Debug)]
pub struct Route<'a> {
    method: &'a Method,
    segments: [&'a str; SEGMENTS_MAX],
    count: usize,
    media: bool,
    school: bool,
    federation: bool,
}

impl<'a> Route<'a> {
    /// The route of a path pattern such as `/_matrix/client/v3/rooms/{room_id}/leave`.
    pub fn new(method: &'a Method, path: &'a str) -> Self {
        let (rest, media) = if let Some(rest) = path.strip_prefix("/_matrix/client/") {
            (rest, false)
        } else if let Some(rest) = path.strip_prefix("/_matrix/media/") {
            (rest, true)
        } else if let Some(rest) = path.strip_prefix("/_homeroom/") {
            (rest, false)
        } else {
            ("", false)
        };
        let servers = path.strip_prefix("/_matrix/federation/").or_else(|| path.strip_prefix("/_matrix/key/"));
        let rest = servers.unwrap_or(rest);
        let mut parts = rest.split('/').filter(|segment| !segment.is_empty());
        // `unstable` paths name their proposal in a second segment.
        if parts.next() == Some("unstable") && !media {
            parts.next();
        }
        let school = path.starts_with("/_homeroom/");
        let mut route =
            Self { method, segments: [""; SEGMENTS_MAX], count: 0, media, school, federation: servers.is_some() };
        for (slot, segment) in route.segments.iter_mut().zip(parts) {
            *slot = segment;
            route.count += 1;
        }
        route
    }

    /// The route that a request matched; its own path where none is known.
    pub fn of(parts: &'a Parts) -> Self {
        let path = parts.extensions.get::<MatchedPath>().map_or_else(|| parts.uri.path(), MatchedPath::as_str);
        Self::new(&parts.method, path)
    }

    /// The method of the request.
    pub fn method(&self) -> &Method {
        self.method
    }

    /// Whether it belongs to the school's own interface.
    pub fn is_school(&self) -> bool {
        self.school
    }

    /// The segments after the version; parameters stand as their pattern.
    pub fn segments(&self) -> &[&'a str] {
        self.segments.get(..self.count).unwrap_or_default()
    }
}

/// Endpoints that share a rate limit. Reads are in none: what they cost is bounded by their page sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Logging in, refreshing a token.
    Login,
    /// Registering and asking whether a name is free.
    Register,
    /// Proving a password again: password change, deactivation.
    Password,
    /// Messages and state.
    Send,
    /// Redactions: apart from `Send`, because suspended accounts may take back their words.
    Redact,
    /// Invitations.
    Invite,
    /// Joining and knocking.
    Join,
    /// Creating and upgrading rooms.
    CreateRoom,
    /// Uploads and link previews.
    Media,
    /// Reports to the moderators.
    Report,
    /// Message and directory search.
    Search,
    /// To-device messages and key claims.
    Device,
    /// Typing, receipts, presence, profiles.
    Ephemeral,
    /// Everything that other servers ask for.
    Federation,
}

impl Class {
    /// Every class, in the order of [`Class::index`].
    pub const ALL: [Self; 14] = [
        Self::Login,
        Self::Register,
        Self::Password,
        Self::Send,
        Self::Redact,
        Self::Invite,
        Self::Join,
        Self::CreateRoom,
        Self::Media,
        Self::Report,
        Self::Search,
        Self::Device,
        Self::Ephemeral,
        Self::Federation,
    ];

    /// The position in [`Class::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The class of an endpoint, if it is limited.
    pub fn of(route: &Route<'_>) -> Option<Self> {
        let write = matches!(*route.method(), Method::POST | Method::PUT);
        let segments = route.segments();
        Some(match segments {
            _ if route.federation => Self::Federation,
            ["upload" | "create", ..] if write && route.media => Self::Media,
            ["preview_url"] if route.media => Self::Media,
            ["media", "preview_url"] => Self::Media,
            ["register", "available"] | ["register", "m.login.registration_token", ..] => Self::Register,
            _ if !write => return None,
            ["login" | "refresh" | "activate"] => Self::Login,
            ["register", ..] => Self::Register,
            ["account", "password" | "deactivate", ..] => Self::Password,
            ["rooms", _, "send" | "state" | "announce" | "mode", ..] => Self::Send,
            ["rooms", _, "redact", ..] => Self::Redact,
            ["rooms", _, "invite", ..] => Self::Invite,
            ["rooms", _, "join" | "knock", ..] | ["join" | "knock" | "knocks", ..] => Self::Join,
            ["createRoom" | "chats" | "families"] | ["rooms", _, "upgrade"] => Self::CreateRoom,
            ["rooms", _, "report", ..] | ["users", _, "report"] => Self::Report,
            ["search"] | ["user_directory", "search"] => Self::Search,
            ["sendToDevice", ..] | ["keys", "claim" | "query"] => Self::Device,
            ["rooms", _, "typing" | "receipt" | "read_markers", ..] | ["presence" | "profile", ..] => Self::Ephemeral,
            _ => return None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_their_class() {
        let class = |method: Method, path: &str| Class::of(&Route::new(&method, path));
        for (method, path, expected) in [
            (Method::POST, "/_matrix/client/v3/login", Some(Class::Login)),
            (Method::GET, "/_matrix/client/v3/login", None),
            (Method::POST, "/_matrix/client/r0/register", Some(Class::Register)),
            (Method::GET, "/_matrix/client/v3/register/available", Some(Class::Register)),
            (Method::PUT, "/_matrix/client/v3/rooms/{r}/send/{t}/{x}", Some(Class::Send)),
            (Method::PUT, "/_matrix/client/v3/rooms/{r}/state/{t}/", Some(Class::Send)),
            (Method::GET, "/_matrix/client/v3/rooms/{r}/state", None),
            (Method::POST, "/_matrix/client/v3/rooms/{r}/invite", Some(Class::Invite)),
            (Method::POST, "/_matrix/client/unstable/xyz.amorgan.knock/knock/{r}", Some(Class::Join)),
            (Method::POST, "/_matrix/media/v3/upload", Some(Class::Media)),
            (Method::PUT, "/_matrix/media/v3/upload/{s}/{m}", Some(Class::Media)),
            (Method::GET, "/_matrix/client/v1/media/preview_url", Some(Class::Media)),
            (Method::GET, "/_matrix/client/v1/media/download/{s}/{m}", None),
            (Method::POST, "/_matrix/client/v3/rooms/{r}/report/{e}", Some(Class::Report)),
            (Method::GET, "/_matrix/client/v3/sync", None),
            (Method::POST, "/_homeroom/v1/activate", Some(Class::Login)),
            (Method::POST, "/_homeroom/v1/chats", Some(Class::CreateRoom)),
            (Method::POST, "/_homeroom/v1/rooms/{room}/announce", Some(Class::Send)),
            (Method::PUT, "/_homeroom/v1/rooms/{room}/mode", Some(Class::Send)),
            (Method::POST, "/_homeroom/v1/knocks/{knock}", Some(Class::Join)),
            (Method::GET, "/_homeroom/v1/knocks", None),
            (Method::PUT, "/_matrix/federation/v1/send/{t}", Some(Class::Federation)),
            (Method::GET, "/_matrix/federation/v1/state/{r}", Some(Class::Federation)),
            (Method::GET, "/_matrix/key/v2/query/{s}", Some(Class::Federation)),
            (Method::GET, "/elsewhere", None),
        ] {
            assert_eq!(class(method.clone(), path), expected, "{method} {path}");
        }
    }

    #[test]
    fn index_is_the_position() {
        for (position, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), position);
        }
    }
}
