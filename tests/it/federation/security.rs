//! What other servers have done to homeservers, one test each. The rows of events that come damaged are in `ingest`, of
//! reading in `reading`, of invitations in `invite`, of templates and joins in `join`, of what cannot be sent in
//! `outbound_failures`; `docs/federation-security.md` has the whole list.

use homeroom::store::check::check;
use http::Method;
use serde_json::{Value, json};

use super::{
    Fake, Pair, Reply,
    guest::{Guest, id_of, invitation, rules, until_there},
    host::Host,
    server,
};
use crate::harness::{Client, Server, escape};

const FED: &str = "/_matrix/federation/v1";

/// A public room of ours.
async fn public_room(client: &Client) -> String {
    client.create_room(json!({ "preset": "public_chat", "room_version": "11" })).await
}

/// A server whose access lists can tell it from the fake one.
async fn numbered() -> Server {
    let by_number = |config: &mut homeroom::config::Config| {
        let name = format!("127.0.0.1:{}", config.server.name.port().unwrap());
        config.server.name = ruma::ServerName::parse(name).unwrap();
    };
    server(by_number).await
}

#[tokio::test]
async fn nobody_is_made_to_join_or_leave_by_another() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let (ada, bert) = (home.register("ada").await, home.register("bert").await);
    let room = public_room(&ada).await;
    let guest = Guest::enter(&fake, &home, &room, "eve").await;
    let mut forged = vec![];
    for (sender, target, membership) in [
        (&guest.user, &bert.user_id, "join"),
        (&guest.user, &ada.user_id, "leave"),
        (&guest.user, &ada.user_id, "ban"),
        (&bert.user_id, &bert.user_id, "join"),
        (&ada.user_id, &ada.user_id, "leave"),
    ] {
        let mut event = guest.member(target, membership);
        event["sender"] = json!(sender);
        forged.push(guest.sign(event));
    }
    guest.send(forged).await.ok();
    guest.say(&ada, "done").await;
    let members = ada.room(&room, "joined_members").await.ok();
    let members: Vec<_> = members["joined"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members.len(), 2, "{members:?}");
    assert!(members.contains(&ada.user_id) && !members.contains(&bert.user_id));
}

#[tokio::test]
async fn only_those_who_may_redact() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = public_room(&ada).await;
    let guest = Guest::enter(&fake, &home, &room, "eve").await;
    let said = ada.send(&room, "mine").await;
    guest.send(vec![guest.sign(guest.draft("m.room.redaction", json!({ "redacts": said })))]).await.ok();
    let own = guest.say(&ada, "theirs").await;
    guest.send(vec![guest.sign(guest.draft("m.room.redaction", json!({ "redacts": own })))]).await.ok();
    guest.say(&ada, "done").await;
    assert_eq!(ada.room(&room, &format!("event/{}", escape(&said))).await.ok()["content"]["body"], "mine");
    assert_eq!(ada.room(&room, &format!("event/{}", escape(&own))).await.ok()["content"], json!({}));
}

#[tokio::test]
async fn a_server_speaks_for_its_own_users_only() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let (ada, bert) = (home.register("ada").await, home.register("bert").await);
    let room = public_room(&ada).await;
    bert.join(&room).await.ok();
    let said = ada.send(&room, "hello").await;
    let guest = Guest::enter(&fake, &home, &room, "eve").await;
    let since = ada.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let of = |user: &str| {
        vec![
            json!({ "edu_type": "m.typing", "content": { "room_id": room, "user_id": user, "typing": true } }),
            json!({ "edu_type": "m.receipt", "content": { &room: { "m.read": {
                user: { "event_ids": [said], "data": { "ts": 1 } },
            } } } }),
            json!({ "edu_type": "m.presence", "content": { "push": [
                { "user_id": user, "presence": "online", "last_active_ago": 1, "status_msg": "forged" },
            ] } }),
            json!({ "edu_type": "m.direct_to_device", "content": {
                "sender": user, "type": "org.example.forged", "message_id": format!("m{user}"),
                "messages": { &ada.user_id: { "*": { "of": user } } },
            } }),
            json!({ "edu_type": "m.device_list_update", "content": {
                "user_id": user, "device_id": "FORGED", "stream_id": 1, "prev_id": [],
            } }),
            json!({ "edu_type": "m.signing_key_update", "content": {
                "user_id": user,
                "master_key": { "user_id": user, "usage": ["master"], "keys": { "ed25519:FORGED": "FORGED" } },
            } }),
        ]
    };
    for user in [bert.user_id.as_str(), "@doris:other.example"] {
        fake.send(&home, vec![], of(user)).await.ok();
    }
    fake.send(&home, vec![], of(&guest.user)).await.ok();
    let seen = |sync: &Value| {
        let edus = sync["rooms"]["join"][&room]["ephemeral"]["events"].as_array()?;
        edus.iter().any(|edu| edu["type"] == "m.typing").then(|| sync.to_string())
    };
    let (seen, _) = ada.sync_until(&since, seen).await;
    assert!(seen.contains(&guest.user), "{seen}");
    let sync: Value = serde_json::from_str(&seen).unwrap();
    let typing = sync["rooms"]["join"][&room]["ephemeral"].to_string();
    for forged in [bert.user_id.as_str(), "@doris:other.example"] {
        assert!(!typing.contains(forged), "{typing}");
        assert!(!sync["to_device"].to_string().contains(forged), "{}", sync["to_device"]);
        assert!(!sync["presence"].to_string().contains("forged") || !sync["presence"].to_string().contains(forged));
        assert!(!sync["device_lists"].to_string().contains(forged), "{}", sync["device_lists"]);
    }
    let keys = json!({ "device_keys": { &bert.user_id: [] } });
    let keys = ada.post("/_matrix/client/v3/keys/query", keys).await.ok();
    assert!(!keys.to_string().contains("FORGED"), "{keys}");
}

#[tokio::test]
async fn the_path_names_what_the_body_says_and_the_sender_is_of_the_server() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = public_room(&ada).await;
    ada.set_state(&room, "m.room.join_rules", "", json!({ "join_rule": "knock" })).await.ok();
    let other = public_room(&ada).await;
    let eve = fake.user("eve");
    for (what, version) in [("leave", "v1"), ("leave", "v2"), ("knock", "v1")] {
        let made = async |change: &dyn Fn(&mut Value)| {
            let path = format!("{FED}/make_knock/{}/{}?ver=11", escape(&room), escape(&eve));
            let mut event = fake.get(&home, &path).await.ok()["event"].clone();
            event["content"]["membership"] = json!(what);
            change(&mut event);
            let event = fake.sign_event(event, &rules());
            (id_of(&event), event)
        };
        let put = async |room: &str, id: &str, event: Value| {
            let path = format!("/_matrix/federation/{version}/send_{what}/{}/{}", escape(room), escape(id));
            fake.call(&home, Method::PUT, &path, event).await.status.as_u16()
        };
        let (id, event) = made(&|_| {}).await;
        assert_eq!(put(&room, "$other", event.clone()).await, 400, "{what}");
        assert!(matches!(put(&other, &id, event).await, 400 | 403 | 404), "{what}");
        let changes: [&dyn Fn(&mut Value); 4] = [
            &|event| event["sender"] = json!("@doris:other.example"),
            &|event| (event["sender"], event["state_key"]) = (json!("@d:other.example"), json!("@d:other.example")),
            &|event| event["type"] = json!("m.room.power_levels"),
            &|event| event["content"]["membership"] = json!("join"),
        ];
        for change in changes {
            let (id, event) = made(change).await;
            assert!(matches!(put(&room, &id, event.clone()).await, 400 | 403), "{what}: {event}");
        }
    }
    let body = json!({ "origin": "other.example", "origin_server_ts": 1, "pdus": [], "edus": [] });
    let sent = fake.call(&home, Method::PUT, &format!("{FED}/send/1"), body).await;
    sent.refused(403, "M_FORBIDDEN");
    assert_eq!(ada.room(&room, "joined_members").await.ok()["joined"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn of_templates_for_knocks_and_leaves_only_the_place_is_used() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let bert = home.register("bert").await;
    let evil = json!({ "room_version": "11", "event": {
        "type": "m.room.power_levels", "state_key": "", "sender": fake.user("eve"), "room_id": "!other:other.example",
        "content": { "users": { fake.user("eve"): 100 } }, "prev_events": ["$a"], "auth_events": ["$b"], "depth": 3,
    } });
    for what in ["knock", "leave"] {
        let template = evil.clone();
        fake.answer(Method::GET, &format!("{FED}/make_{what}/"), move |_| Reply::ok(template.clone()));
    }
    fake.answer(Method::PUT, &format!("{FED}/send_knock/"), |_| Reply::ok(json!({ "knock_room_state": [] })));
    fake.answer(Method::PUT, "/_matrix/federation/v2/send_leave/", |_| Reply::ok(json!({})));
    let room = format!("!door:{}", fake.name());
    let path = format!("/_matrix/client/v3/knock/{}?via={}", escape(&room), escape(fake.name().as_str()));
    bert.post(&path, json!({})).await.ok();
    bert.leave(&room).await.ok();
    let sent = [("/_matrix/federation/v1/send_knock/", "knock"), ("/_matrix/federation/v2/send_leave/", "leave")];
    for (path, membership) in sent {
        let received = fake.received(path);
        let event = &received[0].body;
        let said = (&event["type"], &event["sender"], &event["state_key"], &event["room_id"], &event["content"]);
        assert_eq!((said.0, said.3), (&json!("m.room.member"), &json!(room)), "{event}");
        assert_eq!((said.1, said.2), (&json!(bert.user_id), &json!(bert.user_id)), "{event}");
        assert_eq!(said.4["membership"], membership, "{event}");
        assert!(said.4.get("users").is_none(), "{event}");
    }
}

#[tokio::test]
async fn whom_a_room_shuts_out_gets_and_brings_nothing() {
    let (home, fake) = (numbered().await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = public_room(&ada).await;
    let guest = Guest::enter(&fake, &home, &room, "eve").await;
    guest.say(&ada, "still here").await;
    let (join, joined) = Guest::join_event(&fake, &home, &room, &fake.user("eva")).await;
    let acl = json!({ "allow": ["*"], "deny": ["localhost"], "allow_ip_literals": true });
    let event = ada.set_state(&room, "m.room.server_acl", "", acl).await.ok()["event_id"].as_str().unwrap().to_owned();
    let (id, at, eve) = (escape(&room), escape(&event), escape(&guest.user));
    let get = |rest: String| (Method::GET, format!("{FED}/{rest}"), Value::Null);
    let put = |rest: String, body: &Value| (Method::PUT, format!("/_matrix/federation/{rest}"), body.clone());
    let asked = [
        get(format!("state/{id}?event_id={at}")),
        get(format!("state_ids/{id}?event_id={at}")),
        get(format!("event_auth/{id}/{at}")),
        get(format!("event/{at}")),
        get(format!("backfill/{id}?v={at}&limit=10")),
        get(format!("timestamp_to_event/{id}?ts=1&dir=f")),
        get(format!("hierarchy/{id}")),
        get(format!("make_join/{id}/{eve}?ver=11")),
        get(format!("make_leave/{id}/{eve}")),
        get(format!("make_knock/{id}/{eve}?ver=11")),
        put(format!("v2/send_join/{id}/{}", escape(&join)), &joined),
        put(format!("v1/send_join/{id}/{}", escape(&join)), &joined),
        put(format!("v2/send_leave/{id}/{}", escape(&join)), &joined),
        put(format!("v1/send_knock/{id}/{}", escape(&join)), &joined),
        (
            Method::POST,
            format!("{FED}/get_missing_events/{id}"),
            json!({ "earliest_events": [], "latest_events": [event], "limit": 10 }),
        ),
    ];
    for (method, path, body) in asked {
        let answer = fake.call(&home, method, &path, body).await;
        assert!(matches!(answer.status.as_u16(), 403 | 404), "{path}: {}", answer.body);
    }
    let since = ada.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let typing = json!({ "room_id": room, "user_id": guest.user, "typing": true });
    let late = guest.message("late");
    let answer =
        fake.send(&home, vec![late.clone()], vec![json!({ "edu_type": "m.typing", "content": typing })]).await.ok();
    assert!(answer["pdus"][id_of(&late)]["error"].is_string(), "{answer}");
    ada.send(&room, "only me").await;
    let sync = ada.sync(Some(&since)).await.to_string();
    assert!(sync.contains("only me") && !sync.contains("late") && !sync.contains("m.typing"), "{sync}");
}

#[tokio::test]
async fn a_depth_at_the_end_of_numbers_stops_nobody() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = public_room(&ada).await;
    let guest = Guest::enter(&fake, &home, &room, "eve").await;
    let deep = |depth: Value| {
        let mut event = guest.draft("m.room.message", json!({ "body": "deep" }));
        event["depth"] = depth;
        event
    };
    // The largest that canonical JSON can hold: what is beyond cannot even be signed.
    let deepest = guest.sign(deep(json!((1_u64 << 53) - 1)));
    guest.send(vec![deepest.clone()]).await.ok();
    until_there(&ada, &room, &id_of(&deepest)).await;
    let said = ada.send(&room, "after").await;
    let pdu = fake.get(&home, &format!("{FED}/event/{}", escape(&said))).await.ok()["pdus"][0].clone();
    assert_eq!(pdu["depth"], (1_u64 << 53) - 1, "{pdu}");
    guest.say(&ada, "and on").await;
}

#[tokio::test]
async fn what_is_too_large_or_no_event_spoils_no_transaction() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = public_room(&ada).await;
    let guest = Guest::enter(&fake, &home, &room, "eve").await;
    let mut large = guest.message("large");
    large["content"]["body"] = json!("x".repeat(70_000));
    let good = guest.message("good");
    let pdus = vec![
        large,
        json!({}),
        json!({ "room_id": room }),
        json!({ "room_id": 7 }),
        json!({ "room_id": room, "type": "m.room.message", "depth": -1, "content": [] }),
        good.clone(),
    ];
    guest.send(pdus).await.ok();
    until_there(&ada, &room, &id_of(&good)).await;
    assert!(!ada.sync(None).await.to_string().contains("xxxxx"));
    let too_many: Vec<Value> = (0..51).map(|_| json!({ "room_id": room })).collect();
    assert_eq!(guest.send(too_many).await.status, 400);
    let edu = json!({ "edu_type": "m.typing", "content": {} });
    assert_eq!(fake.send(&home, vec![], vec![edu; 101]).await.status, 400);
}

#[tokio::test]
async fn what_is_shown_with_an_invitation_is_bounded() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let (path, mut body) = invitation(&fake, &ada.user_id, &format!("!many:{}", fake.name()));
    let shown = |n: usize| json!({ "type": format!("org.example.{n}"), "state_key": "", "sender": fake.user("eve"), "content": {} });
    body["invite_room_state"] = (0..3_000).map(shown).collect();
    fake.call(&home, Method::PUT, &path, body).await.ok();
    let sync = ada.sync(None).await;
    let (_, invite) = sync["rooms"]["invite"].as_object().unwrap().iter().next().unwrap();
    assert!(invite["invite_state"]["events"].as_array().unwrap().len() <= 101, "{invite}");
}

#[tokio::test]
async fn pages_full_of_rejected_events_end_nothing() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let room = public_room(&ada).await;
    let guest = Guest::enter(&fake, &home, &room, "eve").await;
    ada.send(&room, "first").await;
    for _ in 0..2 {
        let refused = |n: u32| {
            let mut event = guest.draft("org.example.refused", json!({ "n": n }));
            event["state_key"] = json!("");
            guest.sign(event)
        };
        guest.send((0..40).map(refused).collect()).await.ok();
    }
    guest.say(&ada, "last").await;
    let (mut from, mut found) = (String::new(), String::new());
    for _ in 0..30 {
        let page = ada.room(&room, &format!("messages?dir=b&limit=2{from}")).await.ok();
        found.push_str(&page.to_string());
        let Some(end) = page["end"].as_str() else { break };
        from = format!("&from={end}");
    }
    assert!(found.contains("m.room.create") && found.contains("first") && found.contains("last"), "{found}");
    assert!(!found.contains("org.example.refused"), "{found}");
}

/// What the doctor says of a store in which servers have met, forked and parted.
#[tokio::test]
async fn a_store_that_has_federated_is_sound() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let room = ada.create_room(json!({ "preset": "public_chat" })).await;
    ada.send(&room, "before").await;
    bert.join_via(&room, a.name()).await.ok();
    until_there(&ada, &room, &bert.send(&room, "hello").await).await;
    bert.room(&room, "messages?dir=b&limit=100").await.ok();
    until_there(&bert, &room, &ada.send(&room, "there").await).await;
    let fake = Fake::start().await;
    let host = Host::new(&fake);
    host.admit(&bert).await;
    let start = host.tip();
    let fork = host.sign(host.draft("org.example.fork", Some(""), json!({ "n": 1 }), &[&start]));
    let (_, meanwhile) = host.message("meanwhile");
    host.send(&b, &bert, vec![fork, meanwhile], "after").await;
    let mut refused = host.draft("m.room.power_levels", Some(""), json!({}), &[&host.tip()]);
    refused["sender"] = json!(fake.user("nobody"));
    let refused = host.sign(refused);
    host.send(&b, &bert, vec![refused], "done").await;
    bert.leave(&room).await.ok();
    for server in [&a, &b] {
        let report = check(&server.app().services().store).unwrap();
        assert_eq!(report.findings, [], "{}", server.name());
    }
}
