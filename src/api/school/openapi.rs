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

use super::{
    activate, audit, chats, classes, contacts, decisions, exports, import_reply, imports, me, overrides, people,
    policy, rollover, room_orders, rooms, slips,
};
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
        chats::start_chat,
        chats::ask_knock,
        chats::get_knocks,
        chats::answer_knock,
        imports::upload,
        imports::get_imports,
        imports::get_import,
        imports::apply_import,
        imports::roll_back_import,
        imports::discard_import,
        import_reply::get_errors,
        import_reply::get_changes,
        exports::get_export,
        people::get_people,
        people::merge_people,
        decisions::get_roles,
        decisions::put_role,
        decisions::delete_role,
        decisions::get_links,
        decisions::put_link,
        decisions::delete_link,
        overrides::get_overrides,
        overrides::add_override,
        overrides::delete_override,
        policy::get_policy,
        policy::put_policy,
        policy::get_versions,
        policy::simulate,
        policy::preview,
        policy::get_why,
        rollover::preview,
        rollover::roll_over,
        rooms::get_rooms,
        rooms::freeze_room,
        rooms::unfreeze_room,
        room_orders::set_mode,
        room_orders::announce,
        room_orders::consent_to_leave,
        room_orders::replace_supervisor,
        room_orders::open_family,
        room_orders::get_progress,
        room_orders::reconcile,
        rooms::get_tasks,
        rooms::finish_task,
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
