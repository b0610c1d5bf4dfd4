//! One room's entry in an answer: joined, left, invited, or knocked on.

use std::sync::Arc;

use ruma::events::{StateEventType, TimelineEventType};

use super::{
    SyncError,
    json::{self, Open},
    state::{self, Known},
    summary,
    timeline::{self, Timeline, Window},
    token,
    v3::Round,
};
use crate::{
    event::client_format::stripped_state,
    rooms::{Form, Reader, Room, UserRoom, event_filter::LazyMembers},
    store::{
        Event, Position,
        schema::rooms::{FORGOTTEN, Membership},
        state_tree::StateRoot,
    },
    users::AccountDataItem,
};

/// State shown to somebody who is not in a room (specification v1.19, "Stripped state").
const STRIPPED: [StateEventType; 8] = [
    StateEventType::RoomCreate,
    StateEventType::RoomName,
    StateEventType::RoomAvatar,
    StateEventType::RoomTopic,
    StateEventType::RoomJoinRules,
    StateEventType::RoomCanonicalAlias,
    StateEventType::RoomEncryption,
    StateEventType::RoomHistoryVisibility,
];

impl Round<'_> {
    /// Writes a joined room's entry; nothing and `false` when it has not changed.
    pub(super) async fn joined(
        &self,
        out: &mut Vec<u8>,
        user_room: &UserRoom,
        account_data: &[&AccountDataItem],
    ) -> Result<bool, SyncError> {
        let room = &user_room.room;
        // Who has joined since is told everything, like somebody who syncs for the first time.
        let since = self.since.filter(|since| user_room.record.position <= *since);
        let lazily = self.filters.state.lazy_members() != LazyMembers::Off;
        if room.view().partial && !lazily {
            // Who wants all members is told of the room once they are known.
            return Ok(false);
        }
        let completed = since.is_some_and(|since| room.whole_since() > since);
        let since = since.filter(|_| lazily || !completed);
        let fresh = completed || since.is_none_or(|since| room.last_position() > since);
        let ephemeral = self.ephemeral(room, since).await?;
        if !fresh && !self.full_state && ephemeral.is_empty() && account_data.is_empty() {
            return Ok(false);
        }
        let reader = self.reader(user_room);
        let window = self.window(since.map(order), self.now);
        let mut timeline = timeline::load(&self.parts.rooms, room, &reader, &self.filters.timeline, &window).await?;
        if let (Some(asked), None) = (self.since, since) {
            // What the client may hold from an earlier stay is not continued by this, save where the room is new.
            timeline.limited |= !timeline
                .events
                .first()
                .is_some_and(|first| first.pdu.kind == TimelineEventType::RoomCreate && first.order > order(asked));
        }
        let known = Known {
            state: match since {
                Some(_) if self.full_state => StateRoot::EMPTY,
                Some(since) => self.state_held(room, since, &timeline).await?,
                None => StateRoot::EMPTY,
            },
            after: self.state_after.is_some(),
        };
        let state = state::load(
            &self.parts.rooms,
            room,
            (&reader, &self.to()),
            self.filters,
            &self.parts.sent,
            &timeline,
            &known,
        )
        .await?;
        match (self.since, since) {
            (Some(_), Some(_)) if !completed => self.note_company(&timeline, &state).await?,
            (Some(_), _) => self.note_room(room, true).await?,
            (None, _) => {}
        }
        if timeline.events.is_empty()
            && state.is_empty()
            && ephemeral.is_empty()
            && account_data.is_empty()
            && since.is_some()
            && !completed
        {
            return Ok(false);
        }
        let mut entry = Open::object(out);
        self.timeline(out, &mut entry, &reader, &timeline).await?;
        self.state(out, &mut entry, &reader, &state).await?;
        json::events(&mut entry, out, "ephemeral", &ephemeral);
        let mut data = Vec::new();
        write_account_data(&mut data, account_data);
        json::events(&mut entry, out, "account_data", &data);
        if since.is_none() || completed || timeline.members_changed || self.full_state {
            self.summary(out, &mut entry, room).await?;
        }
        self.unread(out, &mut entry, room).await?;
        entry.close(out);
        Ok(true)
    }

    /// Writes the entry of a room the user has left, or was removed from.
    pub(super) async fn left(&self, out: &mut Vec<u8>, user_room: &UserRoom) -> Result<bool, SyncError> {
        let room = &user_room.room;
        let gone = user_room.record.position;
        let since = self.since.filter(|since| gone > *since);
        // Rooms left earlier are told of once, to those who ask for them.
        let whole = self.since.is_none() || self.full_state;
        if since.is_none() && !(whole && self.filters.include_leave) {
            return Ok(false);
        }
        if since.is_some() {
            self.note_room(room, false).await?;
        }
        let forgotten = self.parts.rooms.store().get(&FORGOTTEN, &(self.user, room.number)).await?.is_some();
        if forgotten && since.is_none() {
            return Ok(false);
        }
        let reader = self.reader(user_room);
        // Who was banned, or declined another invitation, after leaving: what they saw ended when they left.
        let gone_at = order(gone.min(self.now));
        let upto = gone_at.min(reader.horizon().await?);
        let mut timeline = if user_room.record.was_joined {
            let window = Window { since: since.map(order), upto, limit: self.filters.timeline_limit() };
            timeline::load(&self.parts.rooms, room, &reader, &self.filters.timeline, &window).await?
        } else {
            Timeline {
                events: Vec::new(),
                limited: false,
                members_changed: false,
                before: gone_at,
                state_before: StateRoot::EMPTY,
                held: StateRoot::EMPTY,
                state_after: StateRoot::EMPTY,
            }
        };
        let leaving = self.parts.rooms.events().require(room.number, user_room.record.event).await?;
        if (!user_room.record.was_joined || upto < gone_at) && self.filters.timeline.wants(&leaving) {
            // Who declined an invitation sees their own leaving, and nothing else of the room since.
            timeline.events.push(leaving);
        }
        let known = Known {
            state: match since {
                Some(since) => self.state_held(room, since, &timeline).await?,
                None => StateRoot::EMPTY,
            },
            after: self.state_after.is_some(),
        };
        let state = if user_room.record.was_joined {
            state::load(
                &self.parts.rooms,
                room,
                (&reader, &self.to()),
                self.filters,
                &self.parts.sent,
                &timeline,
                &known,
            )
            .await?
        } else {
            Vec::new()
        };
        let mut entry = Open::object(out);
        self.timeline(out, &mut entry, &reader, &timeline).await?;
        self.state(out, &mut entry, &reader, &state).await?;
        json::events(&mut entry, out, "account_data", &[]);
        entry.close(out);
        Ok(true)
    }

    /// Writes the entry of an invitation or a knock: what the room shows to somebody outside.
    pub(super) async fn outside(&self, out: &mut Vec<u8>, user_room: &UserRoom) -> Result<bool, SyncError> {
        if self.since.is_some_and(|since| user_room.record.position <= since) {
            return Ok(false);
        }
        let (room, rooms) = (&user_room.room, &self.parts.rooms);
        let member = rooms.events().require(room.number, user_room.record.event).await?;
        if self.ignored.contains(&member.header.sender) {
            return Ok(false);
        }
        let mut events = Vec::new();
        for kind in &STRIPPED {
            if let Some(event) = rooms.state_event(room.number, member.header.state_before, kind, "").await? {
                events.push(event);
            }
        }
        let inviter = member.pdu.sender.as_str();
        if user_room.record.membership == Membership::Invite
            && let Some(event) =
                rooms.state_event(room.number, member.header.state_before, &StateEventType::RoomMember, inviter).await?
        {
            events.push(event);
        }
        events.push(member);
        let mut stripped = Vec::new();
        for (n, event) in events.iter().enumerate() {
            if n > 0 {
                stripped.push(b',');
            }
            if event.pdu.kind == TimelineEventType::RoomCreate {
                // Shown in full: a room's id may stand for it (MSC4311).
                event.client.write(&mut stripped, None, None);
            } else {
                stripped.extend_from_slice(stripped_state(&event.pdu).get().as_bytes());
            }
        }
        let key = if user_room.record.membership == Membership::Invite { "invite_state" } else { "knock_state" };
        let mut entry = Open::object(out);
        json::events(&mut entry, out, key, &stripped);
        entry.close(out);
        Ok(true)
    }

    fn window(&self, since: Option<i64>, upto: Position) -> Window {
        Window { since, upto: order(upto), limit: self.filters.timeline_limit() }
    }

    /// The state the client holds. Without a gap it is the one before its timeline.
    async fn state_held(&self, room: &Room, since: Position, timeline: &Timeline) -> Result<StateRoot, SyncError> {
        if timeline.limited {
            return timeline::state_at(&self.parts.rooms, room, order(since)).await;
        }
        Ok(timeline.held)
    }

    async fn timeline(
        &self,
        out: &mut Vec<u8>,
        entry: &mut Open,
        reader: &Reader,
        timeline: &Timeline,
    ) -> Result<(), SyncError> {
        entry.key(out, "timeline");
        let mut section = Open::object(out);
        section.key(out, "events");
        self.events(out, reader, &timeline.events, true).await?;
        section.key(out, "limited");
        json::value(out, &timeline.limited);
        section.key(out, "prev_batch");
        json::text(out, &token::order(timeline.before));
        section.close(out);
        Ok(())
    }

    async fn state(
        &self,
        out: &mut Vec<u8>,
        entry: &mut Open,
        reader: &Reader,
        state: &[Arc<Event>],
    ) -> Result<(), SyncError> {
        for key in self.state_after.unwrap_or(&["state"]) {
            entry.key(out, key);
            let mut section = Open::object(out);
            section.key(out, "events");
            self.events(out, reader, state, false).await?;
            section.close(out);
        }
        Ok(())
    }

    async fn events(
        &self,
        out: &mut Vec<u8>,
        reader: &Reader,
        events: &[Arc<Event>],
        bundle: bool,
    ) -> Result<(), SyncError> {
        let mut list = Open::array(out);
        for event in events {
            list.item(out);
            let start = out.len();
            self.parts.rooms.write_event(out, reader, event, Form { room_id: false, bundle }).await?;
            if let Some(fields) = &self.filters.event_fields {
                super::filter::keep_fields(out, start, fields);
            }
        }
        list.close(out);
        Ok(())
    }

    async fn summary(&self, out: &mut Vec<u8>, entry: &mut Open, room: &Room) -> Result<(), SyncError> {
        let summary = summary::load(&self.parts.rooms, room, self.user, self.user_id).await?;
        entry.key(out, "summary");
        let mut section = Open::object(out);
        if !summary.heroes.is_empty() {
            section.key(out, "m.heroes");
            json::value(out, &summary.heroes);
        }
        section.key(out, "m.joined_member_count");
        json::value(out, &summary.joined);
        section.key(out, "m.invited_member_count");
        json::value(out, &summary.invited);
        section.close(out);
        Ok(())
    }

    async fn unread(&self, out: &mut Vec<u8>, entry: &mut Open, room: &Arc<Room>) -> Result<(), SyncError> {
        let counts = self.parts.unread.counts(room, (self.user, self.user_id), &self.ignored, order(self.now)).await?;
        let (mut notifications, mut highlights) = (counts.notification, counts.highlight);
        if self.filters.timeline.thread_counts() {
            // Clients take what is not named as read, all threads without the key.
            if !counts.threads.is_empty() {
                entry.key(out, "unread_thread_notifications");
                let mut threads = Open::object(out);
                for (root, notification, highlight) in &counts.threads {
                    threads.key(out, root.as_str());
                    write_counts(out, *notification, *highlight);
                }
                threads.close(out);
            }
        } else {
            for (_, notification, highlight) in &counts.threads {
                notifications += notification;
                highlights += highlight;
            }
        }
        entry.key(out, "unread_notifications");
        write_counts(out, notifications, highlights);
        Ok(())
    }

    /// Receipts and typing notices in (since, now], as written events.
    async fn ephemeral(&self, room: &Arc<Room>, since: Option<Position>) -> Result<Vec<u8>, SyncError> {
        let mut out = Vec::new();
        let since = since.unwrap_or(Position::ZERO);
        if self.filters.ephemeral.wants_type("m.receipt") && self.filters.ephemeral.wants_room(&room.id) {
            let receipts = self.parts.receipts.changes(room, self.user, since, self.now).await?;
            for content in &receipts {
                write_ephemeral(&mut out, "m.receipt", content);
            }
        }
        if self.filters.ephemeral.wants_type("m.typing")
            && self.filters.ephemeral.wants_room(&room.id)
            && let Some(content) = self.parts.typing.changes(room.number, since, self.now)
        {
            write_ephemeral(&mut out, "m.typing", &content);
        }
        Ok(out)
    }
}

/// The order in a timeline that a position has.
pub(super) fn order(at: Position) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

pub(super) fn write_account_data(out: &mut Vec<u8>, items: &[&AccountDataItem]) {
    for item in items {
        if !out.is_empty() {
            out.push(b',');
        }
        let mut event = Open::object(out);
        event.key(out, "type");
        json::text(out, &item.kind);
        event.key(out, "content");
        out.extend_from_slice(item.content.get().as_bytes());
        event.close(out);
    }
}

fn write_ephemeral(out: &mut Vec<u8>, kind: &str, content: &[u8]) {
    if !out.is_empty() {
        out.push(b',');
    }
    let mut event = Open::object(out);
    event.key(out, "type");
    json::text(out, kind);
    event.key(out, "content");
    out.extend_from_slice(content);
    event.close(out);
}

fn write_counts(out: &mut Vec<u8>, notifications: u64, highlights: u64) {
    let mut counts = Open::object(out);
    counts.key(out, "notification_count");
    json::value(out, &notifications);
    counts.key(out, "highlight_count");
    json::value(out, &highlights);
    counts.close(out);
}
