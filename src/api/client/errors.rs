//! What a client hears of a refusal about rooms, and of a failure of the store.

use http::StatusCode;
use ruma::api::error::ErrorCode;

use crate::{http::ApiError, remote::Refused, rooms::RoomsError, store::StoreError};

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            // Nothing is acknowledged any more: another server, or this one restarted, can be asked.
            StoreError::Stopped(_) => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

impl From<RoomsError> for ApiError {
    fn from(error: RoomsError) -> Self {
        let text = error.to_string();
        match error {
            RoomsError::Store(error) => error.into(),
            RoomsError::NoRoom => Self::not_found("There is no such room"),
            RoomsError::NoEvent => Self::not_found("There is no such event"),
            RoomsError::NoUser => Self::not_found("There is no such user"),
            RoomsError::NoAlias => Self::not_found("There is no such alias"),
            RoomsError::Forbidden(message) => Self::forbidden(message),
            RoomsError::Policy { message, reason } => Self::forbidden(message).with_reason(&reason),
            RoomsError::TooLarge(_) => Self::too_large(text),
            RoomsError::Invalid(message) => Self::invalid_param(message),
            RoomsError::NotJson(message) => Self::not_json(message),
            RoomsError::BadJson(message) => Self::bad_json(message),
            RoomsError::BadAlias(message) => Self::bad_alias(message),
            RoomsError::BadState(message) => Self::bad_state(message),
            RoomsError::InvalidRoomState(message) => Self::invalid_room_state(message),
            RoomsError::DuplicateAnnotation => Self::duplicate_annotation(),
            RoomsError::UnsupportedVersion(_) => Self::unsupported_room_version(),
            RoomsError::AliasInUse => Self::room_in_use(),
            RoomsError::NotLeft => Self::new(StatusCode::BAD_REQUEST, ErrorCode::Unknown, text),
            RoomsError::IncompatibleVersion(version) => Self::incompatible_room_version(version.as_str()),
            RoomsError::InviteBlocked => Self::new(StatusCode::FORBIDDEN, ErrorCode::InviteBlocked, text),
            RoomsError::AddressDenied(_) => Self::new(StatusCode::FORBIDDEN, ErrorCode::ThreepidDenied, text),
            RoomsError::IdentityServer(_) => Self::new(StatusCode::FORBIDDEN, ErrorCode::ServerNotTrusted, text),
            RoomsError::MissingParam(message) => Self::missing_param(message),
            RoomsError::UnableToAuthorise => Self::new(StatusCode::BAD_REQUEST, ErrorCode::UnableToAuthorizeJoin, text),
            RoomsError::UnableToGrant => Self::new(StatusCode::BAD_REQUEST, ErrorCode::UnableToGrantJoin, text),
            RoomsError::Refused(refused) => elsewhere(&refused),
            RoomsError::Unreachable(_) => {
                Self::new(StatusCode::BAD_GATEWAY, ErrorCode::ConnectionFailed, "No other server could help")
                    .with_cause(text)
            }
            RoomsError::Overtaken => Self::new(StatusCode::CONFLICT, ErrorCode::Unknown, text),
            RoomsError::GuestAccess => Self::guest_access_forbidden(),
        }
    }
}

/// What a client hears of another server's refusal: its code where that says something about rooms and people, never one
/// that is about the client's session here.
fn elsewhere(refused: &Refused) -> ApiError {
    let text: String = refused.error.chars().filter(|character| !character.is_control()).take(200).collect();
    let text = if text.is_empty() { "The other server does not allow it".to_owned() } else { text };
    match ErrorCode::from(refused.errcode.as_str()) {
        ErrorCode::NotFound => ApiError::not_found(text),
        ErrorCode::IncompatibleRoomVersion | ErrorCode::UnsupportedRoomVersion => ApiError::unsupported_room_version(),
        code @ (ErrorCode::InviteBlocked | ErrorCode::GuestAccessForbidden | ErrorCode::BadState) => {
            ApiError::new(StatusCode::FORBIDDEN, code, text)
        }
        _ => ApiError::forbidden(text),
    }
}
