//! What the account may do here.
//!
//! Specification v1.19, client-server API, "Capabilities negotiation".

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::discovery::get_capabilities::v3::{
    self as get_capabilities_v3, Capabilities, GetLoginTokenCapability, ProfileFieldsCapability, RoomVersionStability,
    RoomVersionsCapability, ThirdPartyIdChangesCapability,
};
use serde_json::{Value, json};

use crate::{
    event::room_version,
    http::{ApiError, JsonBytes, Ruma, services::Services},
    users::DISPLAYNAME,
};

/// The name under which clients find the school's own interface.
pub(super) const SCHOOL: &str = "org.homeroom.school";

/// Where the school's own interface is. Always there: before the first roster it answers that there is none.
pub(super) fn school() -> Value {
    json!({ "version": 1, "base": "/_homeroom/v1" })
}

/// What ruma leaves out because it is the default. Clients look for it all the same.
const SAID_ANYWAY: [&str; 3] = ["m.change_password", "m.set_displayname", "m.set_avatar_url"];

/// `GET /_matrix/client/v3/capabilities`: what the account may do here.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3capabilities)
pub async fn get_capabilities(
    State(services): State<Arc<Services>>,
    request: Ruma<get_capabilities_v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let mut capabilities = Capabilities::new();
    let available = room_version::SUPPORTED.into_iter().map(|version| (version, RoomVersionStability::Stable));
    let default = services.config.rooms.default_version.clone();
    capabilities.room_versions = RoomVersionsCapability::new(default, available.collect());
    capabilities.thirdparty_id_changes = ThirdPartyIdChangesCapability::new(false);
    capabilities.get_login_token = GetLoginTokenCapability::new(false);
    capabilities.profile_fields = Some(ProfileFieldsCapability::new(true));
    let mut answer = json!({ "capabilities": capabilities });
    if let Some(said) = answer.get_mut("capabilities").and_then(Value::as_object_mut) {
        for capability in SAID_ANYWAY {
            said.entry(capability).or_insert_with(|| json!({ "enabled": true }));
        }
        if services.school.rules.keeps_name(&request.session.user_id) {
            said.insert("m.set_displayname".to_owned(), json!({ "enabled": false }));
            let fields = json!({ "enabled": true, "disallowed": [DISPLAYNAME] });
            said.insert("m.profile_fields".to_owned(), fields);
        }
        said.insert(SCHOOL.to_owned(), school());
    }
    JsonBytes::of(&answer)
}
