//! Messages from device to device across servers.

use serde_json::{Value, json};

use super::{Fake, Pair, server};
use crate::harness::Client;

const V3: &str = "/_matrix/client/v3";

async fn send(from: &Client, to: &str, device: &str, transaction: &str) {
    let path = format!("{V3}/sendToDevice/my.test/{transaction}");
    let messages = json!({ "messages": { to: { device: { "text": transaction } } } });
    from.put(&path, messages).await.ok();
}

/// The texts that came, with their senders.
fn texts(answer: &Value) -> Vec<(String, String)> {
    let events = answer["to_device"]["events"].as_array();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    events.into_iter().flatten().map(|event| (text(&event["sender"]), text(&event["content"]["text"]))).collect()
}

async fn until_text(client: &Client, since: &str, wanted: &str) -> (Vec<(String, String)>, String) {
    let mut all = Vec::new();
    let found = |answer: &Value| {
        all.extend(texts(answer));
        all.iter().any(|(_, text)| text == wanted).then_some(())
    };
    let ((), since) = client.sync_until(since, found).await;
    (all, since)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_devices_elsewhere_also_after_an_outage() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let since = bert.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    send(&ada, &bert.user_id, &bert.device_id, "one").await;
    send(&ada, &bert.user_id, &bert.device_id, "one").await;
    send(&ada, &bert.user_id, "*", "two").await;
    let (all, since) = until_text(&bert, &since, "two").await;
    let from_ada = |text: &str| (ada.user_id.clone(), text.to_owned());
    assert_eq!(all, [from_ada("one"), from_ada("two")], "each once, in their order");
    let stopped = b.stop().await;
    send(&ada, &bert.user_id, &bert.device_id, "three").await;
    let a = a.restart().await;
    let b = stopped.start().await;
    let (all, _) = until_text(&bert.at(&b), &since, "three").await;
    assert_eq!(all, [from_ada("three")]);
    drop(a);
}

fn edu(sender: &str, id: &str, to: &str, device: &str) -> Value {
    json!({ "edu_type": "m.direct_to_device", "content": {
        "sender": sender, "type": "my.test", "message_id": id, "messages": { to: { device: { "text": id } } },
    } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_taken_once_and_of_the_sender_s_server_only() {
    let (home, fake, liar) = (server(|_| {}).await, Fake::start().await, Fake::start().await);
    let ada = home.register("ada").await;
    let (eve, since) = (fake.user("eve"), ada.sync(None).await["next_batch"].as_str().unwrap().to_owned());
    let other = format!("@nobody:{}", liar.name());
    liar.send(&home, vec![], vec![edu(&eve, "lie", &ada.user_id, "*")]).await.ok();
    liar.send(&home, vec![], vec![edu(&ada.user_id, "lie", &ada.user_id, "*")]).await.ok();
    for _ in 0..2 {
        fake.send(&home, vec![], vec![edu(&eve, "one", &ada.user_id, "*"), edu(&eve, "away", &other, "*")]).await.ok();
    }
    // Another server may use the same id.
    liar.send(&home, vec![], vec![edu(&other, "one", &ada.user_id, &ada.device_id)]).await.ok();
    fake.send(&home, vec![], vec![edu(&eve, "last", &ada.user_id, &ada.device_id)]).await.ok();
    let (all, _) = until_text(&ada, &since, "last").await;
    let expected = [(&eve, "one"), (&other, "one"), (&eve, "last")].map(|(from, text)| (from.clone(), text.to_owned()));
    assert_eq!(all, expected);
    assert!(home.app().services().outbox.servers_waiting().await.unwrap().is_empty(), "nothing is passed on");
}

/// Each device keeps so many messages of one other server at most; what others send beside is not pushed out.
#[tokio::test(flavor = "multi_thread")]
async fn one_server_s_messages_have_a_share_of_what_waits_for_a_device() {
    let (home, fake, other) = (server(|_| {}).await, Fake::start().await, Fake::elsewhere().await);
    let (ada, bert) = (home.register("ada").await, home.register("bert").await);
    let (eve, cleo) = (fake.user("eve"), other.user("cleo"));
    let mut since = ada.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    send(&bert, &ada.user_id, "*", "from here").await;
    other.send(&home, vec![], vec![edu(&cleo, "from there", &ada.user_id, "*")]).await.ok();
    for page in 0..12 {
        let messages = (0..100).map(|n| edu(&eve, &format!("{page}-{n}"), &ada.user_id, &ada.device_id)).collect();
        fake.send(&home, vec![], messages).await.ok();
    }
    send(&bert, &ada.user_id, "*", "last").await;
    let mut all = Vec::new();
    while all.last().is_none_or(|(_, text)| text != "last") {
        let (some, next) = until_any(&ada, &since).await;
        all.extend(some);
        since = next;
    }
    let of = |sender: &str| {
        let texts = all.iter().filter(|(from, _)| from == sender).map(|(_, text)| text.as_str());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(of(&bert.user_id), ["from here", "last"]);
    assert_eq!(of(&cleo), ["from there"]);
    let flood = of(&eve);
    assert!((900..=1_000).contains(&flood.len()), "{}", flood.len());
    assert_eq!(flood.last(), Some(&"11-99"), "the newest are kept");
    assert_eq!(homeroom::store::check::check(&home.app().services().store).unwrap().findings, []);
}

async fn until_any(client: &Client, since: &str) -> (Vec<(String, String)>, String) {
    let found = |answer: &Value| Some(texts(answer)).filter(|texts| !texts.is_empty());
    client.sync_until(since, found).await
}
