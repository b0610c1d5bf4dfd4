//! Who may call what is for administrators.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::{
    http::{ApiError, Auth, services::Services},
    school::audit::Author,
    users::Session,
};

/// The session of an administrator. Taken instead of [`Auth`] by handlers that are for administrators only.
#[derive(Debug)]
pub struct Administrator(pub Arc<Session>);

impl Administrator {
    /// As the audit names them.
    pub fn author(&self) -> Author {
        Author::user(&self.0.user_id)
    }
}

impl FromRequestParts<Arc<Services>> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, ApiError> {
        let Auth(session) = Auth::from_request_parts(parts, services).await?;
        if session.admin { Ok(Self(session)) } else { Err(refusal()) }
    }
}

/// What everybody else hears.
pub(super) fn refusal() -> ApiError {
    ApiError::forbidden("This is for administrators").with_reason("administrators_only")
}
