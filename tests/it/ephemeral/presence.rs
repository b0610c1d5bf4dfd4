use std::time::Duration;

use homeroom::clock::Clock;
use serde_json::{Value, json};

use super::{Pair, next, on};
use crate::harness::{Answer, Client, Server, escape};

fn path(user_id: &str) -> String {
    format!("/_matrix/client/v3/presence/{}/status", escape(user_id))
}

async fn set(client: &Client, state: &str, message: Option<&str>) -> Answer {
    client.put(&path(&client.user_id), json!({ "presence": state, "status_msg": message })).await
}

/// A sync that says nothing of the device's own presence.
async fn look(client: &Client, since: Option<&str>) -> Value {
    let since = since.map(|token| format!("&since={}", escape(token))).unwrap_or_default();
    client.get(&format!("/_matrix/client/v3/sync?timeout=0&set_presence=offline{since}")).await.ok()
}

/// What an answer says of a person.
fn of(answer: &Value, user_id: &str) -> Option<Value> {
    let events = answer["presence"]["events"].as_array()?;
    assert!(events.iter().all(|event| event["type"] == "m.presence"), "{answer}");
    events.iter().find(|event| event["sender"] == user_id).map(|event| event["content"].clone())
}

/// Advances the time until an answer says something of a person.
async fn told(clock: &Clock, client: &Client, since: &mut String, user_id: &str) -> Value {
    for _ in 0..50 {
        clock.advance(Duration::from_millis(500));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let answer = look(client, Some(since)).await;
        *since = next(&answer);
        if let Some(content) = of(&answer, user_id) {
            return content;
        }
    }
    panic!("{} heard nothing of {user_id}", client.user_id);
}

async fn still() -> (Clock, Pair) {
    let clock = Clock::test(1_800_000_000_000);
    let pair = on(Server::at(clock.clone(), |_| {}).await).await;
    (clock, pair)
}

#[tokio::test]
async fn a_status_reaches_those_who_share_a_room() {
    let (clock, Pair { server, anna, ben, room: _ }) = still().await;
    let cleo = server.register("cleo").await;
    let (mut since, cleo_since) = (next(&look(&anna, None).await), next(&look(&cleo, None).await));
    set(&ben, "online", Some("in the library")).await.ok();
    let status = ben.get(&path(&ben.user_id)).await.ok();
    assert_eq!((&status["presence"], &status["status_msg"]), (&json!("online"), &json!("in the library")), "{status}");
    let content = told(&clock, &anna, &mut since, &ben.user_id).await;
    assert_eq!((&content["presence"], &content["status_msg"]), (&json!("online"), &json!("in the library")));
    assert_eq!(content["currently_active"], true);
    assert!(content["last_active_ago"].as_u64().unwrap() < 60_000, "{content}");

    assert_eq!(of(&look(&cleo, Some(&cleo_since)).await, &ben.user_id), None);
    assert_eq!(of(&look(&cleo, None).await, &ben.user_id), None);
    cleo.get(&path(&ben.user_id)).await.refused(403, "M_FORBIDDEN");
    cleo.get(&path("@nobody:school.example")).await.refused(403, "M_FORBIDDEN");
    cleo.put(&path(&ben.user_id), json!({ "presence": "offline" })).await.refused(403, "M_FORBIDDEN");
    set(&ben, "dancing", None).await.refused(400, "M_INVALID_PARAM");
    set(&ben, "online", Some(&"x".repeat(2_000))).await.refused(413, "M_TOO_LARGE");

    // Said again, it is no news.
    set(&ben, "online", Some("in the library")).await.ok();
    clock.advance(Duration::from_secs(5));
    assert_eq!(of(&look(&anna, Some(&since)).await, &ben.user_id), None);
    set(&ben, "unavailable", None).await.ok();
    let content = told(&clock, &anna, &mut since, &ben.user_id).await;
    assert_eq!((&content["presence"], content.get("status_msg")), (&json!("unavailable"), None), "{content}");
}

#[tokio::test]
async fn who_syncs_is_there_and_who_stops_is_gone() {
    let (clock, Pair { server: _server, anna, ben, room: _ }) = still().await;
    let mut since = next(&look(&anna, None).await);
    ben.sync(None).await;
    assert_eq!(told(&clock, &anna, &mut since, &ben.user_id).await["presence"], "online");
    assert_eq!(of(&look(&anna, None).await, &ben.user_id).unwrap()["presence"], "online");
    for _ in 0..20 {
        clock.advance(Duration::from_secs(10));
        ben.sync(None).await;
    }
    assert_eq!(of(&look(&anna, Some(&since)).await, &ben.user_id), None, "nothing changed while Ben was there");
    ben.get("/_matrix/client/v3/sync?timeout=0&set_presence=unavailable").await.ok();
    assert_eq!(told(&clock, &anna, &mut since, &ben.user_id).await["presence"], "unavailable");
    clock.advance(Duration::from_secs(31));
    assert_eq!(told(&clock, &anna, &mut since, &ben.user_id).await["presence"], "offline");
    assert_eq!(anna.get(&path(&ben.user_id)).await.ok()["presence"], "offline");
    assert_eq!(of(&look(&anna, None).await, &ben.user_id), None, "an initial answer tells of those who are there");
}

#[tokio::test]
async fn a_request_that_waits_keeps_a_person_there() {
    let (clock, Pair { server: _server, anna, ben, room: _ }) = still().await;
    let (mut since, ben_since) = (next(&look(&anna, None).await), next(&look(&ben, None).await));
    let waiting = tokio::spawn({
        let ben = ben.clone();
        // Without news of presence, as Ben's own would end the request.
        let filter = escape(r#"{"presence":{"types":[]}}"#);
        let path = format!("/_matrix/client/v3/sync?timeout=300000&filter={filter}&since={}", escape(&ben_since));
        async move { ben.get(&path).await }
    });
    assert_eq!(told(&clock, &anna, &mut since, &ben.user_id).await["presence"], "online");
    for _ in 0..10 {
        clock.advance(Duration::from_secs(20));
        assert_eq!(anna.get(&path(&ben.user_id)).await.ok()["presence"], "online");
    }
    clock.advance(Duration::from_secs(200));
    waiting.await.unwrap().ok();
    clock.advance(Duration::from_secs(31));
    assert_eq!(told(&clock, &anna, &mut since, &ben.user_id).await["presence"], "offline");
}

#[tokio::test]
async fn people_who_meet_learn_of_each_other() {
    let (clock, Pair { server, anna, ben: _, room }) = still().await;
    let cleo = server.register("cleo").await;
    let mut since = next(&look(&cleo, None).await);
    set(&cleo, "online", None).await.ok();
    told(&clock, &cleo, &mut since, &cleo.user_id).await;
    let since = next(&look(&anna, None).await);
    cleo.join(&room).await.ok();
    assert_eq!(of(&look(&anna, Some(&since)).await, &cleo.user_id).unwrap()["presence"], "online");
}

#[tokio::test]
async fn switched_off_nobody_is_there() {
    let clock = Clock::test(1_800_000_000_000);
    let server = Server::at(clock.clone(), |config| config.presence.enabled = false).await;
    let Pair { server: _server, anna, ben, room: _ } = on(server).await;
    let since = next(&anna.sync(None).await);
    set(&ben, "online", Some("here")).await.ok();
    ben.sync(None).await;
    clock.advance(Duration::from_secs(5));
    assert_eq!(of(&anna.sync(Some(&since)).await, &ben.user_id), None);
    let status = anna.get(&path(&ben.user_id)).await.ok();
    assert_eq!((&status["presence"], status.get("status_msg")), (&json!("offline"), None));
}
