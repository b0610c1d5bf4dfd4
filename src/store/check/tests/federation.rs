//! Damaged rows of the conversation with other servers.

use ruma::server_name;

use super::*;
use crate::store::{
    ServerNo,
    schema::{
        federation::{
            DESTINATIONS, DEVICE_STREAMS, DestinationRecord, INBOUND_TRANSACTIONS, INBOX, InboxRecord, KEY_DOCUMENTS,
            KeyDocumentRecord, OUTBOX, OUTGOING, OUTGOING_LAST, OutboxRecord, REMOTE_DEVICE_LISTS, RemoteDeviceList,
        },
        rooms::{
            AUTH_EDGES, AWAITED, AuthRecord, GAPS, GapRecord, HEADS, HeadRecord, PARTIAL, PartialRecord, ROOM_SERVERS,
            SERVER_ROOMS, STANDS, STAYS, ServerRoomRecord, StandRecord,
        },
    },
};

/// A member of another server's, and what has to stand beside.
async fn neighbour(s: &Server, batch: &mut Batch) -> ServerNo {
    let server = s.store.mint_server(server_name!("b.example"), batch).await.unwrap();
    batch.put(&ROOM_SERVERS, &(s.room, server), &1);
    batch.put(&SERVER_ROOMS, &(server, s.room), &ServerRoomRecord { since: Position(1), left: None });
    server
}

#[tokio::test]
async fn rooms_know_which_servers_are_in_them() {
    let report = Server::damaged(async |s, batch| {
        neighbour(s, batch).await;
    })
    .await;
    assert_eq!(tables(&report), ["room_servers"], "nobody of it has joined: {:?}", report.findings);
    let report = Server::damaged(async |s, batch| {
        let server = neighbour(s, batch).await;
        batch.delete(&ROOM_SERVERS, &(s.room, server));
    })
    .await;
    assert_eq!(tables(&report), ["server_rooms"]);
    let report = Server::damaged(async |s, batch| {
        batch.put(
            &SERVER_ROOMS,
            &(ServerNo(999), s.room),
            &ServerRoomRecord { left: Some(Position(1)), ..<_>::default() },
        );
    })
    .await;
    assert_eq!(tables(&report), ["server_rooms"]);
}

#[tokio::test]
async fn what_stands_beside_a_rooms_events_leads_to_them() {
    let report = Server::damaged(async |s, batch| {
        let head = HeadRecord { extremities: vec![s.made[62].number, s.made[61].number], state: s.state };
        batch.put(&HEADS, &s.room, &head);
        let (order, other) = (s.made[62].number, s.made[1].number);
        batch.put(&AUTH_EDGES, &(s.room, order), &AuthRecord { auth_events: vec![other], power_levels: false });
        batch.put(&AWAITED, &(s.room, "$x".into(), other), &());
    })
    .await;
    assert_eq!(report.findings, []);
    let nowhere = EventNo(77_777_777);
    let report = Server::damaged(async |s, batch| {
        batch.put(&HEADS, &s.room, &HeadRecord { extremities: vec![], state: s.made[0].header.state_after });
        batch.put(&STANDS, &(s.room, -7), &StandRecord { before: s.state, after: s.state });
        batch.put(&GAPS, &(s.room, -8), &GapRecord { missing: vec![], next: -9, floor: -10 });
        batch.put(&AWAITED, &(s.room, "$x".into(), nowhere), &());
        batch.put(&AUTH_EDGES, &(s.room, nowhere), &AuthRecord { auth_events: vec![], power_levels: false });
        batch.put(&PARTIAL, &s.room, &PartialRecord { event: nowhere, servers: vec![], whole_since: None });
        batch.put(&STAYS, &(s.room, s.made[0].number), &nowhere);
    })
    .await;
    // The members are not those of the state in which the room is said to be.
    assert_eq!(tables(&report), ["members", "heads", "stands", "gaps", "awaited", "auth_edges", "partial", "stays"]);
}

#[tokio::test]
async fn what_comes_and_goes_belongs_to_rooms_and_servers() {
    let report = Server::damaged(async |s, batch| {
        let record = InboxRecord { origin: "b.example".into(), json: "{}".into() };
        batch.put(&INBOX, &(s.room, Position(1)), &record);
        let server = s.store.mint_server(server_name!("b.example"), batch).await.unwrap();
        batch.put(&DESTINATIONS, &server, &DestinationRecord::default());
        batch.put(&REMOTE_DEVICE_LISTS, &s.user, &RemoteDeviceList::default());
    })
    .await;
    assert_eq!(report.findings, []);
    let nobody = (ServerNo(999), UserNo(9_999));
    let report = Server::damaged(async |s, batch| {
        batch.put(&INBOX, &(RoomNo(999), Position(1)), &InboxRecord { origin: "b.example".into(), json: "{}".into() });
        batch.put(&INBOUND_TRANSACTIONS, &(nobody.0, "1".into()), &1);
        let document = KeyDocumentRecord { json: "{".into(), valid_until_ms: 1, fetched_ms: 1 };
        batch.put(&KEY_DOCUMENTS, &"b.example".into(), &document);
        batch.put(&DESTINATIONS, &nobody.0, &DestinationRecord::default());
        batch.put(&OUTGOING, &Position(70_000_000), &s.room);
        batch.put(&OUTGOING_LAST, &s.room, &Position(70_000_001));
        let item = OutboxRecord { made_ms: 1, about: String::new(), edu: "[]".into() };
        batch.put(&OUTBOX, &(nobody.0, Position(1)), &item);
        batch.put(&REMOTE_DEVICE_LISTS, &nobody.1, &RemoteDeviceList::default());
        batch.put(&DEVICE_STREAMS, &nobody.1, &1);
    })
    .await;
    let expected = [
        "inbox",
        "inbound_transactions",
        "key_documents",
        "destinations",
        "outgoing",
        "outgoing_last",
        "outbox",
        "remote_device_lists",
        "device_streams",
    ];
    assert_eq!(tables(&report), expected);
}
