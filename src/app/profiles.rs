//! Rooms copy names and pictures into member events; this lets them ask the accounts, which they do not know.

use ruma::UserId;

use crate::{
    rooms::{MemberProfile, ProfileFuture, Profiles},
    store::StoreError,
    users::{Users, UsersError},
};

/// The profiles of this server's accounts.
pub(super) struct AccountProfiles(pub(super) Users);

impl Profiles for AccountProfiles {
    fn member_profile<'a>(&'a self, user: &'a UserId) -> ProfileFuture<'a> {
        Box::pin(async move {
            let Some((number, account)) = self.0.accounts.get(user).await.map_err(store_error)? else {
                return Ok(None);
            };
            if account.deactivated {
                return Ok(None);
            }
            let profile = self.0.profiles.get(number).await.map_err(store_error)?;
            Ok(Some(MemberProfile { displayname: profile.displayname(), avatar_url: profile.avatar_url() }))
        })
    }
}

/// Reading accounts and profiles fails only where the store does.
fn store_error(error: UsersError) -> StoreError {
    match error {
        UsersError::Store(error) => error,
        _ => StoreError::Corrupt { table: "profile_fields", what: "a profile that does not read" },
    }
}
