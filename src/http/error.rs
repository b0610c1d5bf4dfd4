//! The only way a request is refused.
//!
//! An [`ApiError`] carries two texts: one for the client and, as its cause, one for the log. Answers of 5xx never tell
//! the client more than "Internal server error". The cause is logged once, when the answer is built, inside the span of
//! the request, which carries the request id.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use ruma::api::{
    client::uiaa::UiaaInfo,
    error::{ErrorCode, StandardErrorBody},
};
use serde_json::{Map, Value};

use crate::http::reply::json_response;

/// What a client may know of a failure of the server.
const INTERNAL: &str = "Internal server error";

/// A refused request: status, `errcode` and text for the client, and a cause for the log.
///
/// Specification v1.19, client-server API, "Standard error response".
pub struct ApiError(Box<Inner>);

struct Inner {
    status: StatusCode,
    body: ErrorBody,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

enum ErrorBody {
    Standard { errcode: ErrorCode, message: Cow<'static, str>, extra: Map<String, Value> },
    Uia(UiaaInfo),
}

impl ApiError {
    /// A refusal with any status and code. Prefer the named constructors.
    pub fn new(status: StatusCode, errcode: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        let body = ErrorBody::Standard { errcode, message: message.into(), extra: Map::new() };
        Self(Box::new(Inner { status, body, retry_after: None, cause: None }))
    }

    /// 401 with the stages of user-interactive authentication that remain.
    ///
    /// A stage that failed is told in `info.auth_error`; see [`ApiError::uia_failed`].
    pub fn uia(info: UiaaInfo) -> Self {
        let body = ErrorBody::Uia(info);
        Self(Box::new(Inner { status: StatusCode::UNAUTHORIZED, body, retry_after: None, cause: None }))
    }

    /// 401 for a stage of user-interactive authentication that was tried and failed.
    pub fn uia_failed(mut info: UiaaInfo, kind: ruma::api::error::ErrorKind, message: &str) -> Self {
        info.auth_error = Some(Box::new(StandardErrorBody::new(kind, message.to_owned())));
        Self::uia(info)
    }

    /// Adds a field to the answer. Without effect on user-interactive authentication.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let ErrorBody::Standard { extra, .. } = &mut self.0.body {
            extra.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Adds `org.homeroom.reason`, a stable word that our own inbox shows in the reader's language.
    #[must_use]
    pub fn with_reason(self, reason: &str) -> Self {
        self.with("org.homeroom.reason", reason)
    }

    /// Adds what the log shall say. The client never sees it.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The `errcode` of the answer; `None` for user-interactive authentication without a failed stage.
    pub fn errcode(&self) -> Option<ErrorCode> {
        match &self.0.body {
            ErrorBody::Standard { errcode, .. } => Some(errcode.clone()),
            ErrorBody::Uia(info) => info.auth_error.as_ref().map(|error| error.kind.errcode()),
        }
    }

    fn message(&self) -> &str {
        match &self.0.body {
            ErrorBody::Standard { errcode: ErrorCode::Unknown, .. } if self.0.status.is_server_error() => INTERNAL,
            ErrorBody::Standard { message, .. } => message,
            ErrorBody::Uia(_) => "user-interactive authentication required",
        }
    }

    fn log(&self) {
        let cause = self.0.cause.as_deref().map(chain);
        let cause = cause.as_deref().unwrap_or("none given");
        if self.0.status.is_server_error() {
            tracing::error!(status = self.0.status.as_u16(), cause, "request failed");
        } else if self.0.cause.is_some() {
            tracing::debug!(status = self.0.status.as_u16(), cause, "request refused");
        }
    }
}

/// The constructors, one per code of the specification that this server answers.
impl ApiError {
    /// 403 `M_FORBIDDEN`.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message)
    }

    /// 403 `M_GUEST_ACCESS_FORBIDDEN`.
    pub fn guest_access_forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::GuestAccessForbidden, "Guests cannot do this")
    }

    /// 404 `M_NOT_FOUND`.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
    }

    /// 404 `M_UNRECOGNIZED`: no such endpoint.
    pub fn unrecognized() -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::Unrecognized, "Unrecognized request")
    }

    /// 405 `M_UNRECOGNIZED`: the endpoint does not know this method.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unrecognized, "Method not allowed here")
    }

    /// 400 `M_BAD_JSON`: valid JSON of the wrong shape.
    pub fn bad_json(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadJson, message)
    }

    /// 400 `M_NOT_JSON`.
    pub fn not_json(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::NotJson, message)
    }

    /// 400 `M_INVALID_PARAM`.
    pub fn invalid_param(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidParam, message)
    }

    /// 400 `M_MISSING_PARAM`.
    pub fn missing_param(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::MissingParam, message)
    }

    /// 401 `M_UNKNOWN_TOKEN`; `soft_logout` tells the client to keep its keys and sign in again.
    pub fn unknown_token(soft_logout: bool) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::UnknownToken, "Unknown access token")
            .with("soft_logout", soft_logout)
    }

    /// 401 `M_MISSING_TOKEN`.
    pub fn missing_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::MissingToken, "Missing access token")
    }

    /// 401 `M_UNAUTHORIZED`: a server has not proved who it is.
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
    }

    /// 401 `M_USER_LOCKED`, with `soft_logout` as "Account locking" of the specification asks.
    pub fn user_locked() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::UserLocked, "This account has been locked")
            .with("soft_logout", true)
    }

    /// 403 `M_USER_SUSPENDED`.
    pub fn user_suspended() -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::UserSuspended, "This account has been suspended")
    }

    /// 403 `M_USER_DEACTIVATED`.
    pub fn user_deactivated() -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::UserDeactivated, "This account has been deactivated")
    }

    /// 429 `M_LIMIT_EXCEEDED` with `Retry-After` and `retry_after_ms`.
    pub fn limit_exceeded(retry_after: Duration) -> Self {
        let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::LimitExceeded, "Too many requests")
            .with("retry_after_ms", retry_after_ms);
        error.0.retry_after = Some(retry_after);
        error
    }

    /// 403 `M_RESOURCE_LIMIT_EXCEEDED`; `admin_contact` is a URI of someone who can help.
    pub fn resource_limit_exceeded(message: impl Into<Cow<'static, str>>, admin_contact: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::ResourceLimitExceeded, message).with("admin_contact", admin_contact)
    }

    /// 413 `M_TOO_LARGE`.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, message)
    }

    /// 400 `M_USER_IN_USE`.
    pub fn user_in_use() -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::UserInUse, "This user name is taken")
    }

    /// 400 `M_INVALID_USERNAME`.
    pub fn invalid_username(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidUsername, message)
    }

    /// 400 `M_EXCLUSIVE`: the name belongs to an application service.
    pub fn exclusive() -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::Exclusive, "This name belongs to an application service")
    }

    /// 400 `M_WEAK_PASSWORD`.
    pub fn weak_password(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::WeakPassword, message)
    }

    /// 400 `M_ROOM_IN_USE`.
    pub fn room_in_use() -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::RoomInUse, "This room alias is taken")
    }

    /// 400 `M_INVALID_ROOM_STATE`.
    pub fn invalid_room_state(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRoomState, message)
    }

    /// 400 `M_UNSUPPORTED_ROOM_VERSION`.
    pub fn unsupported_room_version() -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::UnsupportedRoomVersion, "This room version is not supported")
    }

    /// 400 `M_INCOMPATIBLE_ROOM_VERSION` with the version of the room.
    pub fn incompatible_room_version(room_version: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::IncompatibleRoomVersion, "The room's version is not supported")
            .with("room_version", room_version)
    }

    /// 400 `M_BAD_ALIAS`.
    pub fn bad_alias(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadAlias, message)
    }

    /// 403 `M_BAD_STATE`: the change is impossible in the present state, such as unbanning who is not banned.
    pub fn bad_state(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::BadState, message)
    }

    /// 400 `M_DUPLICATE_ANNOTATION`.
    pub fn duplicate_annotation() -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::DuplicateAnnotation, "This reaction has been sent already")
    }

    /// 504 `M_NOT_YET_UPLOADED`.
    pub fn not_yet_uploaded() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, ErrorCode::NotYetUploaded, "This content has not been uploaded yet")
    }

    /// 409 `M_CANNOT_OVERWRITE_MEDIA`.
    pub fn cannot_overwrite_media() -> Self {
        Self::new(StatusCode::CONFLICT, ErrorCode::CannotOverwriteMedia, "This content has been uploaded already")
    }

    /// 408 `M_UNKNOWN`: the client did not finish sending its request in time.
    pub fn request_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::Unknown, "The request took too long to arrive")
    }

    /// 500 `M_UNKNOWN`; the cause goes to the log only.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown, INTERNAL).with_cause(cause)
    }

    /// 503 `M_UNKNOWN`: the server cannot do this now (full disk, shutting down); the cause goes to the log only.
    pub fn unavailable(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unknown, INTERNAL).with_cause(cause)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let message = self.message().to_owned();
        let Inner { status, body, retry_after, .. } = *self.0;
        let bytes = match body {
            ErrorBody::Standard { errcode, extra, .. } => {
                let mut object = extra;
                object.insert("errcode".to_owned(), Value::String(errcode.to_string()));
                object.insert("error".to_owned(), Value::String(message));
                serde_json::to_vec(&object)
            }
            ErrorBody::Uia(info) => serde_json::to_vec(&info),
        };
        // Maps with string keys always serialise; the fallback keeps this function total.
        let bytes = bytes.unwrap_or_else(|_| br#"{"errcode":"M_UNKNOWN","error":"Internal server error"}"#.to_vec());
        let mut response = json_response(status, bytes.into());
        if let Some(wait) = retry_after {
            // Whole seconds, rounded up: a client that waits exactly this long is let in.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.status.as_u16(), self.message())
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("status", &self.0.status.as_u16())
            .field("errcode", &self.errcode())
            .field("message", &self.message())
            .field("cause", &self.0.cause)
            .finish()
    }
}

/// An error and its sources in one line.
fn chain(error: &(dyn StdError + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
