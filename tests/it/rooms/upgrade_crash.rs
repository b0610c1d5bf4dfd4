//! A room and the one that replaces it are one commit: `kill -9` leaves both, or neither.

use std::{path::Path, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Process, escape, write_config};

const PEOPLE: usize = 8;
const LIVES: usize = 6;

/// Somebody who replaces one room after the other.
struct Person {
    http: reqwest::Client,
    base: String,
    token: String,
    /// Their rooms, each the successor of the one before.
    chain: Vec<String>,
}

impl Person {
    async fn ask(&self, method: Method, path: &str, body: Value) -> Option<(u16, Value)> {
        let url = format!("{}/_matrix/client/v3{path}", self.base);
        let response = self.http.request(method, url).bearer_auth(&self.token).json(&body).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    async fn register(number: usize, base: &str) -> Self {
        let mut person =
            Self { http: reqwest::Client::new(), base: base.to_owned(), token: String::new(), chain: Vec::new() };
        let auth = json!({ "type": "m.login.dummy" });
        let body = json!({ "username": format!("user{number}"), "password": "a long password", "auth": auth });
        let (_, answer) = person.ask(Method::POST, "/register", body).await.unwrap();
        person.token = answer["access_token"].as_str().unwrap().to_owned();
        let (_, answer) = person.ask(Method::POST, "/createRoom", json!({})).await.unwrap();
        person.chain.push(answer["room_id"].as_str().unwrap().to_owned());
        person
    }

    async fn replace(&mut self) -> Option<()> {
        let path = format!("/rooms/{}/upgrade", escape(self.chain.last().unwrap()));
        let (status, answer) = self.ask(Method::POST, &path, json!({ "new_version": "12" })).await?;
        assert_eq!(status, 200, "{answer}");
        self.chain.push(answer["replacement_room"].as_str().unwrap().to_owned());
        Some(())
    }

    /// What the last life has left: all rooms, and none that the one before does not name. Asking again for what was
    /// not answered makes no other room.
    async fn look(&mut self) -> bool {
        let (_, joined) = self.ask(Method::GET, "/joined_rooms", json!({})).await.unwrap();
        let joined: Vec<_> = joined["joined_rooms"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        assert!(self.chain.iter().all(|room| joined.contains(&room.as_str())), "an answer was forgotten");
        let unknown: Vec<_> = joined.iter().filter(|room| !self.chain.iter().any(|known| known == *room)).collect();
        let last = escape(self.chain.last().unwrap());
        let (status, tombstone) =
            self.ask(Method::GET, &format!("/rooms/{last}/state/m.room.tombstone/"), json!({})).await.unwrap();
        match &*unknown {
            [] => assert_eq!(status, 404, "{tombstone} names a room that is not there"),
            [room] => assert_eq!(tombstone["replacement_room"], **room, "the old room does not name the new one"),
            more => panic!("rooms that nobody was told of: {more:?}"),
        }
        let before = unknown.first().map(|room| (**room).to_owned());
        self.replace().await.unwrap();
        if let Some(before) = &before {
            assert_eq!(self.chain.last(), Some(before), "asked again, it is another room");
        }
        before.is_some()
    }
}

async fn life(config: &Path, people: Vec<Person>) -> (Vec<Person>, usize) {
    let process = Process::start(config).await;
    let mut tasks = Vec::new();
    for mut person in people {
        person.base.clone_from(&process.base);
        // Connections of the last life are of no use.
        person.http = reqwest::Client::new();
        let unanswered = person.look().await;
        tasks.push(tokio::spawn(async move {
            while person.replace().await.is_some() {}
            (person, unanswered)
        }));
    }
    // The point is that nobody knows when it happens; nothing waits for this moment.
    tokio::time::sleep(Duration::from_millis(rand::random_range(5..60))).await;
    process.kill().await;
    let (mut people, mut unanswered) = (Vec::new(), 0);
    for task in tasks {
        let (person, was) = task.await.unwrap();
        people.push(person);
        unanswered += usize::from(was);
    }
    (people, unanswered)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_and_its_successor_are_there_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path());
    let process = Process::start(&config).await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(Person::register(number, &process.base).await);
    }
    process.kill().await;
    let mut unanswered = 0;
    for _ in 0..LIVES {
        let (left, was) = life(&config, people).await;
        (people, unanswered) = (left, unanswered + was);
    }
    let made: usize = people.iter().map(|person| person.chain.len() - 1).sum();
    assert!(made > LIVES * PEOPLE, "only {made} rooms were replaced");
    eprintln!("{made} rooms replaced, of which {unanswered} were not answered for before the server died");
}
