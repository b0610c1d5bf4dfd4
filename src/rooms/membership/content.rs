//! The content of member events.

use std::sync::Arc;

use ruma::{
    OwnedUserId, UserId,
    events::{StateEventType, room::member::MembershipState},
};
use serde_json::{Map, Value};

use super::super::{MemberProfile, NewEvent, RoomsError, Writer};
use crate::{
    event::{Content, content::Member},
    store::{Event, StoreError},
};

/// Keys that a client cannot set through the membership endpoints: the server says them.
const RESERVED: [&str; 7] = [
    "membership",
    "displayname",
    "avatar_url",
    "is_direct",
    "reason",
    "join_authorised_via_users_server",
    "third_party_invite",
];

/// What a member event is to say.
#[derive(Debug, Clone)]
pub(in crate::rooms) struct MemberContent {
    membership: MembershipState,
    /// The name and picture of the member; left out where the member goes.
    pub(in crate::rooms) profile: MemberProfile,
    /// Why.
    pub(in crate::rooms) reason: Option<String>,
    /// On invites: the room is meant as a direct chat.
    pub(in crate::rooms) is_direct: bool,
    /// On joins of restricted rooms: the member who vouches.
    pub(in crate::rooms) authorised_via: Option<OwnedUserId>,
    /// On invites: what an identity server has signed about an address, and what was shown in its place.
    pub(in crate::rooms) third_party: Option<Value>,
    /// Keys of a client's own. Reserved ones are dropped.
    pub(in crate::rooms) extra: Map<String, Value>,
}

impl MemberContent {
    /// A membership without anything else.
    pub(in crate::rooms) fn new(membership: MembershipState) -> Self {
        Self {
            membership,
            profile: MemberProfile::default(),
            reason: None,
            is_direct: false,
            authorised_via: None,
            third_party: None,
            extra: Map::new(),
        }
    }

    /// The same with a name and a picture.
    pub(in crate::rooms) fn with_profile(mut self, profile: MemberProfile) -> Self {
        self.profile = profile;
        self
    }

    /// The same with a reason.
    pub(in crate::rooms) fn with_reason(mut self, reason: Option<String>) -> Self {
        self.reason = reason;
        self
    }

    /// The content.
    pub(in crate::rooms) fn build(self) -> Result<Content, RoomsError> {
        let mut content = self.extra;
        content.retain(|key, _| !RESERVED.contains(&key.as_str()));
        content.insert("membership".into(), self.membership.as_str().into());
        let mut set = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                content.insert(key.into(), value.into());
            }
        };
        set("displayname", self.profile.displayname);
        set("avatar_url", self.profile.avatar_url);
        set("reason", self.reason);
        set("join_authorised_via_users_server", self.authorised_via.map(|user| user.to_string()));
        if let Some(invite) = self.third_party {
            content.insert("third_party_invite".into(), invite);
        }
        if self.is_direct {
            content.insert("is_direct".into(), true.into());
        }
        Ok(Content::from_serialize(&content)?)
    }

    /// The event that says it of `target`.
    pub(in crate::rooms) fn event(self, sender: &UserId, target: &UserId) -> Result<NewEvent, RoomsError> {
        Ok(NewEvent::state(sender, StateEventType::RoomMember, target.as_str(), self.build()?))
    }
}

impl Writer {
    /// The member event of a user, as of this writer.
    pub(in crate::rooms) async fn member(&self, user: &UserId) -> Result<Option<Arc<Event>>, StoreError> {
        self.state_event(&StateEventType::RoomMember, user.as_str()).await
    }

    /// The membership of a user, as of this writer.
    pub(in crate::rooms) async fn membership(&self, user: &UserId) -> Result<Option<MembershipState>, StoreError> {
        Ok(self.member(user).await?.and_then(|event| Member::read(&event.pdu.content).membership))
    }
}
