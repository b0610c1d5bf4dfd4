//! Keys of this server's users. Those of other servers' users are kept here too, but never given to a third.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use ruma::{
    OwnedUserId, ServerName,
    api::federation::keys::{claim_keys::v1 as claim_keys_v1, get_keys::v1 as get_keys_v1},
};

use super::devices::known;
use crate::http::{ApiError, Reply, Signed, services::Services};

/// Users that one request may ask about.
const USERS_MAX: usize = 10_000;

/// `POST /_matrix/federation/v1/user/keys/query`: public keys of users of this server.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysquery)
///
/// # Errors
/// The store failed. Users who do not exist, or whom the rules hide, are not in the answer.
pub async fn get_keys(
    State(services): State<Arc<Services>>,
    request: Signed<get_keys_v1::Request>,
) -> Result<Reply<get_keys_v1::Response>, ApiError> {
    let wanted = keep_known(&services, &request.origin, request.body.device_keys).await?;
    let names = services.config.federation.device_names;
    let found = services.users.keys.query_for_server(wanted, names).await?;
    let mut response = get_keys_v1::Response::new(found.device_keys);
    response.master_keys = found.master_keys;
    response.self_signing_keys = found.self_signing_keys;
    Ok(Reply(response))
}

/// `POST /_matrix/federation/v1/user/keys/claim`: a one-time key of each device, given to nobody else.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysclaim)
///
/// # Errors
/// The store failed. Users who do not exist, or whom the rules hide, are not in the answer.
pub async fn claim_keys(
    State(services): State<Arc<Services>>,
    request: Signed<claim_keys_v1::Request>,
) -> Result<Reply<claim_keys_v1::Response>, ApiError> {
    let wanted = keep_known(&services, &request.origin, request.body.one_time_keys).await?;
    let claimed = services.users.keys.claim(wanted).await?;
    Ok(Reply(claim_keys_v1::Response::new(claimed.one_time_keys)))
}

/// What is asked about users of this server of whom that server may know.
async fn keep_known<V>(
    services: &Services,
    origin: &ServerName,
    wanted: BTreeMap<OwnedUserId, V>,
) -> Result<BTreeMap<OwnedUserId, V>, ApiError> {
    if wanted.len() > USERS_MAX {
        return Err(ApiError::too_large("Too many users at once"));
    }
    let mut kept = BTreeMap::new();
    for (user_id, value) in wanted {
        if known(services, origin, &user_id).await?.is_some() {
            kept.insert(user_id, value);
        }
    }
    Ok(kept)
}
