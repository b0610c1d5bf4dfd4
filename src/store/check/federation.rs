//! Other servers: in which rooms they are, what came from them, what goes to them, what is known of them.

use std::collections::HashMap;

use ruma::ServerName;
use serde_json::Value;

use super::{events::is_event_id, rows::Check, states::States};
use crate::store::{
    RoomNo, ServerNo, StoreError,
    schema::{
        COUNTERS, SERVER_NAMES, SERVER_NUMBERS, USER_NAMES,
        federation::{
            DESTINATIONS, DEVICE_STREAMS, DEVICES_TOLD, INBOUND_MESSAGES, INBOUND_TRANSACTIONS, INBOX, KEY_DOCUMENTS,
            OUTBOX, OUTGOING, OUTGOING_LAST, REMOTE_DEVICE_LISTS, SERVER_KEYS,
        },
        rooms::{
            AUTH_EDGES, AWAITED, GAPS, HEADS, MEMBERS, Membership, PARTIAL, ROOM_SERVERS, SERVER_ROOMS, STANDS, STAYS,
            TIMELINE,
        },
    },
};

impl Check<'_> {
    /// All tables of the conversation with other servers.
    pub(super) fn federation(&mut self, states: &mut States) -> Result<(), StoreError> {
        self.graph(states)?;
        self.servers_of_rooms()?;
        self.received()?;
        self.sent()?;
        self.remote_devices()
    }

    /// What stands beside a room's events: where it stands, what is missing, what allows what.
    fn graph(&mut self, states: &mut States) -> Result<(), StoreError> {
        self.walk(&HEADS, |check, room, head| {
            if head.extremities.is_empty() {
                check.report.find(HEADS.name, || format!("room {} stands nowhere", room.0));
            }
            check.state(states, room, head.state)
        })?;
        self.walk(&STANDS, |check, (room, order), stand| {
            check.is_placed(STANDS.name, room, order)?;
            check.state(states, room, stand.before)?;
            check.state(states, room, stand.after)
        })?;
        self.walk(&GAPS, |check, (room, order), gap| {
            check.is_placed(GAPS.name, room, order)?;
            if gap.missing.is_empty() || !gap.missing.iter().all(|id| is_event_id(id)) {
                check.report.find(GAPS.name, || format!("room {} at {order}: nothing is missing", room.0));
            }
            if gap.next >= order || gap.floor >= order {
                check.report.find(GAPS.name, || format!("room {} at {order}: history would come after it", room.0));
            }
            Ok(())
        })?;
        self.walk(&AWAITED, |check, (room, id, event), ()| {
            if !is_event_id(&id) {
                check.report.find(AWAITED.name, || format!("room {}: {id:?} is no event id", room.0));
            }
            check.is_event(AWAITED.name, room, event)
        })?;
        self.walk(&AUTH_EDGES, |check, (room, event), record| {
            check.is_event(AUTH_EDGES.name, room, event)?;
            for auth in record.auth_events {
                check.is_event(AUTH_EDGES.name, room, auth)?;
            }
            Ok(())
        })?;
        self.walk(&PARTIAL, |check, room, record| {
            check.is_room(PARTIAL.name, room)?;
            check.is_event(PARTIAL.name, room, record.event)
        })?;
        self.walk(&STAYS, |check, (room, join), last| {
            check.is_room(STAYS.name, room)?;
            check.is_event(STAYS.name, room, join)?;
            check.is_event(STAYS.name, room, last)
        })
    }

    /// Which servers are in which rooms, and with how many members.
    fn servers_of_rooms(&mut self) -> Result<(), StoreError> {
        let mut joined: HashMap<(RoomNo, ServerNo), u64> = HashMap::new();
        // As long as its members are not known, each server that is said to be in a room counts as one.
        self.walk(&PARTIAL, |check, room, record| {
            for server in record.servers.iter().filter(|_| record.whole_since.is_none()) {
                if let Some(number) = check.get(&SERVER_NUMBERS, server)? {
                    *joined.entry((room, ServerNo(number))).or_default() += 1;
                }
            }
            Ok(())
        })?;
        self.walk(&MEMBERS, |check, (room, user), record| {
            if record.local || record.membership != Membership::Join {
                return Ok(());
            }
            let name = check.get(&USER_NAMES, &user.0)?;
            let server = name.as_deref().and_then(|name| name.split_once(':')).map(|(_, server)| server.to_owned());
            let Some(server) = server else { return Ok(()) };
            match check.get(&SERVER_NUMBERS, &server)? {
                Some(number) => *joined.entry((room, ServerNo(number))).or_default() += 1,
                None => check.report.find(MEMBERS.name, || format!("room {}: {server} has no number", room.0)),
            }
            Ok(())
        })?;
        self.walk(&ROOM_SERVERS, |check, (room, server), count| {
            check.is_room(ROOM_SERVERS.name, room)?;
            check.server_is_named(ROOM_SERVERS.name, server)?;
            let found = joined.remove(&(room, server)).unwrap_or(0);
            if found != count {
                check.report.find(ROOM_SERVERS.name, || {
                    format!("room {}: server {} has {found} members, not {count}", room.0, server.0)
                });
            }
            if check.get(&SERVER_ROOMS, &(server, room))?.is_none_or(|record| record.left.is_some()) {
                check.report.find(ROOM_SERVERS.name, || {
                    format!("room {}: server {} has no counterpart in {}", room.0, server.0, SERVER_ROOMS.name)
                });
            }
            Ok(())
        })?;
        for ((room, server), _) in joined {
            self.report.find(ROOM_SERVERS.name, || format!("room {} does not know of server {}", room.0, server.0));
        }
        self.walk(&SERVER_ROOMS, |check, (server, room), record| {
            check.is_room(SERVER_ROOMS.name, room)?;
            check.server_is_named(SERVER_ROOMS.name, server)?;
            if record.left.is_none() && !check.has(&ROOM_SERVERS, &(room, server))? {
                check.report.find(SERVER_ROOMS.name, || {
                    format!("room {}: server {} has not left, and has no members", room.0, server.0)
                });
            }
            Ok(())
        })
    }

    /// What came: events that wait, transactions that were answered, keys.
    fn received(&mut self) -> Result<(), StoreError> {
        self.walk(&INBOX, |check, (room, position), record| {
            check.is_room(INBOX.name, room)?;
            if !is_server(&record.origin) || !is_object(&record.json) {
                check.report.find(INBOX.name, || format!("room {} at {}: no event of a server", room.0, position.0));
            }
            Ok(())
        })?;
        self.walk(&INBOUND_TRANSACTIONS, |check, (server, _), _| {
            check.server_is_named(INBOUND_TRANSACTIONS.name, server)
        })?;
        self.walk(&INBOUND_MESSAGES, |check, (server, _), _| check.server_is_named(INBOUND_MESSAGES.name, server))?;
        self.walk(&SERVER_KEYS, |check, (server, key), _| {
            if !is_server(&server) || !key.contains(':') {
                check.report.find(SERVER_KEYS.name, || format!("{key:?} of {server:?} is no key of a server"));
            }
            Ok(())
        })?;
        self.walk(&KEY_DOCUMENTS, |check, server, document| {
            if !is_server(&server) || !is_object(&document.json) {
                check.report.find(KEY_DOCUMENTS.name, || format!("what {server:?} has signed cannot be read"));
            }
            Ok(())
        })
    }

    /// What goes to other servers, and how far they were told.
    fn sent(&mut self) -> Result<(), StoreError> {
        let end = self.get(&COUNTERS, &())?.map_or(0, |reserved| reserved.position);
        self.walk(&DESTINATIONS, |check, server, record| {
            if record.sent.0 >= end {
                check.report.find(DESTINATIONS.name, || format!("server {} was told of what is to come", server.0));
            }
            check.server_is_named(DESTINATIONS.name, server)
        })?;
        self.walk(&OUTGOING, |check, position, room| {
            check.is_placed(OUTGOING.name, room, i64::try_from(position.0).unwrap_or(i64::MAX))?;
            if check.get(&OUTGOING_LAST, &room)?.is_none_or(|last| last < position) {
                check
                    .report
                    .find(OUTGOING.name, || format!("room {} has sent more than {}", room.0, OUTGOING_LAST.name));
            }
            Ok(())
        })?;
        self.walk(&OUTGOING_LAST, |check, room, position| {
            check.is_placed(OUTGOING_LAST.name, room, i64::try_from(position.0).unwrap_or(i64::MAX))
        })?;
        self.walk(&OUTBOX, |check, (server, position), record| {
            if !is_object(&record.edu) {
                check.report.find(OUTBOX.name, || format!("server {} at {}: no EDU", server.0, position.0));
            }
            check.server_is_named(OUTBOX.name, server)
        })
    }

    /// Device lists, of others here and of this server's users elsewhere.
    fn remote_devices(&mut self) -> Result<(), StoreError> {
        self.walk(&REMOTE_DEVICE_LISTS, |check, user, _| check.user_is_named(REMOTE_DEVICE_LISTS.name, user))?;
        self.walk(&DEVICE_STREAMS, |check, user, _| check.user_is_named(DEVICE_STREAMS.name, user))?;
        self.walk(&DEVICES_TOLD, |check, user, told| {
            for server in told.servers {
                check.server_is_named(DEVICES_TOLD.name, server)?;
            }
            check.user_is_named(DEVICES_TOLD.name, user)
        })
    }

    /// Notes a row about a place in a room's timeline at which nothing stands.
    fn is_placed(&mut self, table: &'static str, room: RoomNo, order: i64) -> Result<(), StoreError> {
        if !self.has(&TIMELINE, &(room, order))? {
            self.report.find(table, || format!("room {}: nothing stands at {order}", room.0));
        }
        Ok(())
    }

    /// Notes a row that belongs to a server nobody knows.
    pub(super) fn server_is_named(&mut self, table: &'static str, server: ServerNo) -> Result<(), StoreError> {
        if !self.has(&SERVER_NAMES, &server.0)? {
            self.report.find(table, || format!("server {} has no name", server.0));
        }
        Ok(())
    }
}

fn is_server(name: &str) -> bool {
    ServerName::parse(name).is_ok()
}

fn is_object(json: &str) -> bool {
    serde_json::from_str::<Value>(json).is_ok_and(|value| value.is_object())
}
