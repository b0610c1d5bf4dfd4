//! What a client hears of a refusal about accounts.

use std::time::Duration;

use http::StatusCode;
use ruma::api::error::ErrorCode;

use crate::{
    http::ApiError,
    users::{PushRulesError, UsersError},
};

/// When somebody who found the password queue full may come again.
const BUSY_WAIT: Duration = Duration::from_secs(5);

impl From<UsersError> for ApiError {
    fn from(error: UsersError) -> Self {
        let text = error.to_string();
        match error {
            UsersError::Store(error) => Self::internal(error),
            UsersError::Internal(_) => Self::internal(error),
            UsersError::NameTaken => Self::user_in_use(),
            UsersError::InvalidName(message) => Self::invalid_username(message),
            UsersError::WeakPassword { .. } => Self::weak_password(text),
            UsersError::WrongCredentials => Self::forbidden("Wrong user name or password"),
            UsersError::NoAccount => Self::not_found("There is no such account"),
            UsersError::Reserved => Self::forbidden(text),
            UsersError::Deactivated => Self::user_deactivated(),
            UsersError::Locked => Self::user_locked(),
            UsersError::UnknownRefreshToken => {
                Self::new(StatusCode::UNAUTHORIZED, ErrorCode::UnknownToken, "Unknown refresh token")
                    .with("soft_logout", false)
            }
            UsersError::Busy => Self::limit_exceeded(BUSY_WAIT),
            UsersError::TooLarge(message) => Self::too_large(message),
            UsersError::ProfileKeyTooLarge => Self::new(StatusCode::BAD_REQUEST, ErrorCode::KeyTooLarge, text),
            UsersError::ProfileTooLarge => Self::new(StatusCode::BAD_REQUEST, ErrorCode::ProfileTooLarge, text),
            UsersError::Invalid(message) => Self::invalid_param(message),
            UsersError::NotFound(message) => Self::not_found(message),
        }
    }
}

impl From<PushRulesError> for ApiError {
    fn from(error: PushRulesError) -> Self {
        match error {
            PushRulesError::NotFound => Self::not_found("There is no such push rule"),
            PushRulesError::Invalid(message) => Self::invalid_param(message),
            PushRulesError::Users(error) => error.into(),
        }
    }
}
