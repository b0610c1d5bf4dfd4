//! Two people chat.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

/// Anna and Ben in a room of Anna's, each with a sync token from after Ben came.
struct Chat {
    server: Server,
    anna: Client,
    ben: Client,
    room: String,
    anna_since: String,
    ben_since: String,
}

async fn chat() -> Chat {
    let server = Server::start().await;
    let (anna, ben) = (server.register("anna").await, server.register("ben").await);
    let room = anna.create_room(json!({ "preset": "private_chat", "name": "Homework" })).await;
    anna.invite(&room, &ben.user_id).await.ok();
    let answer = ben.sync(None).await;
    assert!(answer["rooms"]["invite"][&room].is_object(), "{answer}");
    ben.join(&room).await.ok();
    let since = |answer: &Value| answer["next_batch"].as_str().unwrap().to_owned();
    let (anna_since, ben_since) = (since(&anna.sync(None).await), since(&ben.sync(None).await));
    Chat { server, anna, ben, room, anna_since, ben_since }
}

/// The timeline event of that id in a sync answer.
fn event(answer: &Value, room: &str, event_id: &str) -> Option<Value> {
    let events = answer["rooms"]["join"][room]["timeline"]["events"].as_array()?;
    events.iter().find(|event| event["event_id"] == event_id).cloned()
}

#[tokio::test]
async fn a_message_arrives_and_counts_as_unread_until_it_is_read() {
    let Chat { anna, ben, room, ben_since, anna_since, server: _server } = chat().await;
    let waiting = tokio::spawn({
        let (ben, ben_since) = (ben.clone(), ben_since.clone());
        async move { ben.wait(&ben_since).await }
    });
    let sent = anna.send(&room, "Is it page 12?").await;
    let answer = waiting.await.unwrap();
    let message = event(&answer, &room, &sent).unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(message["content"]["body"], "Is it page 12?");
    assert_eq!(message["sender"], anna.user_id.as_str());
    assert_eq!(answer["rooms"]["join"][&room]["unread_notifications"]["notification_count"], 1, "{answer}");

    let since = answer["next_batch"].as_str().unwrap().to_owned();
    ben.read(&room, &sent).await.ok();
    let (count, _) = ben
        .sync_until(&since, |answer| {
            answer["rooms"]["join"][&room]["unread_notifications"]["notification_count"].as_u64()
        })
        .await;
    assert_eq!(count, 0);
    let (receipt, _) = anna
        .sync_until(&anna_since, |answer| {
            let events = answer["rooms"]["join"][&room]["ephemeral"]["events"].as_array()?;
            events.iter().find(|event| event["type"] == "m.receipt").cloned()
        })
        .await;
    assert!(receipt["content"][&sent]["m.read"][&ben.user_id]["ts"].is_u64(), "{receipt}");
}

#[tokio::test]
async fn the_other_side_sees_who_is_typing() {
    let Chat { anna, ben, room, anna_since, server: _server, .. } = chat().await;
    ben.typing(&room, true).await.ok();
    let typing = |answer: &Value| {
        let events = answer["rooms"]["join"][&room]["ephemeral"]["events"].as_array()?;
        Some(events.iter().find(|event| event["type"] == "m.typing")?["content"]["user_ids"].clone())
    };
    let (users, since) = anna.sync_until(&anna_since, typing).await;
    assert_eq!(users, json!([ben.user_id]));
    ben.typing(&room, false).await.ok();
    assert_eq!(anna.sync_until(&since, typing).await.0, json!([]));
}

#[tokio::test]
async fn reactions_edits_and_replies_arrive_and_are_bundled() {
    let Chat { anna, ben, room, ben_since, server: _server, .. } = chat().await;
    let sent = anna.send(&room, "Pgae 12").await;
    let reaction = ben
        .send_event(
            &room,
            "m.reaction",
            json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": sent, "key": "👍" } }),
        )
        .await;
    let edit = anna
        .send_event(
            &room,
            "m.room.message",
            json!({
                "msgtype": "m.text", "body": "* Page 12",
                "m.new_content": { "msgtype": "m.text", "body": "Page 12" },
                "m.relates_to": { "rel_type": "m.replace", "event_id": sent },
            }),
        )
        .await;
    let answer = ben.sync(Some(&ben_since)).await;
    for event_id in [&sent, &reaction, &edit] {
        assert!(event(&answer, &room, event_id).is_some(), "{event_id} is missing in {answer}");
    }
    let original = ben.room(&room, &format!("event/{sent}")).await.ok();
    assert_eq!(original["unsigned"]["m.relations"]["m.replace"]["event_id"], edit.as_str(), "{original}");

    let again = json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": sent, "key": "👍" } });
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.reaction/again");
    ben.put(&path, again).await.refused(400, "M_DUPLICATE_ANNOTATION");
}

#[tokio::test]
async fn a_redacted_message_loses_its_content_everywhere() {
    let Chat { anna, ben, room, ben_since, server: _server, .. } = chat().await;
    let sent = anna.send(&room, "The password is hunter2").await;
    let redaction = anna.redact(&room, &sent).await.ok()["event_id"].as_str().unwrap().to_owned();
    let answer = ben.sync(Some(&ben_since)).await;
    assert!(event(&answer, &room, &redaction).is_some(), "{answer}");
    let gone = event(&answer, &room, &sent).unwrap();
    assert_eq!(gone["content"], json!({}));
    assert_eq!(gone["unsigned"]["redacted_because"]["event_id"], redaction.as_str(), "{gone}");
    let page = ben.room(&room, "messages?dir=b&limit=50").await.ok();
    assert!(!page.to_string().contains("hunter2"), "{page}");
}

#[tokio::test]
async fn the_same_transaction_makes_one_event() {
    let Chat { anna, room, server: _server, .. } = chat().await;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/same");
    let body = json!({ "msgtype": "m.text", "body": "once" });
    let first = anna.put(&path, body.clone()).await.ok();
    assert_eq!(anna.put(&path, body).await.ok(), first);
    let page = anna.room(&room, "messages?dir=b&limit=50").await.ok();
    let sent = page["chunk"].as_array().unwrap().iter().filter(|event| event["type"] == "m.room.message");
    assert_eq!(sent.count(), 1);
}

#[tokio::test]
async fn who_left_hears_no_more() {
    let Chat { anna, ben, room, ben_since, server: _server, .. } = chat().await;
    ben.leave(&room).await.ok();
    let secret = anna.send(&room, "He is gone").await;
    let answer = ben.sync(Some(&ben_since)).await;
    assert!(answer["rooms"]["leave"][&room].is_object(), "{answer}");
    assert!(!answer.to_string().contains("He is gone"));
    ben.room(&room, &format!("event/{secret}")).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn strangers_see_and_send_nothing() {
    let Chat { anna, room, server, .. } = chat().await;
    let sent = anna.send(&room, "Only for us").await;
    let cleo = server.register("cleo").await;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    cleo.put(&path, json!({ "msgtype": "m.text", "body": "hi" })).await.refused(403, "M_FORBIDDEN");
    cleo.join(&room).await.refused(403, "M_FORBIDDEN");
    cleo.room(&room, "messages?dir=b").await.refused(403, "M_FORBIDDEN");
    cleo.room(&room, "members").await.refused(403, "M_FORBIDDEN");
    cleo.room(&room, &format!("event/{sent}")).await.refused(404, "M_NOT_FOUND");
    let answer = cleo.sync(None).await;
    assert!(answer["rooms"]["join"].get(&room).is_none(), "{answer}");
}
