//! `GET /sync`: puts the streams together, and waits when there is nothing to tell.

use std::{collections::HashSet, sync::Arc, time::Duration};

use ruma::{OwnedUserId, UserId, presence::PresenceState};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    SyncError,
    account::Company,
    filter::Filters,
    json::{self, Open},
    lazy::{SentMembers, To},
    token,
};
use crate::{
    clock::Clock,
    notify::Notifier,
    rooms::{Outside, Presence, Reader, Receipts, Rooms, Typing, Unread, UserRoom},
    store::{Position, RoomNo, UserNo, schema::rooms::Membership},
    users::{AccountDataItem, Users},
};

/// The longest a request waits, whatever it asks for.
const WAIT_MAX: Duration = Duration::from_mins(5);

/// Bytes of a piece of an answer that is sent in pieces.
const PIECE_BYTES: usize = 64 << 10;

/// What syncing is built from.
pub struct SyncParts {
    /// Rooms.
    pub rooms: Rooms,
    /// Receipts.
    pub receipts: Receipts,
    /// Typing notices.
    pub typing: Typing,
    /// Presence.
    pub presence: Presence,
    /// Unread counts.
    pub unread: Unread,
    /// Accounts and what belongs to them.
    pub users: Users,
    /// Wakes waiting requests.
    pub notifier: Notifier,
    /// The time.
    pub clock: Clock,
    /// Cancelled when the server is about to stop: requests that wait answer with what they have.
    pub stopping: CancellationToken,
}

/// Parts and memory of the syncing side.
pub(super) struct Inner {
    pub(super) parts: SyncParts,
    pub(super) sent: SentMembers,
}

impl std::ops::Deref for Inner {
    type Target = SyncParts;
    fn deref(&self) -> &SyncParts {
        &self.parts
    }
}

/// Answers `/sync`. Cheap to clone.
#[derive(Clone)]
pub struct Sync {
    inner: Arc<Inner>,
}

/// One request.
pub struct Request {
    /// Who asks.
    pub user: UserNo,
    /// Their id.
    pub user_id: OwnedUserId,
    /// The device that asks.
    pub device: String,
    /// What the client has seen; everything is new when `None`.
    pub since: Option<Position>,
    /// What it wants.
    pub filters: Arc<Filters>,
    /// All state of all rooms, though it has synced before.
    pub full_state: bool,
    /// The state after the timeline instead of before it, under these keys.
    pub state_after: Option<&'static [&'static str]>,
    /// What the request says of the user's presence.
    pub presence: PresenceState,
    /// How long to wait for something to tell.
    pub timeout: Duration,
}

/// An answer's JSON.
pub struct Answer {
    /// The body.
    pub body: Vec<u8>,
    /// Whether it tells anything.
    pub news: bool,
}

/// One attempt to answer: everything in (since, now].
pub(super) struct Round<'a> {
    pub(super) parts: &'a Inner,
    pub(super) user: UserNo,
    pub(super) user_id: &'a UserId,
    pub(super) device: &'a str,
    pub(super) since: Option<Position>,
    pub(super) now: Position,
    /// The user's rooms at `now`.
    list: Arc<Vec<UserRoom>>,
    /// Rooms that this server is not in, and what the user is to them.
    pub(super) outside: Vec<Outside>,
    pub(super) filters: &'a Filters,
    pub(super) full_state: bool,
    pub(super) state_after: Option<&'static [&'static str]>,
    pub(super) ignored: Arc<HashSet<UserNo>>,
    pub(super) company: Company,
    /// Where what is written goes in between; to the end of the answer when `None`.
    pieces: Option<mpsc::Sender<Vec<u8>>>,
}

impl Sync {
    /// Syncing over these parts.
    pub fn new(parts: SyncParts) -> Self {
        Self { inner: Arc::new(Inner { parts, sent: SentMembers::new() }) }
    }

    /// Answers a request, at once when there is something to tell, at the latest after its time-out.
    pub async fn answer(&self, request: Request) -> Result<Answer, SyncError> {
        let parts = &self.inner;
        if request.since.is_none() {
            parts.sent.begin(request.user, &request.device);
        }
        self.acknowledge(&request).await?;
        // While this request waits the device counts as present.
        let _present = parts.presence.seen(request.user, &request.device, &request.presence);
        let waiting = parts.notifier.wait_for(request.user.0);
        let deadline = parts.clock.elapsed() + request.timeout.min(WAIT_MAX);
        loop {
            let changed = waiting.changed();
            // Boxed, so that a request that waits does not keep the room this attempt needed.
            let answer = Box::pin(self.round(&request)).await?;
            let left = deadline.saturating_sub(parts.clock.elapsed());
            if answer.news || request.since.is_none() || request.full_state || left.is_zero() {
                return Ok(answer);
            }
            drop(answer);
            let over = tokio::select! {
                woken = parts.clock.timeout(left, changed) => woken.is_none(),
                () = parts.stopping.cancelled() => true,
            };
            if over {
                return Box::pin(self.round(&request)).await;
            }
        }
    }

    /// Answers a request that has no `since` in pieces of JSON, so that the answer never stands in memory as a whole. The
    /// sender waits when the reader is slow.
    pub async fn answer_in_pieces(&self, request: Request, pieces: mpsc::Sender<Vec<u8>>) -> Result<(), SyncError> {
        let parts = &self.inner;
        parts.sent.begin(request.user, &request.device);
        let _present = parts.presence.seen(request.user, &request.device, &request.presence);
        let mut round = self.begin(&request).await?;
        round.pieces = Some(pieces.clone());
        let rest = round.run().await?;
        pieces.send(rest.body).await.map_err(|_| SyncError::ReaderGone)
    }

    pub(super) fn parts(&self) -> &SyncParts {
        &self.inner
    }

    async fn round(&self, request: &Request) -> Result<Answer, SyncError> {
        self.begin(request).await?.run().await
    }

    async fn begin<'a>(&'a self, request: &'a Request) -> Result<Round<'a>, SyncError> {
        let parts = &*self.inner;
        let (now, list) = moment(parts, request.user).await?;
        Ok(Round {
            parts,
            user: request.user,
            user_id: &request.user_id,
            device: &request.device,
            // A token from the future can only come from a data folder that was restored; it counts as now.
            since: request.since.map(|since| since.min(now)),
            now,
            list,
            outside: parts.rooms.outside_rooms(request.user).await?,
            filters: &request.filters,
            full_state: request.full_state,
            state_after: request.state_after,
            ignored: parts.users.ignored(request.user).await?,
            company: Company::default(),
            pieces: None,
        })
    }
}

/// The newest position, and the user's rooms at it. The list must not be newer: a room that was left after the position
/// would be passed over, with what happened in it before.
async fn moment(parts: &SyncParts, user: UserNo) -> Result<(Position, Arc<Vec<UserRoom>>), SyncError> {
    loop {
        let now = parts.rooms.store().position();
        let list = parts.rooms.user_rooms(user).await?;
        if list.iter().all(|entry| entry.record.position <= now) || parts.rooms.store().health().failure().is_some() {
            return Ok((now, list));
        }
        // Published already, visible within microseconds.
        tokio::task::yield_now().await;
    }
}

impl Round<'_> {
    async fn run(&self) -> Result<Answer, SyncError> {
        let mut out = Vec::with_capacity(2048);
        let mut body = Open::object(&mut out);
        body.key(&mut out, "next_batch");
        json::text(&mut out, &token::position(self.now));
        let account_data = self.account_data().await?;
        let rooms = self.rooms(&mut out, &mut body, &account_data).await?;
        let others = self.account(&mut out, &mut body, &account_data).await?;
        body.close(&mut out);
        Ok(Answer { body: out, news: rooms || others })
    }

    async fn rooms(
        &self,
        out: &mut Vec<u8>,
        body: &mut Open,
        account_data: &[AccountDataItem],
    ) -> Result<bool, SyncError> {
        let (list, outside) = (&self.list, self.numbers_outside());
        let start = out.len();
        body.key(out, "rooms");
        let mut sections = Open::object(out);
        for (name, wanted) in [
            ("join", &[Membership::Join][..]),
            ("invite", &[Membership::Invite]),
            ("knock", &[Membership::Knock]),
            ("leave", &[Membership::Leave, Membership::Ban]),
        ] {
            let section_start = out.len();
            let was_empty = sections.is_empty();
            sections.key(out, name);
            let mut section = Open::object(out);
            let told = |r: &&UserRoom| wanted.contains(&r.record.membership) && !outside.contains(&r.room.number);
            for user_room in list.iter().filter(told) {
                self.room(out, &mut section, user_room, account_data).await?;
                if !section.is_empty() {
                    self.pass_on(out).await?;
                }
            }
            self.rooms_outside(out, &mut section, wanted).await?;
            if section.is_empty() {
                out.truncate(section_start);
                sections.reset(was_empty);
            } else {
                section.close(out);
            }
        }
        if sections.is_empty() {
            out.truncate(start);
            return Ok(false);
        }
        sections.close(out);
        Ok(true)
    }

    /// Hands over what is written, once it is worth it. Nothing before here is cut off again.
    async fn pass_on(&self, out: &mut Vec<u8>) -> Result<(), SyncError> {
        match &self.pieces {
            Some(pieces) if out.len() >= PIECE_BYTES => {
                let piece = std::mem::replace(out, Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4));
                pieces.send(piece).await.map_err(|_| SyncError::ReaderGone)
            }
            _ => Ok(()),
        }
    }

    async fn room(
        &self,
        out: &mut Vec<u8>,
        section: &mut Open,
        user_room: &UserRoom,
        account_data: &[AccountDataItem],
    ) -> Result<(), SyncError> {
        let room = &user_room.room;
        if user_room.record.position > self.now || !self.filters.wants_room(&room.id) {
            return Ok(());
        }
        let (start, was_empty) = (out.len(), section.is_empty());
        section.key(out, room.id.as_str());
        let written = match user_room.record.membership {
            Membership::Join if self.since.is_some_and(|since| user_room.record.position > since) => {
                // What was said of the room while they were not in it has not been told.
                let data = self.parts.users.account_data.of_room(self.user, room.number).await?;
                self.joined(out, user_room, &self.of_room(&data, room.number)).await?
            }
            Membership::Join => self.joined(out, user_room, &self.of_room(account_data, room.number)).await?,
            Membership::Invite | Membership::Knock => self.outside(out, user_room).await?,
            Membership::Leave | Membership::Ban => self.left(out, user_room).await?,
        };
        if !written {
            out.truncate(start);
            section.reset(was_empty);
        }
        Ok(())
    }

    fn of_room<'i>(&self, items: &'i [AccountDataItem], room: RoomNo) -> Vec<&'i AccountDataItem> {
        let wanted =
            |item: &&AccountDataItem| item.room == Some(room) && self.filters.room_account_data.wants_type(&item.kind);
        items.iter().filter(wanted).collect()
    }

    /// To whom the answer goes.
    pub(super) fn to(&self) -> To<'_> {
        To { user: self.user, device: self.device, since: self.since, now: self.now }
    }

    /// Who reads a room, and what they may see of it.
    pub(super) fn reader(&self, user_room: &UserRoom) -> Reader {
        let reader = self.parts.rooms.reader_of(&user_room.room, Some(user_room.record), self.user, self.user_id);
        reader.on_device(self.device.into()).ignoring(self.ignored.clone())
    }
}
