//! Rooms that are joined before their members are known, where those who joined leave and come back meanwhile.

use std::{sync::atomic::Ordering, time::Duration};

use homeroom::clock::Clock;
use serde_json::json;

use super::{
    Fake, Reply,
    guest::id_of,
    partial::{FED, clock, until_seen},
    partial_play::{Play, a_moment, before},
    server_at,
};
use crate::harness::{Client, Server};

/// A server of ours, and people of it. It may be stopped between whatever they do.
struct Ours {
    clock: Clock,
    home: Server,
    restarts: bool,
}

impl Ours {
    async fn start(restarts: bool) -> Self {
        let clock = clock();
        Self { home: server_at(clock.clone(), |_| {}).await, clock, restarts }
    }

    async fn then(mut self, people: &mut [&mut Client]) -> Self {
        if self.restarts {
            self.home = self.home.restart().await;
            for client in people {
                **client = client.at(&self.home);
            }
        }
        self
    }
}

/// Somebody joins without members, leaves before they came, and joins again through another server: without members once
/// more, or with all of them (`whole`).
async fn leaves_and_comes_back(restarts: bool, whole: bool, noticed: bool) {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let play = Play::new(&fake, &[&other]);
    let mut ours = Ours::start(restarts).await;
    let mut bert = ours.home.register("bert").await;
    let first = play.joined(&bert, &fake).await;
    ours = ours.then(&mut [&mut bert]).await;
    let said = play.said(&bert).await;
    let heard = play.heard(&ours.home, &bert, 1).await;
    assert_eq!(play.servers(&ours.home).await, 2);
    ours = ours.then(&mut [&mut bert]).await;
    let left = play.left(&bert).await;
    ours = ours.then(&mut [&mut bert]).await;
    play.goes_on();
    if noticed {
        // Nobody of ours saw a member of the other server.
        play.until_servers(&ours.clock, &ours.home, 1).await;
        ours = ours.then(&mut [&mut bert]).await;
    }
    if whole {
        play.hosted.name_members();
    }
    let again = play.joined(&bert, &other).await;
    assert_eq!(other.received("/_matrix/federation/v2/send_join/").len(), 1);
    if whole {
        let members = bert.room(&play.host.id, "joined_members").await.ok();
        assert_eq!(members["joined"].as_object().unwrap().len(), play.members());
    }
    ours = ours.then(&mut [&mut bert]).await;
    let more = play.said(&bert).await;
    let new = play.heard(&ours.home, &bert, 3).await;
    play.tell(&ours.clock).await;
    let ids = [&first, &said, &heard, &left, &again, &more, &new];
    play.all_right(&ours.home, &bert, &ids).await;
    assert_eq!(play.servers(&ours.home).await, 2);
    ours = ours.then(&mut [&mut bert]).await;
    play.all_right(&ours.home, &bert, &ids).await;
    // Nothing is asked for any more.
    let told = play.told.load(Ordering::SeqCst);
    ours.clock.advance(Duration::from_mins(31));
    a_moment().await;
    assert_eq!(play.told.load(Ordering::SeqCst), told);
    Play::is_sound(ours.home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_through_another_server_is_told_of_both_times() {
    leaves_and_comes_back(false, false, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_late_is_told_of_both_times() {
    leaves_and_comes_back(false, false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_to_a_whole_room_is_told_of_the_time_before() {
    leaves_and_comes_back(false, true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_late_to_a_whole_room_is_told_of_the_time_before() {
    leaves_and_comes_back(false, true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_times_outlast_restarts() {
    leaves_and_comes_back(true, false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_before_a_whole_room_outlasts_restarts() {
    leaves_and_comes_back(true, true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_which_nobody_was_seen_is_joined_through_others_again() {
    let fake = Fake::start().await;
    let play = Play::new(&fake, &[]);
    let ours = Ours::start(false).await;
    let bert = ours.home.register("bert").await;
    let first = play.joined(&bert, &fake).await;
    let left = play.left(&bert).await;
    play.until_servers(&ours.clock, &ours.home, 0).await;
    // Nobody but bert is known to have been there: the room is not theirs alone for that.
    let again = play.joined(&bert, &fake).await;
    assert_eq!(fake.received("/_matrix/federation/v2/send_join/").len(), 2);
    play.tell(&ours.clock).await;
    play.all_right(&ours.home, &bert, &[&first, &left, &again]).await;
    Play::is_sound(ours.home).await;
}

/// Two join; one leaves, or both do.
async fn two_people(restarts: bool, both_leave: bool) {
    let fake = Fake::start().await;
    let play = Play::new(&fake, &[]);
    let mut ours = Ours::start(restarts).await;
    let (mut anna, mut bert) = (ours.home.register("anna").await, ours.home.register("bert").await);
    let first = play.joined(&anna, &fake).await;
    ours = ours.then(&mut [&mut anna, &mut bert]).await;
    bert.join(&play.host.id).await.ok();
    assert_eq!(fake.received("/_matrix/federation/v2/send_join/").len(), 1, "somebody of this server is there");
    let second = fake.until_pdu("m.room.member").await;
    let heard = play.heard(&ours.home, &bert, 1).await;
    let mut ids = vec![first, id_of(&second), heard];
    ids.push(play.left(&anna).await);
    ours = ours.then(&mut [&mut anna, &mut bert]).await;
    ids.push(play.said(&bert).await);
    if both_leave {
        ids.push(play.left(&bert).await);
        ours = ours.then(&mut [&mut anna, &mut bert]).await;
        // They could be had now, and nobody asks.
        let asked = fake.received(&format!("{FED}/state")).len();
        play.tells.store(true, Ordering::SeqCst);
        ours.clock.advance(Duration::from_mins(31));
        a_moment().await;
        ours.clock.advance(Duration::from_mins(31));
        a_moment().await;
        assert_eq!(fake.received(&format!("{FED}/state")).len(), asked);
        assert_eq!(play.told.load(Ordering::SeqCst), 0);
        // Nor does who left wait for them.
        let waited = tokio::time::timeout(Duration::from_secs(30), bert.room(&play.host.id, "members")).await;
        waited.unwrap().ok();
        play.goes_on();
        ids.push(play.joined(&anna, &fake).await);
        ids.push(play.said(&anna).await);
    } else {
        play.tell(&ours.clock).await;
    }
    let somebody = if both_leave { &anna } else { &bert };
    play.all_right(&ours.home, somebody, &ids.iter().collect::<Vec<_>>()).await;
    Play::is_sound(ours.home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_leaves_before_the_members_are_known() {
    two_people(false, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_leaves_between_restarts() {
    two_people(true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_for_a_room_that_both_have_left_until_one_comes_back() {
    two_people(false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_after_a_restart_for_a_room_that_both_have_left() {
    two_people(true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_the_members_come_is_not_brought_back_by_them() {
    let fake = Fake::start().await;
    let play = Play::new(&fake, &[]);
    let ours = Ours::start(false).await;
    let bert = ours.home.register("bert").await;
    // The answer to the first question is on its way for long.
    let (body, slow) = Reply::pieces("application/json");
    let path = format!("{FED}/state_ids/");
    fake.answer(http::Method::GET, &path, move |_| slow.clone());
    let first = play.joined(&bert, &fake).await;
    fake.until(|received| received.path.starts_with(&path).then_some(())).await;
    play.is_resident(&fake);
    let left = play.left(&bert).await;
    let answer = {
        let known = play.host.known.lock().unwrap();
        let state: Vec<_> = before(&known, &first).into_values().collect();
        let chain: Vec<_> = known.auth_chain().into_iter().map(id_of).collect();
        json!({ "pdu_ids": state, "auth_chain_ids": chain })
    };
    play.tells.store(true, Ordering::SeqCst);
    body.send(Ok(answer.to_string().into_bytes())).await.unwrap();
    drop(body);
    play.until_servers(&ours.clock, &ours.home, 0).await;
    let room = play.room(&ours.home).await;
    assert!(room.view().partial && room.view().joined.is_empty());
    play.goes_on();
    let again = play.joined(&bert, &fake).await;
    play.all_right(&ours.home, &bert, &[&first, &left, &again]).await;
    Play::is_sound(ours.home).await;
}

/// Somebody is put out by the other side, and let in again.
async fn put_out(membership: &str) {
    let fake = Fake::start().await;
    let play = Play::new(&fake, &[]);
    let ours = Ours::start(false).await;
    let bert = ours.home.register("bert").await;
    let first = play.joined(&bert, &fake).await;
    let since = bert.sync(None).await["next_batch"].as_str().unwrap().to_owned();
    let (out, event) = play.host.append("m.room.member", Some(&bert.user_id), json!({ "membership": membership }));
    fake.send(&ours.home, vec![event], vec![]).await.ok();
    let room = play.host.id.clone();
    bert.sync_until(&since, |sync| sync["rooms"]["leave"].get(&room).map(drop)).await;
    play.until_servers(&ours.clock, &ours.home, 1).await;
    let asked = fake.received(&format!("{FED}/state")).len();
    ours.clock.advance(Duration::from_mins(31));
    a_moment().await;
    assert_eq!(fake.received(&format!("{FED}/state")).len(), asked, "nobody is there");
    if membership == "ban" {
        let refusal = json!({ "errcode": "M_FORBIDDEN", "error": "banned" });
        let path = format!("{FED}/make_join/");
        fake.answer(http::Method::GET, &path, move |_| Reply::Json(403, refusal.clone()));
        assert_eq!(bert.join_via(&room, fake.name()).await.status, 403);
        play.is_resident(&fake);
        play.host.append("m.room.member", Some(&bert.user_id), json!({ "membership": "leave" }));
    }
    play.goes_on();
    let again = play.joined(&bert, &fake).await;
    play.tell(&ours.clock).await;
    play.all_right(&ours.home, &bert, &[&first, &out, &again]).await;
    Play::is_sound(ours.home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_kicked_before_the_members_are_known_can_come_back() {
    put_out("leave").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_banned_before_the_members_are_known_can_come_back_once_they_may() {
    put_out("ban").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_which_no_member_has_come_to_light_are_told_nothing_after_a_day() {
    let (fake, seen, other) = (Fake::start().await, Fake::start().await, Fake::start().await);
    let play = Play::new(&fake, &[&seen, &other]);
    let ours = Ours::start(false).await;
    let bert = ours.home.register("bert").await;
    let first = play.joined(&bert, &fake).await;
    let content = json!({ "msgtype": "m.text", "body": "hello" });
    let (id, event) = play.host.append_by((&seen, &seen.user("x")), "m.room.message", None, content);
    seen.send(&ours.home, vec![event], vec![]).await.ok();
    until_seen(&bert, &play.host.id, &id).await;
    ours.clock.advance(Duration::from_hours(23));
    a_moment().await;
    assert_eq!(play.servers(&ours.home).await, 3);
    ours.clock.advance(Duration::from_hours(1));
    // It is looked at with the next attempt.
    play.until_servers(&ours.clock, &ours.home, 2).await;
    let said = play.said(&bert).await;
    let has = |fake: &Fake| {
        fake.received(&format!("{FED}/send/")).iter().any(|r| r.body.to_string().contains("good morning"))
    };
    seen.until(|_| has(&seen).then_some(())).await;
    assert!(!has(&other));
    // Their places are theirs again once the members are known.
    play.tell(&ours.clock).await;
    play.all_right(&ours.home, &bert, &[&first, &id, &said]).await;
    assert_eq!(play.servers(&ours.home).await, 3);
    Play::is_sound(ours.home).await;
}
