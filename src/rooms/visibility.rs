//! Who may see which event: the one place where history visibility is decided.
//!
//! Specification v1.19, client-server API, "Room history visibility". What counts is the state *at the event*; for
//! changes of the visibility, and for the reader's own membership, the more permissive of before and after.
//!
//! Most questions are answered from memory: a reader who has been in the room since before the event sees it, and a
//! room whose history was never less than `shared` hides nothing from those who are in it now.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use ruma::{
    DeviceId, OwnedDeviceId, OwnedUserId, RoomId, UserId,
    events::{
        StateEventType, TimelineEventType, room::history_visibility::HistoryVisibility, room::member::MembershipState,
    },
};
use tokio::sync::OnceCell;

use super::{Room, Rooms, RoomsError};
use crate::{
    event::content,
    store::{
        Event, StateKeyNo, StoreError, UserNo, Verdict,
        schema::rooms::{FORGOTTEN, MemberRecord, Membership},
        state_tree::StateRoot,
    },
};

/// Changes of one piece of state that are followed back; beyond, the slower way is taken.
const CHAIN_MAX: usize = 256;

/// One user as a reader of one room: decides what they may see, and how events are shown to them.
///
/// Made for one request: it remembers the user's membership as it was when it was made.
pub struct Reader {
    pub(super) rooms: Rooms,
    /// The room.
    pub room: Arc<Room>,
    /// The user.
    pub user: UserNo,
    /// The user's id.
    pub user_id: OwnedUserId,
    /// What the user is to the room; `None` for somebody who never had anything to do with it.
    pub record: Option<MemberRecord>,
    /// The device that reads: it alone is told the transaction ids of what it sent.
    pub(super) device: Option<OwnedDeviceId>,
    /// Users whose messages this reader does not want.
    pub(super) ignored: Arc<HashSet<UserNo>>,
    /// The time of the request, Unix milliseconds.
    pub(super) now_ms: u64,
    keys: OnceCell<Keys>,
    never_hidden: OnceCell<bool>,
    departure: OnceCell<Option<Departure>>,
    memo: Mutex<Option<(StateRoot, Moment)>>,
}

/// The state keys that visibility depends on; `None` where no room ever used one.
#[derive(Clone, Copy)]
struct Keys {
    visibility: Option<StateKeyNo>,
    member: Option<StateKeyNo>,
}

/// How a reader who is not in the room any more left it.
#[derive(Clone, Copy)]
struct Departure {
    /// The order of their newest join, or of a change of their profile after it.
    join: i64,
    /// The order of the event that ended it.
    left: i64,
    /// The room's state after that event.
    state: StateRoot,
}

/// What a state says about visibility for one reader.
#[derive(Clone)]
struct Moment {
    visibility: HistoryVisibility,
    membership: MembershipState,
}

impl Rooms {
    /// A user as reader of a room.
    pub async fn reader(&self, room: &Arc<Room>, user: UserNo, user_id: &UserId) -> Result<Reader, StoreError> {
        let record = self.membership(room.number, user).await?;
        Ok(self.reader_of(room, record, user, user_id))
    }

    /// The same where the membership is at hand.
    pub fn reader_of(&self, room: &Arc<Room>, record: Option<MemberRecord>, user: UserNo, user_id: &UserId) -> Reader {
        Reader {
            rooms: self.clone(),
            room: room.clone(),
            user,
            user_id: user_id.to_owned(),
            record,
            device: None,
            ignored: Arc::default(),
            now_ms: self.parts.clock.now_ms(),
            keys: OnceCell::new(),
            never_hidden: OnceCell::new(),
            departure: OnceCell::new(),
            memo: Mutex::new(None),
        }
    }

    /// A user as reader of a room of which they may read something: they are or were in it, or everyone may read it.
    ///
    /// # Errors
    /// [`RoomsError::Forbidden`] otherwise, whether or not the room exists, and once the user has forgotten it.
    pub async fn reader_in(&self, room: &RoomId, user: UserNo, user_id: &UserId) -> Result<Reader, RoomsError> {
        let forbidden = || RoomsError::Forbidden("you are not in this room, and it is not open to everyone".into());
        let room = self.by_id(room).await?.ok_or_else(forbidden)?;
        let reader = self.reader(&room, user, user_id).await?;
        if reader.has_joined() {
            return Ok(reader);
        }
        let forgotten = self.store().get(&FORGOTTEN, &(user, room.number)).await?.is_some();
        let was_in = reader.record.is_some_and(|record| record.was_joined) && !forgotten;
        if was_in || (reader.is_open() && self.shows(&reader.room, Some((user, user_id))).await?) {
            Ok(reader)
        } else {
            Err(forbidden())
        }
    }
}

impl Reader {
    /// Names the device that reads.
    #[must_use]
    pub fn on_device(mut self, device: &DeviceId) -> Self {
        self.device = Some(device.to_owned());
        self
    }

    /// Names the users whose messages are not wanted.
    #[must_use]
    pub fn ignoring(mut self, users: Arc<HashSet<UserNo>>) -> Self {
        self.ignored = users;
        self
    }

    /// Whether the user is in the room.
    pub fn has_joined(&self) -> bool {
        self.record.is_some_and(|record| record.membership == Membership::Join)
    }

    /// Whether everyone may read the room now.
    pub fn is_open(&self) -> bool {
        self.room.view().history_visibility == HistoryVisibility::WorldReadable
    }

    /// The newest state this reader may see: the current one, or the one they left behind.
    pub async fn state(&self) -> Result<StateRoot, StoreError> {
        let current = self.room.view().state;
        if self.has_joined() || self.is_open() {
            return Ok(current);
        }
        // A reader who never was in the room gets no `Reader` out of `reader_in`: there is no state for them.
        Ok(self.departure().await?.map_or(StateRoot::EMPTY, |departure| departure.state))
    }

    /// The order beyond which this reader sees nothing: where they left. A new invitation may let them see more again.
    pub async fn horizon(&self) -> Result<i64, StoreError> {
        let invited = self.record.is_some_and(|record| record.membership == Membership::Invite);
        if self.has_joined() || invited || self.is_open() {
            return Ok(i64::MAX);
        }
        Ok(self.departure().await?.map_or(i64::MAX, |departure| departure.left))
    }

    /// Whether the reader ignores the event's sender. State is shown all the same: the room cannot be understood
    /// without it (specification v1.19, "Ignoring users").
    pub fn ignores(&self, event: &Event) -> bool {
        !self.ignored.is_empty() && event.pdu.state_key.is_none() && self.ignored.contains(&event.header.sender)
    }

    /// Whether the user has been in the room without interruption since before the event.
    pub(super) fn was_in_since(&self, event: &Event) -> bool {
        self.record.is_some_and(|record| {
            record.membership == Membership::Join
                && event.order != Event::UNPLACED
                && i64::try_from(record.position.0).is_ok_and(|joined| joined <= event.order)
        })
    }

    /// Whether the reader may see an event of this room. An event of another room, one without a place in the
    /// timeline, and one that was refused are never seen.
    pub async fn sees(&self, event: &Event) -> Result<bool, StoreError> {
        if event.room != self.room.number || event.order == Event::UNPLACED || event.header.verdict != Verdict::Accepted
        {
            return Ok(false);
        }
        if self.was_in_since(event) || (self.has_joined() && self.never_hidden().await?) {
            return Ok(true);
        }
        if self.allows(event.header.state_after, event.order).await? {
            return Ok(true);
        }
        let twofold = event.pdu.is_state(&TimelineEventType::RoomHistoryVisibility, "") || self.is_own_member(event);
        Ok(twofold && self.allows(event.header.state_before, event.order).await?)
    }

    fn is_own_member(&self, event: &Event) -> bool {
        event.pdu.is_state(&TimelineEventType::RoomMember, self.user_id.as_str())
    }

    async fn allows(&self, state: StateRoot, order: i64) -> Result<bool, StoreError> {
        let moment = self.moment(state).await?;
        Ok(match moment.visibility {
            HistoryVisibility::WorldReadable => true,
            _ if moment.membership == MembershipState::Join => true,
            HistoryVisibility::Shared => self.joined_after(order).await?,
            HistoryVisibility::Invited => moment.membership == MembershipState::Invite,
            _ => false,
        })
    }

    /// What the reader was to the room right after an event (MSC4115).
    pub async fn membership_at(&self, event: &Event) -> Result<MembershipState, StoreError> {
        if self.was_in_since(event) {
            return Ok(MembershipState::Join);
        }
        if self.is_own_member(event) {
            return Ok(content::membership(&event.pdu.content).unwrap_or(MembershipState::Leave));
        }
        Ok(self.moment(event.header.state_after).await?.membership)
    }

    /// Neighbouring events mostly have the same state: the last answer is kept.
    async fn moment(&self, state: StateRoot) -> Result<Moment, StoreError> {
        if let Some((of, moment)) = &*self.memo.lock()
            && *of == state
        {
            return Ok(moment.clone());
        }
        let keys = *self.keys.get_or_try_init(|| self.look_up_keys()).await?;
        let visibility = self.at(state, keys.visibility).await?;
        let member = self.at(state, keys.member).await?;
        let moment = Moment {
            visibility: visibility
                .map_or(HistoryVisibility::Shared, |event| content::history_visibility(&event.pdu.content)),
            membership: member
                .and_then(|event| content::membership(&event.pdu.content))
                .unwrap_or(MembershipState::Leave),
        };
        *self.memo.lock() = Some((state, moment.clone()));
        Ok(moment)
    }

    async fn look_up_keys(&self) -> Result<Keys, StoreError> {
        let store = self.rooms.store();
        Ok(Keys {
            visibility: store.state_key(&StateEventType::RoomHistoryVisibility, "").await?,
            member: store.state_key(&StateEventType::RoomMember, self.user_id.as_str()).await?,
        })
    }

    async fn at(&self, state: StateRoot, key: Option<StateKeyNo>) -> Result<Option<Arc<Event>>, StoreError> {
        let Some(key) = key else { return Ok(None) };
        match self.rooms.tree().get(state, key).await? {
            Some(number) => self.rooms.events().require(self.room.number, number).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether the reader joined at some time after `order`; those in the room now did, or were in it then.
    async fn joined_after(&self, order: i64) -> Result<bool, StoreError> {
        if self.has_joined() {
            return Ok(true);
        }
        Ok(self.departure().await?.is_some_and(|departure| departure.join > order))
    }

    /// How the reader left; `None` when they are in the room or never were.
    async fn departure(&self) -> Result<Option<Departure>, StoreError> {
        self.departure.get_or_try_init(|| self.find_departure()).await.copied()
    }

    /// Follows the reader's memberships back to the newest join.
    async fn find_departure(&self) -> Result<Option<Departure>, StoreError> {
        let Some(record) = self.record.filter(|record| record.was_joined) else { return Ok(None) };
        let mut event = self.rooms.events().require(self.room.number, record.event).await?;
        for _ in 0..CHAIN_MAX {
            let Some(number) = event.header.replaces_state else { break };
            let before = self.rooms.events().require(self.room.number, number).await?;
            if content::membership(&before.pdu.content) == Some(MembershipState::Join) {
                return Ok(Some(Departure { join: before.order, left: event.order, state: event.header.state_after }));
            }
            event = before;
        }
        Ok(None)
    }

    /// Whether the room's history was `shared` or more at all times.
    async fn never_hidden(&self) -> Result<bool, StoreError> {
        self.never_hidden.get_or_try_init(|| self.find_never_hidden()).await.copied()
    }

    async fn find_never_hidden(&self) -> Result<bool, StoreError> {
        let open = |visibility| matches!(visibility, HistoryVisibility::Shared | HistoryVisibility::WorldReadable);
        let keys = *self.keys.get_or_try_init(|| self.look_up_keys()).await?;
        let mut next = self.at(self.room.view().state, keys.visibility).await?;
        for _ in 0..CHAIN_MAX {
            // Without an event the history is shared.
            let Some(event) = next else { return Ok(true) };
            if !open(content::history_visibility(&event.pdu.content)) {
                return Ok(false);
            }
            next = match event.header.replaces_state {
                Some(number) => Some(self.rooms.events().require(self.room.number, number).await?),
                None => None,
            };
        }
        Ok(false)
    }
}
