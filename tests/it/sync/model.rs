//! A client that believes what `/sync` tells it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::{Client, escape};

/// How the client asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) limit: u64,
    pub(crate) lazy: bool,
    pub(crate) state_after: bool,
}

/// What a client knows of a room it is in.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct RoomModel {
    pub(crate) state: BTreeMap<(String, String), String>,
    pub(crate) timeline: Vec<String>,
    pub(crate) unread: Value,
    pub(crate) receipts: BTreeMap<String, String>,
    pub(crate) account_data: BTreeMap<String, Value>,
    pub(crate) joined_count: u64,
    pub(crate) invited_count: u64,
}

/// What a client knows.
#[derive(Debug, Default, Clone)]
pub(crate) struct Model {
    pub(crate) since: Option<String>,
    pub(crate) joined: BTreeMap<String, RoomModel>,
    pub(crate) invited: BTreeSet<String>,
    pub(crate) account_data: BTreeMap<String, Value>,
}

impl Model {
    /// Syncs once and believes the answer.
    pub(crate) async fn sync(&mut self, client: &Client, ask: Ask) {
        let filter = serde_json::json!({
            "room": { "timeline": { "limit": ask.limit }, "state": { "lazy_load_members": ask.lazy } },
        });
        let mut path = format!("/_matrix/client/v3/sync?timeout=0&filter={}", escape(&filter.to_string()));
        if ask.state_after {
            path.push_str("&use_state_after=true");
        }
        if let Some(since) = &self.since {
            path.push_str(&format!("&since={}", escape(since)));
        }
        let answer = client.get(&path).await.ok();
        self.since = Some(answer["next_batch"].as_str().unwrap().to_owned());
        for event in events(&answer["account_data"]) {
            self.account_data.insert(text(event, "type"), event["content"].clone());
        }
        for (id, _) in entries(&answer["rooms"]["leave"]) {
            self.joined.remove(id);
            self.invited.remove(id);
        }
        for (id, _) in entries(&answer["rooms"]["invite"]) {
            self.joined.remove(id);
            self.invited.insert(id.clone());
        }
        for (id, entry) in entries(&answer["rooms"]["join"]) {
            self.invited.remove(id);
            self.joined.entry(id.clone()).or_default().apply(entry, ask);
        }
    }
}

impl RoomModel {
    fn apply(&mut self, entry: &Value, ask: Ask) {
        if entry["timeline"]["limited"] == true {
            self.timeline.clear();
        }
        assert_eq!(entry.get("state").is_some(), !ask.state_after, "one kind of state, the one asked for: {entry}");
        for event in events(&entry["state"]) {
            self.set_state(event);
        }
        for event in events(&entry["timeline"]) {
            let id = text(event, "event_id");
            assert!(!self.timeline.contains(&id), "an event was sent twice: {id}");
            self.timeline.push(id);
            if !ask.state_after && event.get("state_key").is_some() {
                self.set_state(event);
            }
        }
        for event in events(&entry["state_after"]) {
            self.set_state(event);
        }
        for event in events(&entry["ephemeral"]).filter(|event| event["type"] == "m.receipt") {
            for (event_id, kinds) in entries(&event["content"]) {
                for (user, _) in entries(&kinds["m.read"]) {
                    self.receipts.insert(user.clone(), event_id.clone());
                }
            }
        }
        for event in events(&entry["account_data"]) {
            self.account_data.insert(text(event, "type"), event["content"].clone());
        }
        if let Some(count) = entry["summary"]["m.joined_member_count"].as_u64() {
            self.joined_count = count;
        }
        if let Some(count) = entry["summary"]["m.invited_member_count"].as_u64() {
            self.invited_count = count;
        }
        self.unread = entry["unread_notifications"].clone();
    }

    fn set_state(&mut self, event: &Value) {
        self.state.insert((text(event, "type"), text(event, "state_key")), text(event, "event_id"));
    }

    /// The state without the members that a lazily loading client need not know.
    pub(crate) fn state_of(&self, user: &str, lazy: bool) -> BTreeMap<(String, String), String> {
        let known = |(kind, key): &(String, String)| !lazy || kind != "m.room.member" || key == user;
        self.state.iter().filter(|(pair, _)| known(pair)).map(|(pair, id)| (pair.clone(), id.clone())).collect()
    }
}

fn events(section: &Value) -> impl Iterator<Item = &Value> {
    section["events"].as_array().into_iter().flatten()
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

fn text(event: &Value, key: &str) -> String {
    event[key].as_str().unwrap_or_else(|| panic!("no {key} in {event}")).to_owned()
}
