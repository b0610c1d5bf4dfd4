#![allow(clippy::unwrap_used, missing_docs)]

use ruma::{MilliSecondsSinceUnixEpoch, room_id, server_name, uint, user_id};

use super::*;

fn receipt(event: &str, thread: ReceiptThread) -> EarlyReceipt {
    let mut receipt = Receipt::new(MilliSecondsSinceUnixEpoch(uint!(1)));
    receipt.thread = thread;
    EarlyReceipt {
        origin: server_name!("b.example").to_owned(),
        room_id: room_id!("!r:b.example").to_owned(),
        user_id: user_id!("@b:b.example").to_owned(),
        event_id: event.try_into().unwrap(),
        receipt,
    }
}

fn of_thread(event: &str, thread: usize) -> EarlyReceipt {
    receipt(event, ReceiptThread::Thread(format!("$t{thread}").try_into().unwrap()))
}

fn of_server(server: &str, event: &str, thread: usize) -> EarlyReceipt {
    let (origin, user_id) = (server.try_into().unwrap(), format!("@b:{server}").try_into().unwrap());
    EarlyReceipt { origin, user_id, ..of_thread(event, thread) }
}

fn events(early: &EarlyReceipts, room: RoomNo) -> Vec<String> {
    let waiting = early.waiting.lock();
    let list = waiting.rooms.get(&room).into_iter().flatten();
    list.map(|(_, receipt)| receipt.event_id.to_string()).collect()
}

#[test]
fn a_newer_receipt_takes_the_place_of_the_one_before() {
    let early = EarlyReceipts::default();
    early.wait(RoomNo(1), receipt("$a", ReceiptThread::Unthreaded));
    early.wait(RoomNo(1), receipt("$b", ReceiptThread::Main));
    early.wait(RoomNo(1), receipt("$c", ReceiptThread::Unthreaded));
    assert_eq!(events(&early, RoomNo(1)), ["$b", "$c"]);
    assert_eq!(early.waiting.lock().all, 2);
}

#[test]
fn a_room_and_all_rooms_hold_so_many_and_the_oldest_go() {
    let early = EarlyReceipts::default();
    for n in 0..ROOM_MAX + 3 {
        early.wait(RoomNo(1), of_thread(&format!("$e{n}"), n));
    }
    let kept = events(&early, RoomNo(1));
    assert_eq!((kept.len(), kept.first().map(String::as_str)), (ROOM_MAX, Some("$e3")));
    for room in 2..=(ALL_MAX / 100) as u64 {
        for n in 0..100 {
            early.wait(RoomNo(room), of_thread("$e", n));
        }
    }
    assert_eq!(early.waiting.lock().all, ALL_MAX);
    assert_eq!(events(&early, RoomNo(1)).len(), 100, "those of the first room were the oldest");
    let waiting = early.waiting.lock();
    assert_eq!(waiting.rooms.values().map(VecDeque::len).sum::<usize>(), ALL_MAX);
}

/// Counts that are told are those of what is there.
fn all_is_counted(early: &EarlyReceipts) {
    let waiting = early.waiting.lock();
    let mut of_servers = HashMap::<Holder, usize>::new();
    for (_, receipt) in waiting.rooms.values().flatten() {
        *of_servers.entry(Holder::of(&receipt.origin)).or_default() += 1;
    }
    assert_eq!(waiting.all, of_servers.values().sum::<usize>());
    let of_servers: BTreeSet<_> = of_servers.into_iter().map(|(server, count)| (count, server)).collect();
    assert_eq!(waiting.shares, of_servers);
    let ages: usize = waiting.servers.values().map(BTreeMap::len).sum();
    assert_eq!((ages, waiting.servers.len()), (waiting.all, waiting.shares.len()));
}

#[test]
fn a_server_pushes_out_its_own_receipts_in_a_room_and_not_those_of_others() {
    let (early, room) = (EarlyReceipts::default(), RoomNo(1));
    for n in 0..ROOM_MAX / 3 {
        early.wait(room, of_server("c.example", &format!("$c{n}"), n));
    }
    for n in 0..3 * ROOM_MAX {
        early.wait(room, of_server("eve.example", &format!("$e{n}"), n));
    }
    let kept = events(&early, room);
    assert_eq!(kept.len(), ROOM_MAX);
    assert_eq!(kept.iter().filter(|event| event.starts_with("$c")).count(), ROOM_MAX / 3);
    assert_eq!(kept.last().unwrap(), &format!("$e{}", 3 * ROOM_MAX - 1), "its newest stay");
    all_is_counted(&early);
    // Who comes later has a part too.
    for n in 0..ROOM_MAX / 3 {
        early.wait(room, of_server("d.example", &format!("$d{n}"), n));
    }
    let kept = events(&early, room);
    for server in ["$c", "$d"] {
        assert_eq!(kept.iter().filter(|event| event.starts_with(server)).count(), ROOM_MAX / 3, "{server}");
    }
    all_is_counted(&early);
}

#[test]
fn a_server_pushes_out_its_own_receipts_of_all_rooms_and_not_those_of_others() {
    let early = EarlyReceipts::default();
    early.wait(RoomNo(1), of_server("c.example", "$c", 0));
    for room in 2..=(ALL_MAX / 100) as u64 + 50 {
        for n in 0..100 {
            early.wait(RoomNo(room), of_server("eve.example", "$e", n));
        }
    }
    assert_eq!(early.waiting.lock().all, ALL_MAX);
    assert_eq!(events(&early, RoomNo(1)), ["$c"], "the oldest of all");
    assert_eq!(events(&early, RoomNo(2)).len(), 0);
    all_is_counted(&early);
    early.overtaken(RoomNo(1), user_id!("@b:c.example"), &of_thread("$c", 0).receipt.thread);
    assert_eq!(early.waiting.lock().shares.len(), 1);
    all_is_counted(&early);
}

#[test]
fn a_server_with_many_names_pushes_out_its_own_receipts() {
    let (early, room) = (EarlyReceipts::default(), RoomNo(1));
    for n in 0..ROOM_MAX / 3 {
        early.wait(room, of_server("c.example", &format!("$c{n}"), n));
    }
    for n in 1..3 * ROOM_MAX {
        early.wait(room, of_server(&format!("eve.example:{n}"), &format!("$e{n}"), n));
    }
    let kept = events(&early, room);
    assert_eq!(kept.iter().filter(|event| event.starts_with("$c")).count(), ROOM_MAX / 3);
    for room in 2..=(ALL_MAX / 100) as u64 + 50 {
        for n in 0..100 {
            early.wait(RoomNo(room), of_server(&format!("Eve.example:{n}"), "$e", n));
        }
    }
    let kept = events(&early, room);
    assert_eq!(kept.iter().filter(|event| event.starts_with("$c")).count(), ROOM_MAX / 3, "nor of all rooms");
    all_is_counted(&early);
}
