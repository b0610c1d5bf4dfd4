//! The document of `/_homeroom/v1`, made from the handlers.

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use super::{activate, audit, classes, contacts, me, slips};
use crate::http::{ApiError, reply::json_response};

/// The name of the one way to sign in.
const TOKEN: &str = "access_token";

/// All handlers of `/_homeroom`, a line each. A test compares the list with the route table.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Homeroom's school interface",
        description = "What a school needs and Matrix has no endpoint for. Refusals have Matrix's shape; lists take \
            `limit` and `from` and answer `next_batch`."
    ),
    paths(
        get_openapi,
        activate::activate,
        activate::get_page,
        slips::make_slips,
        slips::print_slips,
        slips::get_slips,
        slips::delete_slip,
        audit::get_audit,
        me::get_me,
        contacts::get_contacts,
        contacts::get_contact,
        contacts::get_why,
        classes::get_classes,
        classes::get_class,
        classes::get_children,
    ),
    tags(
        (name = "everyone", description = "For everybody with an account"),
        (name = "administration", description = "For administrators"),
        (name = "activation", description = "Before the first sign-in"),
        (name = "about", description = "About this interface"),
    ),
    modifiers(&Token)
)]
struct Document;

/// Access tokens, which every endpoint takes that does not say otherwise.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme(TOKEN, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        document.security = Some(vec![SecurityRequirement::new(TOKEN, std::iter::empty::<String>())]);
    }
}

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// `GET /_homeroom/v1/openapi.json`: this document.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/openapi.json",
    tag = "about",
    security(()),
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object, content_type = "application/json"))
)]
pub async fn get_openapi() -> Result<Response, ApiError> {
    let json = document().to_json().map_err(ApiError::internal)?;
    Ok(json_response(StatusCode::OK, Bytes::from(json)))
}
