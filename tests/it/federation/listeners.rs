//! What is served where, and how.

use std::fs;

use homeroom::{app::Listeners, clock::Clock};
use reqwest::StatusCode;
use ruma::owned_server_name;
use serde_json::{Value, json};

use super::{Fake, Pair, authority, pair::reserve};
use crate::harness::Server;

async fn status(http: &reqwest::Client, url: &str) -> StatusCode {
    http.get(url).send().await.unwrap().status()
}

#[tokio::test]
async fn servers_and_clients_have_listeners_of_their_own() {
    let Pair { a, b } =
        Pair::with(|config| config.server.federation_address = Some(owned_server_name!("a.example:443")), |_| {}).await;
    let http = authority::client();
    let federation = format!("https://{}", a.name());
    let answer = http.get(format!("{federation}/.well-known/matrix/server")).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "m.server": "a.example:443" }));
    assert_eq!(status(&http, &format!("{federation}/.well-known/matrix/client")).await, 200);
    assert_eq!(status(&http, &format!("{federation}/_matrix/client/v3/login")).await, 404);
    assert_eq!(status(&http, &a.url("/_matrix/client/v3/login")).await, 200);
    assert_eq!(status(&http, &a.url("/.well-known/matrix/server")).await, 200);
    // Nobody has said where the other one is.
    assert_eq!(status(&http, &b.url("/.well-known/matrix/server")).await, 404);
}

#[tokio::test]
async fn one_port_serves_everything_with_tls() {
    let (name, socket) = reserve().await;
    let (folder, mut config) = Server::prepare();
    authority::certify(folder.path());
    authority::use_files(folder.path(), &mut config);
    let address = socket.local_addr().unwrap();
    config.server.name = name.clone();
    (config.listen.client, config.listen.federation) = (address, Some(address));
    let listeners = Listeners { client: socket, federation: None, metrics: None };
    let server = Server::on(listeners, folder, config, Clock::system()).await;
    assert_eq!(server.app().addresses().federation, Some(address));
    let http = authority::client();
    let urls = |name: &ruma::ServerName| format!("https://{name}/_matrix/client/versions");
    assert_eq!(status(&http, &urls(&name)).await, 200);
    assert_eq!(status(&http, &format!("https://{name}/.well-known/matrix/client")).await, 200);
    assert!(http.get(format!("http://{name}/_matrix/client/versions")).send().await.is_err(), "in clear");

    // The same port, after a restart too.
    let server = server.restart().await;
    assert_eq!(status(&http, &urls(&name)).await, 200);
    drop(server);
}

#[tokio::test]
async fn a_changed_certificate_is_taken_while_the_server_runs() {
    let clock = Clock::test(1_700_000_000_000);
    let server = super::server_at(clock.clone(), |_| {}).await;
    let files = server.config().listen.tls_certificate.clone().unwrap();
    let folder = files.parent().unwrap();
    let shown = || async {
        let stream = tokio::net::TcpStream::connect(server.app().addresses().federation.unwrap()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(authority::client_config()));
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown().await;
    authority::certify(folder);
    server.app().reload_certificate().await;
    let after = shown().await;
    assert_ne!(before, after);
    fs::write(&files, "no certificate").unwrap();
    server.app().reload_certificate().await;
    assert_eq!(shown().await, after, "the one before stays");
}

#[tokio::test]
async fn the_play_of_another_server_works() {
    let fake = Fake::start().await;
    let http = authority::client();
    let url = format!("https://{}/_matrix/key/v2/server", fake.name());
    let document: Value = http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(document, fake.key_document());
    assert_eq!(fake.received("/_matrix/key").len(), 1);
    fake.answer(reqwest::Method::GET, "/reset", |_| super::Reply::Reset);
    // Whether the head arrived before the end of the connection is a matter of luck.
    let reset = http.get(format!("https://{}/reset", fake.name())).send().await;
    let body = match reset {
        Ok(head) => head.bytes().await,
        Err(error) => Err(error),
    };
    assert!(body.is_err());
    fake.stop().await;
}
