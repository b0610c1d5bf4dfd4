//! Making a [`People`] from the tables.

use chrono::NaiveDate;

use super::{Builder, People};
use crate::{
    school::roster::SchoolRole,
    store::{
        Store, StoreError, UserNo,
        schema::{
            school::{
                CLASSES, ENROLLMENTS, LINK_DECISIONS, LINKS, LOCAL_ROLES, ORGS, PEOPLE, PERSON_ACCOUNTS, ROLES,
                SESSIONS,
            },
            users::{ACCOUNTS, Account},
        },
    },
    users::is_ordinary,
};

impl People {
    /// Reads everything there is to know about one day, blocking. `service` is the localpart of the school's own
    /// account, `now_ms` the time that ends local roles.
    ///
    /// # Errors
    /// The store failed.
    pub fn load_blocking(store: &Store, day: NaiveDate, now_ms: u64, service: &str) -> Result<Self, StoreError> {
        let mut builder = Builder::new(day);
        store.walk_blocking(&PERSON_ACCOUNTS, |(source, id), account| {
            builder.account(&source, &id, account.user, &account.localpart);
            Ok(())
        })?;
        store.walk_blocking(&ORGS, |(source, id), org| {
            builder.org(&source, &id, &org);
            Ok(())
        })?;
        store.walk_blocking(&SESSIONS, |(source, id), session| {
            builder.session(&source, &id, &session);
            Ok(())
        })?;
        store.walk_blocking(&CLASSES, |(source, id), class| {
            builder.class(&source, &id, &class);
            Ok(())
        })?;
        store.walk_blocking(&PEOPLE, |(source, id), person| {
            builder.person(&source, &id, &person);
            Ok(())
        })?;
        store.walk_blocking(&ROLES, |(source, _), role| {
            builder.role(&source, &role);
            Ok(())
        })?;
        store.walk_blocking(&ENROLLMENTS, |(source, _), enrollment| {
            builder.enrollment(&source, &enrollment);
            Ok(())
        })?;
        store.walk_blocking(&LINKS, |(source, _), link| {
            builder.link(&source, &link);
            Ok(())
        })?;
        let mut local = Vec::new();
        store.walk_blocking(&LOCAL_ROLES, |(user, role), grant| {
            let role = SchoolRole::ALL.into_iter().find(|known| known.number() == role);
            local.extend(role.filter(|_| grant.until_ms.is_none_or(|until| now_ms < until)).map(|role| (user, role)));
            Ok(())
        })?;
        store.walk_blocking(&ACCOUNTS, |user: UserNo, account: Account| {
            let localpart = account.localpart.as_str();
            let roles = local.partition_point(|(other, _)| *other < user);
            for (_, role) in local.iter().skip(roles).take_while(|(other, _)| *other == user) {
                builder.local_role(user, localpart, localpart, *role);
            }
            if account.admin {
                builder.administrator(user, localpart);
            }
            // Somebody who has had this name for longer is an ordinary user, and not above the rules.
            if localpart == service && !is_ordinary(&account) {
                builder.service(user, localpart);
            }
            if account.locked || account.deactivated {
                builder.barred(user);
            }
            Ok(())
        })?;
        store.walk_blocking(&LINK_DECISIONS, |(student, adult), decision| {
            builder.decision(student, adult, &decision);
            Ok(())
        })?;
        Ok(builder.finish())
    }
}
