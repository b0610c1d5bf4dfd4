//! Every door, walked by everybody towards everybody.
//!
//! Whoever may not know of a person gets, at every door, the answer for somebody who does not exist: status, code, text,
//! headers, body. Whoever may is let through, or told why not. What is expected comes from the policy's own ruling.
//!
//! What a door does not tell in its answer (messages to devices, lists) is tested beside the walk.

mod addresses;
mod encounters;
mod families;
mod federation;
mod flows;
mod lists;
mod names;
mod rooms_abroad;
mod school_rooms;
mod walk;

use std::collections::BTreeMap;

use homeroom::{
    rooms::policy::Verb,
    school::{audit::Author, decisions::NewOverride, policy::Ruling},
    store::schema::school::OverrideEffect,
};
use reqwest::Method;
use ruma::UserId;
use serde_json::{Value, json};

use super::small::Small;
use crate::harness::{Answer, Client, escape};

const V3: &str = "/_matrix/client/v3";

/// Somebody who does not exist, with a name like those of pupils.
const NOBODY: &str = "@nobody-7f3a:school.example";

/// A school whose rooms are made, in which everybody has a device with keys and a picture.
struct Walk {
    small: Small,
    /// By name: user ids, also of those who are not signed in.
    ids: BTreeMap<String, String>,
    /// A room of their own of everybody who is signed in.
    own_rooms: BTreeMap<String, String>,
}

/// Decides that one person has nothing to do with another.
async fn deny(small: &Small, actor: &str, target: &str) {
    let new = NewOverride {
        actor: UserId::parse(actor).unwrap(),
        target: UserId::parse(target).unwrap(),
        verb: None,
        effect: OverrideEffect::Deny,
        reason: "a quarrel".into(),
        until_ms: None,
    };
    small.school().decisions.add_override(&new, &Author::console()).await.unwrap();
}

impl Walk {
    async fn start() -> Self {
        let small = Box::pin(Small::start()).await;
        small.school().rooms.settled().await;
        let mut ids = BTreeMap::new();
        let mut own_rooms = BTreeMap::new();
        for (name, client) in small.clients() {
            ids.insert(name.to_owned(), client.user_id.clone());
            own_rooms.insert(name.to_owned(), client.create_room(json!({})).await);
            upload_keys(client).await;
            let picture = json!({ "avatar_url": "mxc://school.example/picture" });
            client.put(&format!("{V3}/profile/{}/avatar_url", escape(&client.user_id)), picture).await.ok();
        }
        ids.insert("gone".into(), format!("@{}:school.example", small.account("gone").await.1));
        Self { small, ids, own_rooms }
    }

    fn id(&self, name: &str) -> &str {
        &self.ids[name]
    }

    fn ruling(&self, actor: &str, target: &str, verb: Verb) -> Ruling {
        let id = |name: &str| UserId::parse(self.id(name)).unwrap();
        self.small.school().rules.ruling(&id(actor), &id(target), verb)
    }

    /// Whether two people are in one room at the moment.
    async fn company(&self, actor: &str, target: &str) -> bool {
        let services = self.small.server.app().services();
        let number = async |name: &str| {
            let id = UserId::parse(self.id(name)).unwrap();
            services.store.user(&id).await.unwrap().unwrap()
        };
        services.rooms.share_room(number(actor).await, number(target).await).await.unwrap()
    }

    /// Decides that one person has nothing to do with another.
    async fn deny(&self, actor: &str, target: &str) {
        deny(&self.small, self.id(actor), self.id(target)).await;
    }

    /// All ordered pairs of somebody who is signed in and somebody else.
    fn pairs(&self) -> Vec<(String, String)> {
        let actors: Vec<String> = self.small.clients().map(|(name, _)| name.to_owned()).collect();
        let pairs = actors.iter().flat_map(|actor| self.ids.keys().map(move |target| (actor.clone(), target.clone())));
        pairs.filter(|(actor, target)| actor != target).collect()
    }
}

/// Identity, one-time and fallback keys of a device, and a master key.
async fn upload_keys(client: &Client) {
    let device = &client.device_id;
    let keys = json!({
        "device_keys": {
            "user_id": client.user_id,
            "device_id": device,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": { format!("ed25519:{device}"): "AAAA", format!("curve25519:{device}"): "AAAA" },
            "signatures": {},
        },
        "fallback_keys": { "signed_curve25519:F": { "key": "OTk5", "fallback": true, "signatures": {} } },
    });
    client.post(&format!("{V3}/keys/upload"), keys).await.ok();
    let master = json!({ "master_key": {
        "user_id": client.user_id, "usage": ["master"], "keys": { "ed25519:MMMM": "MMMM" },
    } });
    client.post(&format!("{V3}/keys/device_signing/upload"), master).await.ok();
}

/// What stays of an answer when the person it is about is left out: status, the names of its headers, its body.
fn shape(answer: &Answer, about: &str) -> (u16, Vec<String>, String) {
    let mut headers: Vec<String> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
    headers.sort();
    (answer.status.as_u16(), headers, answer.body.to_string().replace(about, "@X"))
}

/// Makes sure that an answer about a person is the one for nobody.
#[track_caller]
fn like_nobody(case: &str, answer: &Answer, about: &str, nobody: &Answer) {
    assert_eq!(shape(answer, about), shape(nobody, NOBODY), "{case}: {}", answer.asked);
}

/// Makes sure that an answer is a refusal with this rule, in words.
#[track_caller]
fn refused_by(case: &str, answer: &Answer, rule: &str) {
    let found = (answer.status.as_u16(), answer.body["org.homeroom.reason"].as_str().unwrap_or_default());
    assert_eq!(found, (403, rule), "{case}: {} {}", answer.asked, answer.body);
    let text = answer.body["error"].as_str().unwrap_or_default();
    assert!(text.len() > 20 && answer.body["errcode"] == "M_FORBIDDEN", "{case}: {}", answer.body);
}

async fn in_room(client: &Client, method: Method, room: &str, rest: &str, body: Value) -> Answer {
    client.call(method, &format!("{V3}/rooms/{}/{rest}", escape(room)), body).await
}
