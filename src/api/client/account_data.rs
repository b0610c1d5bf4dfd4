//! What clients keep for their user: account data and tags.
//!
//! Specification v1.19, client-server API, "Client config" and "Room tagging". Contents are stored and given back as
//! they came.

use std::sync::Arc;

use axum::extract::State;
use ruma::{RoomId, UserId};
use serde_json::{Value, json, value::RawValue};

use crate::{
    http::{ApiError, Auth, JsonBody, JsonBytes, PathArgs, Session, empty_json, services::Services},
    store::RoomNo,
    users::{PUSH_RULES, UsersError, is_reserved},
};

/// The longest tag, in bytes (specification, "Room tagging").
const TAG_BYTES_MAX: usize = 255;

/// Tags of one room.
const TAGS_MAX: usize = 1_000;

/// `GET /_matrix/client/v3/user/{userId}/account_data/{type}`.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridaccount_datatype)
pub async fn get_global_account_data(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    check_own(&session, &path)?;
    let kind = path.get(1);
    if kind == PUSH_RULES {
        return JsonBytes::of(&services.users.push_rules.content(session.user).await?);
    }
    answer(services.users.account_data.get(session.user, None, kind).await?)
}

/// `PUT /_matrix/client/v3/user/{userId}/account_data/{type}`.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype)
pub async fn set_global_account_data(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    check_own(&session, &path)?;
    let kind = writable(path.get(1))?;
    services.users.account_data.set(session.user, None, kind, body.parse::<&RawValue>()?).await?;
    Ok(empty_json())
}

/// `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidaccount_datatype)
pub async fn get_room_account_data(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    check_own(&session, &path)?;
    let room = room(&services, &path).await?;
    answer(services.users.account_data.get(session.user, Some(room), path.get(2)).await?)
}

/// `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidaccount_datatype)
pub async fn set_room_account_data(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    check_own(&session, &path)?;
    let kind = writable(path.get(2))?;
    let room = room(&services, &path).await?;
    services.users.account_data.set(session.user, Some(room), kind, body.parse::<&RawValue>()?).await?;
    Ok(empty_json())
}

/// `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidtags)
pub async fn get_tags(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    check_own(&session, &path)?;
    let room = room(&services, &path).await?;
    JsonBytes::of(&json!({ "tags": services.users.account_data.tags(session.user, room).await? }))
}

/// `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag)
pub async fn create_tag(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    check_own(&session, &path)?;
    let info: serde_json::Map<String, Value> = body.parse()?;
    if info.get("order").is_some_and(|order| !order.is_null() && !order.is_number() && !order.is_string()) {
        return Err(ApiError::bad_json("A tag's order is a number"));
    }
    let tag = path.get(2).to_owned();
    if tag.is_empty() || tag.len() > TAG_BYTES_MAX {
        return Err(ApiError::invalid_param("A tag has 1 to 255 bytes"));
    }
    let room = room(&services, &path).await?;
    let insert = |tags: &mut serde_json::Map<String, Value>| {
        tags.insert(tag, Value::Object(info));
        if tags.len() > TAGS_MAX { Err(UsersError::TooLarge("This room has too many tags")) } else { Ok(()) }
    };
    services.users.account_data.change_tags(session.user, room, insert).await?;
    Ok(empty_json())
}

/// `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3useruseridroomsroomidtagstag)
pub async fn delete_tag(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
) -> Result<JsonBytes, ApiError> {
    check_own(&session, &path)?;
    let room = room(&services, &path).await?;
    let remove = |tags: &mut serde_json::Map<String, Value>| {
        tags.remove(path.get(2));
        Ok(())
    };
    services.users.account_data.change_tags(session.user, room, remove).await?;
    Ok(empty_json())
}

/// Refuses to read or write what is kept for somebody else.
fn check_own(session: &Session, path: &PathArgs) -> Result<(), ApiError> {
    if path.parse::<&UserId>(0)? == session.user_id {
        return Ok(());
    }
    Err(ApiError::forbidden("Account data is its user's alone"))
}

/// Refuses types that the server writes itself.
fn writable(kind: &str) -> Result<&str, ApiError> {
    if is_reserved(kind) {
        return Err(ApiError::new(
            http::StatusCode::METHOD_NOT_ALLOWED,
            ruma::api::error::ErrorCode::BadJson,
            "This type of account data has endpoints of its own",
        ));
    }
    Ok(kind)
}

async fn room(services: &Services, path: &PathArgs) -> Result<RoomNo, ApiError> {
    let room_id: &RoomId = path.parse(1)?;
    let room = services.store.room(room_id).await.map_err(ApiError::internal)?;
    room.ok_or_else(|| ApiError::not_found("This room is not known here"))
}

fn answer(content: Option<Box<RawValue>>) -> Result<JsonBytes, ApiError> {
    let content = content.ok_or_else(|| ApiError::not_found("There is no such account data"))?;
    Ok(JsonBytes::from(Box::<str>::from(content).into_string()))
}
