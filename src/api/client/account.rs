//! Changing one's account.
//!
//! Specification v1.19, client-server API, "Account registration and management" and "Adding account administrative
//! contact information". Mail addresses and telephone numbers are not kept here: `m.3pid_changes` says so.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use ruma::api::{
    client::account::{
        ThirdPartyIdRemovalStatus, change_password::v3 as change_password_v3, deactivate::v3 as deactivate_v3,
    },
    error::ErrorCode,
};
use serde::Deserialize;

use super::interactive_auth::confirm;
use crate::{
    http::{ApiError, Auth, JsonBody, JsonBytes, Reply, services::Services},
    secret::Secret,
    users::{Operation, PASSWORD_FLOWS},
};

/// The body of a change of password, without `auth`.
#[derive(Deserialize)]
struct ChangePassword {
    new_password: Option<Secret>,
    #[serde(default = "yes")]
    logout_devices: bool,
}

fn yes() -> bool {
    true
}

/// `POST /_matrix/client/v3/account/password`: sets a new password. Without a session it would need a mail address,
/// which is not offered.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword)
pub async fn change_password(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    body: JsonBody,
) -> Result<Reply<change_password_v3::Response>, ApiError> {
    let wanted: ChangePassword = body.parse()?;
    if let Some(password) = &wanted.new_password {
        services.users.passwords.check(password)?;
    }
    let operation = Operation::new("POST /account/password", Some(session.user), &body.0);
    confirm(&services, operation, PASSWORD_FLOWS, &body.0).await?;
    let password = wanted.new_password.ok_or_else(|| ApiError::missing_param("The new password is missing"))?;
    let kept = Some(session.device_id.as_str());
    services.users.change_password(session.user, password, wanted.logout_devices, kept).await?;
    Ok(Reply(change_password_v3::Response::new()))
}

/// The body of a deactivation, without `auth`.
#[derive(Deserialize)]
struct Deactivate {
    #[serde(default)]
    erase: bool,
}

/// `POST /_matrix/client/v3/account/deactivate`: closes the account for good. Not for people of a roster: whoever is at
/// the school has an account there, and a closed one could never be theirs again.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate)
pub async fn deactivate(
    State(services): State<Arc<Services>>,
    Auth(session): Auth,
    body: JsonBody,
) -> Result<Reply<deactivate_v3::Response>, ApiError> {
    let wanted: Deactivate = body.parse()?;
    if services.school.imports.knows(session.user).await? {
        let message = "The school keeps this account for you. Ask the school's office if it should be closed.";
        return Err(ApiError::forbidden(message).with_reason("account.roster"));
    }
    let operation = Operation::new("POST /account/deactivate", Some(session.user), &body.0);
    confirm(&services, operation, PASSWORD_FLOWS, &body.0).await?;
    services.users.deactivate(session.user, wanted.erase).await?;
    // Nothing was ever bound to an identity server by this server, so nothing is left bound.
    Ok(Reply(deactivate_v3::Response::new(ThirdPartyIdRemovalStatus::Success)))
}

/// `GET /_matrix/client/v3/account/3pid`: the mail addresses and telephone numbers of the account: none.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3account3pid)
pub async fn get_3pids(Auth(_session): Auth) -> JsonBytes {
    // By hand: clients read `threepids` without asking whether it is there, and ruma leaves an empty list out.
    JsonBytes::from(br#"{"threepids":[]}"#.to_vec())
}

/// `POST /_matrix/client/v3/account/3pid/{add,bind,delete,unbind}`: refused.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information)
pub async fn refuse_3pid(Auth(_session): Auth) -> ApiError {
    denied()
}

/// `POST …/{email,msisdn}/requestToken` of registration, password and account: refused.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidemailrequesttoken)
pub async fn refuse_3pid_token() -> ApiError {
    denied()
}

fn denied() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        ErrorCode::ThreepidDenied,
        "This server does not use mail addresses or telephone numbers",
    )
}
