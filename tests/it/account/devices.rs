//! Devices.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Client, PASSWORD, Server};

const DEVICES: &str = "/_matrix/client/v3/devices";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

fn proof(user: &str) -> Value {
    json!({ "type": "m.login.password", "password": PASSWORD, "identifier": { "type": "m.id.user", "user": user } })
}

fn path(device: &Client) -> String {
    format!("{DEVICES}/{}", device.device_id)
}

#[tokio::test]
async fn devices_are_listed_and_named() {
    let server = Server::start().await;
    let phone = server.register("anna").await;
    let laptop = Client::login(&server, "anna").await;
    let ben = server.register("ben").await;
    let listed = phone.get(DEVICES).await.ok();
    assert_eq!(listed["devices"].as_array().unwrap().len(), 2);
    phone.put(&path(&laptop), json!({ "display_name": "Laptop" })).await.ok();
    let one = phone.get(&path(&laptop)).await.ok();
    assert_eq!((&one["display_name"], &one["device_id"]), (&json!("Laptop"), &json!(laptop.device_id)));
    let own = phone.get(&path(&phone)).await.ok();
    assert_eq!(own["last_seen_ip"], "127.0.0.1");
    assert!(own["last_seen_ts"].is_u64());
    ben.get(&path(&laptop)).await.refused(404, "M_NOT_FOUND");
    ben.put(&path(&laptop), json!({ "display_name": "Ben's" })).await.refused(404, "M_NOT_FOUND");
    let long = json!({ "display_name": "x".repeat(300) });
    phone.put(&path(&laptop), long).await.refused(413, "M_TOO_LARGE");
}

#[tokio::test]
async fn removing_a_device_needs_the_owners_password() {
    let server = Server::start().await;
    let phone = server.register("anna").await;
    let laptop = Client::login(&server, "anna").await;
    let ben = server.register("ben").await;
    let delete = |who: &Client, auth: Value| {
        let (who, path, body) = (who.clone(), path(&laptop), json!({ "auth": auth }));
        async move { who.call(Method::DELETE, &path, body).await }
    };
    assert_eq!(phone.delete(&path(&laptop)).await.status, 401);
    delete(&phone, proof("ben")).await.refused(403, "M_FORBIDDEN");
    // Ben proves who he is, but the device is not among his.
    delete(&ben, proof("ben")).await.ok();
    laptop.get(WHOAMI).await.ok();
    delete(&phone, proof("anna")).await.ok();
    laptop.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    phone.get(&path(&laptop)).await.refused(404, "M_NOT_FOUND");
    delete(&phone, proof("anna")).await.ok();
}

#[tokio::test]
async fn a_confirmation_is_for_the_devices_it_was_given_for() {
    let server = Server::start().await;
    let phone = server.register("anna").await;
    let (first, second) = (Client::login(&server, "anna").await, Client::login(&server, "anna").await);
    let begun = phone.delete(&path(&first)).await;
    let mut auth = proof("anna");
    auth["session"] = begun.body["session"].clone();
    let other = phone.call(Method::DELETE, &path(&second), json!({ "auth": auth.clone() })).await;
    other.refused(403, "M_FORBIDDEN");
    second.get(WHOAMI).await.ok();
    phone.call(Method::DELETE, &path(&first), json!({ "auth": auth })).await.ok();
    // Clients of before r0.4 name the user outside of an identifier.
    let old = json!({ "type": "m.login.password", "user": phone.user_id, "password": PASSWORD });
    let body = json!({ "devices": [second.device_id, "NOBODYS"], "auth": old });
    phone.post("/_matrix/client/v3/delete_devices", body).await.ok();
    second.get(WHOAMI).await.refused(401, "M_UNKNOWN_TOKEN");
    phone.get(WHOAMI).await.ok();
}
