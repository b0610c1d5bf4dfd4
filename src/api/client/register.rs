//! Making accounts.
//!
//! Specification v1.19, client-server API, "Account registration and management".

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::account::{
    check_registration_token_validity, get_username_availability,
    register::{RegistrationKind, v3 as register_v3},
};

use super::interactive_auth::confirm;
use crate::{
    config::RegistrationMode,
    http::{ApiError, Reply, Ruma, services::Services},
    secret::Secret,
    users::{Flows, NewAccount, NewDevice, Operation, Registered, Stage},
};

const OPEN: Flows = &[&[Stage::Dummy]];
const TOKEN: Flows = &[&[Stage::RegistrationToken]];

/// `POST /_matrix/client/v3/register`: makes an account.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register)
pub async fn register(
    State(services): State<Arc<Services>>,
    request: Ruma<register_v3::Request>,
) -> Result<Reply<register_v3::Response>, ApiError> {
    if request.body.login_type.is_some() {
        return Err(ApiError::forbidden("Only application services register like this"));
    }
    match request.body.kind {
        RegistrationKind::User => register_user(&services, request).await,
        RegistrationKind::Guest => register_guest(&services, request.body).await,
        _ => Err(ApiError::invalid_param("An account is of kind \"user\" or \"guest\"")),
    }
}

async fn register_user(
    services: &Services,
    request: Ruma<register_v3::Request>,
) -> Result<Reply<register_v3::Response>, ApiError> {
    let flows = flows(services)?;
    let Ruma { body, raw_body, .. } = request;
    let password = body.password.clone().map(Secret::from);
    // The names of accounts are lower case; people and their phones' keyboards are not.
    let localpart = body.username.as_ref().map(|name| name.to_ascii_lowercase());
    // What can never succeed is told before anybody fills in forms.
    if let Some(localpart) = &localpart {
        services.users.accounts.check_available(localpart).await?;
    }
    if let Some(password) = &password {
        services.users.passwords.check(password)?;
    } else if body.auth.is_some() {
        return Err(ApiError::missing_param("An account needs a password"));
    }
    confirm(services, Operation::new("POST /register", None, &raw_body), flows, &raw_body).await?;
    let new = NewAccount { localpart, password, admin: false, guest: false };
    let device = (!body.inhibit_login).then(|| device(&body));
    Ok(reply(services.users.register(new, device).await?))
}

async fn register_guest(
    services: &Services,
    body: register_v3::Request,
) -> Result<Reply<register_v3::Response>, ApiError> {
    if !services.config.registration.guests {
        return Err(ApiError::forbidden("This server does not let guests in"));
    }
    let new = NewAccount { guest: true, ..NewAccount::default() };
    // The specification lets guests name nothing but their device's display name.
    let device = NewDevice { display_name: body.initial_device_display_name, ..NewDevice::default() };
    Ok(reply(services.users.register(new, Some(device)).await?))
}

fn flows(services: &Services) -> Result<Flows, ApiError> {
    match services.config.registration.mode {
        RegistrationMode::Closed => Err(ApiError::forbidden("Registration is closed on this server")),
        RegistrationMode::Token => Ok(TOKEN),
        RegistrationMode::Open => Ok(OPEN),
    }
}

fn device(body: &register_v3::Request) -> NewDevice {
    NewDevice {
        device_id: body.device_id.clone(),
        display_name: body.initial_device_display_name.clone(),
        refreshable: body.refresh_token,
    }
}

fn reply(registered: Registered) -> Reply<register_v3::Response> {
    let mut response = register_v3::Response::new(registered.user_id);
    if let Some(grant) = registered.grant {
        response.access_token = Some(grant.access_token.expose().clone());
        response.device_id = Some(grant.device_id);
        response.refresh_token = grant.refresh_token.map(|token| token.expose().clone());
        response.expires_in = grant.expires_in;
    }
    Reply(response)
}

/// `GET /_matrix/client/v3/register/available`: whether an account could have a name.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable)
pub async fn get_username_availability(
    State(services): State<Arc<Services>>,
    request: Ruma<get_username_availability::v3::Request>,
) -> Result<Reply<get_username_availability::v3::Response>, ApiError> {
    flows(&services)?;
    services.users.accounts.check_available(&request.body.username.to_ascii_lowercase()).await?;
    Ok(Reply(get_username_availability::v3::Response::new(true)))
}

/// `GET /_matrix/client/v1/register/m.login.registration_token/validity`: whether a registration token is valid.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity)
pub async fn check_registration_token_validity(
    State(services): State<Arc<Services>>,
    request: Ruma<check_registration_token_validity::v1::Request>,
) -> Result<Reply<check_registration_token_validity::v1::Response>, ApiError> {
    if services.config.registration.mode != RegistrationMode::Token {
        return Err(ApiError::forbidden("This server does not register with tokens"));
    }
    let valid = services.users.registration_tokens.is_valid(&Secret::from(request.body.token));
    Ok(Reply(check_registration_token_validity::v1::Response::new(valid)))
}
