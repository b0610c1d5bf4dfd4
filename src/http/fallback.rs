//! Requests that no endpoint answers. Specification v1.19, client-server API, "Other error codes".

use crate::http::error::ApiError;

/// No such path: 404 `M_UNRECOGNIZED`. For `Router::fallback`.
pub async fn not_found() -> ApiError {
    ApiError::unrecognized()
}

/// The path exists, the method does not: 405 `M_UNRECOGNIZED`. For `Router::method_not_allowed_fallback`.
pub async fn method_not_allowed() -> ApiError {
    ApiError::method_not_allowed()
}
