//! Changing one room in the school's name: everything is one commit.

use std::sync::Arc;

use ruma::{
    OwnedUserId, UserId,
    events::{StateEventType, TimelineEventType, room::member::MembershipState},
};
use serde_json::{Map, Value, json};

use super::{
    super::SchoolError,
    content::{self, Mode, ROOM_STATE},
    desk::Desk,
};
use crate::{
    event::{Content, content as read},
    rooms::{NewEvent, Room, Writer},
    store::{Batch, Position, RoomNo, UserNo, schema::school::RoomLink},
};

/// A room being changed by the school.
pub(super) struct Edit<'a> {
    desk: &'a Desk,
    pub(super) writer: Writer,
    service: &'a UserId,
    service_no: UserNo,
    changed: bool,
    /// The room is being made.
    new: bool,
}

impl<'a> Edit<'a> {
    /// Waits for the room.
    pub(super) async fn of(desk: &'a Desk, room: &Arc<Room>) -> Result<Self, SchoolError> {
        let (service, service_no) = desk.service().await?;
        let mut writer = desk.rooms.writer(room).await;
        writer.for_the_house();
        Ok(Self { desk, writer, service, service_no: *service_no, changed: false, new: false })
    }

    /// Begins a new room, and the school joins it.
    pub(super) async fn new_room(desk: &'a Desk, create: &Value) -> Result<Self, SchoolError> {
        let (service, service_no) = desk.service().await?;
        let create = content(create)?;
        let mut writer = desk.rooms.new_room(service, &desk.config.rooms.default_version, &create).await?;
        writer.for_the_house();
        let mut edit = Self { desk, writer, service, service_no: *service_no, changed: true, new: true };
        let member = edit.member(MembershipState::Join, *service_no).await?;
        edit.state(service, StateEventType::RoomMember, service.as_str(), &member).await?;
        Ok(edit)
    }

    /// The room's number.
    pub(super) fn number(&self) -> RoomNo {
        self.writer.room().number
    }

    /// Those of this server who are in it, the school itself excepted.
    pub(super) fn joined(&self) -> Vec<UserNo> {
        let joined = self.writer.view().joined.iter();
        joined.map(|user| UserNo(*user)).filter(|user| *user != self.service_no).collect()
    }

    async fn state(
        &mut self,
        sender: &UserId,
        kind: StateEventType,
        key: &str,
        value: &Value,
    ) -> Result<(), SchoolError> {
        self.writer.append(NewEvent::state(sender, kind, key, content(value)?)).await?;
        self.changed = true;
        Ok(())
    }

    /// The state keys under which there is something of a type.
    pub(super) async fn keys(&self, kind: &StateEventType) -> Result<Vec<String>, SchoolError> {
        let mut keys = Vec::new();
        if self.new {
            return Ok(keys);
        }
        for (pair, event) in self.desk.rooms.tree().entries(self.writer.view().state).await? {
            let (found, key) = self.desk.store.state_key_pair(pair).await?;
            if found == *kind {
                let event = self.desk.rooms.events().require(self.number(), event).await?;
                if event.pdu.content.get() != "{}" {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }

    /// The content of a piece of state.
    pub(super) async fn get(&self, kind: &StateEventType, key: &str) -> Result<Option<Value>, SchoolError> {
        let event = self.writer.state_event(kind, key).await?;
        Ok(event.and_then(|event| serde_json::from_str(event.pdu.content.get()).ok()))
    }

    /// Sets a piece of state, unless it is that already.
    pub(super) async fn set(&mut self, kind: StateEventType, key: &str, value: Value) -> Result<(), SchoolError> {
        if self.get(&kind, key).await?.as_ref() != Some(&value) {
            let service = self.service;
            self.state(service, kind, key, &value).await?;
        }
        Ok(())
    }

    /// The same, where nothing is set yet.
    pub(super) async fn begin_with(&mut self, kind: StateEventType, value: Value) -> Result<(), SchoolError> {
        if self.get(&kind, "").await?.is_none() { self.set(kind, "", value).await } else { Ok(()) }
    }

    /// Says what the room is, and who may write in it. `mode` `None` leaves what was chosen before, or else `usual`.
    pub(super) async fn rules(
        &mut self,
        link: &RoomLink,
        powers: &[(UserNo, i64)],
        (mode, usual): (Option<Mode>, Mode),
    ) -> Result<(), SchoolError> {
        let mode = match mode {
            Some(mode) => mode,
            None => self.mode().await?.unwrap_or(usual),
        };
        let mut named = Vec::new();
        for (user, power) in powers.iter().filter(|(_, power)| *power != 0) {
            named.push((self.desk.user_id(*user).await?.to_string(), *power));
        }
        let effective = if link.frozen || link.archived { Mode::Closed } else { mode };
        let staff_only = !super::wanted::is_family(link.kind);
        let rules = self.writer.room().rules.clone();
        let levels = content::power_levels(self.service, named.into_iter(), (effective, link.kind), staff_only, &rules);
        self.set(StateEventType::RoomPowerLevels, "", levels).await?;
        let room_state = content::room_state(link.kind, mode, link.frozen, link.archived);
        self.set(ROOM_STATE.into(), "", room_state).await
    }

    /// Who may write, as it was chosen last: teachers may also choose by the power levels, with any client.
    async fn mode(&self) -> Result<Option<Mode>, SchoolError> {
        let Some(said) = self.get(&ROOM_STATE.into(), "").await? else { return Ok(None) };
        let is = |key: &str| said.get(key).and_then(Value::as_bool).unwrap_or(false);
        let named = said.get("mode").and_then(|mode| serde_json::from_value(mode.clone()).ok());
        if is("frozen") || is("archived") {
            return Ok(named);
        }
        let level = self.writer.view().power.required_for_message(&TimelineEventType::RoomMessage);
        Ok(Some(Mode::of_power(level)))
    }

    /// The powers people have in the room.
    pub(super) async fn powers(&self) -> Result<Vec<(UserNo, i64)>, SchoolError> {
        let mut powers = Vec::new();
        let named = self.writer.view().power.clone();
        for (user_id, power) in named.users().filter(|(user_id, _)| *user_id != self.service) {
            powers.extend(self.desk.store.user(user_id).await?.map(|user| (user, power)));
        }
        powers.sort_unstable();
        Ok(powers)
    }

    /// What a room of the school begins with besides its rules.
    pub(super) async fn usual_state(&mut self, family: bool) -> Result<(), SchoolError> {
        let visibility = if family { "joined" } else { "shared" };
        for (kind, value) in [
            (StateEventType::RoomJoinRules, json!({ "join_rule": "invite" })),
            (StateEventType::RoomHistoryVisibility, json!({ "history_visibility": visibility })),
            (StateEventType::RoomGuestAccess, json!({ "guest_access": "forbidden" })),
        ] {
            self.begin_with(kind, value).await?;
        }
        Ok(())
    }

    async fn member(&self, membership: MembershipState, user: UserNo) -> Result<Value, SchoolError> {
        let profile = self.desk.profile(user).await?;
        let mut content = Map::new();
        content.insert("membership".into(), membership.as_str().into());
        let named = [("displayname", profile.displayname), ("avatar_url", profile.avatar_url)];
        content.extend(named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))));
        Ok(Value::Object(content))
    }

    async fn membership(&self, user_id: &UserId) -> Result<Option<MembershipState>, SchoolError> {
        let member = self.writer.state_event(&StateEventType::RoomMember, user_id.as_str()).await?;
        Ok(member.and_then(|member| read::membership(&member.pdu.content)))
    }

    /// Brings somebody in: the school invites, and they have joined.
    pub(super) async fn bring(&mut self, user: UserNo) -> Result<(), SchoolError> {
        let user_id: OwnedUserId = self.desk.user_id(user).await?;
        let service = self.service;
        let before = self.membership(&user_id).await?;
        if before == Some(MembershipState::Join) {
            return Ok(());
        }
        if before == Some(MembershipState::Ban) {
            let unbanned = json!({ "membership": "leave" });
            self.state(service, StateEventType::RoomMember, user_id.as_str(), &unbanned).await?;
        }
        if before != Some(MembershipState::Invite) {
            let invite = self.member(MembershipState::Invite, user).await?;
            self.state(service, StateEventType::RoomMember, user_id.as_str(), &invite).await?;
        }
        let join = self.member(MembershipState::Join, user).await?;
        self.state(&user_id, StateEventType::RoomMember, user_id.as_str(), &join).await
    }

    /// Takes somebody out.
    pub(super) async fn remove(&mut self, user: UserNo) -> Result<(), SchoolError> {
        let user_id = self.desk.user_id(user).await?;
        if matches!(self.membership(&user_id).await?, Some(MembershipState::Join | MembershipState::Invite)) {
            let service = self.service;
            let leave = json!({ "membership": "leave" });
            self.state(service, StateEventType::RoomMember, user_id.as_str(), &leave).await?;
        }
        Ok(())
    }

    /// Says something to everybody in the room.
    pub(super) async fn say(&mut self, text: &str) -> Result<(), SchoolError> {
        self.send(TimelineEventType::RoomMessage, &content::notice(text)).await
    }

    /// Sends a message of any type in the school's name.
    pub(super) async fn send(&mut self, kind: TimelineEventType, value: &Value) -> Result<(), SchoolError> {
        self.writer.append(NewEvent::message(self.service, kind, content(value)?)).await?;
        self.changed = true;
        Ok(())
    }

    /// Writes down what the room is for, if that has changed.
    pub(super) fn link(&mut self, link: &RoomLink) {
        let number = self.number();
        let book = self.desk.rules.rooms().clone();
        if book.get(number).as_deref() != Some(link) {
            book.stage(self.writer.batch(), number, link.clone());
            self.changed = true;
        }
    }

    /// Rows that become durable with the events.
    pub(super) fn batch(&mut self) -> &mut Batch {
        self.changed = true;
        self.writer.batch()
    }

    /// Whether there is anything to commit.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Makes everything durable and visible. Nothing is written where nothing has changed.
    pub(super) async fn commit(self) -> Result<Option<Position>, SchoolError> {
        if self.has_changed() { Ok(Some(self.writer.commit().await?)) } else { Ok(None) }
    }
}

fn content(value: &Value) -> Result<Content, SchoolError> {
    Ok(Content::from_serialize(value).map_err(crate::rooms::RoomsError::from)?)
}
