//! What an administrator at the command line can order. The same code serves the admin socket of a running server and a
//! command that has opened the data folder of a stopped one.

use futures_util::future::BoxFuture;
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answers, Desk, NewAccount, RESERVED_LOCALPART, Users, UsersError, is_ordinary};
use crate::{
    secret::Secret,
    store::{UserNo, schema::users::Account},
};

/// Accounts read at once for a list.
const PAGE: usize = 500;

/// An order. On the socket it is a JSON object in one line, such as `{"order":"deactivate","user":"anna"}`.
#[derive(Debug, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminOrder {
    /// Make an account.
    Add {
        /// The part of the user id before the colon.
        name: String,
        /// Its password.
        password: Secret,
        /// Whether it is an administrator's.
        admin: bool,
    },
    /// Set a new password, and sign out everywhere.
    ResetPassword {
        /// The user id, or its part before the colon.
        user: String,
        /// The new password.
        password: Secret,
    },
    /// Close an account for good.
    Deactivate {
        /// The user id, or its part before the colon.
        user: String,
    },
    /// List accounts in the order in which their names were first met, one page.
    List {
        /// The number of the last account that is known already.
        after: Option<u64>,
    },
}

impl AdminOrder {
    /// The order as a line for the socket, with its line break. It may hold a password: hence a [`Secret`].
    pub fn to_line(&self) -> Secret {
        let json = match self {
            Self::Add { name, password, admin } => {
                json!({ "order": "add", "name": name, "password": password.expose(), "admin": admin })
            }
            Self::ResetPassword { user, password } => {
                json!({ "order": "reset_password", "user": user, "password": password.expose() })
            }
            Self::Deactivate { user } => json!({ "order": "deactivate", "user": user }),
            Self::List { after } => json!({ "order": "list", "after": after }),
        };
        Secret::new(format!("{json}\n"))
    }
}

/// The answer to an order, in one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminAnswer {
    /// It is done, to this account.
    Done(OwnedUserId),
    /// A page of accounts; `next` asks for the one after it.
    Accounts {
        /// The accounts.
        accounts: Vec<AccountLine>,
        /// `after` of the next order, unless this was the last page.
        next: Option<u64>,
    },
    /// It is not done, and why.
    Failed(String),
}

/// An account in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about an account")]
pub struct AccountLine {
    /// The user id.
    pub user_id: String,
    /// An administrator's.
    pub admin: bool,
    /// A guest's.
    pub guest: bool,
    /// Closed.
    pub deactivated: bool,
    /// Can only log out.
    pub locked: bool,
    /// Can only read.
    pub suspended: bool,
    /// When it was made, in Unix milliseconds.
    pub created_ts: u64,
}

impl Desk for Users {
    fn attend<'a>(&'a self, order: &'a [u8], answers: Answers) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let answer = match serde_json::from_slice(order) {
                Ok(order) => self.carry_out(order).await,
                // The parser's message could quote a password.
                Err(_) => AdminAnswer::Failed("this order is not understood".to_owned()),
            };
            answers.send(&answer).await;
        })
    }
}

impl Users {
    /// Carries out an order of an administrator.
    pub async fn carry_out(&self, order: AdminOrder) -> AdminAnswer {
        let done = match order {
            AdminOrder::Add { name, password, admin } => {
                let new = NewAccount { localpart: Some(name), password: Some(password), admin, guest: false };
                self.register(new, None).await.map(|registered| AdminAnswer::Done(registered.user_id))
            }
            AdminOrder::ResetPassword { user, password } => self.reset_password(&user, password).await,
            AdminOrder::Deactivate { user } => self.close(&user).await,
            AdminOrder::List { after } => self.page(after.map(UserNo)).await,
        };
        done.unwrap_or_else(|error| AdminAnswer::Failed(error.to_string()))
    }

    async fn reset_password(&self, name: &str, password: Secret) -> Result<AdminAnswer, UsersError> {
        let (user_id, user) = self.somebodys(name).await?;
        self.change_password(user, password, true, None).await?;
        Ok(AdminAnswer::Done(user_id))
    }

    async fn close(&self, name: &str) -> Result<AdminAnswer, UsersError> {
        let (user_id, user) = self.somebodys(name).await?;
        self.deactivate(user, false).await?;
        Ok(AdminAnswer::Done(user_id))
    }

    /// An account that is somebody's. With a password, or closed, the server's own would be one like any other, and the
    /// school could do nothing more through it.
    async fn somebodys(&self, name: &str) -> Result<(OwnedUserId, UserNo), UsersError> {
        let (user_id, user, account) = self.accounts.meant(name).await?.ok_or(UsersError::NoAccount)?;
        if account.localpart == RESERVED_LOCALPART && !is_ordinary(&account) {
            return Err(UsersError::Reserved);
        }
        Ok((user_id, user))
    }

    async fn page(&self, after: Option<UserNo>) -> Result<AdminAnswer, UsersError> {
        let page = self.accounts.list(after, PAGE).await?;
        let last = page.last().map(|(user, _)| user.0);
        let next = last.filter(|_| page.len() == PAGE);
        let server = self.accounts.server();
        let line = |(_, account): (UserNo, Account)| AccountLine {
            user_id: format!("@{}:{server}", account.localpart),
            admin: account.admin,
            guest: account.guest,
            deactivated: account.deactivated,
            locked: account.locked,
            suspended: account.suspended,
            created_ts: account.created_at_ms,
        };
        Ok(AdminAnswer::Accounts { accounts: page.into_iter().map(line).collect(), next })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, missing_docs)]
mod tests {
    use super::*;
    use crate::users::test::{Fixture, PASSWORD};

    #[test]
    fn an_order_reads_as_it_is_written() {
        let orders = [
            AdminOrder::Add { name: "anna".into(), password: PASSWORD.into(), admin: true },
            AdminOrder::ResetPassword { user: "anna".into(), password: PASSWORD.into() },
            AdminOrder::Deactivate { user: "anna".into() },
            AdminOrder::List { after: Some(7) },
        ];
        for order in orders {
            let line = order.to_line();
            assert!(line.expose().ends_with("}\n"));
            let read: AdminOrder = serde_json::from_str(line.expose()).unwrap();
            assert_eq!(read.to_line(), line);
            assert!(!format!("{read:?}").contains("horse"));
        }
    }

    #[tokio::test]
    async fn an_administrator_makes_changes_closes_and_lists() {
        let fixture = Fixture::new();
        let users = &fixture.users;
        let add = |name: &str, admin| AdminOrder::Add { name: name.into(), password: PASSWORD.into(), admin };
        assert!(matches!(users.carry_out(add("anna", true)).await, AdminAnswer::Done(_)));
        assert!(matches!(users.carry_out(add("ben", false)).await, AdminAnswer::Done(_)));
        assert!(matches!(users.carry_out(add("Not a name", false)).await, AdminAnswer::Failed(_)));
        let reset = AdminOrder::ResetPassword { user: "@anna:school.example".into(), password: "new horses".into() };
        assert!(matches!(users.carry_out(reset).await, AdminAnswer::Done(_)));
        let device = crate::users::NewDevice::default();
        assert!(users.login("anna", PASSWORD.into(), &device).await.is_err());
        users.login("anna", "new horses".into(), &device).await.unwrap();
        let close = || AdminOrder::Deactivate { user: "ben".into() };
        assert!(matches!(users.carry_out(close()).await, AdminAnswer::Done(_)));
        assert!(matches!(users.carry_out(close()).await, AdminAnswer::Failed(_)));
        let AdminAnswer::Accounts { accounts, next: None } = users.carry_out(AdminOrder::List { after: None }).await
        else {
            panic!("no list");
        };
        let seen: Vec<_> = accounts.iter().map(|line| (line.user_id.as_str(), line.admin, line.deactivated)).collect();
        assert_eq!(seen, [("@anna:school.example", true, false), ("@ben:school.example", false, true)]);
    }

    #[tokio::test]
    async fn the_servers_own_account_stays_its_own() {
        let fixture = Fixture::new();
        let (_, user) = fixture.users.service_account("School").await.unwrap();
        for order in [
            AdminOrder::ResetPassword { user: "school".into(), password: PASSWORD.into() },
            AdminOrder::Deactivate { user: "@School:school.example".into() },
        ] {
            assert!(matches!(fixture.users.carry_out(order).await, AdminAnswer::Failed(_)));
        }
        assert_eq!(fixture.users.service_account("School").await.unwrap().1, user);
        // Somebody who has had the name for longer is somebody.
        fixture.users.change_password(user, PASSWORD.into(), false, None).await.unwrap();
        let order = AdminOrder::ResetPassword { user: "school".into(), password: "new horses".into() };
        assert!(matches!(fixture.users.carry_out(order).await, AdminAnswer::Done(_)));
    }
}
