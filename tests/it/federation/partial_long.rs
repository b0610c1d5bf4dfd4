//! A room in which much is said before its members are known.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ruma::RoomId;
use serde_json::{Value, json};

use super::{
    Fake,
    partial::{Large, bert, clock},
};
use crate::harness::escape;

/// How long the room's lock is held at most while the members come after so many events, every tenth of them state.
async fn locked_for(events: usize) -> Duration {
    let (clock, fake) = (clock(), Fake::start().await);
    let large = Large::new(&fake, |_| {});
    let (home, bert) = bert(&clock).await;
    let id = &large.host.id;
    bert.join_via(id, fake.name()).await.ok();
    let mut sent: Vec<Value> = Vec::new();
    for n in 0..events {
        let (last, event) = if n % 10 == 0 {
            large.host.append("m.room.topic", Some(""), json!({ "topic": n.to_string() }))
        } else {
            large.say(n % 20, "m.room.message", None, json!({ "msgtype": "m.text", "body": n.to_string() }))
        };
        sent.push(event);
        // No more at once than may wait.
        if sent.len() == 50 || n + 1 == events {
            fake.send(&home, std::mem::take(&mut sent), vec![]).await.ok();
            let path = format!("event/{}", escape(&last));
            while !bert.room(id, &path).await.status.is_success() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    let rooms = home.app().services().rooms.clone();
    let room = rooms.by_id(<&RoomId>::try_from(&**id).unwrap()).await.unwrap().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (ended, waiting) = (done.clone(), rooms.clone());
    let longest = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        while !ended.load(Ordering::SeqCst) {
            let asked = Instant::now();
            drop(waiting.writer(&room).await);
            longest = longest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        longest
    });
    large.tell(&clock, &home).await;
    done.store(true, Ordering::SeqCst);
    longest.await.unwrap()
}

/// `cargo test --release --test it -- --ignored --nocapture the_lock_is_held`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: seconds on a machine with nothing else to do"]
async fn the_lock_is_held_in_proportion_to_what_was_said_since_the_join() {
    let (few, many) = (locked_for(500).await, locked_for(2_000).await);
    println!("the room's lock is held for {few:?} after 500 events, and for {many:?} after 2,000");
    assert!(many < few * 8, "twice what four times as many should take");
}
