//! Content of other servers.

use std::time::Duration;

use homeroom::clock::Clock;
use http::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Fake, Pair, Reply, fake::Piece, server, server_at};
use crate::harness::{Answer, Client, Server, escape};

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
    let (stalling, quick) = (Fake::start().await, Fake::elsewhere().await);
    let same = Fake::start().await;
    let bert = home.register("bert").await;
    let asked = "/_matrix/federation/v1/media/download/";
    for fake in [&stalling, &same] {
        fake.answer(Method::GET, asked, |_| Reply::Stall);
    }
    let old = format!("/_matrix/media/v3/download/{}/abc", quick.name());
    quick.answer(Method::GET, &old, |_| Reply::Raw(200, b"{}".to_vec()));
    let want = |fake: &Fake, n: usize| {
        let (client, uri) = (bert.clone(), format!("mxc://{}/{n}", fake.name()));
        tokio::spawn(async move { client.get(&download(&uri)).await })
    };
    let mut waiting: Vec<_> = (0..100).map(|n| want(&stalling, n)).collect();
    stalling.until(|received| received.path.starts_with(asked).then_some(())).await;
    waiting.extend((0..20).map(|n| want(&same, n)));
    let path = download(&format!("mxc://{}/abc", quick.name()));
    let answer = tokio::time::timeout(Duration::from_mins(1), bert.get(&path)).await;
    assert_eq!(answer.expect("it waits for another server").ok(), json!({}));
    let few = stalling.received(asked).len() + same.received(asked).len();
    assert!(few <= 3, "{few} at once of one server, whatever its names are");
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

/// The answer of the authenticated endpoint up to where the content begins, and what is behind that.
const IN_PARTS: &str = "multipart/mixed; boundary=line";
const FRONT: &[u8] = b"--line\r\n\r\n{}\r\n--line\r\nContent-Type: text/plain\r\n\r\n";
const END: &[u8] = b"\r\n--line--\r\n";
const AUTHENTICATED: &str = "/_matrix/federation/v1/media/download/";
const MEBIBYTE: usize = 1 << 20;

/// How long the files are that are on their way.
fn on_their_way(home: &Server) -> Vec<u64> {
    let files = std::fs::read_dir(home.folder().join("media/incoming")).unwrap();
    // One that is renamed at this moment is none.
    files.filter_map(|file| Some(file.unwrap().metadata().ok()?.len())).collect()
}

/// Waits for what nobody tells of: what is on the disk.
async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.expect("it does not come to that");
}

/// Somebody asks for content that comes piece by piece.
fn ask(bert: &Client, fake: &Fake, id: &str) -> (JoinHandle<Answer>, mpsc::Sender<Piece>) {
    let (pieces, reply) = Reply::pieces(IN_PARTS);
    fake.answer(Method::GET, &format!("{AUTHENTICATED}{id}"), move |_| reply.clone());
    let (client, path) = (bert.clone(), download(&format!("mxc://{}/{id}", fake.name())));
    (tokio::spawn(async move { client.get(&path).await }), pieces)
}

#[tokio::test]
async fn content_of_others_is_on_the_disk_before_all_of_it_has_come() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let (asking, pieces) = ask(&bert, &fake, "large");
    pieces.send(Ok(FRONT.to_vec())).await.unwrap();
    for came in 1..=40 {
        pieces.send(Ok(vec![b'x'; MEBIBYTE])).await.unwrap();
        // All but less than a piece, while more is to come.
        until(|| on_their_way(&home).iter().sum::<u64>() + (300 << 10) > (came * MEBIBYTE) as u64).await;
    }
    assert!(!asking.is_finished());
    pieces.send(Ok(END.to_vec())).await.unwrap();
    drop(pieces);
    let answer = asking.await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (200, &"text/plain".parse().unwrap()));
    assert_eq!(answer.headers["content-length"], (40 * MEBIBYTE).to_string());
    let hash = Sha256::digest(vec![b'x'; 40 * MEBIBYTE]);
    let hash = hash.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert_eq!(answer.headers["etag"], format!("\"{hash}\""));
    assert!(on_their_way(&home).is_empty());
}

#[tokio::test]
async fn content_without_end_is_cut_and_leaves_nothing() {
    let home = server(|config| config.media.upload_bytes_max = homeroom::config::Size::mib(1)).await;
    let bert = home.register("bert").await;
    let open = "/_matrix/media/v3/download/";
    for (path, kind, front) in [(AUTHENTICATED, IN_PARTS, FRONT), (open, "text/plain", b"")] {
        let fake = Fake::start().await;
        let (pieces, reply) = Reply::pieces(kind);
        fake.answer(Method::GET, path, move |_| reply.clone());
        let endless = async move {
            pieces.send(Ok(front.to_vec())).await.unwrap();
            while pieces.send(Ok(vec![b'x'; 64 << 10])).await.is_ok() {}
        };
        let path = download(&format!("mxc://{}/endless", fake.name()));
        let both = async { tokio::join!(bert.get(&path), endless).0 };
        let answer = tokio::time::timeout(Duration::from_mins(1), both).await.expect("it is taken for ever");
        answer.refused(413, "M_TOO_LARGE");
        assert!(on_their_way(&home).is_empty());
        assert_eq!(std::fs::read_dir(home.folder().join("media/files")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn of_content_that_breaks_off_and_of_what_nobody_waits_for_nothing_stays() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let begin = async |id| {
        let (asking, pieces) = ask(&bert, &fake, id);
        pieces.send(Ok(FRONT.to_vec())).await.unwrap();
        pieces.send(Ok(vec![b'x'; MEBIBYTE])).await.unwrap();
        until(|| !on_their_way(&home).is_empty()).await;
        (asking, pieces)
    };
    // Cut by its server, with and without a word.
    for word in [Some(Err(std::io::Error::other("reset by the test"))), None] {
        let (asking, pieces) = begin("cut").await;
        if let Some(word) = word {
            pieces.send(word).await.unwrap();
        }
        drop(pieces);
        asking.await.unwrap().refused(502, "M_UNKNOWN");
        assert!(on_their_way(&home).is_empty());
    }
    let (asking, pieces) = begin("left").await;
    asking.abort();
    pieces.closed().await;
    until(|| on_their_way(&home).is_empty()).await;
    // Whoever asks next gets it.
    for id in ["cut", "left"] {
        let (asking, pieces) = begin(id).await;
        pieces.send(Ok(END.to_vec())).await.unwrap();
        drop(pieces);
        assert_eq!(asking.await.unwrap().headers["content-length"], MEBIBYTE.to_string());
    }
}

#[tokio::test]
async fn content_that_does_not_come_in_time_leaves_nothing() {
    let clock = Clock::test(1_800_000_000_000);
    let (home, fake) = (server_at(clock.clone(), |_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let (asking, pieces) = ask(&bert, &fake, "slow");
    pieces.send(Ok(FRONT.to_vec())).await.unwrap();
    pieces.send(Ok(vec![b'x'; MEBIBYTE])).await.unwrap();
    until(|| !on_their_way(&home).is_empty()).await;
    clock.advance(Duration::from_mins(2));
    asking.await.unwrap().refused(502, "M_UNKNOWN");
    // A write that was under way comes to its end first.
    until(|| on_their_way(&home).is_empty()).await;
}

#[tokio::test]
async fn content_that_its_server_has_elsewhere_is_fetched_there() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    fake.answer(Method::GET, "/stored/abc", |_| Reply::Raw(200, br#"{"stored":true}"#.to_vec()));
    let (asking, pieces) = ask(&bert, &fake, "abc");
    let answer =
        format!("--line\r\n\r\n{{}}\r\n--line\r\nLocation: https://{}/stored/abc\r\n\r\n\r\n--line--", fake.name());
    pieces.send(Ok(answer.into_bytes())).await.unwrap();
    drop(pieces);
    assert_eq!(asking.await.unwrap().ok(), json!({ "stored": true }));
    assert!(fake.received("/stored/abc")[0].headers.get("authorization").is_none(), "nothing is signed for an address");
}
