#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use ruma::{owned_server_name, server_name};

use super::*;
use crate::{
    app::App,
    config::{Config, Durability, Size},
    ids::Ids,
    store::schema::federation::InboxRecord,
};

/// A room that is not here: its rows are deleted when they have their turn.
const ROOM: RoomNo = RoomNo(1_000_000);
/// What one server may have in a room that it is in, and in one that it is not in.
const SHARE: usize = 10_000;
const SHARE_OUTSIDE: usize = 5_000;

struct Running {
    app: App,
    inbox: Inbox,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::defaults(owned_server_name!("school.example"));
        config.listen.client = ([127, 0, 0, 1], 0).into();
        config.database.path = folder.path().join("data");
        config.database.memory = Size::mib(16);
        config.database.durability = Durability::Os;
        let app = App::start(config, Clock::test(1_700_000_000_000), Ids::system()).await.unwrap();
        let inbox = app.services().federation.inbound.inbox.clone();
        inbox.open().await.unwrap();
        Self { app, inbox, _folder: folder }
    }

    /// Takes a transaction of so many events in; `false` when it is refused.
    async fn take(&self, origin: &ServerName, room: RoomNo, events: usize) -> bool {
        let mut taken = self.inbox.taking(origin);
        let mut batch = Batch::new();
        for n in 0..events {
            if !taken.add(room, true) {
                return false;
            }
            let record = InboxRecord { origin: origin.to_string(), json: n.to_string() };
            batch.at_position(move |at, rows| rows.put(&INBOX, &(room, at), &record));
        }
        let runtime = Handle::current();
        batch.on_visible(move || taken.arrived(&runtime));
        self.inbox.0.rooms.store().commit(batch).await.unwrap();
        true
    }

    /// Room for as many events as a server may have.
    fn all_of(&self, origin: &ServerName, room: RoomNo) -> (usize, Taken) {
        let mut taken = self.inbox.taking(origin);
        let count = std::iter::repeat_with(|| taken.add(room, true)).take_while(|added| *added).count();
        (count, taken)
    }

    async fn until_idle(&self) {
        while !self.inbox.0.workers.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn one_server_s_events_leave_room_for_those_of_others_and_make_room_when_they_are_done() {
    let running = Running::start().await;
    let (eve, ada) = (server_name!("eve.example"), server_name!("ada.example"));
    // All rooms wait for their turn.
    let busy = running.inbox.0.places.acquire_many(u32::try_from(ROOMS_AT_ONCE).unwrap()).await.unwrap();
    assert!(running.take(eve, ROOM, 50).await);
    let (more, mut taken) = running.all_of(eve, ROOM);
    assert_eq!(50 + more, SHARE);
    for name in ["eve.example:1", "Eve.example", "eve.example:08448"] {
        assert!(!running.take(name.try_into().unwrap(), ROOM, 1).await, "{name} is the same server");
    }
    assert!(running.take(eve, RoomNo(ROOM.0 + 1), 50).await, "another room has its own");
    assert!(running.take(ada, ROOM, 50).await, "others have theirs");
    let outside = running.inbox.taking(server_name!("outside.example")).add(ROOM, false);
    assert!(!outside, "those who are not in the room have less");
    // What is done makes room, also while the room is at work.
    assert!(!taken.add(ROOM, true));
    let (rows, _) = running.inbox.rows(ROOM, Position::ZERO).await.unwrap();
    running.inbox.done(ROOM, &rows).await.unwrap();
    assert!(taken.add(ROOM, true));
    drop((busy, taken));
    running.until_idle().await;
}

#[tokio::test]
async fn what_was_left_in_the_inbox_is_counted_after_a_restart() {
    let running = Running::start().await;
    let (eve, ada) = (server_name!("eve.example"), server_name!("ada.example"));
    let all = u32::try_from(ROOMS_AT_ONCE).unwrap();
    let _busy = running.inbox.0.places.acquire_many(all).await.unwrap();
    for name in ["eve.example", "eve.example:1", "EVE.example", "eve.example", "eve.example:2"] {
        assert!(running.take(name.try_into().unwrap(), ROOM, 50).await);
    }
    assert!(running.take(ada, RoomNo(ROOM.0 + 1), 3).await);
    // The same store, by an inbox that knows nothing yet.
    let services = running.app.services();
    let again = Inbox::new(services.rooms.clone(), services.clock.clone(), CancellationToken::new());
    let busy = again.0.places.acquire_many(all).await.unwrap();
    again.open().await.unwrap();
    let count = |room: u64, name: &str| {
        let workers = again.0.workers.lock();
        workers.get(&RoomNo(room)).map(|worker| worker.waiting.count_of(&Holder::of(name)))
    };
    assert_eq!((count(ROOM.0, "eve.example"), count(ROOM.0 + 1, "ada.example")), (Some(250), Some(3)));
    let mut taken = again.taking(eve);
    assert_eq!((0..SHARE).filter(|_| taken.add(ROOM, true)).count(), SHARE - 250);
    drop((busy, taken));
    while !again.0.workers.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(again.0.rooms.store().prefix(&INBOX, &(), Order::Ascending, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_written_takes_no_room() {
    let running = Running::start().await;
    let eve = server_name!("eve.example");
    let mut taken = running.inbox.taking(eve);
    assert_eq!((0..=SHARE_OUTSIDE).filter(|_| taken.add(ROOM, false)).count(), SHARE_OUTSIDE);
    drop(taken);
    assert!(running.inbox.0.workers.lock().is_empty());
    let mut taken = running.inbox.taking(eve);
    assert!(taken.add(ROOM, false));
    let mut batch = Batch::new();
    let runtime = Handle::current();
    batch.on_visible(move || taken.arrived(&runtime));
    drop(batch);
    assert!(running.inbox.0.workers.lock().is_empty());
}
