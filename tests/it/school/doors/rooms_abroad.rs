//! Rooms of a neighbour, played by the test, in which people of the school are: nothing that it says of them brings in
//! others whom it may not reach, nor people who may not meet.

use reqwest::Method;
use serde_json::{Value, json};

use super::{V3, deny, federation::Border};
use crate::{
    federation::{
        Fake, Reply,
        host::{Host, Hosted},
    },
    harness::{Client, escape},
};

const MISSING: &str = "/_matrix/federation/v1/get_missing_events/";
const MAKE_JOIN: &str = "/_matrix/federation/v1/make_join/";

/// The neighbour says what this server has not heard of, and answers about the last piece of it.
async fn tell_with_a_gap(border: &Border, host: &Host<'_>, reader: &Client) {
    host.message("never told");
    let (_, nearly) = host.message("asked for");
    border.fake.answer(Method::POST, MISSING, move |_| Reply::ok(json!({ "events": [nearly] })));
    host.send(border.home(), reader, vec![], "told").await;
    assert_eq!(border.fake.received("/_matrix/federation/v1/state_ids/").len(), 1, "the state was not asked for");
}

/// What somebody's client is told of a room, as the name of the section.
async fn section(client: &Client, room: &str) -> Option<String> {
    let sync = client.sync(None).await;
    let told = |section: &&&str| sync["rooms"][section].get(room).is_some();
    ["invite", "join", "knock", "leave"].iter().find(told).map(|section| (*section).to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_that_fills_a_gap_brings_in_nobody_whom_the_neighbour_may_not_reach() {
    let border = Border::start().await;
    let head = border.small.client("head");
    let hosted = Hosted::on(&border.fake);
    let host = hosted.room(&border.fake, "there", &[]);
    host.admit(head).await;
    let kept_out = [("pupil", "invite"), ("guardian", "ban"), ("junior", "leave"), ("aide", "invite")];
    for (name, membership) in kept_out.into_iter().chain([("counsellor", "invite")]) {
        let content = json!({ "membership": membership, "reason": "listen to me" });
        host.append("m.room.member", Some(&border.ids[name]), content);
    }
    tell_with_a_gap(&border, &host, head).await;
    for (name, _) in kept_out {
        assert_eq!(section(border.small.client(name), &host.id).await, None, "{name}");
        let path = format!("state/m.room.member/{}", escape(&border.ids[name]));
        assert_eq!(head.room(&host.id, &path).await.status, 404, "{name}");
    }
    // Whom the neighbour may write to is invited.
    let counsellor = border.small.client("counsellor");
    assert_eq!(section(counsellor, &host.id).await.as_deref(), Some("invite"));
    counsellor.join(&host.id).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_the_state_that_one_enters_nor_old_history_tells_of_those_whom_the_neighbour_may_not_reach() {
    let border = Border::start().await;
    let head = border.small.client("head");
    let hosted = Hosted::on(&border.fake);
    let host = hosted.room(&border.fake, "there", &[]);
    let mut history: Vec<Value> = host.known.lock().unwrap().events.values().cloned().collect();
    let kept_out = [("pupil", "invite"), ("guardian", "ban"), ("aide", "leave")];
    for (name, membership) in kept_out.into_iter().chain([("counsellor", "invite")]) {
        let content = json!({ "membership": membership, "reason": format!("listen to me, {name}") });
        history.push(host.append("m.room.member", Some(&border.ids[name]), content).1);
    }
    history.push(host.message("before you came").1);
    let events = json!({ "origin": border.fake.name(), "origin_server_ts": 1, "pdus": history });
    border.fake.answer(Method::GET, "/_matrix/federation/v1/backfill/", move |_| Reply::ok(events.clone()));
    host.admit(head).await;
    for (name, _) in kept_out {
        assert_eq!(section(border.small.client(name), &host.id).await, None, "{name}");
        let path = format!("state/m.room.member/{}", escape(&border.ids[name]));
        assert_eq!(head.room(&host.id, &path).await.status, 404, "{name}");
    }
    let told = head.room(&host.id, "messages?dir=b&limit=50").await.ok()["chunk"].to_string();
    assert!(told.contains("before you came") && told.contains("listen to me, counsellor"), "{told}");
    for (name, _) in kept_out {
        assert!(!told.contains(&format!("listen to me, {name}")), "{told}");
    }
}

/// Decides that two have nothing to do with each other.
async fn part(border: &Border, one: &str, other: &str) {
    for (actor, target) in [(one, other), (other, one)] {
        deny(&border.small, &border.ids[actor], &border.ids[target]).await;
    }
}

/// Times that the neighbour was asked to let somebody in.
fn asked(fake: &Fake, user: &str) -> usize {
    fake.received(MAKE_JOIN).iter().filter(|received| received.segment(4) == user).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_vouched_for_elsewhere_meets_nobody_here_whom_they_may_not_meet() {
    let border = Border::start().await;
    let client = |name: &str| border.small.client(name);
    let hosted = Hosted::on(&border.fake);
    let host = hosted.room(&border.fake, "there", &[]);
    host.admit(client("head")).await;
    // Those who are in a room here may join, and somebody there has to vouch for them.
    let allowed = client("tutor").create_room(json!({ "preset": "private_chat" })).await;
    client("tutor").invite(&allowed, &border.ids["counsellor"]).await.ok();
    client("counsellor").join(&allowed).await.ok();
    let rule = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": allowed }] });
    let levels = json!({ "users": { host.user.as_str(): 100 }, "invite": 50 });
    let state = [("m.room.power_levels", levels), ("m.room.join_rules", rule)];
    let state: Vec<Value> = state.map(|(kind, content)| host.append(kind, Some(""), content).1).into();
    host.send(border.home(), client("head"), state, "by invitation, or from there").await;
    part(&border, "tutor", "head").await;

    let join = format!("{V3}/join/{}?via={}", escape(&host.id), escape(border.fake.name().as_str()));
    let refused = client("tutor").post(&join, json!({})).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(asked(&border.fake, &border.ids["tutor"]), 0, "the neighbour has heard of it");
    // Nobody else is kept from asking.
    client("counsellor").post(&join, json!({})).await;
    assert_eq!(asked(&border.fake, &border.ids["counsellor"]), 1);
}
