//! Finding people by name.

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::user_directory::search_users::v3 as search_users_v3;

use crate::{
    http::{ApiError, Reply, Ruma, services::Services},
    school::directory::SEARCH_MAX,
};

/// `POST /_matrix/client/v3/user_directory/search`
///
/// People whose name or user id a text means: those of the school whom the caller may see, best first, or, on a server
/// without one, who shares a room with them or is in a public one. The language is not looked at: names are found however
/// they are written.
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3user_directorysearch)
///
/// # Errors
/// `M_INVALID_PARAM` for an overlong term.
pub async fn search_users(
    State(services): State<Arc<Services>>,
    request: Ruma<search_users_v3::Request>,
) -> Result<Reply<search_users_v3::Response>, ApiError> {
    let search_users_v3::Request { search_term, limit, .. } = request.body;
    let limit = usize::try_from(limit).unwrap_or(SEARCH_MAX).min(SEARCH_MAX);
    let session = request.session;
    let found = services.school.directory.search(session.user, &session.user_id, &search_term, limit).await?;
    let (people, limited) = found;
    let people = people.into_iter().map(|person| {
        let mut user = search_users_v3::User::new(person.user_id);
        user.display_name = person.name;
        user.avatar_url = person.avatar_url;
        user
    });
    Ok(Reply(search_users_v3::Response::new(people.collect(), limited)))
}
