//! What users of this server are to rooms that it is not in: invited, knocking, or no longer either.

use ruma::{OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, ServerName};

use super::super::Rooms;
use crate::{
    event::room_version,
    notify::Concerned,
    places::Holder,
    store::{
        Batch, Order, Position, RoomNo, StoreError, UserNo,
        schema::rooms::{FORGOTTEN, Membership, OUTSIDE, OutsideRecord},
    },
};

/// Rooms of one user that are looked at.
const OUTSIDE_MAX: usize = 10_000;
/// Invitations of one user that are not answered, by users of one server and by all: every `/sync` reads them. One is
/// some kilobytes, and 128 at most.
const INVITES_OF_SERVER_MAX: usize = 50;
const INVITES_MAX: usize = 300;
/// Rooms of one user that are over and kept for clients that were away: the newest.
const OVER_MAX: usize = 100;
/// What is shown of a room that nobody here is anything to any more.
const NOTHING_SHOWN: &str = "[]";

/// A room that this server is not in, and what a user is to it.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Its number.
    pub number: RoomNo,
    /// Its id.
    pub room_id: OwnedRoomId,
    /// What is known.
    pub record: OutsideRecord,
}

/// What becomes of a user's standing outside a room.
pub(super) struct OutsideChange {
    /// What they are now.
    pub(super) record: OutsideRecord,
    /// The id of the member event that this follows: nothing happens if something else came meanwhile.
    pub(super) follows: Option<String>,
}

impl Rooms {
    /// The rooms of other servers that a user is invited to, knocks at, or was.
    ///
    /// # Errors
    /// The store failed.
    pub async fn outside_rooms(&self, user: UserNo) -> Result<Vec<Outside>, StoreError> {
        let rows = self.parts.store.prefix(&OUTSIDE, &user, Order::Ascending, OUTSIDE_MAX).await?;
        let mut rooms = Vec::with_capacity(rows.len());
        for ((_, number), record) in rows {
            let room_id = self.parts.store.room_id(number).await?;
            rooms.push(Outside { number, room_id, record });
        }
        Ok(rooms)
    }

    /// What a user is to a room from outside.
    pub(super) async fn outside(&self, user: UserNo, room_id: &RoomId) -> Result<Option<Outside>, StoreError> {
        let Some(number) = self.parts.store.room(room_id).await? else { return Ok(None) };
        let record = self.parts.store.get(&OUTSIDE, &(user, number)).await?;
        Ok(record.map(|record| Outside { number, room_id: room_id.to_owned(), record }))
    }

    /// Writes down what a user is to a room from outside, and wakes them. `false` when it was overtaken: by another
    /// change, or by this server being in the room now with the user in it.
    pub(super) async fn put_outside(
        &self,
        user: UserNo,
        room_id: &RoomId,
        change: OutsideChange,
    ) -> Result<bool, StoreError> {
        let OutsideChange { mut record, follows } = change;
        let store = &self.parts.store;
        let turn = self.writes.crossings.outside(room_id).await;
        let mut batch = Batch::new();
        let number = store.mint_room(room_id, &mut batch).await?;
        if let Some(follows) = follows {
            let now = store.get(&OUTSIDE, &(user, number)).await?;
            if now.is_none_or(|now| now.event_id != follows) {
                return Ok(false);
            }
        }
        if is_over(&record) {
            NOTHING_SHOWN.clone_into(&mut record.state);
            self.forget_oldest_over(user, number, &mut batch).await?;
        } else {
            batch.delete(&FORGOTTEN, &(user, number));
        }
        batch.at_position(move |position, rows| {
            rows.put(&OUTSIDE, &(user, number), &OutsideRecord { position, ..record });
        });
        let notifier = self.parts.notifier.clone();
        batch.on_visible(move || notifier.wake(Concerned::User(user.0)));
        store.commit(batch).await?;
        // A join that was under way knew nothing of this row.
        let joined = match self.get(number).await? {
            Some(room) => Self::has_joined(&room, user),
            None => false,
        };
        if joined {
            let mut batch = Batch::new();
            batch.delete(&OUTSIDE, &(user, number));
            store.commit(batch).await?;
        }
        drop(turn);
        Ok(!joined)
    }

    /// Writes down that a server invites a user into a room that this server is not in. `false` when they have too many
    /// invitations to answer.
    pub(super) async fn put_invitation(
        &self,
        user: UserNo,
        room_id: &RoomId,
        server: &ServerName,
        record: OutsideRecord,
    ) -> Result<bool, StoreError> {
        // Until it is there: those that come at the same time would all see the same count.
        let _turn = self.writes.crossings.invited(user).await;
        if !self.has_place_for_invite(user, room_id, server).await? {
            return Ok(false);
        }
        self.put_outside(user, room_id, OutsideChange { record, follows: None }).await?;
        Ok(true)
    }

    /// Whether a user may have one more invitation of a server. Those into rooms that they are invited to already do not
    /// count: they are replaced.
    async fn has_place_for_invite(
        &self,
        user: UserNo,
        room_id: &RoomId,
        server: &ServerName,
    ) -> Result<bool, StoreError> {
        let (number, holder) = (self.parts.store.room(room_id).await?, Holder::of(server));
        let (mut all, mut of_server) = (0, 0);
        for ((_, room), record) in self.parts.store.prefix(&OUTSIDE, &user, Order::Ascending, OUTSIDE_MAX).await? {
            if record.membership == Membership::Invite && Some(room) != number {
                all += 1;
                of_server += usize::from(record.servers.first().is_some_and(|first| Holder::of(first) == holder));
            }
        }
        Ok(all < INVITES_MAX && of_server < INVITES_OF_SERVER_MAX)
    }

    /// Makes place for one more room that is over for a user: invitations that are taken back again and again leave no
    /// more than these behind.
    async fn forget_oldest_over(&self, user: UserNo, room: RoomNo, batch: &mut Batch) -> Result<(), StoreError> {
        let rows = self.parts.store.prefix(&OUTSIDE, &user, Order::Ascending, OUTSIDE_MAX).await?;
        let over = rows.into_iter().filter(|((_, number), record)| *number != room && is_over(record));
        let mut over: Vec<_> = over.map(|((_, number), record)| (record.position, number)).collect();
        over.sort_unstable();
        let too_many = (over.len() + 1).saturating_sub(OVER_MAX);
        for (_, number) in over.iter().take(too_many) {
            batch.delete(&OUTSIDE, &(user, *number));
        }
        Ok(())
    }

    /// Forgets what a user was to a room from outside, if that is over. `false` when there is nothing to forget.
    pub(super) async fn forget_outside(&self, user: UserNo, room_id: &RoomId) -> Result<bool, StoreError> {
        let _turn = self.writes.crossings.outside(room_id).await;
        let Some(outside) = self.outside(user, room_id).await? else { return Ok(false) };
        if !is_over(&outside.record) {
            return Ok(false);
        }
        let mut batch = Batch::new();
        batch.delete(&OUTSIDE, &(user, outside.number));
        batch.put(&FORGOTTEN, &(user, outside.number), &());
        self.parts.store.commit(batch).await?;
        Ok(true)
    }

    /// Looks at an event of a room that this server is not in. One that takes back an invitation of a user of this
    /// server, or refuses their knock, is taken in; an invitation is taken back by who made it. `false` for all others.
    ///
    /// # Errors
    /// The store failed.
    pub async fn hear_outside(&self, room_id: &RoomId, event: &str) -> Result<bool, StoreError> {
        let Ok(about) = serde_json::from_str::<About>(event) else { return Ok(false) };
        let Some(target) = about.state_key.filter(|target| self.is_local(target) && *target != about.sender) else {
            return Ok(false);
        };
        if about.kind != "m.room.member" || !matches!(&*about.content.membership, "leave" | "ban") {
            return Ok(false);
        }
        let Some(user) = self.parts.store.user(&target).await? else { return Ok(false) };
        let Some(Outside { record, .. }) = self.outside(user, room_id).await? else { return Ok(false) };
        let may = match record.membership {
            Membership::Invite => {
                serde_json::from_str::<About>(&record.event).is_ok_and(|invite| invite.sender == about.sender)
            }
            Membership::Knock => record.servers.iter().any(|server| *server == *about.sender.server_name()),
            _ => false,
        };
        let version = RoomVersionId::try_from(record.version.as_str()).ok();
        let Some(rules) = version.filter(|_| may).and_then(|version| room_version::supported(&version)) else {
            return Ok(false);
        };
        let Ok(verified) = self.verify_one(room_id, &rules, event).await else { return Ok(false) };
        let pdu = verified.pdu();
        let follows = Some(record.event_id.clone());
        let record = OutsideRecord {
            membership: Membership::Leave,
            position: Position::ZERO,
            event: pdu.json.to_string(),
            event_id: pdu.event_id.to_string(),
            ..record
        };
        self.put_outside(user, room_id, OutsideChange { record, follows }).await
    }
}

/// Whether a user is nothing to a room any more.
fn is_over(record: &OutsideRecord) -> bool {
    matches!(record.membership, Membership::Leave | Membership::Ban)
}

/// What is read of an event before anything about it is checked.
#[derive(serde::Deserialize)]
struct About {
    #[serde(rename = "type")]
    kind: String,
    sender: OwnedUserId,
    #[serde(default)]
    state_key: Option<OwnedUserId>,
    content: AboutContent,
}

#[derive(serde::Deserialize)]
struct AboutContent {
    membership: String,
}

#[cfg(test)]
mod tests;
