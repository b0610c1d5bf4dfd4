//! Making one room what it ought to be.

use ruma::{OwnedRoomId, RoomId, events::StateEventType};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    super::SchoolError,
    content::{self, Mode},
    desk::Desk,
    edit::Edit,
    wanted::Wanted,
};
use crate::store::{
    RoomNo, UserNo,
    schema::school::{ROOM_APPLIED, RoomKind, RoomLink},
};

/// Changes of what the same wish leads to: raise it when rooms have to be looked at again.
const RULES_VERSION: u8 = 1;

/// People who are brought into a room, or taken out, in one commit: each is two events, and the room stands still
/// meanwhile.
const STEP: usize = 200;

/// A class without a teacher.
const WITHOUT_ADULT: &str = "room.without_adult";

/// What a room ought to be, and where it is listed.
pub(super) struct Goal<'a> {
    pub(super) wanted: &'a Wanted,
    /// The room that is there, perhaps archived.
    pub(super) room: Option<RoomNo>,
    /// The space above.
    pub(super) parent: Option<&'a RoomId>,
    /// The rooms below a space.
    pub(super) children: &'a [OwnedRoomId],
    /// Look at the room even if nothing seems to have changed.
    pub(super) closely: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Nothing had to be.
    Nothing,
    /// It was made.
    Made,
    /// It was changed.
    Changed,
}

impl Goal<'_> {
    fn digest(&self, neighbours: &[&str]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update([RULES_VERSION]);
        digest.update(postcard::to_stdvec(self.wanted).unwrap_or_default());
        if !self.wanted.is_family() {
            digest.update(neighbours.join(" "));
        }
        digest.update(self.parent.map_or("", RoomId::as_str));
        for child in self.children {
            digest.update([0]);
            digest.update(child.as_str());
        }
        digest.finalize().into()
    }

    fn usual(&self) -> Mode {
        if self.wanted.one_way { Mode::OneWay } else { Mode::Open }
    }
}

impl Desk {
    /// Makes a room what it ought to be, in one commit unless it is very large. Continues where a crash cut it.
    pub(super) async fn apply(&self, goal: &Goal<'_>) -> Result<(RoomNo, Done), SchoolError> {
        let digest = goal.digest(&self.neighbours());
        let Some(number) = goal.room else { return self.make(goal, digest).await };
        let archived = self.rules.rooms().get(number).is_some_and(|link| link.archived);
        if !goal.closely && !archived && self.was_applied(number) == Some(digest) {
            return Ok((number, Done::Nothing));
        }
        let Some(room) = self.rooms.get(number).await? else { return self.make(goal, digest).await };
        let edit = Edit::of(self, &room).await?;
        let changed = self.bring_up_to(goal, edit, digest).await?;
        Ok((number, if changed { Done::Changed } else { Done::Nothing }))
    }

    /// The servers whose staff may be met, as patterns.
    fn neighbours(&self) -> Vec<&str> {
        self.config.federation.allow.iter().map(crate::config::ServerPattern::acl_entry).collect()
    }

    async fn make(&self, goal: &Goal<'_>, digest: [u8; 32]) -> Result<(RoomNo, Done), SchoolError> {
        let wanted = goal.wanted;
        let edit = Edit::new_room(self, &content::create(wanted.kind, wanted.is_family())).await?;
        let number = edit.number();
        self.bring_up_to(goal, edit, digest).await?;
        Ok((number, Done::Made))
    }

    async fn bring_up_to(&self, goal: &Goal<'_>, mut edit: Edit<'_>, digest: [u8; 32]) -> Result<bool, SchoolError> {
        let (wanted, number) = (goal.wanted, edit.number());
        let before = self.rules.rooms().get(number);
        let held = before.as_ref().is_some_and(|link| link.held);
        let link = RoomLink {
            kind: wanted.kind,
            object: wanted.object.clone(),
            frozen: wanted.frozen || held,
            archived: false,
            held,
        };
        edit.link(&link);
        edit.rules(&link, &wanted.members, (None, goal.usual())).await?;
        edit.usual_state(wanted.is_family()).await?;
        self.describe(goal, &mut edit).await?;
        let joined = edit.joined();
        let is_wanted = |user: &UserNo| wanted.members.binary_search_by_key(user, |(user, _)| *user).is_ok();
        for user in joined.iter().filter(|user| !is_wanted(user)) {
            edit.remove(*user).await?;
        }
        let was_frozen = before.is_some_and(|link| link.frozen && !link.archived);
        self.tell_of_freezing(&mut edit, (was_frozen, held), wanted).await?;
        let missing: Vec<UserNo> =
            wanted.members.iter().map(|(user, _)| *user).filter(|user| joined.binary_search(user).is_err()).collect();
        let mut changed = edit.has_changed();
        let mut steps = missing.chunks(STEP).peekable();
        while let Some(step) = steps.next() {
            for user in step {
                edit.bring(*user).await?;
            }
            changed = true;
            if steps.peek().is_some() {
                let room = edit.writer.room().clone();
                edit.commit().await?;
                edit = Edit::of(self, &room).await?;
            }
        }
        if self.was_applied(number) != Some(digest) {
            edit.batch().put(&ROOM_APPLIED, &number, &digest);
        }
        edit.commit().await?;
        if let Some(applied) = self.applied.lock().as_mut() {
            applied.insert(number, digest);
        }
        Ok(changed)
    }

    /// Name, topic, and place among the spaces.
    async fn describe(&self, goal: &Goal<'_>, edit: &mut Edit<'_>) -> Result<(), SchoolError> {
        let wanted = goal.wanted;
        edit.set(StateEventType::RoomName, "", json!({ "name": wanted.name })).await?;
        if let Some(topic) = &wanted.topic {
            edit.begin_with(StateEventType::RoomTopic, content::topic(topic)).await?;
        }
        if matches!(wanted.kind, RoomKind::Staff | RoomKind::Department) {
            let acl = content::server_acl(self.server(), &self.neighbours());
            edit.set(StateEventType::RoomServerAcl, "", acl).await?;
        }
        self.move_below(goal, edit).await?;
        if wanted.kind.is_space() {
            self.set_children(goal.children, edit).await?;
        }
        Ok(())
    }

    async fn move_below(&self, goal: &Goal<'_>, edit: &mut Edit<'_>) -> Result<(), SchoolError> {
        let now = goal.parent;
        for before in edit.keys(&StateEventType::SpaceParent).await? {
            if now.is_none_or(|now| now != before.as_str()) {
                edit.set(StateEventType::SpaceParent, &before, json!({})).await?;
            }
        }
        if let Some(now) = now {
            edit.set(StateEventType::SpaceParent, now.as_str(), content::parent(self.server())).await?;
        }
        Ok(())
    }

    async fn set_children(&self, children: &[OwnedRoomId], edit: &mut Edit<'_>) -> Result<(), SchoolError> {
        for before in edit.keys(&StateEventType::SpaceChild).await? {
            if !children.iter().any(|child| *child == before) {
                edit.set(StateEventType::SpaceChild, &before, json!({})).await?;
            }
        }
        for child in children {
            edit.set(StateEventType::SpaceChild, child.as_str(), content::child(self.server())).await?;
        }
        Ok(())
    }

    async fn tell_of_freezing(
        &self,
        edit: &mut Edit<'_>,
        (before, held): (bool, bool),
        wanted: &Wanted,
    ) -> Result<(), SchoolError> {
        let number = edit.number();
        if wanted.frozen && !before {
            edit.say("Nobody of the school is in this room at the moment, so nobody can write in it.").await?;
        }
        // One task a class: its families' rooms wait for the same.
        if wanted.kind == RoomKind::Class && wanted.frozen && !self.tasks.is_open(WITHOUT_ADULT, number) {
            let text = format!("{} has no adult of the school: nobody can write in it until it has one.", wanted.name);
            self.tasks.stage(edit.batch(), (WITHOUT_ADULT, number), None, text);
        }
        if !wanted.frozen && before && !held {
            edit.say("This room can be written in again.").await?;
        }
        if !wanted.frozen && self.tasks.is_open(WITHOUT_ADULT, number) {
            self.tasks.stage_done(edit.batch(), WITHOUT_ADULT, number);
        }
        Ok(())
    }

    /// Ends a room whose object is gone: its members read on, and nobody writes. `kept` says who of them stays, and
    /// `mark` stands for all that it depends on.
    pub(super) async fn archive(
        &self,
        number: RoomNo,
        mark: &[UserNo],
        kept: impl Fn(UserNo) -> bool,
    ) -> Result<bool, SchoolError> {
        let Some(link) = self.rules.rooms().get(number) else { return Ok(false) };
        let digest: [u8; 32] = Sha256::digest(postcard::to_stdvec(&("archived", mark)).unwrap_or_default()).into();
        if link.archived && self.was_applied(number) == Some(digest) {
            return Ok(false);
        }
        let Some(room) = self.rooms.get(number).await? else { return Ok(false) };
        let mut edit = Edit::of(self, &room).await?;
        if !link.archived {
            edit.say("This room has ended. It can still be read.").await?;
            let ended = RoomLink { archived: true, ..RoomLink::clone(&link) };
            edit.link(&ended);
            edit.rules(&ended, &[], (None, Mode::Open)).await?;
            self.tasks.stage_done(edit.batch(), WITHOUT_ADULT, number);
        }
        for user in edit.joined() {
            if !kept(user) {
                edit.remove(user).await?;
            }
        }
        edit.batch().put(&ROOM_APPLIED, &number, &digest);
        edit.commit().await?;
        if let Some(applied) = self.applied.lock().as_mut() {
            applied.insert(number, digest);
        }
        Ok(true)
    }
}
