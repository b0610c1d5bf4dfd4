//! Who may call what is for administrators.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::{
    http::{ApiError, Auth, services::Services},
    school::{audit::Author, roster::SchoolRole},
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

/// The session of an administrator, or of somebody who answers for the children's safety: they may look at what happened,
/// and why.
#[derive(Debug)]
pub struct Reader;

impl FromRequestParts<Arc<Services>> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, ApiError> {
        let Auth(session) = Auth::from_request_parts(parts, services).await?;
        let people = services.school.people();
        let lead = people.of_user(session.user).is_some_and(|who| people.roles(who).has(SchoolRole::SafeguardingLead));
        if session.admin || lead { Ok(Self) } else { Err(refusal()) }
    }
}

/// What everybody else hears.
pub(super) fn refusal() -> ApiError {
    ApiError::forbidden("This is for administrators").with_reason("administrators_only")
}
