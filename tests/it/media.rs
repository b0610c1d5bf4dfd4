//! The content repository, as the rest of the server uses it and over HTTP.

use std::{fs, io::Read as _, path::Path, time::Duration};

use homeroom::{
    clock::Clock,
    config::{self, Config},
    ids::Ids,
    media::{Content, Label, Media, MediaError, Method, Wanted},
    store::{Durability, Store, StoreOptions, UserNo},
};
use reqwest::{RequestBuilder, Response, StatusCode};
use ruma::{MxcUri, ServerName, server_name};
use serde_json::{Value, json};

use crate::harness::{Client, Server};

const ALICE: UserNo = UserNo(1);
const BOB: UserNo = UserNo(2);
const NO_WAIT: Duration = Duration::ZERO;

struct Repository {
    folder: tempfile::TempDir,
    clock: Clock,
    media: Media,
}

fn repository(set: impl FnOnce(&mut config::Media)) -> Repository {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os };
    let store = Store::open(&folder.path().join("db"), &options).unwrap();
    let clock = Clock::test(1_000_000);
    let mut config = Config::defaults(here().to_owned()).media;
    set(&mut config);
    let media =
        Media::open(folder.path().join("media"), here().to_owned(), config, store, clock.clone(), Ids::seeded(7))
            .unwrap();
    Repository { folder, clock, media }
}

fn here() -> &'static ServerName {
    server_name!("school.example")
}

fn label() -> Label {
    Label::new(Some("image/png"), Some("a.png")).unwrap()
}

fn id(uri: &MxcUri) -> String {
    uri.media_id().unwrap().to_owned()
}

/// Every file below a folder, however deep.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

impl Repository {
    async fn upload(&self, user: UserNo, bytes: &[u8]) -> Result<String, MediaError> {
        let mut upload = self.media.begin(user, label()).await?;
        for piece in bytes.chunks(100_000) {
            upload.write(piece).await?;
        }
        self.media.finish(upload).await.map(|uri| id(&uri))
    }

    async fn download(&self, id: &str) -> Option<(Content, Vec<u8>)> {
        let mut content = self.media.download(here(), id, NO_WAIT).await.unwrap()?;
        let mut bytes = Vec::new();
        content.file.read_to_end(&mut bytes).unwrap();
        Some((content, bytes))
    }

    fn stored(&self) -> usize {
        files(&self.folder.path().join("media"))
    }
}

#[tokio::test]
async fn what_is_uploaded_is_served_and_stored_once() {
    let server = repository(|_| {});
    let bytes: Vec<u8> = (0..1_000_003_u32).map(|n| n.to_le_bytes()[1]).collect();
    let first = server.upload(ALICE, &bytes).await.unwrap();
    let second = server.upload(BOB, &bytes).await.unwrap();
    let empty = server.upload(BOB, b"").await.unwrap();
    assert_ne!(first, second);
    for id in [&first, &second] {
        let (content, served) = server.download(id).await.unwrap();
        assert_eq!(served, bytes);
        assert_eq!(content.size, bytes.len() as u64);
        assert_eq!((content.content_type.as_str(), content.file_name.as_deref()), ("image/png", Some("a.png")));
    }
    assert_eq!(server.download(&empty).await.unwrap().1, b"");
    assert_eq!(server.stored(), 2);
}

#[tokio::test]
async fn unknown_ids_and_other_servers_have_nothing() {
    let server = repository(|_| {});
    let id = server.upload(ALICE, b"x").await.unwrap();
    for unknown in ["", "nothing", "../../db", "a/b", "%2e%2e", &"a".repeat(300)] {
        assert!(server.download(unknown).await.is_none(), "{unknown}");
    }
    let elsewhere = server.media.download(server_name!("elsewhere.example"), &id, NO_WAIT).await.unwrap();
    assert!(elsewhere.is_none());
}

#[tokio::test]
async fn a_refused_or_broken_upload_leaves_nothing() {
    let server = repository(|config| config.upload_bytes_max = config::Size::kib(600));
    let mut upload = server.media.begin(ALICE, label()).await.unwrap();
    upload.write(&vec![7; 500_000]).await.unwrap();
    assert_eq!(server.stored(), 1, "the first piece should be on the disk");
    assert!(matches!(upload.write(&vec![7; 200_000]).await, Err(MediaError::TooLarge)));
    drop(upload);
    let mut broken = server.media.begin(ALICE, label()).await.unwrap();
    broken.write(&vec![7; 500_000]).await.unwrap();
    drop(broken);
    assert_eq!(server.stored(), 0);
    server.upload(ALICE, &vec![7; 600 * 1024]).await.unwrap();
    assert_eq!(server.stored(), 1);
}

#[tokio::test]
async fn an_account_has_its_quota() {
    let server = repository(|config| config.user_quota_bytes = config::Size::from_bytes(1_000));
    server.upload(ALICE, &[1; 600]).await.unwrap();
    assert!(matches!(server.upload(ALICE, &[2; 600]).await, Err(MediaError::QuotaExceeded)));
    assert_eq!(server.stored(), 1, "the refused upload stayed");
    server.upload(BOB, &[2; 600]).await.unwrap();
    server.upload(ALICE, &[3; 400]).await.unwrap();
    assert!(matches!(server.media.begin(ALICE, label()).await, Err(MediaError::QuotaExceeded)));
}

#[tokio::test]
async fn uploads_at_the_same_time_are_bounded() {
    let server = repository(|_| {});
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(server.media.begin(ALICE, label()).await.unwrap());
    }
    assert!(matches!(server.media.begin(ALICE, label()).await, Err(MediaError::TooMany)));
    server.media.begin(BOB, label()).await.unwrap();
    open.pop();
    server.media.begin(ALICE, label()).await.unwrap();
}

#[tokio::test]
async fn content_may_come_after_its_id() {
    let server = repository(|_| {});
    let created = server.media.create(ALICE).await.unwrap();
    assert_eq!(created.unused_expires_at_ms, 1_000_000 + 24 * 3_600_000);
    let id = id(&created.content_uri);
    assert!(server.media.is_pending(here(), &id).await.unwrap());
    assert!(matches!(server.media.download(here(), &id, NO_WAIT).await, Err(MediaError::NotYetUploaded)));
    assert!(matches!(server.media.begin_into(BOB, here(), &id, label()).await, Err(MediaError::NotYours)));
    assert!(matches!(server.media.begin_into(ALICE, here(), "other", label()).await, Err(MediaError::UnknownId)));

    let reader = tokio::spawn({
        let (media, id) = (server.media.clone(), id.clone());
        async move { media.download(here(), &id, Duration::from_secs(20)).await.unwrap().unwrap().size }
    });
    server.clock.until_sleeping(1).await;
    let mut upload = server.media.begin_into(ALICE, here(), &id, label()).await.unwrap();
    let rival = server.media.begin_into(ALICE, here(), &id, label()).await.unwrap();
    upload.write(b"late").await.unwrap();
    server.media.finish_into(upload, &id).await.unwrap();
    assert_eq!(reader.await.unwrap(), 4);
    assert!(matches!(server.media.finish_into(rival, &id).await, Err(MediaError::AlreadyUploaded)));
    assert!(matches!(server.media.begin_into(ALICE, here(), &id, label()).await, Err(MediaError::AlreadyUploaded)));
    assert!(!server.media.is_pending(here(), &id).await.unwrap());
    assert_eq!(server.download(&id).await.unwrap().1, b"late");
}

#[tokio::test]
async fn ids_without_content_expire_and_are_bounded() {
    let server = repository(|_| {});
    let first = id(&server.media.create(ALICE).await.unwrap().content_uri);
    for _ in 1..32 {
        server.media.create(ALICE).await.unwrap();
    }
    assert!(matches!(server.media.create(ALICE).await, Err(MediaError::TooMany)));
    server.media.create(BOB).await.unwrap();
    server.clock.advance(Duration::from_hours(24));
    assert!(server.download(&first).await.is_none());
    assert!(matches!(server.media.begin_into(ALICE, here(), &first, label()).await, Err(MediaError::UnknownId)));
    server.media.create(ALICE).await.unwrap();
}

#[tokio::test]
async fn thumbnails_are_made_once_per_content() {
    let server = repository(|_| {});
    let mut png = Vec::new();
    let picture = image::RgbImage::from_pixel(300, 200, image::Rgb([1, 2, 3]));
    picture.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    let first = server.upload(ALICE, &png).await.unwrap();
    let second = server.upload(BOB, &png).await.unwrap();
    let wanted = Wanted::at_least(90, 90, Method::Crop);
    for id in [&first, &second, &first] {
        let mut thumbnail = server.media.thumbnail(here(), id, wanted, NO_WAIT).await.unwrap().unwrap();
        let mut bytes = Vec::new();
        thumbnail.file.read_to_end(&mut bytes).unwrap();
        assert_eq!(thumbnail.size, bytes.len() as u64);
        assert_eq!(thumbnail.content_type, "image/png");
        let image = image::load_from_memory(&bytes).unwrap();
        assert_eq!((image.width(), image.height()), (96, 96));
    }
    assert_eq!(server.stored(), 2);
    let whole = Wanted::at_least(5_000, 5_000, Method::Scale);
    let same = server.media.thumbnail(here(), &first, whole, NO_WAIT).await.unwrap().unwrap();
    assert_eq!(same.size, png.len() as u64);

    let text = server.upload(ALICE, b"no image").await.unwrap();
    assert!(matches!(server.media.thumbnail(here(), &text, wanted, NO_WAIT).await, Err(MediaError::NotAnImage)));
    assert!(server.media.thumbnail(here(), "nothing", wanted, NO_WAIT).await.unwrap().is_none());
}

/// A request of a signed-in person.
fn request(server: &Server, client: &Client, method: &str, path: &str) -> RequestBuilder {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    reqwest::Client::new().request(method, server.url(path)).bearer_auth(&client.token)
}

async fn uploaded(server: &Server, client: &Client, kind: &str, name: &str, bytes: &'static [u8]) -> String {
    let path = format!("/_matrix/media/v3/upload{name}");
    let response =
        request(server, client, "POST", &path).header("content-type", kind).body(bytes).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    answer["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned()
}

async fn get(server: &Server, client: &Client, path: &str) -> Response {
    request(server, client, "GET", path).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
}

#[tokio::test]
async fn content_is_served_with_safe_headers() {
    let server = Server::start().await;
    let anna = Client::register(&server, "anna").await;
    let v1 = "/_matrix/client/v1/media/download";
    let png = uploaded(&server, &anna, "image/png", "?filename=name%3Bwith%20%22all%22%20sorts", b"not really").await;
    let shown = get(&server, &anna, &format!("{v1}/{png}")).await;
    assert_eq!(header(&shown, "content-type"), "image/png");
    assert_eq!(header(&shown, "content-disposition"), r#"inline; filename="name;with \"all\" sorts""#);
    assert!(header(&shown, "content-security-policy").starts_with("sandbox; default-src 'none'"));
    assert_eq!(header(&shown, "cross-origin-resource-policy"), "cross-origin");
    assert_eq!(header(&shown, "x-content-type-options"), "nosniff");
    assert_eq!(header(&shown, "content-length"), "10");
    assert_eq!(header(&shown, "access-control-allow-origin"), "*");
    let tag = header(&shown, "etag").to_owned();
    assert_eq!(shown.bytes().await.unwrap(), "not really");

    let renamed = get(&server, &anna, &format!("{v1}/{png}/%F0%9F%90%94%0A")).await;
    assert_eq!(header(&renamed, "content-disposition"), "inline; filename*=utf-8''%F0%9F%90%94");
    let html = uploaded(&server, &anna, "text/html", "", b"<script>alert(1)</script>").await;
    assert_eq!(header(&get(&server, &anna, &format!("{v1}/{html}")).await, "content-disposition"), "attachment");

    let conditional = request(&server, &anna, "GET", &format!("{v1}/{png}")).header("if-none-match", tag);
    assert_eq!(conditional.send().await.unwrap().status(), 304);
    let part =
        request(&server, &anna, "GET", &format!("{v1}/{png}")).header("range", "bytes=4-5").send().await.unwrap();
    assert_eq!((part.status(), header(&part, "content-range")), (StatusCode::PARTIAL_CONTENT, "bytes 4-5/10"));
    assert_eq!(part.bytes().await.unwrap(), "re");
    let none =
        request(&server, &anna, "GET", &format!("{v1}/{png}")).header("range", "bytes=10-").send().await.unwrap();
    assert_eq!((none.status(), header(&none, "content-range")), (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10"));
}

#[tokio::test]
async fn content_needs_a_token_and_a_known_id() {
    let server = Server::start().await;
    let anna = Client::register(&server, "anna").await;
    let file = uploaded(&server, &anna, "text/plain", "", b"secret").await;
    let stranger = Client::new(&server);
    for path in ["download", "thumbnail"] {
        let query = "?width=32&height=32";
        stranger.get(&format!("/_matrix/client/v1/media/{path}/{file}{query}")).await.refused(401, "M_MISSING_TOKEN");
        stranger.get(&format!("/_matrix/media/v3/{path}/{file}{query}")).await.refused(404, "M_NOT_FOUND");
        for unknown in ["school.example/none", "elsewhere.example/none", "school.example/..%2F..%2Fdb"] {
            anna.get(&format!("/_matrix/client/v1/media/{path}/{unknown}{query}")).await.refused(404, "M_NOT_FOUND");
        }
    }
    let thumbnail = format!("/_matrix/client/v1/media/thumbnail/{file}");
    anna.get(&format!("{thumbnail}?width=32&height=32")).await.refused(400, "M_UNKNOWN");
    anna.get(&format!("{thumbnail}?width=0&height=32")).await.refused(400, "M_INVALID_PARAM");
    anna.get(&format!("{thumbnail}?width=-1&height=32")).await.refused(400, "M_INVALID_PARAM");
    anna.get(&thumbnail).await.refused(400, "M_MISSING_PARAM");
    for config in ["/_matrix/client/v1/media/config", "/_matrix/media/v3/config"] {
        assert_eq!(anna.get(config).await.ok(), json!({ "m.upload.size": 50 << 20 }));
    }
}

#[tokio::test]
async fn too_large_uploads_are_refused_with_and_without_a_length() {
    let server = Server::with(|config| config.media.upload_bytes_max = config::Size::kib(300)).await;
    let anna = Client::register(&server, "anna").await;
    let told = request(&server, &anna, "POST", "/_matrix/media/v3/upload").body(vec![0; 400 << 10]).send().await;
    // The server may close the connection before the whole body was sent.
    if let Ok(told) = told {
        assert_eq!(told.status(), 413);
    }
    let head = format!("POST /_matrix/media/v3/upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", anna.token);
    let mut untold = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    untold.extend_from_slice(format!("{:x}\r\n", 400 << 10).as_bytes());
    untold.extend(std::iter::repeat_n(b'x', 400 << 10));
    let answer = raw(&server, &untold).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("M_TOO_LARGE"), "{answer}");
    // The client goes away in the middle.
    let mut broken = format!("{head}content-length: 300000\r\n\r\n").into_bytes();
    broken.extend(std::iter::repeat_n(b'x', 290_000));
    drop(raw(&server, &broken).await);
    assert_eq!(files(&server.folder().join("media")), 0);
}

/// Sends bytes as they are, says that no more come, and reads the answer.
async fn raw(server: &Server, bytes: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = server.url("").replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // The server may have answered and stopped reading.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_id_comes_before_its_content_over_http_too() {
    let server = Server::start().await;
    let anna = Client::register(&server, "anna").await;
    let created = anna.post("/_matrix/media/v1/create", json!({})).await.ok();
    assert!(created["unused_expires_at"].is_u64());
    let file = created["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned();
    anna.get(&format!("/_matrix/media/v3/download/{file}")).await.refused(504, "M_NOT_YET_UPLOADED");
    let soon = format!("/_matrix/client/v1/media/download/{file}?timeout_ms=0");
    anna.get(&soon).await.refused(504, "M_NOT_YET_UPLOADED");
    let path = format!("/_matrix/media/v3/upload/{file}");
    let put =
        request(&server, &anna, "PUT", &path).header("content-type", "image/png").body("png").send().await.unwrap();
    assert_eq!(put.status(), 200);
    anna.put(&path, json!({})).await.refused(409, "M_CANNOT_OVERWRITE_MEDIA");
    assert_eq!(get(&server, &anna, &soon).await.bytes().await.unwrap(), "png");
    anna.put("/_matrix/media/v3/upload/school.example/none", json!({})).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn who_has_not_signed_in_gets_files_only_where_allowed() {
    for allowed in [false, true] {
        let server = Server::with(|config| config.media.unauthenticated_downloads = allowed).await;
        let anna = Client::register(&server, "anna").await;
        let upload = request(&server, &anna, "POST", "/_matrix/media/v3/upload").header("content-type", "text/plain");
        let uploaded: serde_json::Value = upload.body("text").send().await.unwrap().json().await.unwrap();
        let file = uploaded["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned();
        let nobody = server.anonymous();
        nobody.get(&format!("/_matrix/client/v1/media/download/{file}")).await.refused(401, "M_MISSING_TOKEN");
        for path in [format!("download/{file}"), format!("download/{file}/name.txt")] {
            let path = format!("/_matrix/media/v3/{path}");
            if allowed {
                let answer = reqwest::get(server.url(&path)).await.unwrap();
                assert_eq!(answer.status(), 200);
                assert_eq!(answer.bytes().await.unwrap(), "text");
            } else {
                nobody.get(&path).await.refused(404, "M_NOT_FOUND");
            }
        }
    }
}
