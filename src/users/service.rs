//! The account through which the server itself acts in rooms.

use ruma::{OwnedUserId, UserId};

use super::{DISPLAYNAME, RESERVED_LOCALPART, Users, UsersError};
use crate::store::{
    Batch, UserNo,
    schema::users::{ACCOUNTS, Account, PROFILE_FIELDS},
};

/// Whether an account of the reserved name is somebody's: made before the name was reserved, or used as one since.
pub fn is_ordinary(account: &Account) -> bool {
    account.password.is_some() || account.admin || account.guest || account.deactivated
}

impl Users {
    /// The server's own account: made when it is first wanted, without a password, so that nobody can sign in to it.
    ///
    /// # Errors
    /// [`UsersError::NameTaken`] when somebody has made an ordinary account of that name.
    pub async fn service_account(&self, displayname: &str) -> Result<(OwnedUserId, UserNo), UsersError> {
        let user_id = UserId::parse(format!("@{RESERVED_LOCALPART}:{}", self.accounts.server()))
            .map_err(|_| UsersError::Internal("the server's own account has no id"))?;
        let _guard = self.locks.name(RESERVED_LOCALPART).await;
        if let Some((user, account)) = self.accounts.get(&user_id).await? {
            return if is_ordinary(&account) { Err(UsersError::NameTaken) } else { Ok((user_id, user)) };
        }
        let mut batch = Batch::new();
        let user = self.store.mint_user(&user_id, &mut batch).await?;
        let account = Account {
            localpart: RESERVED_LOCALPART.into(),
            password: None,
            admin: false,
            guest: false,
            deactivated: false,
            erased: false,
            locked: false,
            suspended: false,
            created_at_ms: self.clock.now_ms(),
        };
        batch.put(&ACCOUNTS, &user, &account);
        let name = serde_json::Value::from(displayname).to_string();
        batch.put(&PROFILE_FIELDS, &(user, DISPLAYNAME.to_owned()), &name);
        self.store.commit(batch).await?;
        Ok((user_id, user))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use crate::users::test::Fixture;

    #[tokio::test]
    async fn it_is_made_once_and_its_name_is_nobody_elses() {
        let fixture = Fixture::new();
        assert!(matches!(fixture.users.accounts.check_available(RESERVED_LOCALPART).await, Err(UsersError::NameTaken)));
        let first = fixture.users.service_account("The school").await.unwrap();
        assert_eq!(fixture.users.service_account("Another name").await.unwrap(), first);
        let account = fixture.users.accounts.by_number(first.1).await.unwrap().unwrap();
        assert!(account.password.is_none());
        let name = fixture.users.profiles.get(first.1).await.unwrap().displayname();
        assert_eq!(name.as_deref(), Some("The school"));
    }
}
