//! Inviting people of whom only an e-mail address is known (specification v1.19, "Third-party invites").

use http::Method;
use serde_json::{Value, json};

use super::{
    Fake, Pair, Reply,
    guest::oblige,
    identity::{IDENTITY, by_address, identify, invite, proof, tell, tell_by, valid},
    invite::invited,
    server,
};
use crate::harness::{Client, Server, escape};

const INVITE: &str = "/_matrix/federation/v2/invite/";
const EXCHANGE: &str = "/_matrix/federation/v1/exchange_third_party_invite/";
const KIND: &str = "m.room.third_party_invite";

async fn home(fake: &Fake) -> Server {
    let name = fake.name().to_owned();
    server(|config| config.federation.identity_servers = vec![name]).await
}

/// The tokens of all invitations by address in a room, and what stands there.
async fn waiting(client: &Client, room: &str) -> Vec<(String, Value)> {
    let state = client.room(room, "state").await.ok();
    let waiting = state.as_array().unwrap().iter().filter(|event| event["type"] == KIND);
    waiting.map(|event| (event["state_key"].as_str().unwrap().to_owned(), event["content"].clone())).collect()
}

async fn membership(client: &Client, room: &str, user: &str) -> Option<Value> {
    let answer = client.room(room, &format!("state/m.room.member/{}", escape(user))).await;
    answer.status.is_success().then_some(answer.body)
}

/// Two servers that take somebody for an identity server.
async fn pair_that_trusts(fake: &Fake) -> Pair {
    let (one, other) = (fake.name().to_owned(), fake.name().to_owned());
    Pair::with(
        |config| config.federation.identity_servers = vec![one],
        |config| config.federation.identity_servers = vec![other],
    )
    .await
}

#[tokio::test]
async fn whose_address_is_known_is_invited_as_by_id() {
    let fake = Fake::start().await;
    let home = home(&fake).await;
    let (ada, bert, cleo) = (home.register("ada").await, home.register("bert").await, home.register("cleo").await);
    identify(&fake, &[("bert@school.example", &bert.user_id), ("cleo@school.example", &cleo.user_id)]);
    let body = json!({ "preset": "private_chat", "invite_3pid": [by_address(&fake, "cleo@school.example")] });
    let room = ada.create_room(body).await;
    invited(&cleo, &room).await;
    invite(&ada, &room, by_address(&fake, " Bert@School.example")).await.ok();
    invited(&bert, &room).await;
    assert_eq!(waiting(&ada, &room).await, []);
    assert!(fake.received(&format!("{IDENTITY}/store-invite")).is_empty());
    for received in fake.received(IDENTITY) {
        assert_eq!(received.headers["authorization"], "Bearer secret", "{}", received.path);
        assert!(!received.body.to_string().contains("bert"), "only hashes are told: {}", received.body);
    }
    invite(&ada, &room, by_address(&fake, "bert@school.example")).await.ok();
    bert.join(&room).await.ok();
    invite(&ada, &room, by_address(&fake, "bert@school.example")).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn whoever_proves_the_address_on_another_server_is_invited_and_joins() {
    let fake = Fake::start().await;
    let Pair { a, b } = pair_that_trusts(&fake).await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    identify(&fake, &[]);
    let wanted = by_address(&fake, "bert@school.example");
    let body = json!({ "preset": "private_chat", "name": "Book club", "invite_3pid": [wanted] });
    let room = ada.create_room(body).await;
    let waits = waiting(&ada, &room).await;
    assert_eq!((waits.len(), &*waits[0].0, &waits[0].1["display_name"]), (1, "token0", &json!("b...@s...")));
    assert_eq!(waits[0].1["public_keys"][0]["public_key"], json!(fake.key.verify_key()));
    assert_eq!(waits[0].1["public_key"], waits[0].1["public_keys"][0]["public_key"]);
    let asked = &fake.received(&format!("{IDENTITY}/store-invite"))[0].body;
    for (key, value) in [
        ("medium", "email"),
        ("address", "bert@school.example"),
        ("room_id", &room),
        ("sender", &ada.user_id),
        ("room_name", "Book club"),
        ("room_join_rules", "invite"),
    ] {
        assert_eq!(asked[key], value, "{asked}");
    }

    let signed = proof(&fake, &bert.user_id, "token0");
    tell(&fake, &b, &bert.user_id, &[(&room, &ada.user_id, signed.clone())]).await.ok();
    let (shown, _) = invited(&bert, &room).await;
    let own = shown.iter().find(|event| event["state_key"] == bert.user_id.as_str()).unwrap();
    assert_eq!(own["content"]["third_party_invite"], json!({ "display_name": "b...@s...", "signed": signed }));
    assert_eq!(own["sender"], ada.user_id);
    assert!(!fake.received(&format!("{IDENTITY}/pubkey/isvalid?public_key=")).is_empty(), "the key was asked about");
    bert.join(&room).await.ok();
    assert_eq!(membership(&ada, &room, &bert.user_id).await.unwrap()["membership"], "join");
    // Once more changes nothing.
    tell(&fake, &b, &bert.user_id, &[(&room, &ada.user_id, proof(&fake, &bert.user_id, "token0"))]).await.ok();
    assert_eq!(membership(&ada, &room, &bert.user_id).await.unwrap()["membership"], "join");
}

#[tokio::test]
async fn an_invitation_by_address_can_be_taken_back() {
    let fake = Fake::start().await;
    let home = home(&fake).await;
    let (ada, bert) = (home.register("ada").await, home.register("bert").await);
    identify(&fake, &[]);
    let room = ada.create_room(json!({ "preset": "private_chat" })).await;
    for _ in 0..2 {
        invite(&ada, &room, by_address(&fake, "bert@school.example")).await.ok();
    }
    ada.set_state(&room, KIND, "token0", json!({})).await.ok();
    let answers = |token| [(&*room, &*ada.user_id, proof(&fake, &bert.user_id, token))];
    tell(&fake, &home, &bert.user_id, &answers("token0")).await.ok();
    assert_eq!(membership(&ada, &room, &bert.user_id).await, None);
    // Nor are there invitations with the word of another than the identity server, or for others.
    let other = Fake::start().await;
    let forged = [(&*room, &*ada.user_id, proof(&other, &bert.user_id, "token1"))];
    tell(&fake, &home, &bert.user_id, &forged).await.ok();
    let for_ada = [(&*room, &*ada.user_id, proof(&fake, &ada.user_id, "token1"))];
    tell(&fake, &home, &bert.user_id, &for_ada).await.ok();
    assert_eq!(membership(&ada, &room, &bert.user_id).await, None);
    tell(&fake, &home, &bert.user_id, &answers("token1")).await.ok();
    invited(&bert, &room).await;
}

/// Sydent does not tell by `PUT`, as the specification has it.
#[tokio::test]
async fn an_identity_server_may_tell_by_post_too() {
    let fake = Fake::start().await;
    let home = home(&fake).await;
    let (ada, bert) = (home.register("ada").await, home.register("bert").await);
    identify(&fake, &[]);
    let room = ada.create_room(json!({ "preset": "private_chat" })).await;
    invite(&ada, &room, by_address(&fake, "bert@school.example")).await.ok();
    let answer = (&*room, &*ada.user_id, proof(&fake, &bert.user_id, "token0"));
    tell_by(Method::POST, &fake, &home, &bert.user_id, &[answer]).await.ok();
    invited(&bert, &room).await;
}

/// What another server asks when a user of its own has proved an address.
fn exchange(fake: &Fake, room: &str, sender: &str, signed: Value) -> (String, Value) {
    let content = json!({
        "membership": "invite", "displayname": "Mallory",
        "third_party_invite": { "display_name": "Mallory", "signed": signed },
    });
    let body = json!({
        "type": "m.room.member", "room_id": room, "sender": sender, "state_key": fake.user("eve"), "content": content,
    });
    (format!("{EXCHANGE}{}", escape(room)), body)
}

#[tokio::test]
async fn another_server_gets_the_invitation_that_was_proved_and_no_other() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let home = home(&fake).await;
    let (ada, bert, eve) = (home.register("ada").await, home.register("bert").await, fake.user("eve"));
    identify(&fake, &[]);
    oblige(&fake);
    let room = ada.create_room(json!({ "preset": "private_chat", "room_version": "11" })).await;
    ada.invite(&room, &bert.user_id).await.ok();
    bert.join(&room).await.ok();
    invite(&ada, &room, by_address(&fake, "eve@elsewhere.example")).await.ok();
    let right = proof(&fake, &eve, "token0");
    let ask = async |body: Value| fake.call(&home, Method::PUT, &exchange(&fake, &room, "", json!({})).0, body).await;
    let body = exchange(&fake, &room, &ada.user_id, right.clone()).1;
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let signed = |signed: Value| -> Change<'_> {
        Box::new(move |body: &mut Value| body["content"]["third_party_invite"]["signed"] = signed.clone())
    };
    let set = |key: &'static str, value: Value| -> Change<'_> { Box::new(move |body| body[key] = value.clone()) };
    let changes: Vec<(Change<'_>, u16)> = vec![
        (set("type", json!("m.room.power_levels")), 400),
        (set("room_id", json!("!other:school.example")), 400),
        (Box::new(|body| body["content"]["membership"] = json!("join")), 400),
        (Box::new(|body| body["content"]["third_party_invite"] = json!({})), 400),
        (set("state_key", json!(other.user("eve"))), 403),
        (set("sender", json!(bert.user_id)), 404),
        (set("sender", json!(fake.user("mallory"))), 404),
        (set("state_key", json!(fake.user("mallory"))), 404),
        (signed(proof(&fake, &eve, "token1")), 404),
        (signed(proof(&other, &eve, "token0")), 404),
        (signed(proof(&fake, &fake.user("mallory"), "token0")), 404),
        (signed(json!({ "mxid": eve, "token": "token0", "signatures": {} })), 404),
    ];
    for (place, (change, status)) in changes.iter().enumerate() {
        let mut changed = body.clone();
        change(&mut changed);
        let answer = ask(changed).await;
        assert_eq!(answer.status, *status, "{place}: {}", answer.body);
    }
    valid(&fake, false);
    ask(body.clone()).await.refused(403, "M_FORBIDDEN");
    fake.answer(Method::GET, &format!("{IDENTITY}/pubkey/isvalid"), |_| Reply::Json(500, json!({})));
    assert_eq!(ask(body.clone()).await.status, 502);
    assert!(fake.received(INVITE).is_empty(), "nothing was signed for any of these");

    valid(&fake, true);
    ask(body.clone()).await.ok();
    let sent = fake.received(INVITE)[0].body["event"].clone();
    let expected = json!({ "display_name": "b...@s...", "signed": right });
    assert_eq!((&sent["sender"], &sent["state_key"]), (&json!(ada.user_id), &json!(eve)));
    assert_eq!(sent["content"], json!({ "membership": "invite", "third_party_invite": expected }));
    assert_eq!(membership(&bert, &room, &eve).await.unwrap()["membership"], "invite");
    // Who is invited is not invited again, and who was removed since does not come back by it.
    ask(body.clone()).await.ok();
    assert_eq!(fake.received(INVITE).len(), 1);
    let kick = format!("/_matrix/client/v3/rooms/{}/kick", escape(&room));
    ada.post(&kick, json!({ "user_id": eve })).await.ok();
    ask(body).await.refused(403, "M_FORBIDDEN");
    assert_eq!(fake.received(INVITE).len(), 1);
}

#[tokio::test]
async fn servers_that_a_room_shuts_out_exchange_nothing() {
    let fake = Fake::start().await;
    let home = home(&fake).await;
    let ada = home.register("ada").await;
    identify(&fake, &[]);
    oblige(&fake);
    let closed = json!({ "preset": "private_chat", "creation_content": { "m.federate": false } });
    let shut = json!([{ "type": "m.room.server_acl", "content": { "allow": ["*"], "deny": ["localhost"] } }]);
    let shut = json!({ "preset": "private_chat", "initial_state": shut });
    for (place, (body, status)) in [(closed, 404), (shut, 403)].into_iter().enumerate() {
        let room = ada.create_room(body).await;
        invite(&ada, &room, by_address(&fake, "eve@elsewhere.example")).await.ok();
        let signed = proof(&fake, &fake.user("eve"), &format!("token{place}"));
        let (path, body) = exchange(&fake, &room, &ada.user_id, signed);
        assert_eq!(fake.call(&home, Method::PUT, &path, body.clone()).await.status, status);
        assert_eq!(fake.call_with(&home, Method::PUT, &path, body, None).await.status, 401);
    }
    assert!(fake.received(INVITE).is_empty());
}

#[tokio::test]
async fn what_an_identity_server_tells_is_passed_on_for_users_of_this_server_only() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let home = home(&fake).await;
    let bert = home.register("bert").await;
    let (room, sender) = (format!("!there:{}", fake.name()), fake.user("eve"));
    let told = async |user: &str, signed: Value| tell(&fake, &home, user, &[(&room, &sender, signed)]).await;
    let nobody = format!("@nobody:{}", home.name());
    told(&nobody, proof(&fake, &nobody, "t")).await.ok();
    told(&bert.user_id, proof(&fake, &nobody, "t")).await.ok();
    told(&bert.user_id, proof(&other, &bert.user_id, "t")).await.ok();
    told(&bert.user_id, json!({ "mxid": bert.user_id, "token": "t", "signatures": {} })).await.ok();
    told(&sender, proof(&fake, &sender, "t")).await.refused(400, "M_INVALID_PARAM");
    let many: Vec<_> = (0..51).map(|n| (&*room, &*sender, proof(&fake, &bert.user_id, &format!("t{n}")))).collect();
    tell(&fake, &home, &bert.user_id, &many).await.refused(400, "M_INVALID_PARAM");
    assert!(fake.received(EXCHANGE).is_empty());

    // Where the room's server is down, the identity server may come again.
    fake.answer(Method::PUT, EXCHANGE, |_| Reply::Json(503, json!({ "errcode": "M_UNKNOWN", "error": "later" })));
    assert_eq!(told(&bert.user_id, proof(&fake, &bert.user_id, "t")).await.status, 502);
    fake.answer(Method::PUT, EXCHANGE, |_| Reply::ok(json!({})));
    let signed = proof(&fake, &bert.user_id, "t");
    told(&bert.user_id, signed.clone()).await.ok();
    let sent = fake.received(EXCHANGE).pop().unwrap();
    assert!(sent.headers["authorization"].to_str().unwrap().starts_with("X-Matrix "));
    assert_eq!(sent.segment(3), room);
    let third_party = json!({ "display_name": "", "signed": signed });
    let expected = json!({
        "type": "m.room.member", "sender": sender, "state_key": bert.user_id,
        "content": { "membership": "invite", "third_party_invite": third_party },
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&sent.body[key], value, "{}", sent.body);
    }
}

#[tokio::test]
async fn nobody_is_invited_by_address_where_no_identity_server_is_named() {
    let fake = Fake::start().await;
    identify(&fake, &[]);
    let off = server(|_| {}).await;
    let ada = off.register("ada").await;
    let room = ada.create_room(json!({})).await;
    let answer = invite(&ada, &room, by_address(&fake, "bert@school.example")).await;
    let answer = answer.refused(403, "M_THREEPID_DENIED");
    assert!(answer["error"].as_str().unwrap().contains("identity server"), "{answer}");
    let wanted = json!({ "invite_3pid": [by_address(&fake, "bert@school.example")] });
    let path = "/_matrix/client/v3/createRoom";
    ada.post(path, wanted.clone()).await.refused(403, "M_THREEPID_DENIED");
    tell(&fake, &off, &ada.user_id, &[]).await.refused(404, "M_UNRECOGNIZED");

    let elsewhere = server(|config| config.federation.identity_servers = vec!["id.example".try_into().unwrap()]).await;
    let ada = elsewhere.register("ada").await;
    let room = ada.create_room(json!({})).await;
    let answer = invite(&ada, &room, by_address(&fake, "bert@school.example")).await;
    answer.refused(403, "M_SERVER_NOT_TRUSTED");
    ada.post(path, wanted).await.refused(403, "M_SERVER_NOT_TRUSTED");
    assert!(fake.received(IDENTITY).is_empty(), "{:?}", fake.received(IDENTITY));
}

#[tokio::test]
async fn an_identity_server_is_told_nothing_that_the_room_would_refuse() {
    let fake = Fake::start().await;
    let home = home(&fake).await;
    let (ada, bert) = (home.register("ada").await, home.register("bert").await);
    identify(&fake, &[]);
    let levels = json!({ "invite": 50 });
    let room = ada.create_room(json!({ "preset": "public_chat", "power_level_content_override": levels })).await;
    let wanted = || by_address(&fake, "cleo@school.example");
    invite(&bert, &room, wanted()).await.refused(403, "M_FORBIDDEN");
    bert.join(&room).await.ok();
    invite(&bert, &room, wanted()).await.refused(403, "M_FORBIDDEN");
    for (medium, address, errcode) in
        [("email", "nobody", "M_INVALID_PARAM"), ("pigeon", "cleo@school.example", "M_THREEPID_DENIED")]
    {
        let mut wanted = wanted();
        (wanted["medium"], wanted["address"]) = (json!(medium), json!(address));
        assert_eq!(invite(&ada, &room, wanted).await.body["errcode"], errcode);
    }
    let many: Vec<_> = (0..11).map(|n| by_address(&fake, &format!("n{n}@school.example"))).collect();
    let path = "/_matrix/client/v3/createRoom";
    ada.post(path, json!({ "invite_3pid": many })).await.refused(400, "M_INVALID_PARAM");
    assert!(fake.received(IDENTITY).is_empty());
}

#[tokio::test]
async fn what_an_identity_server_answers_is_bounded_and_checked() {
    let fake = Fake::start().await;
    let home = home(&fake).await;
    let ada = home.register("ada").await;
    let room = ada.create_room(json!({ "preset": "private_chat" })).await;
    let wanted = || by_address(&fake, "bert@school.example");
    let path = format!("{IDENTITY}/store-invite");
    let keys = json!([{ "public_key": fake.key.verify_key(), "key_validity_url": "https://id.example/" }]);
    let stored = |token: &str, shown: &str| json!({ "token": token, "display_name": shown, "public_keys": keys });
    let mut long = stored("t", "b...");
    long["more"] = json!("x".repeat(100_000));
    let taken = json!({ "errcode": "M_THREEPID_IN_USE", "error": "known", "mxid": "@bert:school.example" });
    for (answer, status) in [
        (Reply::ok(long), 502),
        (Reply::ok(stored("no token", "b...")), 502),
        (Reply::ok(stored("t", "bert@school.example")), 502),
        (Reply::ok(json!({ "token": "t", "display_name": "b...", "public_keys": [] })), 502),
        (Reply::Raw(200, b"<html>".to_vec()), 502),
        (Reply::Raw(302, Vec::new()), 502),
        (Reply::Reset, 502),
        (Reply::Json(400, taken), 403),
        (Reply::Json(401, json!({ "errcode": "M_UNAUTHORIZED", "error": "who?" })), 403),
    ] {
        identify(&fake, &[]);
        let said = format!("{answer:?}");
        fake.answer(Method::POST, &path, move |_| answer.clone());
        let refused = invite(&ada, &room, wanted()).await;
        assert_eq!(refused.status, status, "{said}: {}", refused.body);
        let new = ada.post("/_matrix/client/v3/createRoom", json!({ "invite_3pid": [wanted()] })).await;
        assert_eq!(new.status, status, "{said}: {}", new.body);
    }
    assert_eq!(waiting(&ada, &room).await, []);
    let rooms = ada.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(rooms["joined_rooms"], json!([room]), "no room was left half made");
    // A token that is given twice replaces no invitation.
    identify(&fake, &[]);
    invite(&ada, &room, wanted()).await.ok();
    identify(&fake, &[]);
    assert_eq!(invite(&ada, &room, wanted()).await.status, 502);
}

#[tokio::test]
async fn whoever_brings_the_proof_joins_here_and_from_elsewhere() {
    let fake = Fake::start().await;
    let Pair { a, b } = pair_that_trusts(&fake).await;
    let (ada, cleo, bert) = (a.register("ada").await, a.register("cleo").await, b.register("bert").await);
    identify(&fake, &[]);
    let wanted = ["cleo@school.example", "bert@school.example"].map(|address| by_address(&fake, address));
    let room = ada.create_room(json!({ "preset": "private_chat", "invite_3pid": wanted })).await;
    let join = async |client: &Client, proof: Value| {
        let path = format!("/_matrix/client/v3/join/{}?via={}", escape(&room), escape(a.name().as_str()));
        client.post(&path, json!({ "third_party_signed": proof })).await
    };
    let sent = |user: &str, token: &str| fake.sign_json(json!({ "mxid": user, "token": token, "sender": ada.user_id }));
    for client in [&cleo, &bert] {
        for (signed, status) in [
            (sent(&ada.user_id, "token0"), 403),
            (sent(&client.user_id, "another"), 404),
            (json!({ "mxid": client.user_id, "token": "token0", "sender": ada.user_id, "signatures": {} }), 403),
            (json!({ "mxid": client.user_id, "sender": ada.user_id, "signatures": { fake.name().as_str(): {} } }), 400),
        ] {
            let said = signed.to_string();
            let answer = join(client, signed).await;
            assert_eq!(answer.status, status, "{said}: {}", answer.body);
        }
        assert_eq!(membership(&ada, &room, &client.user_id).await, None);
    }
    join(&cleo, sent(&cleo.user_id, "token0")).await.ok();
    join(&bert, sent(&bert.user_id, "token1")).await.ok();
    for client in [&cleo, &bert] {
        assert_eq!(membership(&ada, &room, &client.user_id).await.unwrap()["membership"], "join");
    }
    // Who is in the room needs no proof.
    join(&cleo, sent(&cleo.user_id, "token0")).await.ok();
}
