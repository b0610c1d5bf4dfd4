//! Keys for end-to-end encryption.
//!
//! Specification v1.19, client-server API, "Key management API" and "Cross-signing".

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use http::StatusCode;
use ruma::{
    OwnedServerName, OwnedUserId, UInt,
    api::{
        client::keys::{
            claim_keys::v3 as claim_keys_v3, get_key_changes::v3 as get_key_changes_v3, get_keys::v3 as get_keys_v3,
            upload_keys::v3 as upload_keys_v3, upload_signatures::v3 as upload_signatures_v3,
            upload_signing_keys::v3 as upload_signing_keys_v3,
        },
        error::ErrorCode,
    },
};
use serde_json::{Value, json, value::RawValue};

use super::interactive_auth::confirm;
use crate::{
    http::{ApiError, JsonBytes, Reply, Ruma, services::Services},
    sync::token,
    users::{
        Operation, PASSWORD_FLOWS,
        keys::{KeyUpload, KeysError, SignatureFailure, SigningKeys},
    },
};

/// `POST /_matrix/client/v3/keys/upload`: keys of the device that asks.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload)
pub async fn upload_keys(
    State(services): State<Arc<Services>>,
    request: Ruma<upload_keys_v3::Request>,
) -> Result<Reply<upload_keys_v3::Response>, ApiError> {
    let (session, body) = (request.session, request.body);
    let upload = KeyUpload {
        device_keys: body.device_keys,
        one_time_keys: body.one_time_keys,
        fallback_keys: body.fallback_keys,
    };
    let counts = services.users.keys.upload(session.user, &session.user_id, &session.device_id, upload).await?;
    let counts = counts.one_time_keys.iter().map(|(kind, count)| (kind.clone(), UInt::new_saturating(*count)));
    Ok(Reply(upload_keys_v3::Response::new(counts.collect())))
}

/// `POST /_matrix/client/v3/keys/query`: the keys of people and their devices.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery)
pub async fn get_keys(
    State(services): State<Arc<Services>>,
    request: Ruma<get_keys_v3::Request>,
) -> Result<Reply<get_keys_v3::Response>, ApiError> {
    let session = request.session;
    let (mut wanted, within) = (request.body.device_keys, request.body.timeout);
    let reader = (session.user, &*session.user_id);
    let unknown = services.rooms.take_unknown(reader, &mut wanted).await?;
    let mut queried = services.users.keys.query(session.user, &session.user_id, wanted).await?;
    let mut response = get_keys_v3::Response::new();
    if !queried.remote.is_empty() {
        let wanted = std::mem::take(&mut queried.remote);
        let found = services.federation.devices.query(reader, wanted, within).await?;
        response.failures = unreachable(found.failed);
        queried.device_keys.extend(found.keys.device_keys);
        queried.master_keys.extend(found.keys.master_keys);
        queried.self_signing_keys.extend(found.keys.self_signing_keys);
    }
    response.device_keys = queried.device_keys;
    // Every user of this server who was asked for is in the answer, whether or not they exist.
    response.device_keys.extend(unknown.into_keys().map(|user_id| (user_id, BTreeMap::new())));
    response.master_keys = queried.master_keys;
    response.self_signing_keys = queried.self_signing_keys;
    response.user_signing_keys = queried.user_signing_keys;
    Ok(Reply(response))
}

/// `POST /_matrix/client/v3/keys/claim`: a key of each device, for the first message to it.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim)
pub async fn claim_keys(
    State(services): State<Arc<Services>>,
    request: Ruma<claim_keys_v3::Request>,
) -> Result<Reply<claim_keys_v3::Response>, ApiError> {
    let (session, mut wanted, within) = (request.session, request.body.one_time_keys, request.body.timeout);
    services.rooms.take_unknown((session.user, &session.user_id), &mut wanted).await?;
    let claimed = services.users.keys.claim(wanted).await?;
    let mut response = claim_keys_v3::Response::new(claimed.one_time_keys);
    if !claimed.remote.is_empty() {
        let claimed = services.federation.devices.claim(claimed.remote, within).await;
        response.failures = unreachable(claimed.failed);
        response.one_time_keys.extend(claimed.one_time_keys);
    }
    Ok(Reply(response))
}

/// `GET /_matrix/client/v3/keys/changes`: whose keys changed between two tokens of `/sync`.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3keyschanges)
pub async fn get_key_changes(
    State(services): State<Arc<Services>>,
    request: Ruma<get_key_changes_v3::Request>,
) -> Result<Reply<get_key_changes_v3::Response>, ApiError> {
    let parse = |text: &str| token::parse(text).ok_or_else(|| ApiError::invalid_param("This is not a token of ours"));
    let (from, to) = (parse(&request.body.from)?, parse(&request.body.to)?);
    let (changed, left) = services.sync.device_lists(request.session.user, from, to).await?;
    Ok(Reply(get_key_changes_v3::Response::new(changed, left)))
}

/// `POST /_matrix/client/v3/keys/device_signing/upload`: the user's cross-signing keys.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload)
pub async fn upload_signing_keys(
    State(services): State<Arc<Services>>,
    request: Ruma<upload_signing_keys_v3::Request>,
) -> Result<Reply<upload_signing_keys_v3::Response>, ApiError> {
    let (session, body) = (request.session, request.body);
    let upload = SigningKeys {
        master_key: body.master_key,
        self_signing_key: body.self_signing_key,
        user_signing_key: body.user_signing_key,
    };
    let keys = &services.users.keys;
    if keys.upload_needs_auth(session.user, &session.user_id, &upload).await? {
        let operation = Operation::new("POST /keys/device_signing/upload", Some(session.user), &request.raw_body);
        confirm(&services, operation, PASSWORD_FLOWS, &request.raw_body).await?;
    }
    keys.upload_signing_keys(session.user, &session.user_id, &upload).await?;
    Ok(Reply(upload_signing_keys_v3::Response::new()))
}

/// `POST /_matrix/client/v3/keys/signatures/upload`: signatures of devices and of other people's keys.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload)
pub async fn upload_signatures(
    State(services): State<Arc<Services>>,
    request: Ruma<upload_signatures_v3::Request>,
) -> Result<JsonBytes, ApiError> {
    // ruma's type hides the keys of what it could not read.
    let mut signed: BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>> = request.raw()?;
    let session = &request.session;
    let unknown = services.rooms.take_unknown((session.user, &session.user_id), &mut signed).await?;
    let signed = signed.into_iter().flat_map(|(user_id, keys)| {
        keys.into_iter().map(move |(key_id, object)| (user_id.clone(), key_id, object.get().to_owned()))
    });
    let keys = &services.users.keys;
    let failures = keys.upload_signatures(session.user, &session.user_id, signed.collect()).await?;
    let mut failures: BTreeMap<_, BTreeMap<_, _>> = failures
        .into_iter()
        .map(|(user_id, keys)| (user_id, keys.into_iter().map(|(key_id, why)| (key_id, failure(why))).collect()))
        .collect();
    for (user_id, keys) in unknown {
        let missing = |key_id| (key_id, failure(SignatureFailure::NotFound));
        failures.insert(user_id, keys.into_keys().map(missing).collect());
    }
    JsonBytes::of(&json!({ "failures": failures }))
}

fn failure(why: SignatureFailure) -> Value {
    match why {
        SignatureFailure::NotFound => json!({ "errcode": "M_NOT_FOUND", "error": "There is no such key" }),
        SignatureFailure::Invalid => json!({ "errcode": "M_INVALID_SIGNATURE", "error": "Invalid signature" }),
    }
}

/// Servers that did not answer, or that this one does not talk to.
fn unreachable(servers: Vec<OwnedServerName>) -> BTreeMap<String, Value> {
    let down = || json!({ "errcode": "M_UNREACHABLE", "error": "This server cannot be reached" });
    servers.into_iter().map(|server| (server.to_string(), down())).collect()
}

impl From<KeysError> for ApiError {
    fn from(error: KeysError) -> Self {
        let text = error.to_string();
        let bad = |code: ErrorCode, text: String| Self::new(StatusCode::BAD_REQUEST, code, text);
        match error {
            KeysError::Store(error) => Self::internal(error),
            KeysError::Malformed(message) => Self::bad_json(message),
            KeysError::Invalid(message) => Self::invalid_param(message),
            KeysError::InvalidSignature(_) => bad(ErrorCode::from("M_INVALID_SIGNATURE"), text),
            KeysError::NoMasterKey => Self::missing_param(text),
            KeysError::KeyIsDeviceId => Self::forbidden(text),
            KeysError::OneTimeKeyExists(_) => bad(ErrorCode::Unknown, text),
            KeysError::TooMany(message) => Self::too_large(message),
            KeysError::NotFound(message) => Self::not_found(message),
            KeysError::WrongVersion { current } => {
                Self::new(StatusCode::FORBIDDEN, ErrorCode::WrongRoomKeysVersion, text)
                    .with("current_version", current.to_string())
            }
        }
    }
}
