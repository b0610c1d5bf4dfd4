//! A new school year: looked at before it comes, and brought about.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{administrator::Administrator, errors::ErrorReply};
use crate::{
    http::{ApiError, JsonBody, JsonBytes, Query, services::Services},
    school::rooms::Summary,
};

/// The query of a preview.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RolloverQuery {
    /// A planned import; what is still to be done today if not given.
    pub import: Option<u64>,
}

/// What would become of the rooms.
#[derive(Debug, Serialize, ToSchema)]
pub struct RolloverPreview {
    /// `made`, `archived`, `renamed` and `other_members` count rooms; `made_examples` and so on name some of them;
    /// `nothing` is true when the rooms are so already.
    #[schema(value_type = Object)]
    #[serde(flatten)]
    pub rooms: Value,
}

/// Whether to bring it about.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConfirmRollover {
    /// Has to be true.
    pub confirm: bool,
}

/// What was done to the rooms.
#[derive(Debug, Serialize, ToSchema)]
pub struct RolloverDone {
    /// Rooms made.
    pub made: u64,
    /// Rooms changed.
    pub changed: u64,
    /// Rooms ended.
    pub archived: u64,
    /// People who have left their rooms.
    pub departed: u64,
    /// Rooms that could not be worked on; the log has the reasons.
    pub failed: u64,
}

impl From<Summary> for RolloverDone {
    fn from(done: Summary) -> Self {
        let Summary { made, changed, archived, departed, failed } = done;
        Self { made, changed, archived, departed, failed }
    }
}

/// `GET /_homeroom/v1/rollover`: what an import would do to the rooms.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/rollover",
    tag = "administration",
    params(RolloverQuery),
    responses(
        (status = 200, description = "What would become of the rooms", body = RolloverPreview),
        (status = 404, description = "No such import", body = ErrorReply),
    )
)]
pub async fn preview(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    Query(query): Query<RolloverQuery>,
) -> Result<JsonBytes, ApiError> {
    let preview = services.school.rooms.rollover_preview(query.import).await?;
    JsonBytes::of(&RolloverPreview { rooms: serde_json::to_value(preview)? })
}

/// `POST /_homeroom/v1/rollover`: brings every room to what the roster says.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/rollover",
    tag = "administration",
    request_body = ConfirmRollover,
    responses(
        (status = 200, description = "What was done", body = RolloverDone),
        (status = 400, description = "It is not confirmed", body = ErrorReply),
    )
)]
pub async fn roll_over(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: ConfirmRollover = body.parse()?;
    let done = services.school.rooms.rollover(wanted.confirm, &administrator.author()).await?;
    JsonBytes::of(&RolloverDone::from(done))
}
