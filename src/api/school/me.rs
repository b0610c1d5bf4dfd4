//! The caller.

use std::sync::Arc;

use axum::extract::State;

use crate::{
    http::{ApiError, Auth, JsonBytes, services::Services},
    school::directory::Me,
};

/// `GET /_homeroom/v1/me`: who the caller is to the school, and what a client may offer them.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/me",
    tag = "everyone",
    responses((status = 200, description = "The caller", body = Me))
)]
pub async fn get_me(State(services): State<Arc<Services>>, Auth(session): Auth) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&services.school.directory.me(&session.user_id, session.admin))
}
