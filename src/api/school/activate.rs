//! The first password, set with the code of an activation slip.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{errors::ErrorReply, page::Page, slips::unstored};
use crate::{
    http::{ApiError, Class, ClientAddress, JsonBody, JsonBytes, services::Services},
    secret::Secret,
};

/// A code and the password it shall set.
#[derive(Deserialize, ToSchema)]
pub struct Activation {
    /// The code, in capital or small letters, with or without hyphens.
    #[schema(value_type = String, example = "7KQ2M-XR4TB-9WHCA")]
    code: Secret,
    /// The new password.
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// Whose password was set.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activated {
    /// The user id to sign in with.
    pub user_id: String,
}

/// `POST /_homeroom/v1/activate`: sets the first password. Without an access token.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/activate",
    tag = "activation",
    security(()),
    request_body = Activation,
    responses(
        (status = 200, description = "The password is set, the code is used up", body = Activated),
        (status = 400, description = "A mistyped code (`org.homeroom.reason` is `mistyped`), or a weak password",
            body = ErrorReply),
        (status = 403, description = "The code is unknown, used, past or revoked", body = ErrorReply),
        (status = 429, description = "Too many tries", body = ErrorReply),
    )
)]
pub async fn activate(
    State(services): State<Arc<Services>>,
    parts: Parts,
    body: JsonBody,
) -> Result<Response, ApiError> {
    services.limiter.check_address(Class::Login, ClientAddress::of(&parts.extensions).0)?;
    let wanted: Activation = body.parse()?;
    let user_id = services.school.slips.redeem(wanted.code.expose(), wanted.password).await?;
    Ok(unstored(JsonBytes::of(&Activated { user_id: user_id.into() })?.into_response()))
}

/// `GET /_homeroom/activate`: a page on which a person types the code and chooses a password. The code of a QR picture
/// stands behind `#` in the address, which browsers do not send.
#[utoipa::path(
    get,
    path = "/_homeroom/activate",
    tag = "activation",
    security(()),
    responses((status = 200, description = "A page", body = String, content_type = "text/html"))
)]
pub async fn get_page() -> Result<Response, ApiError> {
    Page { title: "Homeroom", style: STYLE, script: SCRIPT, body: BODY }.response()
}

const STYLE: &str = include_str!("activate/page.css");
const SCRIPT: &str = include_str!("activate/page.js");
const BODY: &str = include_str!("activate/page.html");
