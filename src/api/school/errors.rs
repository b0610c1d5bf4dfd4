//! What a client hears of a refusal of the school.

use http::StatusCode;
use ruma::api::error::ErrorCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{http::ApiError, school::SchoolError};

impl From<SchoolError> for ApiError {
    fn from(error: SchoolError) -> Self {
        let text = error.to_string();
        match error {
            SchoolError::Store(error) => error.into(),
            SchoolError::Users(error) => error.into(),
            SchoolError::Rooms(error) => error.into(),
            SchoolError::NotFound(_) => Self::not_found(format!("There is {text}")),
            SchoolError::Invalid(message) => Self::invalid_param(message),
            SchoolError::Conflict(message) => {
                Self::new(StatusCode::CONFLICT, ErrorCode::from("ORG.HOMEROOM_CONFLICT"), message)
            }
            SchoolError::Forbidden(message) => Self::forbidden(message),
            SchoolError::Io(error) => Self::internal(error),
            SchoolError::Failed(message) => Self::internal(message),
        }
    }
}

/// A refusal, in Matrix's shape. Documentation only: [`ApiError`] writes it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorReply {
    /// The specification's code, such as `M_FORBIDDEN`; `ORG.HOMEROOM_CONFLICT` when somebody else was faster.
    #[schema(example = "M_FORBIDDEN")]
    pub errcode: String,
    /// For people.
    pub error: String,
    /// The id of the contact rule that says no, or another stable word, if there is one.
    #[serde(rename = "org.homeroom.reason", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
