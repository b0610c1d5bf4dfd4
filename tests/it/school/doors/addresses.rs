//! The door of e-mail addresses: who invites whoever proves one, and who can be reached that way.

use homeroom::{clock::Clock, config::ServerPattern, rooms::policy::Verb};
use reqwest::Method;
use ruma::{OwnedServerName, UserId};
use serde_json::{Value, json};

use super::{V3, refused_by};
use crate::{
    federation::{
        Fake, Reply,
        identity::{IDENTITY, by_address, identify, invite, proof, tell},
        server_at,
    },
    harness::{Client, escape},
    school::small::{NOON_MS, Small},
};

const KIND: &str = "m.room.third_party_invite";

/// A small school that works with an identity server; that one is a neighbour too, if `allow` names it.
async fn school(fake: &Fake, allow: &str) -> Small {
    let name: OwnedServerName = fake.name().to_owned();
    let allow = ServerPattern::parse(allow).unwrap();
    let server = server_at(Clock::test(NOON_MS), |config| {
        config.federation.allow = vec![allow];
        config.federation.identity_servers = vec![name];
    });
    let small = Box::pin(Small::on(server.await)).await;
    small.school().rooms.settled().await;
    identify(fake, &[]);
    small
}

async fn is_invited(client: &Client, room: &str, user: &str) -> bool {
    client.room(room, &format!("state/m.room.member/{}", escape(user))).await.status.is_success()
}

/// Only those who may bring the staff of a neighbour into their rooms invite by address; of all others the identity server
/// hears nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reaches_nobody_outside_invites_nobody_by_an_address() {
    let fake = Fake::start().await;
    let small = school(&fake, fake.name().as_str()).await;
    let wanted = || by_address(&fake, "somebody@elsewhere.example");
    let eve = UserId::parse(fake.user("eve")).unwrap();
    let (mut kept, mut let_through) = (0, Vec::new());
    for (name, client) in small.clients() {
        let before = fake.received(IDENTITY).len();
        let room = client.create_room(json!({})).await;
        let answer = invite(client, &room, wanted()).await;
        let user = UserId::parse(&client.user_id).unwrap();
        let may = small.school().rules.ruling(&user, &eve, Verb::Add).is_allowed();
        assert_eq!(answer.status == 200, may, "{name}: {}", answer.body);
        if may {
            let_through.push(name);
            continue;
        }
        kept += 1;
        refused_by(name, &answer, "rooms.by_address");
        let new = client.post(&format!("{V3}/createRoom"), json!({ "invite_3pid": [wanted()] })).await;
        refused_by(name, &new, "rooms.by_address");
        // Nor with keys of their own.
        let keys =
            json!({ "display_name": "s...", "public_key": fake.key.verify_key(), "key_validity_url": "https://x/" });
        assert_eq!(client.set_state(&room, KIND, "own", keys.clone()).await.status, 403, "{name}");
        let initial = json!([{ "type": KIND, "state_key": "own", "content": keys }]);
        let new = client.post(&format!("{V3}/createRoom"), json!({ "initial_state": initial })).await;
        if new.status == 200 {
            let room = new.body["room_id"].as_str().unwrap();
            assert_eq!(client.room(room, &format!("state/{KIND}/own")).await.status, 404, "{name}: it was dropped");
        }
        assert_eq!(fake.received(IDENTITY).len(), before, "{name}");
    }
    assert!(kept >= 10, "{kept}");
    assert!(let_through.contains(&"head") && !let_through.contains(&"guardian"), "{let_through:?}");
}

/// Where no neighbour is named, nobody outside can be reached: by no address either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_neighbour_nobody_invites_by_an_address() {
    let fake = Fake::start().await;
    let small = school(&fake, "*").await;
    let head = small.client("head");
    let room = head.create_room(json!({})).await;
    let answer = invite(head, &room, by_address(&fake, "somebody@elsewhere.example")).await;
    refused_by("head", &answer, "rooms.by_address");
    assert!(fake.received(IDENTITY).is_empty());
}

/// Whose an address is, is asked of the policy as if they had been named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_reaches_nobody_whom_an_id_does_not_reach() {
    let fake = Fake::start().await;
    let small = school(&fake, fake.name().as_str()).await;
    let (head, tutor, pupil) = (small.client("head"), small.client("tutor"), small.client("pupil"));
    let stranger = &small.client("stranger").user_id;
    let known = [("stranger@school.example", stranger.as_str()), ("pupil@school.example", &pupil.user_id)];
    identify(&fake, &known);
    let room = tutor.create_room(json!({})).await;
    invite(tutor, &room, by_address(&fake, "stranger@school.example")).await.refused(404, "M_NOT_FOUND");
    let by_id = tutor.invite(&room, &pupil.user_id).await.refused(403, "M_FORBIDDEN");
    let found = invite(tutor, &room, by_address(&fake, "pupil@school.example")).await;
    assert_eq!(found.refused(403, "M_FORBIDDEN"), by_id);
    // Who turns out to be a pupil when the address is proved gets no invitation either.
    let room = head.create_room(json!({})).await;
    invite(head, &room, by_address(&fake, "somebody@elsewhere.example")).await.ok();
    let proved = [(&*room, &*head.user_id, proof(&fake, &pupil.user_id, "token0"))];
    tell(&fake, &small.server, &pupil.user_id, &proved).await.ok();
    assert!(!is_invited(head, &room, &pupil.user_id).await);
    let proved = [(&*room, &*head.user_id, proof(&fake, &tutor.user_id, "token0"))];
    tell(&fake, &small.server, &tutor.user_id, &proved).await.ok();
    assert!(is_invited(head, &room, &tutor.user_id).await);
    // A room with families in it is for those who are invited by name.
    let family = head.create_room(json!({ "invite": [small.client("guardian").user_id] })).await;
    let answer = invite(head, &family, by_address(&fake, "somebody@elsewhere.example")).await;
    refused_by("family", &answer, "rooms.families");
}

/// A neighbour's staff invites by address whom it finds, and the neighbour is not told of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_is_not_told_whose_an_address_is_but_for_those_it_finds() {
    let fake = Fake::start().await;
    let small = school(&fake, fake.name().as_str()).await;
    let path = "/_matrix/federation/v1/exchange_third_party_invite/";
    fake.answer(Method::PUT, path, |_| Reply::ok(json!({})));
    let (room, eve) = (format!("!there:{}", fake.name()), fake.user("eve"));
    for (name, found) in [("pupil", false), ("guardian", false), ("tutor", false), ("admin", false), ("head", true)] {
        let user = &small.client(name).user_id;
        let answer = tell(&fake, &small.server, user, &[(&room, &eve, proof(&fake, user, name))]).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &json!({})), "{name}");
        let told: Vec<Value> = fake.received(path).into_iter().map(|received| received.body).collect();
        assert_eq!(told.iter().any(|body| body["state_key"] == user.as_str()), found, "{name}: {told:?}");
    }
}
