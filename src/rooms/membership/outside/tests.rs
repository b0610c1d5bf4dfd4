#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use ruma::{owned_server_name, user_id};

use super::*;
use crate::{
    app::App,
    clock::Clock,
    config::{Config, Durability, Size},
    ids::Ids,
};

fn invitation(server: &str) -> OutsideRecord {
    OutsideRecord {
        membership: Membership::Invite,
        position: Position::ZERO,
        version: "11".to_owned(),
        event: "{}".to_owned(),
        event_id: "$e".to_owned(),
        state: NOTHING_SHOWN.to_owned(),
        servers: vec![server.to_owned()],
    }
}

#[tokio::test]
async fn invitations_that_come_at_the_same_time_are_no_more_than_one_after_the_other() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::defaults(owned_server_name!("school.example"));
    config.listen.client = ([127, 0, 0, 1], 0).into();
    config.database.path = folder.path().join("data");
    config.database.memory = Size::mib(16);
    config.database.durability = Durability::Os;
    let app = App::start(config, Clock::test(1_700_000_000_000), Ids::system()).await.unwrap();
    let rooms = app.services().rooms.clone();
    let mut batch = Batch::new();
    let user = rooms.parts.store.mint_user(user_id!("@ada:school.example"), &mut batch).await.unwrap();
    rooms.parts.store.commit(batch).await.unwrap();
    // One server, under another name each time.
    let all = (1..=INVITES_OF_SERVER_MAX + 14).map(|n| {
        let rooms = rooms.clone();
        async move {
            let (server, room) = (format!("b.example:{n}"), RoomId::parse(format!("!r{n}:b.example")).unwrap());
            let name = <&ServerName>::try_from(server.as_str()).unwrap();
            rooms.put_invitation(user, &room, name, invitation(&server)).await.unwrap()
        }
    });
    let taken = futures_util::future::join_all(all).await.into_iter().filter(|taken| *taken).count();
    let rows = rooms.parts.store.prefix(&OUTSIDE, &user, Order::Ascending, OUTSIDE_MAX).await.unwrap();
    assert_eq!((taken, rows.len()), (INVITES_OF_SERVER_MAX, INVITES_OF_SERVER_MAX));
}
