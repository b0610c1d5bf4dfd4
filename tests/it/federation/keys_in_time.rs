//! Keys of many servers are answered while the client waits, whoever does not answer.

use std::time::Duration;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use homeroom::clock::Clock;
use http::Method;
use serde_json::{Map, Value, json};

use super::{Fake, Reply, guest::Guest, server_at};
use crate::harness::{Answer, Client};

const V1: &str = "/_matrix/federation/v1";
/// Servers that are asked at the same time, and lists of one of them.
const AT_ONCE: usize = 16;
const LISTS_AT_ONCE: usize = 4;

/// Asks in a task of its own, as a client that waits for five seconds.
fn ask(client: &Client, endpoint: &str, mut body: Value) -> tokio::task::JoinHandle<Answer> {
    body["timeout"] = json!(5_000);
    let (client, path) = (client.clone(), format!("/_matrix/client/v3/keys/{endpoint}"));
    tokio::spawn(async move { client.post(&path, body).await })
}

/// The servers that failed.
async fn failed(answer: tokio::task::JoinHandle<Answer>) -> Vec<String> {
    let answer = tokio::time::timeout(Duration::from_mins(1), answer).await;
    let answer = answer.expect("it takes longer than the client waits").unwrap().ok();
    answer["failures"].as_object().unwrap().keys().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_servers_do_not_answer_the_whole_takes_no_longer_than_the_client_waits() {
    let clock = Clock::test(1_800_000_000_000);
    let home = server_at(clock.clone(), |_| {}).await;
    let ada = home.register("ada").await;
    let mut fakes = Vec::new();
    for _ in 0..AT_ONCE + 4 {
        let fake = Fake::start().await;
        fake.answer(Method::POST, V1, |_| Reply::Stall);
        fakes.push(fake);
    }
    let mut names: Vec<String> = fakes.iter().map(|fake| fake.name().to_string()).collect();
    names.sort();
    let wanted = |of_one: Value| fakes.iter().map(|fake| (fake.user("eve"), of_one.clone())).collect::<Map<_, _>>();
    for (endpoint, body) in [
        ("query", json!({ "device_keys": wanted(json!([])) })),
        ("claim", json!({ "one_time_keys": wanted(json!({ "PHONE": "signed_curve25519" })) })),
    ] {
        let path = format!("{V1}/user/keys/{endpoint}");
        let answer = ask(&ada, endpoint, body);
        let asked = fakes.iter().map(|fake| fake.until(|received| received.path.starts_with(&path).then_some(())));
        let asked: FuturesUnordered<_> = asked.collect();
        asked.take(AT_ONCE).collect::<Vec<_>>().await;
        clock.advance(Duration::from_secs(5));
        assert_eq!(failed(answer).await, names, "{endpoint}");
        let asked: usize = fakes.iter().map(|fake| fake.received(&path).len()).sum();
        assert_eq!(asked, AT_ONCE, "{endpoint}: those whose turn did not come are not asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_gives_no_list_is_not_asked_once_more_when_the_time_is_over() {
    let clock = Clock::test(1_800_000_000_000);
    let (home, fake) = (server_at(clock.clone(), |_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await;
    let mut users = Map::new();
    for n in 0..LISTS_AT_ONCE + 2 {
        let guest = Guest::enter(&fake, &home, &room, &format!("eve{n}")).await;
        users.insert(guest.user, json!([]));
    }
    let (lists, query) = (format!("{V1}/user/devices/"), format!("{V1}/user/keys/query"));
    fake.answer(Method::GET, &lists, |_| Reply::Stall);
    fake.answer(Method::POST, &query, |_| Reply::Stall);
    let answer = ask(&ada, "query", json!({ "device_keys": users }));
    let mut asked = 0;
    fake.until(|received| {
        asked += usize::from(received.path.starts_with(&lists));
        (asked == LISTS_AT_ONCE).then_some(())
    })
    .await;
    clock.advance(Duration::from_secs(5));
    assert_eq!(failed(answer).await, [fake.name().as_str()]);
    assert_eq!((fake.received(&lists).len(), fake.received(&query).len()), (LISTS_AT_ONCE, 0));
}
