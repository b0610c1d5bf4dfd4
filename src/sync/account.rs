//! What is not a room: account data, presence, to-device messages, device lists, key counts.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use ruma::{DeviceId, events::TimelineEventType};

use super::{
    SyncError,
    json::{self, Open},
    room::write_account_data,
    timeline::Timeline,
    v3::{Request, Round, Sync},
};
use crate::{
    event::content,
    rooms::Room,
    store::{
        Event, Order, Position, UserNo,
        schema::rooms::{MEMBERS, Membership},
    },
    users::AccountDataItem,
};

/// To-device messages in one answer (specification v1.19, "Send-to-Device messaging").
const TO_DEVICE_MAX: usize = 100;
/// Users named in one answer because they came or went.
const COMPANY_MAX: usize = 20_000;

/// Who came into the reader's rooms and who went, as far as this answer's rooms tell: their devices matter now, or do
/// no longer.
#[derive(Default)]
pub(super) struct Company {
    came: Mutex<BTreeSet<UserNo>>,
    went: Mutex<BTreeSet<UserNo>>,
}

impl Company {
    fn note(&self, user: UserNo, event: &Event) {
        match content::membership(&event.pdu.content) {
            Some(ruma::events::room::member::MembershipState::Join) => self.came.lock().insert(user),
            _ => self.went.lock().insert(user),
        };
    }
}

impl Sync {
    /// The client has seen everything up to `since`: to-device messages up to there are done with.
    pub(super) async fn acknowledge(&self, request: &Request) -> Result<(), SyncError> {
        let Some(since) = request.since else { return Ok(()) };
        let device: &DeviceId = request.device.as_str().into();
        Ok(self.parts().users.to_device.acknowledge(request.user, device, since).await?)
    }
}

impl Round<'_> {
    /// Account data of the user and of their rooms in (since, now].
    pub(super) async fn account_data(&self) -> Result<Vec<AccountDataItem>, SyncError> {
        let data = &self.parts.users.account_data;
        Ok(match self.since {
            Some(since) => data.changes(self.user, since, self.now).await?,
            None => data.all(self.user).await?,
        })
    }

    /// Writes everything that is not a room; the answer says whether any of it is news.
    pub(super) async fn account(
        &self,
        out: &mut Vec<u8>,
        body: &mut Open,
        account_data: &[AccountDataItem],
    ) -> Result<bool, SyncError> {
        let wanted = |item: &&AccountDataItem| item.room.is_none() && self.filters.account_data.wants_type(&item.kind);
        let global: Vec<_> = account_data.iter().filter(wanted).collect();
        let mut news = !global.is_empty();
        if news {
            let mut events = Vec::new();
            write_account_data(&mut events, &global);
            json::events(body, out, "account_data", &events);
        }
        news |= self.presence(out, body).await?;
        news |= self.to_device(out, body).await?;
        news |= self.device_lists(out, body).await?;
        self.key_counts(out, body).await?;
        Ok(news)
    }

    async fn to_device(&self, out: &mut Vec<u8>, body: &mut Open) -> Result<bool, SyncError> {
        let messages = self.parts.users.to_device.take(self.user, self.device.into(), self.now, TO_DEVICE_MAX).await?;
        if messages.is_empty() {
            return Ok(false);
        }
        json::events(body, out, "to_device", messages.join(",").as_bytes());
        Ok(true)
    }

    async fn key_counts(&self, out: &mut Vec<u8>, body: &mut Open) -> Result<(), SyncError> {
        let counts = self.parts.users.keys.counts(self.user, self.device.into()).await?;
        body.key(out, "device_one_time_keys_count");
        json::value(out, &counts.one_time_keys);
        // Some clients read the name the proposal had.
        for key in ["device_unused_fallback_key_types", "org.matrix.msc2732.device_unused_fallback_key_types"] {
            body.key(out, key);
            json::value(out, &counts.unused_fallback);
        }
        Ok(())
    }

    /// Notes who is in a room that the reader has just come into, or just left.
    pub(super) async fn note_room(&self, room: &Room, came: bool) -> Result<(), SyncError> {
        let view = room.view();
        let mut company: Vec<UserNo> = view.joined.iter().take(COMPANY_MAX).map(|user| UserNo(*user)).collect();
        if !view.servers.is_empty() {
            let members =
                self.parts.rooms.store().prefix(&MEMBERS, &room.number, Order::Ascending, COMPANY_MAX).await?;
            let joined = members.into_iter().filter(|(_, member)| member.membership == Membership::Join);
            company.extend(joined.map(|((_, user), _)| user));
        }
        let set = if came { &self.company.came } else { &self.company.went };
        set.lock().extend(company);
        Ok(())
    }

    /// Notes who came and went among the member events of a joined room.
    pub(super) async fn note_company(
        &self,
        timeline: &Timeline,
        state: &[std::sync::Arc<Event>],
    ) -> Result<(), SyncError> {
        for event in timeline.events.iter().chain(state) {
            let Some(member) = event.pdu.state_key.as_deref() else { continue };
            if event.pdu.kind != TimelineEventType::RoomMember || member == self.user_id.as_str() {
                continue;
            }
            if let Ok(id) = <&ruma::UserId>::try_from(member)
                && let Some(user) = self.parts.rooms.store().user(id).await?
            {
                self.company.note(user, event);
            }
        }
        Ok(())
    }

    /// Whose devices the client must ask about again, and whose it can forget. An initial sync says nothing of it: the
    /// client asks about everybody it meets.
    async fn device_lists(&self, out: &mut Vec<u8>, body: &mut Open) -> Result<bool, SyncError> {
        let Some(since) = self.since else { return Ok(false) };
        let mut changed = std::mem::take(&mut *self.company.came.lock());
        for user in self.parts.users.device_lists.changed(self.user, since, self.now).await? {
            if user == self.user || self.shares_room(user).await? {
                changed.insert(user);
            }
        }
        let mut left = BTreeSet::new();
        let went = std::mem::take(&mut *self.company.went.lock());
        for user in went {
            if user != self.user && !self.shares_room(user).await? {
                changed.remove(&user);
                left.insert(user);
            }
        }
        if changed.is_empty() && left.is_empty() {
            return Ok(false);
        }
        body.key(out, "device_lists");
        let mut lists = Open::object(out);
        for (key, users) in [("changed", changed), ("left", left)] {
            lists.key(out, key);
            let mut list = Open::array(out);
            for user in users {
                list.item(out);
                json::text(out, self.parts.rooms.store().user_id(user).await?.as_str());
            }
            list.close(out);
        }
        lists.close(out);
        Ok(true)
    }

    async fn presence(&self, out: &mut Vec<u8>, body: &mut Open) -> Result<bool, SyncError> {
        if !self.filters.presence.wants_type("m.presence") {
            return Ok(false);
        }
        let since = self.since.unwrap_or(Position::ZERO);
        let met = self.company.came.lock().clone();
        let events = self.parts.presence.changes(self.user, self.user_id, since, self.now, &met).await?;
        if events.is_empty() {
            return Ok(false);
        }
        json::events(body, out, "presence", &events.join(&b','));
        Ok(true)
    }

    /// Whether the user shares a joined room with another.
    pub(super) async fn shares_room(&self, other: UserNo) -> Result<bool, SyncError> {
        Ok(self.parts.rooms.share_room(self.user, other).await?)
    }
}
