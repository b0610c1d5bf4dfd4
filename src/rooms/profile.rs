//! Names and pictures of members.
//!
//! Member events carry a copy of the profile. Profiles belong to a lower layer, which is asked through a small trait;
//! when one has changed, a task renews the user's member events room by room.

use std::{future::Future, pin::Pin, sync::Arc};

use ruma::{OwnedUserId, UserId, events::room::member::MembershipState};
use serde_json::{Map, Value};

use super::{NewEvent, Room, Rooms, RoomsError};
use crate::{
    event::{Content, content::Member},
    store::{StoreError, UserNo, schema::rooms::Membership},
};

/// What of a profile stands in member events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberProfile {
    /// The display name.
    pub displayname: Option<String>,
    /// The `mxc:` address of the picture.
    pub avatar_url: Option<String>,
}

/// The answer of [`Profiles::member_profile`].
pub type ProfileFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<MemberProfile>, StoreError>> + Send + 'a>>;

/// Knows the profiles of this server's users.
pub trait Profiles: Send + Sync {
    /// The name and picture of a user of this server; `None` when there is no open account of that id.
    fn member_profile<'a>(&'a self, user: &'a UserId) -> ProfileFuture<'a>;
}

/// Profiles as they are handed around.
pub type SharedProfiles = Arc<dyn Profiles>;

/// A user whose member events are being renewed.
#[derive(Default)]
pub(super) struct Renaming {
    /// The profile has changed again meanwhile.
    again: bool,
}

impl Rooms {
    /// The name and picture of a user, as rooms show them; empty for one who has none.
    pub(super) async fn profile_of(&self, user: &UserId) -> Result<MemberProfile, StoreError> {
        let profile = self.parts.profiles.member_profile(user).await?;
        Ok(self.shown(user, profile.unwrap_or_default()))
    }

    /// A profile without the picture, if the policy leaves it out of rooms.
    pub fn shown(&self, user: &UserId, profile: MemberProfile) -> MemberProfile {
        let avatar_url = profile.avatar_url.filter(|_| self.parts.policy.shows_picture(user));
        MemberProfile { avatar_url, ..profile }
    }

    /// Renews the user's member events in every joined room, in the background: to be called after a change of the
    /// display name or picture. Changes in quick succession are taken together, and never overtake each other.
    pub fn profile_changed(&self, user: UserNo, user_id: &UserId) {
        {
            let mut renaming = self.writes.renaming.lock();
            if let Some(at_work) = renaming.get_mut(&user) {
                at_work.again = true;
                return;
            }
            renaming.insert(user, Renaming::default());
        }
        tokio::spawn(self.clone().rename(user, user_id.to_owned()));
    }

    async fn rename(self, user: UserNo, user_id: OwnedUserId) {
        loop {
            // The semaphore is never closed; were it, working without a place would do no harm.
            let place = self.writes.renaming_places.acquire().await;
            if let Err(error) = self.rename_everywhere(user, &user_id).await {
                tracing::warn!(%error, user = %user_id, "member events could not be renewed");
            }
            drop(place);
            let mut renaming = self.writes.renaming.lock();
            match renaming.get_mut(&user) {
                Some(at_work) if at_work.again => at_work.again = false,
                _ => {
                    renaming.remove(&user);
                    return;
                }
            }
        }
    }

    /// Renews the user's member events in every joined room where they differ from the profile.
    ///
    /// # Errors
    /// The store failed.
    pub async fn rename_everywhere(&self, user: UserNo, user_id: &UserId) -> Result<(), RoomsError> {
        for one in self.user_rooms(user).await?.iter() {
            if one.record.membership != Membership::Join {
                continue;
            }
            match self.rename_in(&one.room, user_id).await {
                Ok(()) => {}
                Err(RoomsError::Store(error)) => return Err(error.into()),
                Err(error) => tracing::debug!(%error, room = %one.room.id, "a member event was not renewed"),
            }
        }
        Ok(())
    }

    async fn rename_in(&self, room: &Arc<Room>, user: &UserId) -> Result<(), RoomsError> {
        let mut writer = self.writer(room).await;
        writer.for_the_house();
        let Some(member) = writer.member(user).await? else { return Ok(()) };
        // With the room's lock, so that of two who rename at once neither writes what is older than what stands there.
        let profile = self.profile_of(user).await?;
        let before = Member::read(&member.pdu.content);
        let same = before.displayname.as_deref() == profile.displayname.as_deref()
            && before.avatar_url.as_ref().map(|url| url.as_str()) == profile.avatar_url.as_deref();
        if before.membership != Some(MembershipState::Join) || same {
            return Ok(());
        }
        let mut content: Map<String, Value> = serde_json::from_str(member.pdu.content.get()).unwrap_or_default();
        content.remove("reason");
        for (key, value) in [("displayname", &profile.displayname), ("avatar_url", &profile.avatar_url)] {
            match value {
                Some(value) => content.insert(key.into(), value.as_str().into()),
                None => content.remove(key),
            };
        }
        let kind = ruma::events::StateEventType::RoomMember;
        let new = NewEvent::state(user, kind, user.as_str(), Content::from_serialize(&content)?);
        self.append_and_commit(writer, new).await.map(drop)
    }
}
