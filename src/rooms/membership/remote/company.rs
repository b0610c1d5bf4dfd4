//! Whom somebody meets in a room that they join through another server.

use std::sync::Arc;

use ruma::events::room::member::MembershipState;

use super::ask::Person;
use crate::rooms::{
    Room, Rooms, RoomsError,
    membership::{Join, MemberContent},
};

impl Rooms {
    /// Asks the policy about a join that another server vouches for, into a room in which people of this server are: as
    /// it is asked about one that nobody has to vouch for. Before the other server hears of it, which then takes the join
    /// for done.
    pub(super) async fn check_company(
        &self,
        person: &Person,
        room: Option<&Arc<Room>>,
        join: &Join,
    ) -> Result<(), RoomsError> {
        let Some(room) = room.filter(|_| self.parts.policy.is_active()) else { return Ok(()) };
        let profile = self.profile_of(&person.user_id).await?;
        let mut content =
            MemberContent::new(MembershipState::Join).with_profile(profile).with_reason(join.reason.clone());
        content.extra.clone_from(&join.extra);
        let new = content.event(&person.user_id, &person.user_id)?;
        self.writer(room).await.ask_policy(&new).await
    }
}
