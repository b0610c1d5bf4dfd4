#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap is a failed test")]

mod federation;

use std::{path::Path, sync::Arc};

use ruma::{
    MilliSecondsSinceUnixEpoch, RoomVersionId, events::StateEventType, owned_room_id, owned_server_name, uint, user_id,
};

use super::{Report, check, check_folder};
use crate::{
    event::{Content, PduBuilder, SigningKey, room_version},
    store::{
        Batch, Durability, Event, EventNo, Events, Position, RoomNo, Rows, StateKeyNo, Store, StoreOptions, UserNo,
        events::{Header, Verdict},
        schema::{
            COUNTERS, ROOM_NAMES, STATE_KEY_NAMES, USER_NAMES, USER_NUMBERS,
            keys::{BACKUP_SESSIONS, BackupSession, DEVICE_KEYS, ONE_TIME_KEY_IDS, ONE_TIME_KEYS, OneTimeKeyRow},
            media::{MEDIA_BY_HASH, MEDIA_USAGE},
            rooms::{
                ALIASES, AliasRecord, EVENT_IDS, EVENTS, MEMBERS, MemberRecord, Membership, PUBLISHED, RECEIPT_LOG,
                RECEIPTS, RELATIONS, ROOM_ALIASES, ROOMS, ReceiptRecord, RoomRecord, STATE_NODES, THREAD_ORDER,
                THREADS, TIMELINE, USER_ROOMS,
            },
            users::{
                ACCOUNT_DATA, ACCOUNT_DATA_LOG, ACCOUNTS, Account, AccountDatum, DEVICE_TOKENS, DEVICES, Device,
                DeviceToken, GLOBAL, TOKENS, Token, TokenKind,
            },
        },
        state_tree::{StateRoot, StateTree},
    },
};

/// A server with one room of version 11, so filled that most tables have a row.
struct Server {
    store: Store,
    events: Events,
    tree: StateTree,
    key: SigningKey,
    room: RoomNo,
    user: UserNo,
    state: StateRoot,
    made: Vec<Arc<Event>>,
}

fn open(path: &Path) -> Store {
    Store::open(path, &StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os }).unwrap()
}

impl Server {
    async fn new(path: &Path) -> Self {
        let store = open(path);
        let (events, tree) = (Events::new(store.clone(), 1 << 20), StateTree::new(store.clone(), 1 << 20));
        let key = SigningKey::from_seed(&[1; 32], "1", owned_server_name!("a.example")).unwrap();
        let mut batch = Batch::new();
        let room = store.mint_room(&owned_room_id!("!r:a.example"), &mut batch).await.unwrap();
        let user = store.mint_user(user_id!("@anna:a.example"), &mut batch).await.unwrap();
        batch.put(&ROOMS, &room, &RoomRecord { version: "11".into(), created_ms: 5 });
        store.commit(batch).await.unwrap();
        let mut server = Self { store, events, tree, key, room, user, state: StateRoot::EMPTY, made: Vec::new() };
        server.fill().await;
        server
    }

    async fn fill(&mut self) {
        let (room, user) = (self.room, self.user);
        self.append("m.room.create", Some(""), r#"{"room_version":"11"}"#, |_, _, _| {}).await;
        let joined = move |number, order: i64, rows: &mut Rows| {
            let position = Position(order.try_into().unwrap());
            let record =
                MemberRecord { membership: Membership::Join, event: number, position, was_joined: true, local: true };
            rows.put(&MEMBERS, &(room, user), &record);
            rows.put(&USER_ROOMS, &(user, room), &record);
        };
        self.append("m.room.member", Some("@anna:a.example"), r#"{"membership":"join"}"#, joined).await;
        for n in 0..60 {
            // Enough for a tree with a branch.
            self.append("org.example.state", Some(&format!("{n}")), "{}", |_, _, _| {}).await;
        }
        let parent = self.made[0].number;
        let threaded = move |number, order, rows: &mut Rows| {
            rows.put(&RELATIONS, &(room, parent, "m.thread".into(), order), &number);
            rows.put(&THREADS, &(room, order), &parent);
            rows.put(&THREAD_ORDER, &(room, parent), &order);
        };
        self.append("m.room.message", None, r#"{"body":"hello"}"#, threaded).await;
        let mut batch = Batch::new();
        batch.put(&ALIASES, &"#hall:a.example".into(), &AliasRecord { room, creator: user });
        batch.put(&ROOM_ALIASES, &(room, "#hall:a.example".into()), &());
        batch.put(&PUBLISHED, &room, &());
        let event_id = self.made[0].header.event_id.clone();
        batch.at_position(move |position, rows| {
            let receipt = ReceiptRecord { event_id, order: None, ts: 7, position };
            rows.put(&RECEIPTS, &(room, user, "m.read\0".into()), &receipt);
            rows.put(&RECEIPT_LOG, &(room, position), &(user, "m.read\0".into()));
        });
        self.store.commit(batch).await.unwrap();
    }

    async fn append(
        &mut self,
        kind: &str,
        state_key: Option<&str>,
        content: &str,
        more: impl FnOnce(EventNo, i64, &mut Rows) + Send + 'static,
    ) {
        let rules = room_version::supported(&RoomVersionId::V11).unwrap();
        let builder = PduBuilder {
            kind: kind.into(),
            state_key: state_key.map(Into::into),
            content: Content::parse(content.as_bytes()).unwrap(),
            redacts: None,
            sender: user_id!("@anna:a.example").to_owned(),
            room_id: Some(owned_room_id!("!r:a.example")),
            origin_server_ts: MilliSecondsSinceUnixEpoch(uint!(5)),
            prev_events: self.made.last().map(|event| event.pdu.event_id.clone()).into_iter().collect(),
            auth_events: Vec::new(),
            depth: self.made.len() as u64 + 1,
        };
        let pdu = builder.build(&rules, &self.key).unwrap();
        let (mut batch, number, before) = (Batch::new(), self.store.next_event(), self.state);
        if let Some(key) = state_key {
            let pair = self.store.mint_state_key(&StateEventType::from(kind), key, &mut batch).await.unwrap();
            self.state = self.tree.apply(before, &[(pair, Some(number))], &mut batch).await.unwrap();
        }
        let header = Header {
            event_id: pdu.event_id.to_string(),
            sender: self.user,
            state_before: before,
            state_after: self.state,
            verdict: Verdict::Accepted,
            redacted_by: None,
            replaces_state: None,
            transaction: None,
        };
        let event = Arc::new(Event::new(number, self.room, header, pdu).unwrap());
        let room = self.room;
        self.events.add(&event, &mut batch, move |order, rows| {
            rows.put(&TIMELINE, &(room, order), &number);
            more(number, order, rows);
        });
        self.store.commit(batch).await.unwrap();
        self.made.push(event);
    }

    /// The check after `damage` on a fresh server.
    async fn damaged(damage: impl AsyncFnOnce(&Self, &mut Batch)) -> Report {
        let dir = tempfile::tempdir().unwrap();
        let server = Self::new(dir.path()).await;
        let mut batch = Batch::new();
        damage(&server, &mut batch).await;
        server.store.commit(batch).await.unwrap();
        check(&server.store).unwrap()
    }
}

fn tables(report: &Report) -> Vec<&'static str> {
    let mut tables: Vec<_> = report.findings.iter().map(|finding| finding.table).collect();
    tables.dedup();
    tables
}

#[tokio::test]
async fn a_sound_store_has_no_findings_also_while_it_is_open_and_once_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(dir.path()).await;
    let report = check(&server.store).unwrap();
    assert_eq!(report.findings, []);
    assert!(report.rows > 300, "{}", report.rows);
    let beside = check_folder(dir.path(), 8 << 20).unwrap();
    assert_eq!(beside, report);
    drop(server);
    assert_eq!(check_folder(dir.path(), 8 << 20).unwrap(), report);
    // Looking changed nothing.
    assert_eq!(check(&open(dir.path())).unwrap().findings, []);
    assert!(check_folder(&dir.path().join("nowhere"), 8 << 20).is_err());
}

#[tokio::test]
async fn lost_events_and_states_are_found() {
    let report = Server::damaged(async |s, batch| batch.delete(&EVENTS, &(s.room, s.made[1].number))).await;
    assert_eq!(tables(&report), ["state_nodes", "event_ids", "timeline", "members"]);
    let report = Server::damaged(async |s, batch| batch.delete(&EVENT_IDS, &s.made[1].header.event_id)).await;
    assert_eq!(tables(&report), ["events"]);
    let report = Server::damaged(async |s, batch| batch.put(&TIMELINE, &(s.room, 1_000_000), &s.made[1].number)).await;
    assert!(tables(&report).contains(&"timeline"));
    let report = Server::damaged(async |s, batch| batch.delete(&STATE_NODES, &s.made[9].header.state_after.0)).await;
    assert_eq!(tables(&report), ["events", "state_nodes"]);
    let report = Server::damaged(async |s, batch| {
        let bytes = s.store.get(&STATE_NODES, &s.made[9].header.state_after.0).await.unwrap().unwrap();
        batch.put(&STATE_NODES, &s.made[8].header.state_after.0, &bytes);
    })
    .await;
    assert!(tables(&report).contains(&"state_nodes"));
    // An entry that is in no tree's place: the newest root's first leaf stands in for another.
    let report = Server::damaged(async |s, batch| {
        let root = s.store.get(&STATE_NODES, &s.state.0).await.unwrap().unwrap();
        let node = crate::store::state_tree::node::Node::decode(&root).unwrap();
        let leaf = s.store.get(&STATE_NODES, &node.slots()[0].child.id).await.unwrap().unwrap();
        batch.put(&STATE_NODES, &node.slots()[1].child.id, &leaf);
    })
    .await;
    assert!(report.findings.iter().any(|finding| finding.what.contains("belongs elsewhere")), "{:?}", report.findings);
}

#[tokio::test]
async fn changed_events_are_found() {
    let report = Server::damaged(async |s, batch| {
        let mut event = s.store.get(&EVENTS, &(s.room, s.made[62].number)).await.unwrap().unwrap();
        event.json = event.json.replace("\"depth\":63", "\"depth\":64").into();
        batch.put(&EVENTS, &(s.room, s.made[62].number), &event);
    })
    .await;
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert!(report.findings[0].what.contains("hash"));
    let report = Server::damaged(async |s, batch| {
        let mut event = s.store.get(&EVENTS, &(s.room, s.made[30].number)).await.unwrap().unwrap();
        event.header.state_after = event.header.state_before;
        batch.put(&EVENTS, &(s.room, s.made[30].number), &event);
    })
    .await;
    assert!(report.findings[0].what.contains("not in the state after it"), "{:?}", report.findings);
}

#[tokio::test]
async fn ids_without_their_numbers_are_found() {
    let report = Server::damaged(async |s, batch| batch.delete(&USER_NAMES, &s.user.0)).await;
    assert!(tables(&report).contains(&"user_numbers") && tables(&report).contains(&"members"));
    let report = Server::damaged(async |_, batch| batch.put(&USER_NUMBERS, &"@b:a.example".into(), &1)).await;
    assert_eq!(tables(&report), ["user_numbers"]);
    let report = Server::damaged(async |_, batch| batch.put(&ROOM_NAMES, &77, &"!x:a.example".into())).await;
    assert_eq!(tables(&report), ["room_names"]);
    let report = Server::damaged(async |_, batch| batch.put(&STATE_KEY_NAMES, &99_999_999, &"nonsense".into())).await;
    assert_eq!(report.findings_total, 3, "{:?}", report.findings);
    let report = Server::damaged(async |s, batch| {
        let mut reserved = s.store.get(&COUNTERS, &()).await.unwrap().unwrap();
        reserved.event = s.made[50].number.0;
        batch.put(&COUNTERS, &(), &reserved);
    })
    .await;
    assert_eq!(report.findings_total, 13);
}

#[tokio::test]
async fn rows_without_their_counterpart_are_found() {
    let report = Server::damaged(async |s, batch| batch.delete(&USER_ROOMS, &(s.user, s.room))).await;
    assert_eq!(tables(&report), ["members"]);
    let report = Server::damaged(async |s, batch| batch.delete(&MEMBERS, &(s.room, s.user))).await;
    assert_eq!(tables(&report), ["user_rooms", "members"]);
    let report = Server::damaged(async |s, batch| batch.delete(&THREAD_ORDER, &(s.room, s.made[0].number))).await;
    assert_eq!(tables(&report), ["threads"]);
    let report = Server::damaged(async |s, batch| {
        batch.put(&RELATIONS, &(s.room, s.made[0].number, "m.thread".into(), 3), &s.made[4].number);
    })
    .await;
    assert_eq!(tables(&report), ["relations"]);
    let report =
        Server::damaged(async |s, batch| batch.put(&RECEIPT_LOG, &(s.room, Position(1)), &(s.user, "m.read\0".into())))
            .await;
    assert_eq!(tables(&report), ["receipt_log"]);
    let report = Server::damaged(async |_, batch| batch.delete(&ALIASES, &"#hall:a.example".into())).await;
    assert_eq!(tables(&report), ["room_aliases"]);
    let report = Server::damaged(async |_, batch| batch.put(&PUBLISHED, &RoomNo(999), &())).await;
    assert_eq!(tables(&report), ["published"]);
    let report = Server::damaged(async |s, batch| {
        batch.put(
            &ACCOUNT_DATA,
            &(s.user, GLOBAL, "m.direct".into()),
            &AccountDatum { position: Position(4), content: "{}".into() },
        );
    })
    .await;
    assert_eq!(tables(&report), [ACCOUNT_DATA.name]);
    let change = crate::store::schema::users::AccountDataChange { room: GLOBAL, kind: "m.direct".into() };
    let report = Server::damaged(async |s, batch| batch.put(&ACCOUNT_DATA_LOG, &(s.user, Position(4)), &change)).await;
    assert_eq!(tables(&report), [ACCOUNT_DATA_LOG.name]);
}

#[tokio::test]
async fn tokens_are_checked_and_never_told() {
    let report = Server::damaged(async |s, batch| {
        let token = Token {
            kind: TokenKind::Access,
            user: s.user,
            device_id: "SECRETDEVICE".into(),
            expires_at_ms: None,
            generation: 0,
            fresh: true,
        };
        batch.put(&TOKENS, &[0xab; 32], &token);
        batch.put(
            &DEVICE_TOKENS,
            &(s.user, "D".into(), [0xcd; 32]),
            &DeviceToken { kind: TokenKind::Access, generation: 1 },
        );
        // Not a token at all.
        batch.put_encoded(&TOKENS, &[0xef; 32], vec![9, 9]);
    })
    .await;
    assert_eq!(tables(&report), [TOKENS.name, DEVICE_TOKENS.name]);
    let text = format!("{:?}", report.findings);
    assert!(!text.contains("171") && !text.contains("abab") && !text.contains("239"), "{text}");
}

#[tokio::test]
async fn keys_and_uploads_without_an_owner_are_found() {
    let report = Server::damaged(async |s, batch| {
        let device = (s.user, "D".to_owned());
        let row = OneTimeKeyRow { key_id: "signed_curve25519:A".into(), key: "{}".into() };
        batch.put(&DEVICES, &device, &Device { display_name: None, created_at_ms: 1 });
        batch.put(&ACCOUNTS, &s.user, &account("anna"));
        batch.put(&ONE_TIME_KEYS, &(s.user, "D".into(), "signed_curve25519".into(), 1), &row);
        batch.put(&ONE_TIME_KEY_IDS, &(s.user, "D".into(), row.key_id.clone()), &1);
        batch.put(&DEVICE_KEYS, &device, &"{}".into());
    })
    .await;
    assert_eq!(report.findings, []);
    let report = Server::damaged(async |s, batch| {
        batch.put(&ACCOUNTS, &s.user, &account("otto"));
        batch.put(&ONE_TIME_KEY_IDS, &(s.user, "D".into(), "signed_curve25519:A".into()), &1);
        batch.put(&DEVICE_KEYS, &(s.user, "D".into()), &"{".into());
        batch.put(&BACKUP_SESSIONS, &(s.user, 1, "!r:a.example".into(), "s".into()), &session());
        batch.put(&MEDIA_USAGE, &s.user, &5);
        batch.put(&MEDIA_BY_HASH, &([1; 32], "id".into()), &());
    })
    .await;
    let expected = ["accounts", "device_keys", "one_time_key_ids", "backup_sessions", "media_by_hash", "media_usage"];
    assert_eq!(tables(&report), expected, "{:?}", report.findings);
}

fn account(localpart: &str) -> Account {
    Account {
        localpart: localpart.into(),
        password: None,
        admin: false,
        guest: false,
        deactivated: false,
        erased: false,
        locked: false,
        suspended: false,
        created_at_ms: 1,
    }
}

fn session() -> BackupSession {
    BackupSession { first_message_index: 0, forwarded_count: 0, is_verified: false, session_data: "{}".into() }
}

#[tokio::test]
async fn findings_are_bounded() {
    let report = Server::damaged(async |_, batch| {
        for n in 0..1_000 {
            batch.put(&STATE_KEY_NAMES, &n, &format!("nonsense {n}"));
        }
    })
    .await;
    assert!(report.findings_total >= 1_000);
    assert_eq!(report.findings.len(), 200);
}

#[tokio::test]
async fn a_state_key_that_was_never_named_is_found() {
    let report = Server::damaged(async |s, batch| {
        let number = s.made[0].number;
        let root = s.tree.apply(s.state, &[(StateKeyNo(9_999), Some(number))], batch).await.unwrap();
        let mut event = s.store.get(&EVENTS, &(s.room, s.made[61].number)).await.unwrap().unwrap();
        event.header.state_after = root;
        batch.put(&EVENTS, &(s.room, s.made[61].number), &event);
    })
    .await;
    assert!(
        report.findings.iter().any(|finding| finding.what.contains("9999, which is no state key")),
        "{:?}",
        report.findings
    );
}
