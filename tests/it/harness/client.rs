//! One device of one person.

use std::fmt::Write as _;

use reqwest::Method;
use ruma::ServerName;
use serde_json::{Value, json};

use super::{Answer, Server};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A device, signed in or not.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) token: String,
    first_transaction: String,
}

impl Client {
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: server.url(""),
            user_id: String::new(),
            device_id: String::new(),
            token: String::new(),
            first_transaction: format!("t{}", server.unique()),
        }
    }

    /// Makes an account and signs it in.
    pub(crate) async fn register(server: &Server, name: &str) -> Self {
        let body = json!({ "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
        let client = Self::new(server);
        let answer = client.post("/_matrix/client/v3/register", body).await.ok();
        client.signed_in(&answer)
    }

    /// Signs a new device of an account in.
    pub(crate) async fn login(server: &Server, name: &str) -> Self {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": name },
            "password": PASSWORD,
        });
        let client = Self::new(server);
        let answer = client.post("/_matrix/client/v3/login", body).await.ok();
        client.signed_in(&answer)
    }

    fn signed_in(self, answer: &Value) -> Self {
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        Self { user_id: text("user_id"), device_id: text("device_id"), token: text("access_token"), ..self }
    }

    /// The same device after the server has moved to another port.
    pub(crate) fn at(&self, server: &Server) -> Self {
        Self { base: server.url(""), http: reqwest::Client::new(), ..self.clone() }
    }

    /// A request; `body` null for none.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let asked = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("{asked}: {error}"));
        Answer::of(asked, response).await
    }

    /// A request with any body, as it is.
    pub(crate) async fn call_raw(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let asked = format!("{method} {path}");
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        let response = request.header("content-type", "application/json").body(body).send().await;
        Answer::of(asked, response.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Value::Null).await
    }
}

/// The room a request is about.
fn in_room(room: &str, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/{rest}", escape(room))
}

/// An argument as it stands in a path.
pub(crate) fn escape(argument: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    argument.bytes().fold(String::new(), |mut text, byte| {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").unwrap();
        }
        text
    })
}

/// What people do.
impl Client {
    /// Makes a room; its id.
    pub(crate) async fn create_room(&self, body: Value) -> String {
        let answer = self.post("/_matrix/client/v3/createRoom", body).await.ok();
        answer["room_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn invite(&self, room: &str, user_id: &str) -> Answer {
        self.post(&in_room(room, "invite"), json!({ "user_id": user_id })).await
    }

    pub(crate) async fn join(&self, room: &str) -> Answer {
        self.post(&in_room(room, "join"), json!({})).await
    }

    /// Joins a room, by its id or an alias, through a server that is in it.
    pub(crate) async fn join_via(&self, room: &str, via: &ServerName) -> Answer {
        let path = format!("/_matrix/client/v3/join/{}?via={}", escape(room), escape(via.as_str()));
        self.post(&path, json!({})).await
    }

    pub(crate) async fn leave(&self, room: &str) -> Answer {
        self.post(&in_room(room, "leave"), json!({})).await
    }

    /// Sends a message of any type; its event id.
    pub(crate) async fn send_event(&self, room: &str, kind: &str, content: Value) -> String {
        let transaction = format!("{}-{}", self.first_transaction, next());
        let answer = self.put(&in_room(room, &format!("send/{kind}/{transaction}")), content).await.ok();
        answer["event_id"].as_str().unwrap().to_owned()
    }

    /// Sends a text; its event id.
    pub(crate) async fn send(&self, room: &str, text: &str) -> String {
        self.send_event(room, "m.room.message", json!({ "msgtype": "m.text", "body": text })).await
    }

    pub(crate) async fn set_state(&self, room: &str, kind: &str, key: &str, content: Value) -> Answer {
        self.put(&in_room(room, &format!("state/{kind}/{}", escape(key))), content).await
    }

    pub(crate) async fn redact(&self, room: &str, event_id: &str) -> Answer {
        let path = in_room(room, &format!("redact/{}/r{}", escape(event_id), next()));
        self.put(&path, json!({})).await
    }

    pub(crate) async fn read(&self, room: &str, event_id: &str) -> Answer {
        self.post(&in_room(room, &format!("receipt/m.read/{}", escape(event_id))), json!({})).await
    }

    pub(crate) async fn typing(&self, room: &str, typing: bool) -> Answer {
        let body = if typing { json!({ "typing": true, "timeout": 20_000 }) } else { json!({ "typing": false }) };
        self.put(&in_room(room, &format!("typing/{}", escape(&self.user_id))), body).await
    }

    /// A GET below a room.
    pub(crate) async fn room(&self, room: &str, rest: &str) -> Answer {
        self.get(&in_room(room, rest)).await
    }

    /// Everything there is, or what came since a token, at once.
    pub(crate) async fn sync(&self, since: Option<&str>) -> Value {
        let since = since.map(|token| format!("&since={}", escape(token))).unwrap_or_default();
        self.get(&format!("/_matrix/client/v3/sync?timeout=0{since}")).await.ok()
    }

    /// Waits for what comes after a token, for at most ten seconds.
    pub(crate) async fn wait(&self, since: &str) -> Value {
        self.get(&format!("/_matrix/client/v3/sync?timeout=10000&since={}", escape(since))).await.ok()
    }

    /// Syncs from `since` until `found` finds what it looks for; that, and the token to go on with.
    pub(crate) async fn sync_until<T>(&self, since: &str, mut found: impl FnMut(&Value) -> Option<T>) -> (T, String) {
        let mut since = since.to_owned();
        for _ in 0..20 {
            let answer = self.wait(&since).await;
            answer["next_batch"].as_str().unwrap().clone_into(&mut since);
            if let Some(found) = found(&answer) {
                return (found, since);
            }
        }
        panic!("{} waited for something that did not come", self.user_id);
    }
}

fn next() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
