//! What can go wrong with rooms.

use ruma::RoomVersionId;

use crate::{
    event::{auth::AuthError, build::BuildError, canonical::JsonError},
    remote::Refused,
    store::StoreError,
};

/// A refusal or failure of an operation on rooms.
#[derive(Debug, thiserror::Error)]
pub enum RoomsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such room, or the user may not know of it.
    #[error("no such room")]
    NoRoom,
    /// There is no such event, or the user may not see it.
    #[error("no such event")]
    NoEvent,
    /// The room's rules do not allow it.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The school's rules do not allow it; the text is for the person who asked.
    #[error("{message}")]
    Policy {
        /// The reason, readable by a person.
        message: String,
        /// The rule's id, for clients that know it (`org.homeroom.reason`).
        reason: String,
    },
    /// The event is larger than the specification allows.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The request contradicts itself or the room's rules of form.
    #[error("{0}")]
    Invalid(String),
    /// The action does not fit the user's membership (`M_BAD_STATE`).
    #[error("{0}")]
    BadState(String),
    /// The same user reacted to the same event with the same key before.
    #[error("you have already reacted with this key")]
    DuplicateAnnotation,
    /// This server does not make or know rooms of this version.
    #[error("room version {0} is not supported")]
    UnsupportedVersion(RoomVersionId),
    /// The alias is taken.
    #[error("the alias is taken")]
    AliasInUse,
    /// There is no such alias.
    #[error("no such alias")]
    NoAlias,
    /// There is no such person on this server, or their account is closed.
    #[error("no such user")]
    NoUser,
    /// The content is not JSON at all (`M_NOT_JSON`).
    #[error("{0}")]
    NotJson(String),
    /// The content is not what an event can hold (`M_BAD_JSON`).
    #[error("{0}")]
    BadJson(String),
    /// An alias does not name the room that announces it (`M_BAD_ALIAS`).
    #[error("{0}")]
    BadAlias(String),
    /// The room cannot be made as the request wants it (`M_INVALID_ROOM_STATE`).
    #[error("{0}")]
    InvalidRoomState(String),
    /// The user is in the room, and must leave before they can forget it.
    #[error("you have not left this room")]
    NotLeft,
    /// The room does not let guests in (`M_GUEST_ACCESS_FORBIDDEN`).
    #[error("guests cannot join this room")]
    GuestAccess,
    /// The server that asks does not know rooms of this version (`M_INCOMPATIBLE_ROOM_VERSION`).
    #[error("the room is of version {0}")]
    IncompatibleVersion(RoomVersionId),
    /// Something that has to be in the request is not (`M_MISSING_PARAM`).
    #[error("{0}")]
    MissingParam(String),
    /// The user does not want invitations (`M_INVITE_BLOCKED`).
    #[error("the user does not want to be invited")]
    InviteBlocked,
    /// Nobody is invited by an address of this kind (`M_THREEPID_DENIED`).
    #[error("{0}")]
    AddressDenied(String),
    /// The administrator has not named the identity server (`M_SERVER_NOT_TRUSTED`).
    #[error("this server does not work with the identity server {0}")]
    IdentityServer(String),
    /// This server cannot tell whether a restricted join is allowed; another may (`M_UNABLE_TO_AUTHORISE_JOIN`).
    #[error("this server cannot tell whether the user may join")]
    UnableToAuthorise,
    /// Nobody of this server has the power to vouch for a join; somebody of another may (`M_UNABLE_TO_GRANT_JOIN`).
    #[error("no member of this server's can vouch for the user")]
    UnableToGrant,
    /// Another server has refused it.
    #[error("the other server does not allow it: {0}")]
    Refused(Box<Refused>),
    /// No other server has helped: it could not be reached, or its answer was of no use.
    #[error("no other server has helped: {0}")]
    Unreachable(String),
    /// The room has changed so that what was made for it does not fit any more.
    #[error("the room has changed meanwhile")]
    Overtaken,
}

impl From<AuthError> for RoomsError {
    fn from(error: AuthError) -> Self {
        Self::Forbidden(error.0)
    }
}

impl From<BuildError> for RoomsError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<JsonError> for RoomsError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Syntax(_) => Self::NotJson(error.to_string()),
            _ => Self::BadJson(error.to_string()),
        }
    }
}
