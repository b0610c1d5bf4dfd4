//! The program is killed while messages to devices are on their way between servers: none is lost that was acknowledged,
//! and none comes twice.

use http::Method;
use serde_json::{Value, json};

use super::{Fake, Reply, killed::Home};
use crate::harness::{Process, escape};

const SEND: &str = "/_matrix/federation/v1/send/";
/// Times that one of two servers is killed, and messages that are sent in between.
const LIVES: usize = 6;
const MESSAGES: usize = 15;

/// Sends a text to all devices of somebody; whether it was acknowledged.
async fn send(from: &Home, base: &str, to: &str, text: &str) -> bool {
    let url = format!("{base}/_matrix/client/v3/sendToDevice/org.example.x/{text}");
    let body = json!({ "messages": { to: { "*": { "text": text } } } });
    let answer = from.http.put(url).bearer_auth(&from.token).json(&body).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// One device that reads what comes, and says how far it has read.
#[derive(Default)]
struct Reader {
    since: String,
    texts: Vec<String>,
}

impl Reader {
    async fn read(&mut self, home: &Home, process: &Process, wait_ms: u32) {
        let path = format!("sync?timeout={wait_ms}{}", self.since);
        let sync = home.ask(process, Method::GET, &path, Value::Null).await.unwrap();
        self.since = format!("&since={}", escape(sync["next_batch"].as_str().unwrap()));
        let events = sync["to_device"]["events"].as_array().into_iter().flatten();
        self.texts.extend(events.filter_map(|event| event["content"]["text"].as_str().map(str::to_owned)));
    }

    /// Reads until this has come.
    async fn until(&mut self, home: &Home, process: &Process, text: &str) {
        for _ in 0..60 {
            if self.texts.iter().any(|seen| seen == text) {
                return;
            }
            self.read(home, process, 1_000).await;
        }
        panic!("{text} does not come: {:?}", self.texts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_devices_outlast_the_death_of_either_server() {
    let (mut home, mut here) = Home::new().await;
    let (mut other, mut there) = Home::new().await;
    let to = format!("@anna:{}", other.name);
    let (mut reader, mut sent) = (Reader::default(), Vec::new());
    reader.read(&other, &there, 0).await;
    for life in 0..LIVES {
        for n in 0..MESSAGES {
            let text = format!("{life}-{n}");
            assert!(send(&home, &here.base, &to, &text).await);
            sent.push(text);
        }
        let (text, base) = (format!("{life}-last"), here.base.clone());
        if life % 2 == 0 {
            tokio::join!(send(&home, &base, &to, &text), here.kill());
            here = home.live().await;
            // Whether it was acknowledged or not, the client asks again, and it is sent once.
            assert!(send(&home, &here.base, &to, &text).await);
        } else {
            let (acknowledged, ()) = tokio::join!(send(&home, &base, &to, &text), there.kill());
            assert!(acknowledged);
            there = other.live().await;
        }
        sent.push(text);
        reader.read(&other, &there, 0).await;
    }
    reader.until(&other, &there, sent.last().unwrap()).await;
    // What would come twice has come by the time that one more is there.
    assert!(send(&home, &here.base, &to, "end").await);
    sent.push("end".to_owned());
    reader.until(&other, &there, "end").await;
    assert_eq!(reader.texts, sent);
    here.kill().await;
    there.kill().await;
    home.is_sound(true).await;
    other.is_sound(true).await;
}

/// Whether a text came in a transaction.
fn has(received: &super::Received, text: &str) -> bool {
    received.path.starts_with(SEND) && received.body["edus"].to_string().contains(&format!("\"{text}\""))
}

/// The ids and texts of the messages that came in transactions.
fn came(fake: &Fake) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for received in fake.received(SEND) {
        for edu in received.body["edus"].as_array().into_iter().flatten() {
            if edu["edu_type"] == "m.direct_to_device" {
                let content = &edu["content"];
                let text = content["messages"][fake.user("ben")]["*"]["text"].as_str().unwrap();
                all.push((content["message_id"].as_str().unwrap().to_owned(), text.to_owned()));
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_were_on_their_way_go_again_under_their_ids() {
    let fake = Fake::start().await;
    fake.answer(Method::PUT, SEND, |_| Reply::Stall);
    let (mut home, process) = Home::new().await;
    let texts = ["one", "two", "three"];
    for text in texts {
        assert!(send(&home, &process.base, &fake.user("ben"), text).await);
    }
    fake.until(|received| received.path.starts_with(SEND).then_some(())).await;
    // They may have been taken there: the answer never came.
    let before = came(&fake);
    assert!(!before.is_empty());
    process.kill().await;
    fake.answer(Method::PUT, SEND, |_| Reply::ok(json!({ "pdus": {} })));
    let process = home.live().await;
    assert!(send(&home, &process.base, &fake.user("ben"), "more").await);
    fake.until(|received| has(received, "more").then_some(())).await;
    let after = came(&fake).split_off(before.len());
    assert_eq!(after.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["one", "two", "three", "more"]);
    assert_eq!(before[..], after[..before.len()], "the other side knows them by their ids");
    // Delivered is delivered, in the next life too.
    assert!(send(&home, &process.base, &fake.user("ben"), "four").await);
    fake.until(|received| has(received, "four").then_some(())).await;
    process.kill().await;
    let process = home.live().await;
    assert!(send(&home, &process.base, &fake.user("ben"), "five").await);
    fake.until(|received| has(received, "five").then_some(())).await;
    let all = came(&fake);
    assert_eq!(
        all.iter().filter(|(_, text)| text == "three").count(),
        1 + before.iter().filter(|(_, text)| text == "three").count()
    );
    process.kill().await;
    home.is_sound(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_another_server_brings_are_taken_once_though_the_program_is_killed() {
    let fake = Fake::start().await;
    let (mut home, mut process) = Home::new().await;
    let to = format!("@anna:{}", home.name);
    let mut reader = Reader::default();
    reader.read(&home, &process, 0).await;
    let edu = |text: &str| {
        json!({ "edu_type": "m.direct_to_device", "content": {
            "sender": fake.user("ben"), "type": "org.example.x", "message_id": text,
            "messages": { &to: { "*": { "text": text } } },
        } })
    };
    let (mut sent, mut transaction) = (Vec::new(), 0);
    for life in 0..LIVES {
        let texts: Vec<String> = (0..MESSAGES).map(|n| format!("{life}-{n}")).collect();
        let (sure, unsure) = texts.split_at(MESSAGES / 2);
        assert!(home.take(&fake, transaction, &[], &sure.iter().map(|text| edu(text)).collect::<Vec<_>>()).await);
        let unsure: Vec<Value> = unsure.iter().map(|text| edu(text)).collect();
        tokio::join!(home.take(&fake, transaction + 1, &[], &unsure), process.kill());
        process = home.live().await;
        // The other server cannot know how far it got. It may bring them in another transaction, too.
        assert!(home.take(&fake, transaction + 2, &[], &unsure).await);
        transaction += 3;
        sent.extend(texts);
        reader.read(&home, &process, 0).await;
    }
    reader.until(&home, &process, sent.last().unwrap()).await;
    reader.read(&home, &process, 0).await;
    assert_eq!(reader.texts, sent);
    process.kill().await;
    home.is_sound(true).await;
}
