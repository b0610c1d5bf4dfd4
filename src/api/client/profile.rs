//! Profiles.
//!
//! Specification v1.19, client-server API, "Profiles". Handlers read the JSON themselves: a field may be anything.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use ruma::{
    UserId,
    api::client::profile::{
        delete_profile_field::v3 as delete_profile_field_v3, get_profile::v3 as get_profile_v3,
        get_profile_field::v3 as get_profile_field_v3,
    },
};
use serde_json::value::RawValue;

use super::actor::caller;
use crate::{
    http::{
        ApiError, Auth, JsonBody, JsonBytes, OptionalAuth, PathArgs, Reply, Ruma, Session, empty_json,
        services::Services,
    },
    school::doors::{NAME_MESSAGE, NAME_REASON},
    store::UserNo,
    users::{AVATAR_URL, DISPLAYNAME},
};

/// `GET /_matrix/client/v3/profile/{userId}`: all fields of a profile.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid)
pub async fn get_profile(
    State(services): State<Arc<Services>>,
    OptionalAuth(session): OptionalAuth,
    request: Ruma<get_profile_v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let user_id = &request.body.user_id;
    if let Some(fields) = elsewhere(&services, session.as_deref(), user_id).await? {
        return JsonBytes::of(&*fields);
    }
    let user = account(&services, session.as_deref(), user_id).await?;
    let mut fields = services.users.profiles.get(user).await?.fields;
    if !services.rooms.may_see_photo(caller(session.as_deref()), user_id) {
        fields.remove(AVATAR_URL);
    }
    JsonBytes::of(&fields)
}

/// `GET /_matrix/client/v3/profile/{userId}/{keyName}`: one field of a profile.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname)
pub async fn get_profile_field(
    State(services): State<Arc<Services>>,
    OptionalAuth(session): OptionalAuth,
    request: Ruma<get_profile_field_v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let user_id = &request.body.user_id;
    let key = request.body.field.as_str();
    if let Some(fields) = elsewhere(&services, session.as_deref(), user_id).await? {
        let value = fields.get(key).ok_or_else(|| ApiError::not_found("This profile has no such field"))?;
        return JsonBytes::of(&BTreeMap::from([(key, value)]));
    }
    let user = account(&services, session.as_deref(), user_id).await?;
    let value = services.users.profiles.field(user, key).await?;
    let shown = key != AVATAR_URL || services.rooms.may_see_photo(caller(session.as_deref()), user_id);
    let value = value.filter(|_| shown);
    let value = value.ok_or_else(|| ApiError::not_found("This profile has no such field"))?;
    JsonBytes::of(&BTreeMap::from([(key, value)]))
}

/// `PUT /_matrix/client/v3/profile/{userId}/{keyName}`: sets a field of one's profile.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname)
pub async fn set_profile_field(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    path: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    if path.parse::<&UserId>(0)? != session.user_id {
        return Err(ApiError::forbidden("This is not your profile"));
    }
    let key = path.get(1);
    may_change(&services, &session, key)?;
    let fields: BTreeMap<String, Box<RawValue>> = body.parse()?;
    let value = fields.get(key).ok_or_else(|| ApiError::missing_param("The field is missing in the body"))?;
    if services.users.profiles.set(session.user, key, value).await? {
        tell_rooms(&services, &session, key);
    }
    Ok(empty_json())
}

/// `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`: removes a field of one's profile.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname)
pub async fn delete_profile_field(
    State(services): State<Arc<Services>>,
    request: Ruma<delete_profile_field_v3::Request>,
) -> Result<Reply<delete_profile_field_v3::Response>, ApiError> {
    let (session, body) = (request.session, request.body);
    if body.user_id != session.user_id {
        return Err(ApiError::forbidden("This is not your profile"));
    }
    let key = body.field.as_str();
    may_change(&services, &session, key)?;
    if services.users.profiles.remove(session.user, key).await? {
        tell_rooms(&services, &session, key);
    }
    Ok(Reply(delete_profile_field_v3::Response::new()))
}

/// Refuses a new display name to whom the roster names.
fn may_change(services: &Services, session: &Session, key: &str) -> Result<(), ApiError> {
    if key == DISPLAYNAME && services.school.rules.keeps_name(&session.user_id) {
        return Err(ApiError::forbidden(NAME_MESSAGE).with_reason(NAME_REASON));
    }
    Ok(())
}

/// Display name and avatar stand in the membership events of joined rooms.
fn tell_rooms(services: &Services, session: &Session, key: &str) {
    if matches!(key, DISPLAYNAME | AVATAR_URL) {
        services.rooms.profile_changed(session.user, &session.user_id);
    }
}

/// The profile of a user of another server, if the caller may know of them; `None` for users of this one, and for those
/// of whom nothing can be had.
async fn elsewhere(
    services: &Services,
    session: Option<&Session>,
    user_id: &UserId,
) -> Result<Option<Arc<BTreeMap<String, Box<RawValue>>>>, ApiError> {
    if services.rooms.is_local(user_id) || !services.rooms.may_know(caller(session), user_id).await? {
        return Ok(None);
    }
    Ok(services.rooms.remote_profile(user_id).await?)
}

/// The account whose profile is asked for, if the caller may know of it.
async fn account(services: &Services, session: Option<&Session>, user_id: &UserId) -> Result<UserNo, ApiError> {
    let known = services.rooms.known_or_nobody(caller(session), user_id).await?;
    let found = services.users.accounts.get(&known).await?;
    found.map(|(user, _)| user).ok_or_else(|| ApiError::not_found("This user has no profile here"))
}
