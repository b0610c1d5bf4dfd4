//! What the server says of itself.

use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn versions_and_capabilities_are_told() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let versions = server.anonymous().get("/_matrix/client/versions").await.ok();
    let list = versions["versions"].as_array().unwrap();
    assert!(list.contains(&json!("v1.1")) && list.contains(&json!("v1.16")) && !list.contains(&json!("v1.17")));
    assert_eq!(versions["unstable_features"]["org.matrix.msc4222"], true);
    let told = anna.get("/_matrix/client/v3/capabilities").await.ok()["capabilities"].clone();
    assert_eq!(told["m.room_versions"]["default"], "12");
    assert_eq!(told["m.room_versions"]["available"]["11"], "stable");
    assert_eq!(told["m.3pid_changes"]["enabled"], false);
    assert_eq!(told["m.change_password"]["enabled"], true);
    assert_eq!(told["m.profile_fields"]["enabled"], true);
    assert_eq!(told["org.homeroom.school"], json!({ "version": 1, "base": "/_homeroom/v1" }));
    assert!(told.get("m.get_login_token").is_none_or(|capability| capability["enabled"] == false));
    server.anonymous().get("/_matrix/client/v3/capabilities").await.refused(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn the_well_known_address_is_the_configured_one() {
    let server = Server::start().await;
    let told = server.anonymous().get("/.well-known/matrix/client").await.ok();
    assert_eq!(told["m.homeserver"]["base_url"], "https://school.example");
    assert_eq!(told["org.homeroom.school"], json!({ "version": 1, "base": "/_homeroom/v1" }));
    assert_eq!(server.anonymous().get("/.well-known/matrix/client").await.headers["access-control-allow-origin"], "*");
}
