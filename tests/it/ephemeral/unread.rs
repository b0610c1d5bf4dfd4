use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::{Pair, on, pair, receipt, send_in_thread};
use crate::harness::{Client, escape};

/// Notifications and highlights of the main timeline, and of each thread with its root, sorted.
async fn counts(client: &Client, room: &str) -> (u64, u64, Vec<(String, u64, u64)>) {
    let filter = escape(r#"{"room":{"timeline":{"unread_thread_notifications":true}}}"#);
    let answer = client.get(&format!("/_matrix/client/v3/sync?timeout=0&filter={filter}")).await.ok();
    let pair = |counts: &Value| {
        (counts["notification_count"].as_u64().unwrap_or(0), counts["highlight_count"].as_u64().unwrap_or(0))
    };
    let entry = &answer["rooms"]["join"][room];
    let (main, loud) = pair(&entry["unread_notifications"]);
    let threads = entry["unread_thread_notifications"].as_object().cloned().unwrap_or_default();
    assert!(entry.get("unread_thread_notifications").is_none_or(|threads| threads != &json!({})), "{entry}");
    let mut threads: Vec<_> = threads
        .iter()
        .map(|(root, counts)| (root.clone(), pair(counts).0, pair(counts).1))
        .filter(|(_, notified, _)| *notified > 0)
        .collect();
    threads.sort();
    (main, loud, threads)
}

#[tokio::test]
async fn mentions_highlight_and_noise_does_not_count() {
    let Pair { server: _server, anna, ben, room } = pair().await;
    anna.send(&room, "hello").await;
    let mention = json!({ "msgtype": "m.text", "body": "Ben?", "m.mentions": { "user_ids": [ben.user_id] } });
    let loud = anna.send_event(&room, "m.room.message", mention).await;
    anna.send_event(&room, "m.room.message", json!({ "msgtype": "m.notice", "body": "beep" })).await;
    let reaction = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": loud, "key": "x" } });
    anna.send_event(&room, "m.reaction", reaction).await;
    assert_eq!(counts(&ben, &room).await, (2, 1, vec![]));
    assert_eq!(counts(&anna, &room).await, (0, 0, vec![]));
    // All events of the room in one sum for those who do not ask for threads.
    send_in_thread(&anna, &room, &loud, "more").await;
    assert_eq!(counts(&ben, &room).await, (2, 1, vec![(loud.clone(), 1, 0)]));
    let answer = ben.sync(None).await;
    assert_eq!(answer["rooms"]["join"][&room]["unread_notifications"]["notification_count"], 3);
    assert!(answer["rooms"]["join"][&room]["unread_thread_notifications"].is_null());
}

#[tokio::test]
async fn sending_reads_what_came_before_and_a_new_name_does_not() {
    let Pair { server: _server, anna, ben, room } = pair().await;
    let root = anna.send(&room, "one").await;
    send_in_thread(&anna, &room, &root, "in the thread").await;
    let name = format!("/_matrix/client/v3/profile/{}/displayname", escape(&ben.user_id));
    ben.put(&name, json!({ "displayname": "Benny" })).await.ok();
    assert_eq!(counts(&ben, &room).await, (1, 0, vec![(root.clone(), 1, 0)]));
    ben.send(&room, "two").await;
    assert_eq!(counts(&ben, &room).await, (0, 0, vec![(root.clone(), 1, 0)]));
    send_in_thread(&ben, &room, &root, "me too").await;
    anna.send(&room, "three").await;
    assert_eq!(counts(&ben, &room).await, (1, 0, vec![]));
}

#[tokio::test]
async fn counting_begins_with_the_join() {
    let Pair { server, anna, ben, room } = pair().await;
    anna.send(&room, "before").await;
    let cleo = server.register("cleo").await;
    cleo.join(&room).await.ok();
    assert_eq!(counts(&cleo, &room).await, (0, 0, vec![]));
    assert_eq!(counts(&ben, &room).await, (1, 0, vec![]));
    ben.leave(&room).await.ok();
    anna.send(&room, "without Ben").await;
    ben.join(&room).await.ok();
    assert_eq!(counts(&ben, &room).await, (0, 0, vec![]));
    anna.send(&room, "with Ben").await;
    assert_eq!((counts(&ben, &room).await.0, counts(&cleo, &room).await.0), (1, 2));
}

#[tokio::test]
async fn muted_rooms_and_ignored_people_do_not_count() {
    let Pair { server: _server, anna, ben, room } = pair().await;
    let rule = format!("/_matrix/client/v3/pushrules/global/room/{}", escape(&room));
    ben.put(&rule, json!({ "actions": [] })).await.ok();
    anna.send(&room, "muted").await;
    assert_eq!(counts(&ben, &room).await, (0, 0, vec![]));
    ben.delete(&rule).await.ok();
    anna.send(&room, "heard").await;
    assert_eq!(counts(&ben, &room).await, (1, 0, vec![]));
    let list = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", escape(&ben.user_id));
    ben.put(&list, json!({ "ignored_users": { &anna.user_id: {} } })).await.ok();
    anna.send(&room, "ignored").await;
    assert_eq!(counts(&ben, &room).await, (1, 0, vec![]));
}

#[tokio::test]
async fn counts_of_a_long_absence_survive_a_restart() {
    let Pair { server, anna, ben, room } = pair().await;
    let root = anna.send(&room, "root").await;
    for n in 0..150 {
        anna.send(&room, &n.to_string()).await;
        send_in_thread(&anna, &room, &root, &n.to_string()).await;
    }
    let half = anna.send(&room, "half").await;
    for n in 0..20 {
        anna.send(&room, &n.to_string()).await;
    }
    assert_eq!(counts(&ben, &room).await, (172, 0, vec![(root.clone(), 150, 0)]));
    let server = server.restart().await;
    let ben = ben.at(&server);
    assert_eq!(counts(&ben, &room).await, (172, 0, vec![(root.clone(), 150, 0)]));
    receipt(&ben, &room, "m.read", &half, json!({ "thread_id": "main" })).await.ok();
    assert_eq!(counts(&ben, &room).await, (20, 0, vec![(root.clone(), 150, 0)]));
    let server = server.restart().await;
    assert_eq!(counts(&ben.at(&server), &room).await, (20, 0, vec![(root, 150, 0)]));
}

/// An event of the model: its id, its thread, and whether Anna sent it.
struct Sent {
    id: String,
    root: Option<String>,
    anna: bool,
}

impl Sent {
    fn thread(&self) -> &str {
        self.root.as_deref().unwrap_or("main")
    }
}

/// The definition: what Anna sent after the last receipt or message of Ben's in the same thread.
fn expected(sent: &[Sent], marks: &[(Option<String>, usize)]) -> (u64, Vec<(String, u64, u64)>) {
    let mut main = 0;
    let mut threads = std::collections::BTreeMap::new();
    for (place, event) in sent.iter().enumerate().filter(|(_, event)| event.anna) {
        let marked =
            marks.iter().any(|(thread, upto)| *upto >= place && thread.as_deref().is_none_or(|t| t == event.thread()));
        let answered = sent[place..].iter().any(|later| !later.anna && later.root == event.root);
        if marked || answered {
            continue;
        }
        match &event.root {
            None => main += 1,
            Some(root) => *threads.entry(root.clone()).or_insert(0) += 1,
        }
    }
    (main, threads.into_iter().map(|(root, count)| (root, count, 0)).collect())
}

/// Random talk with random receipts, asked for at random times, counts as the definition says.
#[tokio::test]
async fn counts_are_what_the_definition_says() {
    let mut random = StdRng::seed_from_u64(5);
    let Pair { mut server, mut anna, mut ben, room } = on(crate::harness::Server::start().await).await;
    let mut sent: Vec<Sent> = Vec::new();
    let mut marks: Vec<(Option<String>, usize)> = Vec::new();
    for step in 0..300 {
        let roots: Vec<_> =
            sent.iter().filter(|event| event.root.is_none()).map(|event| event.id.clone()).take(3).collect();
        let root =
            (!roots.is_empty() && random.random_bool(0.4)).then(|| roots[random.random_range(0..roots.len())].clone());
        match random.random_range(0..10) {
            0..6 => {
                let by_anna = random.random_bool(0.93);
                let who = if by_anna { &anna } else { &ben };
                let id = match &root {
                    Some(root) => send_in_thread(who, &room, root, "x").await,
                    None => who.send(&room, "x").await,
                };
                sent.push(Sent { id, root, anna: by_anna });
            }
            6..8 if !sent.is_empty() => {
                let place = random.random_range(sent.len().saturating_sub(25)..sent.len());
                let event = &sent[place];
                let thread = random.random_bool(0.7).then(|| event.thread().to_owned());
                let body = thread.as_ref().map_or(json!({}), |thread| json!({ "thread_id": thread }));
                let kind = if random.random_bool(0.5) { "m.read" } else { "m.read.private" };
                receipt(&ben, &room, kind, &event.id, body).await.ok();
                marks.push((thread, place));
            }
            _ => {
                let (main, _, threads) = counts(&ben, &room).await;
                assert_eq!((main, threads), expected(&sent, &marks), "step {step}");
            }
        }
        if step % 97 == 96 {
            server = server.restart().await;
            (anna, ben) = (anna.at(&server), ben.at(&server));
        }
    }
}
