//! Backups of message keys.
//!
//! Specification v1.19, client-server API, "Server-side key backups". Bodies are read here, not by ruma, so that
//! algorithms it does not know are kept too.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    http::{
        ApiError, Auth, ChunkWriter, JsonBody, JsonBytes, PathArgs, Query, empty_json, json_chunks, services::Services,
    },
    store::{UserNo, schema::keys::BackupSession},
    users::keys::{BackupInfo, PlacedSession, SessionsWritten},
};

/// Sessions read at once for an answer.
const PAGE: usize = 500;

/// How a backup is described.
#[derive(Deserialize)]
struct Description {
    algorithm: String,
    auth_data: Box<RawValue>,
    version: Option<String>,
}

/// The backup that a request means.
#[derive(Debug, Deserialize)]
pub struct VersionQuery {
    version: String,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the specification's names")]
struct Session {
    first_message_index: u64,
    forwarded_count: u64,
    is_verified: bool,
    session_data: Box<RawValue>,
}

#[derive(Deserialize)]
struct Room {
    sessions: BTreeMap<String, Session>,
}

#[derive(Deserialize)]
struct Rooms {
    rooms: BTreeMap<String, Room>,
}

/// `POST /_matrix/client/v3/room_keys/version`: begins a backup.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion)
pub async fn create_backup_version(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let Description { algorithm, auth_data, .. } = body.parse()?;
    let auth_data = object(&auth_data)?;
    let version = services.users.keys.create_backup(session.user, algorithm, auth_data).await?;
    JsonBytes::of(&json!({ "version": version.to_string() }))
}

/// `GET /_matrix/client/v3/room_keys/version`: the current backup.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversion)
pub async fn get_latest_backup_info(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
) -> Result<JsonBytes, ApiError> {
    let current = services.users.keys.current_backup(session.user).await.map_err(ApiError::internal)?;
    info(current)
}

/// `GET /_matrix/client/v3/room_keys/version/{version}`: a backup.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversionversion)
pub async fn get_backup_info(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
) -> Result<JsonBytes, ApiError> {
    let version = version(arguments.get(0))?;
    let backup = services.users.keys.backup(session.user, version).await.map_err(ApiError::internal)?;
    info(backup)
}

/// `PUT /_matrix/client/v3/room_keys/version/{version}`: changes the description of a backup.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keysversionversion)
pub async fn update_backup_version(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let Description { algorithm, auth_data, version: named } = body.parse()?;
    if named.is_some_and(|named| named != arguments.get(0)) {
        return Err(ApiError::invalid_param("The body names another version than the path"));
    }
    let (version, auth_data) = (version(arguments.get(0))?, object(&auth_data)?);
    services.users.keys.update_backup(session.user, version, &algorithm, auth_data).await?;
    Ok(empty_json())
}

/// `DELETE /_matrix/client/v3/room_keys/version/{version}`: deletes a backup.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keysversionversion)
pub async fn delete_backup_version(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
) -> Result<JsonBytes, ApiError> {
    services.users.keys.delete_backup(session.user, version(arguments.get(0))?).await?;
    Ok(empty_json())
}

/// `PUT /_matrix/client/v3/room_keys/keys`: backs up sessions.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeys)
pub async fn add_backup_keys(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    Query(query): Query<VersionQuery>,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let rooms: Rooms = body.parse()?;
    let mut placed = Vec::new();
    for (room, content) in rooms.rooms {
        place(&mut placed, &room, content.sessions)?;
    }
    put(&services, session.user, &query, placed).await
}

/// `PUT /_matrix/client/v3/room_keys/keys/{roomId}`: backs up sessions of a room.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomid)
pub async fn add_backup_keys_for_room(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    Query(query): Query<VersionQuery>,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let content: Room = body.parse()?;
    let mut placed = Vec::new();
    place(&mut placed, arguments.get(0), content.sessions)?;
    put(&services, session.user, &query, placed).await
}

/// `PUT /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`: backs up a session.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomidsessionid)
pub async fn add_backup_keys_for_session(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    Query(query): Query<VersionQuery>,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let content: Session = body.parse()?;
    let mut placed = Vec::new();
    place(&mut placed, arguments.get(0), BTreeMap::from([(arguments.get(1).to_owned(), content)]))?;
    put(&services, session.user, &query, placed).await
}

/// `GET /_matrix/client/v3/room_keys/keys`: all sessions of a backup.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeys)
pub async fn get_backup_keys(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    Query(query): Query<VersionQuery>,
) -> Result<Response, ApiError> {
    let version = known(&services, session.user, &query).await?;
    let (mut writer, response) = json_chunks();
    let user = session.user;
    tokio::spawn(async move {
        // Who reads no further needs no answer.
        if let Ok(()) = write_rooms(&services, user, version, &mut writer).await {
            let _ = writer.finish().await;
        }
    });
    Ok(response)
}

/// `GET /_matrix/client/v3/room_keys/keys/{roomId}`: the sessions of a room.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomid)
pub async fn get_backup_keys_for_room(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    Query(query): Query<VersionQuery>,
) -> Result<Response, ApiError> {
    let version = known(&services, session.user, &query).await?;
    let (mut writer, response) = json_chunks();
    let (user, room) = (session.user, arguments.get(0).to_owned());
    tokio::spawn(async move {
        if let Ok(()) = write_room(&services, user, version, &room, &mut writer).await {
            let _ = writer.finish().await;
        }
    });
    Ok(response)
}

/// `GET /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`: a session.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomidsessionid)
pub async fn get_backup_keys_for_session(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    Query(query): Query<VersionQuery>,
) -> Result<JsonBytes, ApiError> {
    let version = known(&services, session.user, &query).await?;
    let found = services.users.keys.session(session.user, version, arguments.get(0), arguments.get(1)).await;
    let found = found.map_err(ApiError::internal)?.ok_or_else(|| ApiError::not_found("There is no such session"))?;
    Ok(shown(&found).into())
}

/// `DELETE /_matrix/client/v3/room_keys/keys`: deletes all sessions of a backup.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeys)
pub async fn delete_backup_keys(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    Query(query): Query<VersionQuery>,
) -> Result<JsonBytes, ApiError> {
    let version = version(&query.version)?;
    written(services.users.keys.delete_sessions(session.user, version, None, None).await?)
}

/// `DELETE /_matrix/client/v3/room_keys/keys/{roomId}`: deletes the sessions of a room.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeysroomid)
pub async fn delete_backup_keys_for_room(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    Query(query): Query<VersionQuery>,
) -> Result<JsonBytes, ApiError> {
    let version = version(&query.version)?;
    written(services.users.keys.delete_sessions(session.user, version, Some(arguments.get(0)), None).await?)
}

/// `DELETE /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`: deletes a session.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeysroomidsessionid)
pub async fn delete_backup_keys_for_session(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    arguments: PathArgs,
    Query(query): Query<VersionQuery>,
) -> Result<JsonBytes, ApiError> {
    let version = version(&query.version)?;
    let (room, id) = (Some(arguments.get(0)), Some(arguments.get(1)));
    written(services.users.keys.delete_sessions(session.user, version, room, id).await?)
}

/// Versions of other servers' making do not exist here.
fn version(text: &str) -> Result<u64, ApiError> {
    text.parse().ok().filter(|version| *version < u64::MAX).ok_or_else(no_backup)
}

fn no_backup() -> ApiError {
    ApiError::not_found("There is no such backup")
}

/// The number of a backup that exists.
async fn known(services: &Services, user: UserNo, query: &VersionQuery) -> Result<u64, ApiError> {
    let version = version(&query.version)?;
    let backup = services.users.keys.backup(user, version).await.map_err(ApiError::internal)?;
    backup.map(|backup| backup.version).ok_or_else(no_backup)
}

fn info(backup: Option<BackupInfo>) -> Result<JsonBytes, ApiError> {
    let BackupInfo { version, algorithm, auth_data, now } = backup.ok_or_else(no_backup)?;
    let auth_data: Value = serde_json::from_str(&auth_data).map_err(ApiError::internal)?;
    JsonBytes::of(&json!({
        "algorithm": algorithm,
        "auth_data": auth_data,
        "count": now.count,
        "etag": now.etag.to_string(),
        "version": version.to_string(),
    }))
}

fn written(now: SessionsWritten) -> Result<JsonBytes, ApiError> {
    JsonBytes::of(&json!({ "count": now.count, "etag": now.etag.to_string() }))
}

fn object(raw: &RawValue) -> Result<String, ApiError> {
    if raw.get().starts_with('{') { Ok(raw.get().to_owned()) } else { Err(ApiError::bad_json("An object is missing")) }
}

fn place(placed: &mut Vec<PlacedSession>, room: &str, sessions: BTreeMap<String, Session>) -> Result<(), ApiError> {
    for (id, Session { first_message_index, forwarded_count, is_verified, session_data }) in sessions {
        let session_data = object(&session_data)?;
        let session = BackupSession { first_message_index, forwarded_count, is_verified, session_data };
        placed.push((room.to_owned(), id, session));
    }
    Ok(())
}

async fn put(
    services: &Services,
    user: UserNo,
    query: &VersionQuery,
    placed: Vec<PlacedSession>,
) -> Result<JsonBytes, ApiError> {
    written(services.users.keys.put_sessions(user, version(&query.version)?, placed).await?)
}

fn shown(session: &BackupSession) -> String {
    let BackupSession { first_message_index, forwarded_count, is_verified, session_data } = session;
    format!(
        r#"{{"first_message_index":{first_message_index},"forwarded_count":{forwarded_count},"is_verified":{is_verified},"session_data":{session_data}}}"#
    )
}

/// Why an answer was not finished: its reader has gone, or the store failed, which the store has logged.
struct Unfinished;

impl From<crate::http::chunks::ReaderGone> for Unfinished {
    fn from(_: crate::http::chunks::ReaderGone) -> Self {
        Self
    }
}

/// `{"rooms":{ROOM:{"sessions":{ID:SESSION,…}},…}}`, page by page.
async fn write_rooms(
    services: &Services,
    user: UserNo,
    version: u64,
    writer: &mut ChunkWriter,
) -> Result<(), Unfinished> {
    writer.write(br#"{"rooms":{"#).await?;
    let mut last: Option<(String, String)> = None;
    loop {
        let after = last.as_ref().map(|(room, id)| (room.as_str(), id.as_str()));
        let page = services.users.keys.sessions(user, version, None, after, PAGE).await.map_err(|_| Unfinished)?;
        let more = page.len() == PAGE;
        for (room, id, session) in page {
            let same_room = last.as_ref().is_some_and(|(known, _)| *known == room);
            let before = match (&last, same_room) {
                (_, true) => ",".to_owned(),
                (Some(_), false) => format!(r#"}}}},{}:{{"sessions":{{"#, Value::from(room.as_str())),
                (None, false) => format!(r#"{}:{{"sessions":{{"#, Value::from(room.as_str())),
            };
            let entry = format!("{before}{}:{}", Value::from(id.as_str()), shown(&session));
            writer.write(entry.as_bytes()).await?;
            last = Some((room, id));
        }
        if !more {
            let end: &[u8] = if last.is_some() { b"}}}}" } else { b"}}" };
            return Ok(writer.write(end).await?);
        }
    }
}

/// `{"sessions":{ID:SESSION,…}}`, page by page.
async fn write_room(
    services: &Services,
    user: UserNo,
    version: u64,
    room: &str,
    writer: &mut ChunkWriter,
) -> Result<(), Unfinished> {
    writer.write(br#"{"sessions":{"#).await?;
    let mut last: Option<String> = None;
    loop {
        let after = last.as_ref().map(|id| (room, id.as_str()));
        let page =
            services.users.keys.sessions(user, version, Some(room), after, PAGE).await.map_err(|_| Unfinished)?;
        let more = page.len() == PAGE;
        for (_, id, session) in page {
            let comma = if last.is_some() { "," } else { "" };
            let entry = format!("{comma}{}:{}", Value::from(id.as_str()), shown(&session));
            writer.write(entry.as_bytes()).await?;
            last = Some(id);
        }
        if !more {
            return Ok(writer.write(b"}}").await?);
        }
    }
}
