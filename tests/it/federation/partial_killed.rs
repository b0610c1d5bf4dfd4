//! Rooms that are joined before their members are known, where the program is killed between whatever somebody does.

use std::sync::atomic::Ordering;

use http::Method;
use serde_json::{Value, json};

use super::{Fake, killed::Home, partial_play::Play};
use crate::harness::{Process, escape};

async fn next_life(home: &mut Home, process: Process) -> Process {
    process.kill().await;
    home.is_sound(false).await;
    home.live().await
}

/// How many have joined at an event, as far as is known here.
async fn members_at(home: &Home, process: &Process, room: &str, event: &str) -> usize {
    let path = format!("rooms/{}/context/{}?limit=0", escape(room), escape(event));
    let context = home.ask(process, Method::GET, &path, Value::Null).await.unwrap();
    let state = context["state"].as_array().unwrap();
    state.iter().filter(|event| event["type"] == "m.room.member" && event["content"]["membership"] == "join").count()
}

async fn leaves_and_comes_back(whole: bool) {
    let fake = Fake::start().await;
    let play = Play::new(&fake, &[]);
    let (mut home, mut process) = Home::new().await;
    let room = &play.host.id;
    let join = format!("join/{}?via={}", escape(room), escape(fake.name().as_str()));
    home.ask(&process, Method::POST, &join, json!({})).await.unwrap();
    process = next_life(&mut home, process).await;
    let send = format!("rooms/{}/send/m.room.message/1", escape(room));
    let said = home.ask(&process, Method::PUT, &send, json!({ "msgtype": "m.text", "body": "hello" })).await.unwrap();
    let said = said["event_id"].as_str().unwrap().to_owned();
    process = next_life(&mut home, process).await;
    home.ask(&process, Method::POST, &format!("rooms/{}/leave", escape(room)), json!({})).await.unwrap();
    process = next_life(&mut home, process).await;
    let is_out = |known: &Value| known["content"]["membership"] == "leave";
    fake.until(|_| play.host.known.lock().unwrap().events.values().any(is_out).then_some(())).await;
    let then = play.members() + 1;
    play.goes_on();
    if whole {
        play.hosted.name_members();
    }
    home.ask(&process, Method::POST, &join, json!({})).await.unwrap();
    process = next_life(&mut home, process).await;
    assert_ne!(members_at(&home, &process, room, &said).await, then);
    play.tells.store(true, Ordering::SeqCst);
    // It is asked for in each life.
    process = next_life(&mut home, process).await;
    let mut told = 0;
    for _ in 0..300 {
        told = members_at(&home, &process, room, &said).await;
        if told == then {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(told, then);
    let path = format!("rooms/{}/joined_members", escape(room));
    process = next_life(&mut home, process).await;
    let members = home.ask(&process, Method::GET, &path, Value::Null).await.unwrap();
    assert_eq!(members["joined"].as_object().unwrap().len(), play.members());
    assert_eq!(members_at(&home, &process, room, &said).await, then);
    process.kill().await;
    home.is_sound(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_times_outlast_being_killed() {
    leaves_and_comes_back(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_before_a_whole_room_outlasts_being_killed() {
    leaves_and_comes_back(true).await;
}
