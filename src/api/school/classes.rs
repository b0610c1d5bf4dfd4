//! The caller's classes and children.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{errors::ErrorReply, paging};
use crate::{
    http::{ApiError, Auth, JsonBytes, PathArgs, Query, services::Services},
    school::directory::{Children, ClassDetail, ClassesPage},
};

/// The query of a list of classes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ClassesParams {
    /// Classes at most (1 to 200, 50 if not given).
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// `GET /_homeroom/v1/classes`: the classes the caller belongs to, without their people.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/classes",
    tag = "everyone",
    params(ClassesParams),
    responses(
        (status = 200, description = "Classes, homerooms first", body = ClassesPage),
        (status = 400, description = "An argument is none", body = ErrorReply),
    )
)]
pub async fn get_classes(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    Query(params): Query<ClassesParams>,
) -> Result<JsonBytes, ApiError> {
    let (limit, from) = (paging::limit(params.limit)?, params.from.as_deref());
    JsonBytes::of(&services.school.directory.classes(session.user, &session.user_id, from, limit).await?)
}

/// `GET /_homeroom/v1/classes/{classId}`: one of the caller's classes with those of its people that they may see.
///
/// # Errors
/// `M_NOT_FOUND`, whether there is no such class or it is none of the caller's.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/classes/{class_id}",
    tag = "everyone",
    params(("class_id" = String, Path, description = "The class's id in this interface")),
    responses(
        (status = 200, description = "The class", body = ClassDetail),
        (status = 404, description = "No such class, or none of the caller's", body = ErrorReply),
    )
)]
pub async fn get_class(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&services.school.directory.class(session.user, &session.user_id, path.get(0)).await?)
}

/// `GET /_homeroom/v1/children`: the children about whom the school deals with the caller, with their classes and
/// teachers.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/children",
    tag = "everyone",
    responses((status = 200, description = "The children; none for who is no guardian", body = Children))
)]
pub async fn get_children(State(services): State<Arc<Services>>, Auth(session): Auth) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&services.school.directory.children(session.user, &session.user_id).await?)
}
