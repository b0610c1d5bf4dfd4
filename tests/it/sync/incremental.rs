//! Any chain of incremental syncs, believed by a client, is what one initial sync tells.

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, TestRng, TestRunner},
};
use serde_json::json;

use super::model::{Ask, Model};
use crate::harness::{Client, Server};

/// Something that happens. Numbers name people and rooms, modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    Create { who: usize, public: bool },
    Invite { who: usize, whom: usize, room: usize },
    Join { who: usize, room: usize },
    Leave { who: usize, room: usize },
    Kick { who: usize, whom: usize, room: usize },
    Send { who: usize, room: usize },
    Topic { who: usize, room: usize },
    Redact { who: usize, room: usize },
    Read { who: usize, room: usize },
    RoomData { who: usize, room: usize },
    Data { who: usize },
    Rename { who: usize },
    Sync { who: usize, limit: u64 },
}

const PEOPLE: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    use proptest::prelude::*;
    let n = 0..64_usize;
    prop_oneof![
        1 => (n.clone(), any::<bool>()).prop_map(|(who, public)| Step::Create { who, public }),
        3 => (n.clone(), n.clone(), n.clone()).prop_map(|(who, whom, room)| Step::Invite { who, whom, room }),
        4 => (n.clone(), n.clone()).prop_map(|(who, room)| Step::Join { who, room }),
        2 => (n.clone(), n.clone()).prop_map(|(who, room)| Step::Leave { who, room }),
        1 => (n.clone(), n.clone(), n.clone()).prop_map(|(who, whom, room)| Step::Kick { who, whom, room }),
        8 => (n.clone(), n.clone()).prop_map(|(who, room)| Step::Send { who, room }),
        2 => (n.clone(), n.clone()).prop_map(|(who, room)| Step::Topic { who, room }),
        1 => (n.clone(), n.clone()).prop_map(|(who, room)| Step::Redact { who, room }),
        2 => (n.clone(), n.clone()).prop_map(|(who, room)| Step::Read { who, room }),
        1 => (n.clone(), n.clone()).prop_map(|(who, room)| Step::RoomData { who, room }),
        1 => n.clone().prop_map(|who| Step::Data { who }),
        1 => n.clone().prop_map(|who| Step::Rename { who }),
        8 => (n, 1..4_u64).prop_map(|(who, limit)| Step::Sync { who, limit }),
    ]
}

/// Everybody and everything of one story.
struct Story {
    people: Vec<Client>,
    models: Vec<Model>,
    rooms: Vec<String>,
    last: Vec<String>,
    asks: Vec<Ask>,
    count: u64,
}

impl Story {
    async fn begin(server: &Server, names: &str) -> Self {
        let mut people = Vec::new();
        for n in 0..PEOPLE {
            people.push(server.register(&format!("{names}{n}")).await);
        }
        // One of each kind of client.
        let asks = vec![
            Ask { limit: 3, lazy: false, state_after: false },
            Ask { limit: 3, lazy: true, state_after: false },
            Ask { limit: 3, lazy: false, state_after: true },
        ];
        Self { people, models: vec![Model::default(); PEOPLE], rooms: Vec::new(), last: Vec::new(), asks, count: 0 }
    }

    /// Takes a step. What the rules refuse is refused, and changes nothing.
    async fn take(&mut self, step: &Step) {
        self.count += 1;
        let count = self.count;
        let person = |who: usize| self.people[who % PEOPLE].clone();
        if let Step::Create { who, public } = *step {
            let preset = if public { "public_chat" } else { "private_chat" };
            let room = person(who).create_room(json!({ "preset": preset })).await;
            self.rooms.push(room);
            self.last.push(String::new());
            return;
        }
        if let Step::Sync { who, limit } = *step {
            let who = who % PEOPLE;
            let ask = Ask { limit, ..self.asks[who] };
            return self.models[who].sync(&self.people[who], ask).await;
        }
        if let Step::Data { who } = *step {
            let client = person(who);
            let path = format!("/_matrix/client/v3/user/{}/account_data/org.example.test", client.user_id);
            client.put(&path, json!({ "count": count })).await.ok();
            return;
        }
        if let Step::Rename { who } = *step {
            let client = person(who);
            let path = format!("/_matrix/client/v3/profile/{}/displayname", client.user_id);
            client.put(&path, json!({ "displayname": format!("name {count}") })).await.ok();
            return;
        }
        if !self.rooms.is_empty() {
            self.take_in_room(step).await;
        }
    }

    async fn take_in_room(&mut self, step: &Step) {
        let count = self.count;
        let person = |who: usize| self.people[who % PEOPLE].clone();
        let place = |room: usize| (room % self.rooms.len(), self.rooms[room % self.rooms.len()].clone());
        match *step {
            Step::Invite { who, whom, room } => {
                person(who).invite(&place(room).1, &person(whom).user_id).await;
            }
            Step::Join { who, room } => {
                person(who).join(&place(room).1).await;
            }
            Step::Leave { who, room } => {
                person(who).leave(&place(room).1).await;
            }
            Step::Kick { who, whom, room } => {
                let path = format!("/_matrix/client/v3/rooms/{}/kick", place(room).1);
                person(who).post(&path, json!({ "user_id": person(whom).user_id })).await;
            }
            Step::Send { who, room } => {
                let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{count}", place(room).1);
                let answer = person(who).put(&path, json!({ "msgtype": "m.text", "body": "x" })).await;
                if let Some(id) = answer.body["event_id"].as_str() {
                    let at = place(room).0;
                    self.last[at] = id.to_owned();
                }
            }
            Step::Topic { who, room } => {
                person(who).set_state(&place(room).1, "m.room.topic", "", json!({ "topic": count.to_string() })).await;
            }
            Step::Redact { who, room } if !self.last[place(room).0].is_empty() => {
                person(who).redact(&place(room).1, &self.last[place(room).0]).await;
            }
            Step::Read { who, room } if !self.last[place(room).0].is_empty() => {
                person(who).read(&place(room).1, &self.last[place(room).0]).await;
            }
            Step::RoomData { who, room } => {
                let (client, room) = (person(who), place(room).1);
                let path =
                    format!("/_matrix/client/v3/user/{}/rooms/{room}/account_data/org.example.test", client.user_id);
                client.put(&path, json!({ "count": count })).await;
            }
            _ => {}
        }
    }

    /// Everybody syncs once more, and compares with somebody who syncs for the first time.
    async fn end(mut self) {
        for who in 0..PEOPLE {
            let (client, ask) = (&self.people[who], self.asks[who]);
            let chain = &mut self.models[who];
            chain.sync(client, ask).await;
            let mut fresh = Model::default();
            fresh.sync(client, Ask { limit: 1000, lazy: false, state_after: ask.state_after }).await;
            let rooms = |model: &Model| model.joined.keys().cloned().collect::<Vec<_>>();
            assert_eq!(rooms(chain), rooms(&fresh), "rooms of {ask:?}");
            assert_eq!(chain.invited, fresh.invited, "invitations of {ask:?}");
            for (id, new) in &fresh.joined {
                let old = &chain.joined[id];
                let user = &client.user_id;
                assert_eq!(old.state_of(user, ask.lazy), new.state_of(user, ask.lazy), "state of {id}, {ask:?}");
                assert!(new.timeline.ends_with(&old.timeline), "{:?} {:?} {ask:?}", new.timeline, old.timeline);
                assert_eq!(old.unread, new.unread, "unread counts of {id}, {ask:?}");
                assert_eq!(old.receipts, new.receipts, "receipts of {id}, {ask:?}");
                assert_eq!(old.joined_count, new.joined_count, "members of {id}, {ask:?}");
                assert_eq!(old.invited_count, new.invited_count, "invited of {id}, {ask:?}");
                for (kind, content) in &new.account_data {
                    assert_eq!(old.account_data.get(kind), Some(content), "account data of {id}, {ask:?}");
                }
            }
            for (kind, content) in &fresh.account_data {
                // Push rules are everybody's from the start, and only an initial sync tells of those never changed.
                if let Some(known) = chain.account_data.get(kind) {
                    assert_eq!(known, content, "{kind}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_syncs_tells_what_an_initial_sync_tells() {
    let server = Server::start().await;
    let config = Config::default();
    let mut runner = TestRunner::new_with_rng(config.clone(), TestRng::deterministic_rng(config.rng_algorithm));
    let stories = proptest::collection::vec(step(), 20..70);
    for n in 0..24 {
        let steps = stories.new_tree(&mut runner).unwrap().current();
        let mut story = Story::begin(&server, &format!("s{n}p")).await;
        for step in &steps {
            story.take(step).await;
        }
        story.end().await;
    }
}
