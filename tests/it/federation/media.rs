//! Content of other servers.

use http::Method;
use serde_json::json;

use super::{Fake, Pair, Reply, server};
use crate::harness::escape;

const UPLOAD: &str = "/_matrix/media/v3/upload?filename=notes.json";

/// The address of content in the client API.
fn download(uri: &str) -> String {
    let (server, id) = uri.strip_prefix("mxc://").unwrap().split_once('/').unwrap();
    format!("/_matrix/client/v1/media/download/{}/{id}", escape(server))
}

#[tokio::test]
async fn content_of_another_server_is_fetched_once_and_kept() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let uri =
        ada.call_raw(Method::POST, UPLOAD, r#"{"kept":true}"#).await.ok()["content_uri"].as_str().unwrap().to_owned();
    let fetched = bert.get(&download(&uri)).await;
    assert_eq!(fetched.body, json!({ "kept": true }));
    assert!(fetched.headers["content-disposition"].to_str().unwrap().contains("notes.json"));
    assert!(fetched.headers["content-security-policy"].to_str().unwrap().starts_with("sandbox"));
    drop(a.stop().await);
    assert_eq!(bert.get(&download(&uri)).await.body, json!({ "kept": true }));
}

#[tokio::test]
async fn what_does_not_exist_elsewhere_does_not_exist() {
    let Pair { a, b } = Pair::start().await;
    let bert = b.register("bert").await;
    bert.get(&download(&format!("mxc://{}/nothing", a.name()))).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn servers_without_authenticated_media_are_asked_the_old_way() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let old = format!("/_matrix/media/v3/download/{}/abc", fake.name());
    fake.answer(Method::GET, &old, |_| Reply::Raw(200, br#"{"old":true}"#.to_vec()));
    let uri = format!("mxc://{}/abc", fake.name());
    assert_eq!(bert.get(&download(&uri)).await.ok(), json!({ "old": true }));
    let asked = fake.received("/_matrix/federation/v1/media/download/abc");
    assert_eq!(asked.len(), 1);
    assert!(fake.received(&old)[0].path.contains("allow_remote=false"));
}

#[tokio::test]
async fn content_that_is_too_large_is_not_taken() {
    let (home, fake) =
        (server(|config| config.media.upload_bytes_max = homeroom::config::Size::mib(1)).await, Fake::start().await);
    let bert = home.register("bert").await;
    let old = format!("/_matrix/media/v3/download/{}/big", fake.name());
    fake.answer(Method::GET, &old, |_| Reply::Raw(200, vec![b' '; 3 << 20]));
    bert.get(&download(&format!("mxc://{}/big", fake.name()))).await.refused(413, "M_TOO_LARGE");
}

#[tokio::test]
async fn another_server_gets_content_only_with_its_signature() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let uri = ada.call_raw(Method::POST, UPLOAD, "{}").await.ok()["content_uri"].as_str().unwrap().to_owned();
    let path = format!("/_matrix/federation/v1/media/download/{}", uri.rsplit('/').next().unwrap());
    let given = fake.get(&home, &path).await;
    assert_eq!(given.status, 200);
    assert!(given.headers["content-type"].to_str().unwrap().starts_with("multipart/mixed; boundary="));
    let unsigned = fake.call_with(&home, Method::GET, &path, serde_json::Value::Null, None).await;
    assert_eq!(unsigned.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_a_server_that_stalls_keeps_nobody_from_that_of_others() {
    let home = server(|_| {}).await;
    let (stalling, quick) = (Fake::start().await, Fake::start().await);
    let bert = home.register("bert").await;
    let asked = "/_matrix/federation/v1/media/download/";
    stalling.answer(Method::GET, asked, |_| Reply::Stall);
    let old = format!("/_matrix/media/v3/download/{}/abc", quick.name());
    quick.answer(Method::GET, &old, |_| Reply::Raw(200, b"{}".to_vec()));
    let waiting: Vec<_> = (0..100)
        .map(|n| {
            let (client, uri) = (bert.clone(), format!("mxc://{}/{n}", stalling.name()));
            tokio::spawn(async move { client.get(&download(&uri)).await })
        })
        .collect();
    stalling.until(|received| received.path.starts_with(asked).then_some(())).await;
    let path = download(&format!("mxc://{}/abc", quick.name()));
    let answer = tokio::time::timeout(std::time::Duration::from_mins(1), bert.get(&path)).await;
    assert_eq!(answer.expect("it waits for another server").ok(), json!({}));
    let few = stalling.received(asked).len();
    assert!(few <= 3, "{few} at once of one server");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn content_of_others_makes_room_for_what_comes_later() {
    let few = |config: &mut homeroom::config::Config| {
        config.media.upload_bytes_max = homeroom::config::Size::kib(64);
        config.media.remote_cache_bytes = homeroom::config::Size::kib(160);
    };
    let (home, fake) = (server(few).await, Fake::start().await);
    let bert = home.register("bert").await;
    let old = format!("/_matrix/media/v3/download/{}/", fake.name());
    // The content of an id is its number, so long that three fit.
    fake.answer(Method::GET, &old, |received| {
        let number = received.path.rsplit('/').next().unwrap().split('?').next().unwrap();
        Reply::Raw(200, format!("{number:>50000}").into_bytes())
    });
    let own = bert.call_raw(Method::POST, UPLOAD, format!("{:>50000}", 0)).await.ok()["content_uri"].clone();
    let fetch = async |number: usize| {
        let path = download(&format!("mxc://{}/{number}", fake.name()));
        assert_eq!(bert.get(&path).await.ok(), json!(number));
    };
    for number in 0..20 {
        fetch(number).await;
    }
    let asked = || fake.received(&old).len();
    assert_eq!(asked(), 20);
    for number in 17..20 {
        fetch(number).await;
    }
    assert_eq!(asked(), 20, "the last three are kept");
    fetch(16).await;
    assert_eq!(asked(), 21, "and no more");
    let mut folders = vec![home.folder().join("media/files")];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                bytes += entry.metadata().unwrap().len();
            }
        }
    }
    assert_eq!(bytes, 4 * 50_000, "three of others, and the upload");
    assert_eq!(bert.get(&download(own.as_str().unwrap())).await.ok(), json!(0), "an upload of the same content stays");
    assert_eq!(homeroom::store::check::check(&home.app().services().store).unwrap().findings, []);
}
