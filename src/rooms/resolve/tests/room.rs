//! A room as a graph in memory: states are maps, and states that meet are resolved by the plain form.

use std::{collections::HashMap, sync::Arc};

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId, UInt,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
};
use serde_json::{Value, json};

use crate::event::{
    Content, Pdu, PduBuilder, SigningKey,
    auth::{AuthError, auth_types, check_own},
    resolve::{StateMap, resolve},
    room_version,
};

pub(super) const ALICE: &str = "@alice:domain";
pub(super) const BOB: &str = "@bob:domain";
pub(super) const CAROL: &str = "@carol:domain";
pub(super) const DAVE: &str = "@dave:domain";

/// Where a branch stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Point {
    pub(super) state: StateMap,
    last: Vec<OwnedEventId>,
    depth: u64,
}

impl Point {
    pub(super) fn get(&self, kind: &str, key: &str) -> Option<&OwnedEventId> {
        self.state.get(&(StateEventType::from(kind), key.to_owned()))
    }
}

/// States that met, and what the plain form says they come to.
#[derive(Debug, Clone)]
pub(super) struct Meeting {
    pub(super) states: Vec<StateMap>,
    pub(super) expected: StateMap,
}

/// All events of a room, and all states that met.
pub(super) struct TestRoom {
    pub(super) version: u8,
    pub(super) rules: RoomVersionRules,
    pub(super) room_id: OwnedRoomId,
    pub(super) events: HashMap<OwnedEventId, Arc<Pdu>>,
    /// In the order in which they were made.
    pub(super) made: Vec<Arc<Pdu>>,
    pub(super) meetings: Vec<Meeting>,
    pub(super) clock: u32,
    key: SigningKey,
}

impl TestRoom {
    /// A public room of Alice's in which she and Bob have joined, with power levels that name nobody but her.
    pub(super) fn new(version: u8) -> (Self, Point) {
        let version_id = RoomVersionId::try_from(version.to_string()).unwrap();
        let mut room = Self {
            version,
            rules: room_version::supported(&version_id).unwrap(),
            room_id: "!room:domain".try_into().unwrap(),
            events: HashMap::new(),
            made: Vec::new(),
            meetings: Vec::new(),
            clock: 1000,
            key: SigningKey::from_seed(&[7; 32], "a_key", "domain".try_into().unwrap()).unwrap(),
        };
        let mut at = Point::default();
        let mut create = json!({ "room_version": version.to_string() });
        if version < 11 {
            create["creator"] = json!(ALICE);
        }
        room.send(&mut at, ALICE, "m.room.create", "", &create).unwrap();
        room.room_id = room.made[0].room_id.clone();
        room.member(&mut at, ALICE, ALICE, "join").unwrap();
        room.levels(&mut at, ALICE, &[]).unwrap();
        room.send(&mut at, ALICE, "m.room.join_rules", "", &json!({ "join_rule": "public" })).unwrap();
        room.member(&mut at, BOB, BOB, "join").unwrap();
        (room, at)
    }

    pub(super) fn member(&mut self, at: &mut Point, by: &str, who: &str, what: &str) -> Result<Arc<Pdu>, AuthError> {
        self.send(at, by, "m.room.member", who, &json!({ "membership": what }))
    }

    /// Power levels of these users; Alice keeps hers.
    pub(super) fn levels(&mut self, at: &mut Point, by: &str, users: &[(&str, i64)]) -> Result<Arc<Pdu>, AuthError> {
        let mut users: HashMap<&str, i64> = users.iter().copied().collect();
        if self.version < 12 {
            users.insert(ALICE, 100);
        }
        self.send(at, by, "m.room.power_levels", "", &json!({ "users": users }))
    }

    /// Builds an event at a point and moves the point behind it, if the rules allow it.
    pub(super) fn send(
        &mut self,
        at: &mut Point,
        sender: &str,
        kind: &str,
        key: &str,
        content: &Value,
    ) -> Result<Arc<Pdu>, AuthError> {
        let pdu = Arc::new(self.build(at, sender, kind, key, content)?);
        let find = |kind: &StateEventType, key: &str| {
            at.state.get(&(kind.clone(), key.to_owned())).map(|id| self.events[id].clone())
        };
        check_own(&pdu, &self.rules, find)?;
        self.keep(at, &pdu);
        Ok(pdu)
    }

    pub(super) fn build(
        &mut self,
        at: &Point,
        sender: &str,
        kind: &str,
        key: &str,
        content: &Value,
    ) -> Result<Pdu, AuthError> {
        self.clock += 1;
        let kind = TimelineEventType::from(kind);
        let sender: OwnedUserId = sender.try_into().unwrap();
        let content = Content::from_serialize(content).unwrap();
        let types = auth_types(&kind, &sender, Some(key), content.raw(), &self.rules)?;
        let no_room_id = self.made.is_empty() && self.rules.authorization.room_create_event_id_as_room_id;
        let builder = PduBuilder {
            kind,
            state_key: Some(key.into()),
            content,
            redacts: None,
            sender,
            room_id: (!no_room_id).then(|| self.room_id.clone()),
            origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::from(self.clock)),
            prev_events: at.last.clone(),
            auth_events: types.iter().filter_map(|pair| at.state.get(pair)).cloned().collect(),
            depth: at.depth + 1,
        };
        let hash = |id: &EventId| self.events[id].reference_hash(&self.rules).ok();
        Ok(builder.build_with(&self.rules, &self.key, hash).unwrap())
    }

    pub(super) fn keep(&mut self, at: &mut Point, pdu: &Arc<Pdu>) {
        let (kind, key) = pdu.state_pair().unwrap();
        at.state.insert((kind, key.to_owned()), pdu.event_id.clone());
        at.last = vec![pdu.event_id.clone()];
        at.depth = pdu.depth;
        self.events.insert(pdu.event_id.clone(), pdu.clone());
        self.made.push(pdu.clone());
    }

    /// The point at which these meet.
    pub(super) fn meet(&mut self, points: &[&Point]) -> Point {
        let states: Vec<StateMap> = points.iter().map(|point| point.state.clone()).collect();
        let expected = resolve(&self.rules, &states, |id: &EventId| self.events.get(id).cloned()).unwrap();
        self.meetings.push(Meeting { states, expected: expected.clone() });
        Point {
            state: expected,
            // What an event may follow at most.
            last: points.iter().flat_map(|point| point.last.clone()).take(20).collect(),
            depth: points.iter().map(|point| point.depth).max().unwrap_or(0),
        }
    }
}
