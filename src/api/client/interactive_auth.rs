//! User-interactive authentication, as endpoints ask for it, and its fallback pages.
//!
//! Specification v1.19, client-server API, "User-Interactive Authentication API".

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{Html, IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Uri, header};
use serde::Deserialize;

use crate::{
    http::{ApiError, BoundedBody, Class, PathArgs, Query, services::Services},
    secret::Secret,
    users::{AuthDict, Flows, Operation, Outcome, Stage},
};

/// Pages that may do nothing but send their own form and tell the window that opened them.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
);

/// The longest form that a page sends, in bytes.
const FORM_BYTES_MAX: usize = 4096;

/// What a body says about authentication.
#[derive(Deserialize)]
struct WithAuth {
    #[serde(default)]
    auth: Option<AuthDict>,
}

/// Asks for user-interactive authentication, and goes on when all is proven.
///
/// `body` is the request's JSON as it came; `operation` was made from it.
///
/// # Errors
/// 401 with what is missing; 403 when the session, or the password, belongs to something else.
pub(super) async fn confirm(
    services: &Services,
    operation: Operation,
    flows: Flows,
    body: &[u8],
) -> Result<(), ApiError> {
    let auth = if body.is_empty() { None } else { serde_json::from_slice::<WithAuth>(body)?.auth };
    // Whoever holds a stolen token must not be able to try passwords faster than at the login.
    if let (Some(user), Some(_)) = (operation.user, auth.as_ref().and_then(|auth| auth.password.as_ref())) {
        services.limiter.check_user(Class::Login, user)?;
    }
    match services.users.uia.check(operation, flows, auth).await? {
        Outcome::Passed => Ok(()),
        Outcome::Incomplete(info) => Err(ApiError::uia(*info)),
        Outcome::OtherRequest => Err(ApiError::forbidden("This session was begun for another request")),
        Outcome::OtherAccount => Err(ApiError::forbidden("This is not the account that asks")),
    }
}

/// The query of a fallback page.
#[derive(Debug, Deserialize)]
pub struct FallbackQuery {
    session: String,
}

/// `GET /_matrix/client/v3/auth/{authType}/fallback/web`: a stage as a web page, for clients that do not know it.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#fallback)
pub async fn get_uiaa_fallback_page(
    State(services): State<Arc<Services>>,
    path: PathArgs,
    Query(query): Query<FallbackQuery>,
) -> Result<Response, ApiError> {
    let stage = awaited(&services, &path, &query)?;
    Ok(page(&form(stage, false)))
}

/// `POST /_matrix/client/v3/auth/{authType}/fallback/web`: the form of the page comes back.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#fallback)
pub async fn post_uiaa_fallback_page(
    State(services): State<Arc<Services>>,
    path: PathArgs,
    Query(query): Query<FallbackQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let stage = awaited(&services, &path, &query)?;
    let fields = fields(&BoundedBody::new(&headers, body, FORM_BYTES_MAX)?.collect().await?)?;
    // Sessions are begun through limited endpoints; this limits what each is good for.
    services.limiter.check_name(Class::Login, &query.session)?;
    let auth = AuthDict {
        stage: Some(stage.auth_type().as_str().to_owned()),
        password: fields.password,
        token: fields.token,
        ..AuthDict::default()
    };
    match services.users.uia.complete(&query.session, &auth).await? {
        Some(true) => Ok(page(DONE)),
        Some(false) => Ok(page(&form(stage, true))),
        None => Err(ApiError::not_found("This session has ended")),
    }
}

/// What the forms of the pages send.
#[derive(Deserialize)]
struct FallbackFields {
    password: Option<Secret>,
    token: Option<Secret>,
}

/// Reads a form: its encoding is that of a query.
fn fields(body: &[u8]) -> Result<FallbackFields, ApiError> {
    let invalid = || ApiError::invalid_param("This is not the form of this page");
    if body.len() > FORM_BYTES_MAX {
        return Err(ApiError::too_large("This is not the form of this page"));
    }
    let form = std::str::from_utf8(body).map_err(|_| invalid())?;
    let uri = Uri::builder().path_and_query(format!("/?{form}")).build().map_err(|_| invalid())?;
    axum::extract::Query::try_from_uri(&uri).map(|query| query.0).map_err(|_| invalid())
}

fn awaited(services: &Services, path: &PathArgs, query: &FallbackQuery) -> Result<Stage, ApiError> {
    let stage = Stage::from_name(path.get(0)).filter(|stage| services.users.uia.awaits(&query.session, *stage));
    stage.ok_or_else(|| ApiError::not_found("No session waits for this stage"))
}

/// The page after a completed stage (specification: `window.onAuthDone`, or a message to the opener).
const DONE: &str = "<p>Done. You can close this window.</p><script>\
    if (window.onAuthDone) { window.onAuthDone(); }\
    else if (window.opener && window.opener.postMessage) { window.opener.postMessage('authDone', '*'); }\
    </script>";

fn form(stage: Stage, failed: bool) -> String {
    let field = match stage {
        Stage::Dummy => "",
        Stage::Password => "<label>Password <input type=\"password\" name=\"password\" required></label>",
        Stage::RegistrationToken => "<label>Registration token <input name=\"token\" required></label>",
    };
    let failure = if failed { "<p>That was not right. Please try again.</p>" } else { "" };
    // Without an action a form goes to its own address, which names the session.
    format!("{failure}<form method=\"post\">{field} <button>Continue</button></form>")
}

fn page(content: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Confirm</title><body>{content}</body></html>"
    );
    let mut response = Html(html).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
