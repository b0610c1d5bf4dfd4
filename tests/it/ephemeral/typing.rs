use std::time::Duration;

use homeroom::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Pair, ephemeral, next, on, pair};
use crate::harness::{Server, escape};

fn typing(answer: &Value, room: &str) -> Option<Value> {
    ephemeral(answer, room, "m.typing").pop().map(|mut content| content["user_ids"].take())
}

#[tokio::test]
async fn a_forgotten_notice_ends_by_itself() {
    let clock = Clock::test(1_800_000_000_000);
    let Pair { server: _server, anna, ben, room } = on(Server::at(clock.clone(), |_| {}).await).await;
    let since = next(&anna.sync(None).await);
    ben.typing(&room, true).await.ok();
    let answer = anna.wait(&since).await;
    assert_eq!(typing(&answer, &room), Some(json!([ben.user_id])));
    clock.advance(Duration::from_secs(19));
    assert_eq!(typing(&anna.sync(None).await, &room), Some(json!([ben.user_id])));
    let waiting = tokio::spawn({
        let (anna, since, room) = (anna.clone(), next(&answer), room.clone());
        // Presence may be news in between.
        async move { anna.sync_until(&since, |answer| typing(answer, &room)).await.0 }
    });
    clock.advance(Duration::from_secs(2));
    assert_eq!(waiting.await.unwrap(), json!([]));
    assert_eq!(typing(&anna.sync(None).await, &room), None);
}

#[tokio::test]
async fn repeating_it_tells_nobody_again() {
    let clock = Clock::test(1_800_000_000_000);
    let Pair { server: _server, anna, ben, room } = on(Server::at(clock.clone(), |_| {}).await).await;
    ben.typing(&room, false).await.ok();
    ben.typing(&room, true).await.ok();
    let since = next(&anna.sync(None).await);
    clock.advance(Duration::from_secs(15));
    ben.typing(&room, true).await.ok();
    assert_eq!(typing(&anna.sync(Some(&since)).await, &room), None);
    // But it lasts longer.
    clock.advance(Duration::from_secs(15));
    anna.typing(&room, false).await.ok();
    assert_eq!(typing(&anna.sync(None).await, &room), Some(json!([ben.user_id])));
}

#[tokio::test]
async fn only_people_in_the_room_type_and_only_for_themselves() {
    let Pair { server, anna, ben, room } = pair().await;
    let cleo = server.register("cleo").await;
    cleo.typing(&room, true).await.refused(403, "M_FORBIDDEN");
    let path = format!("/_matrix/client/v3/rooms/{}/typing/{}", escape(&room), escape(&ben.user_id));
    anna.put(&path, json!({ "typing": true, "timeout": 1000 })).await.refused(403, "M_FORBIDDEN");
    ben.put(&path, json!({ "typing": "yes" })).await.refused(400, "M_BAD_JSON");
    ben.call_raw(Method::PUT, &path, "{").await.refused(400, "M_NOT_JSON");
    // The time-out may be left out, and who leaves does not type any more.
    ben.put(&path, json!({ "typing": true })).await.ok();
    assert_eq!(typing(&anna.sync(None).await, &room), Some(json!([ben.user_id])));
    ben.leave(&room).await.ok();
    assert_eq!(typing(&anna.sync(None).await, &room), None);
}
