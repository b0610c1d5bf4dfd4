//! Push rules and pushers.

use serde_json::{Value, json};

use crate::harness::Server;

const RULES: &str = "/_matrix/client/v3/pushrules";

fn rule(kind: &str, id: &str) -> String {
    format!("{RULES}/global/{kind}/{id}")
}

fn ids(rules: &Value) -> Vec<&str> {
    rules.as_array().unwrap().iter().map(|rule| rule["rule_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn rules_are_read_at_every_level() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let all = anna.get(&format!("{RULES}/")).await.ok();
    assert_eq!(anna.get(RULES).await.ok(), all);
    assert_eq!(anna.get(&format!("{RULES}/global/")).await.ok(), all["global"]);
    assert_eq!(
        ids(&all["global"]["override"])[..3],
        [".m.rule.master", ".m.rule.suppress_notices", ".m.rule.invite_for_me"]
    );
    let one = anna.get(&rule("underride", ".m.rule.message")).await.ok();
    assert_eq!((&one["default"], &one["enabled"], &one["actions"]), (&json!(true), &json!(true), &json!(["notify"])));
    assert_eq!(anna.get(&rule("underride", ".m.rule.message/enabled")).await.ok(), json!({ "enabled": true }));
    assert_eq!(anna.get(&rule("underride", ".m.rule.message/actions")).await.ok(), json!({ "actions": ["notify"] }));
    anna.get(&rule("override", "made.up")).await.refused(404, "M_NOT_FOUND");
    anna.get(&rule("override", "made.up/enabled")).await.refused(404, "M_NOT_FOUND");
    assert_eq!(anna.get("/_matrix/client/v3/notifications").await.ok()["notifications"], json!([]));
}

#[tokio::test]
async fn rules_are_written_in_every_position() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let since = anna.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let body = json!({ "actions": ["notify"], "pattern": "cake" });
    for (id, position) in [("a", ""), ("b", ""), ("c", "?after=a"), ("d", "?before=b"), ("b", "?after=c")] {
        anna.put(&rule("content", &format!("{id}{position}")), body.clone()).await.ok();
    }
    let content = anna.get(&format!("{RULES}/global/")).await.ok();
    assert_eq!(ids(&content["content"]), ["d", "a", "c", "b"]);
    anna.put(&rule("content", "a/enabled"), json!({ "enabled": false })).await.ok();
    anna.put(&rule("content", "a/actions"), json!({ "actions": [] })).await.ok();
    let one = anna.get(&rule("content", "a")).await.ok();
    assert_eq!((&one["enabled"], &one["actions"], &one["pattern"]), (&json!(false), &json!([]), &json!("cake")));
    anna.delete(&rule("content", "d")).await.ok();
    anna.delete(&rule("content", "d")).await.refused(404, "M_NOT_FOUND");
    anna.delete(&rule("override", ".m.rule.master")).await.refused(400, "M_INVALID_PARAM");
    anna.put(&rule("content", ".mine"), body.clone()).await.refused(400, "M_INVALID_PARAM");
    anna.put(&rule("content", "a?after=nowhere"), body.clone()).await.refused(404, "M_NOT_FOUND");
    anna.put(&rule("override", "x"), json!({ "actions": 7 })).await.refused(400, "M_BAD_JSON");
    // Actions of older versions are kept, without effect.
    anna.put(&rule("room", "!a:b.example"), json!({ "actions": ["dont_notify"] })).await.ok();
    assert_eq!(anna.get(&rule("room", "!a:b.example/actions")).await.ok(), json!({ "actions": ["dont_notify"] }));
    // The other devices hear of it.
    let changed = anna.sync(Some(&since)).await;
    let events = changed["account_data"]["events"].as_array().unwrap();
    let rules = events.iter().find(|event| event["type"] == "m.push_rules").unwrap();
    assert_eq!(ids(&rules["content"]["global"]["content"]), ["a", "c", "b"]);
}

#[tokio::test]
async fn pushers_are_kept_until_they_are_ended() {
    let server = Server::start().await;
    let anna = server.register("anna").await;
    let pusher = json!({
        "app_id": "org.example", "pushkey": "k", "kind": "http", "app_display_name": "App", "lang": "de",
        "device_display_name": "Phone", "data": { "url": "https://push.example/_matrix/push/v1/notify" },
    });
    anna.post("/_matrix/client/v3/pushers/set", pusher.clone()).await.ok();
    assert_eq!(anna.get("/_matrix/client/v3/pushers").await.ok(), json!({ "pushers": [pusher] }));
    let mut too_long = pusher.clone();
    too_long["pushkey"] = json!("k".repeat(513));
    anna.post("/_matrix/client/v3/pushers/set", too_long).await.refused(400, "M_INVALID_PARAM");
    let end = json!({ "app_id": "org.example", "pushkey": "k", "kind": null });
    anna.post("/_matrix/client/v3/pushers/set", end).await.ok();
    assert_eq!(anna.get("/_matrix/client/v3/pushers").await.ok(), json!({ "pushers": [] }));
}
