//! Making, listing, revoking and redeeming slips.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use ruma::{OwnedUserId, UserId};
use serde_json::json;

use super::{Code, CodeError};
use crate::{
    clock::Clock,
    ids::Ids,
    school::{
        SERVICE_LOCALPART, SchoolError,
        audit::{Audit, Author},
    },
    secret::Secret,
    store::{
        Batch, Order, Store, UserNo,
        schema::{
            school::{SLIPS, Slip, USER_SLIPS},
            users::{Account, PasswordHash},
        },
    },
    users::{Users, UsersError},
};

/// People whose slips are made in one order.
pub(super) const PEOPLE_MAX: usize = 1_000;

/// How long a slip is good when nobody says otherwise, and at most, in days.
const DAYS_DEFAULT: u16 = 30;
const DAYS_MAX: u16 = 180;

/// Slips to be made.
#[derive(Debug, Clone, Default)]
pub struct SlipRequest {
    /// For whom.
    pub users: Vec<OwnedUserId>,
    /// Also for people who have a password already: theirs is replaced when the slip is used, and all their devices are
    /// signed out.
    pub reset: bool,
    /// How many days they are good: 30 if not given, at most 180.
    pub days: Option<u16>,
}

/// A slip that was just made: the only time that its code is known.
#[derive(Debug, Clone)]
pub struct NewSlip {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// The same as a number.
    pub user: UserNo,
    /// The code.
    pub code: Code,
    /// When it ends, in Unix milliseconds.
    pub until_ms: u64,
}

/// Why somebody gets no slip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// There is no such account here.
    Unknown,
    /// They have a password, and the request does not want to replace it.
    HasPassword,
    /// The account is closed or locked.
    Closed,
    /// An administrator's, a guest's or the school's own: whoever finds paper must not become one of these.
    NotForThis,
}

impl SkipReason {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::HasPassword => "has_password",
            Self::Closed => "closed",
            Self::NotForThis => "not_for_this",
        }
    }
}

/// What came of making slips.
#[derive(Debug, Clone, Default)]
pub struct MadeSlips {
    /// The slips, in the order of the request.
    pub slips: Vec<NewSlip>,
    /// Who gets none.
    pub skipped: Vec<(OwnedUserId, SkipReason)>,
}

/// A slip that exists, without its code, which nobody knows any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlipInfo {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// The same as a number.
    pub user: UserNo,
    /// When it was made, ends and was used.
    pub slip: Slip,
}

/// Activation slips. Cheap to clone.
#[derive(Clone)]
pub struct Slips {
    store: Store,
    clock: Clock,
    ids: Ids,
    users: Users,
    audit: Audit,
    /// Codes being redeemed at this moment: each is good for one.
    redeeming: Arc<Mutex<HashSet<[u8; 32]>>>,
}

impl Slips {
    /// On these services.
    pub fn new(store: Store, clock: Clock, ids: Ids, users: Users, audit: Audit) -> Self {
        Self { store, clock, ids, users, audit, redeeming: Arc::default() }
    }

    /// Makes slips, all in one commit. A person's older slip ends with it.
    ///
    /// # Errors
    /// [`SchoolError::Invalid`] for more than 1,000 people or a time out of bounds.
    pub async fn make(&self, by: &Author, request: &SlipRequest) -> Result<MadeSlips, SchoolError> {
        let days = request.days.unwrap_or(DAYS_DEFAULT);
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(SchoolError::Invalid(format!("a slip is good for 1 to {DAYS_MAX} days")));
        }
        if request.users.len() > PEOPLE_MAX {
            return Err(SchoolError::Invalid(format!("at most {PEOPLE_MAX} slips can be made at once")));
        }
        let mut known = Vec::with_capacity(request.users.len());
        for user_id in &request.users {
            known.extend(self.users.accounts.get(user_id).await?.map(|(user, _)| user));
        }
        // Slips change only under the locks of those whose they are.
        let _held = self.users.hold(&[], &known).await;
        let created_ms = self.clock.now_ms();
        let until_ms = created_ms + whole_ms(Duration::from_hours(24) * u32::from(days));
        let (mut made, mut batch, mut seen) = (MadeSlips::default(), Batch::new(), HashSet::new());
        for user_id in &request.users {
            let found = self.users.accounts.get(user_id).await?;
            let user = match eligible(found, request.reset) {
                Ok(user) if seen.insert(user) => user,
                Ok(_) => continue,
                Err(reason) => {
                    made.skipped.push((user_id.clone(), reason));
                    continue;
                }
            };
            let code = Code::new(&self.ids);
            self.stage_end(&mut batch, user).await?;
            batch.put(&SLIPS, &code.hash(), &Slip { user, created_ms, until_ms, used_ms: None, reset: request.reset });
            batch.put(&USER_SLIPS, &user, &code.hash());
            let detail = json!({ "until_ms": until_ms, "reset": request.reset });
            self.audit.stage(&mut batch, by, "slip.make", user_id.as_str(), &detail);
            made.slips.push(NewSlip { user_id: user_id.clone(), user, code, until_ms });
        }
        if !made.slips.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(made)
    }

    /// Ends somebody's slip. The answer is whether there was one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn revoke(&self, by: &Author, user_id: &UserId) -> Result<bool, SchoolError> {
        let Some((user, _)) = self.users.accounts.get(user_id).await? else { return Ok(false) };
        let _held = self.users.hold(&[], &[user]).await;
        let mut batch = Batch::new();
        if !self.stage_end(&mut batch, user).await? {
            return Ok(false);
        }
        self.audit.stage(&mut batch, by, "slip.revoke", user_id.as_str(), &json!({}));
        self.store.commit(batch).await?;
        Ok(true)
    }

    /// Slips that exist, used and past ones too, by account, from after account `after`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, after: Option<u64>, limit: usize) -> Result<Vec<SlipInfo>, SchoolError> {
        let from = UserNo(after.map_or(0, |user| user.saturating_add(1)));
        let rows = self.store.range(&USER_SLIPS, &from, &UserNo(u64::MAX), Order::Ascending, limit).await?;
        let mut slips = Vec::with_capacity(rows.len());
        for (user, hash) in rows {
            if let Some(slip) = self.store.get(&SLIPS, &hash).await? {
                slips.push(SlipInfo { user_id: self.store.user_id(user).await?, user, slip });
            }
        }
        Ok(slips)
    }

    /// Sets the first password of whoever holds a code, which is used up in the same commit. The answer is whose it was.
    ///
    /// # Errors
    /// [`SchoolError::Invalid`] for a text that is no code, [`SchoolError::Forbidden`] for one that is not good (any
    /// more), whatever the reason; those of a password that will not do.
    pub async fn redeem(&self, typed: &str, password: Secret) -> Result<OwnedUserId, SchoolError> {
        let code = Code::parse(typed).map_err(|error: CodeError| SchoolError::Invalid(error.to_string()))?;
        self.users.passwords.check(&password)?;
        let hash = code.hash();
        let Some(_turn) = Turn::take(&self.redeeming, hash) else { return Err(not_good()) };
        let slip = self.prove(&hash).await?;
        let password = self.users.passwords.hash(password).await?;
        self.settle(&hash, slip.user, password).await
    }

    /// A slip that is good at this moment, for somebody who may have one: who has become an administrator since must not
    /// be whoever finds the paper.
    pub(super) async fn prove(&self, hash: &[u8; 32]) -> Result<Slip, SchoolError> {
        let now_ms = self.clock.now_ms();
        let slip = self.store.get(&SLIPS, hash).await?;
        let slip = slip.filter(|slip| slip.used_ms.is_none() && now_ms < slip.until_ms).ok_or_else(not_good)?;
        let account = self.users.accounts.by_number(slip.user).await?;
        eligible(account.map(|account| (slip.user, account)), slip.reset).map_err(|_| not_good())?;
        Ok(slip)
    }

    /// Uses a slip up. It is read again where nobody else can change it: hashing the password has taken a while, in
    /// which the slip may have been revoked, or the account have got a password another way.
    pub(super) async fn settle(
        &self,
        hash: &[u8; 32],
        user: UserNo,
        password: PasswordHash,
    ) -> Result<OwnedUserId, SchoolError> {
        let held = self.users.hold(&[], &[user]).await;
        let slip = self.prove(hash).await?;
        if slip.user != user {
            return Err(not_good());
        }
        let user_id = self.store.user_id(user).await?;
        let mut batch = Batch::new();
        batch.put(&SLIPS, hash, &Slip { used_ms: Some(self.clock.now_ms()), ..slip });
        self.audit.stage(&mut batch, &Author::user(&user_id), "slip.use", user_id.as_str(), &json!({}));
        match held.stage_password(&mut batch, user, password).await {
            Ok(()) => {}
            Err(UsersError::Locked | UsersError::NoAccount) => return Err(not_good()),
            Err(error) => return Err(error.into()),
        }
        self.store.commit(batch).await?;
        Ok(user_id)
    }

    /// Adds the end of somebody's slip to a batch; whether there was one.
    async fn stage_end(&self, batch: &mut Batch, user: UserNo) -> Result<bool, SchoolError> {
        let Some(hash) = self.store.get(&USER_SLIPS, &user).await? else { return Ok(false) };
        batch.delete(&SLIPS, &hash);
        batch.delete(&USER_SLIPS, &user);
        Ok(true)
    }
}

/// The account that a slip is made for, or why there is none.
fn eligible(found: Option<(UserNo, Account)>, reset: bool) -> Result<UserNo, SkipReason> {
    let (user, account) = found.ok_or(SkipReason::Unknown)?;
    match account {
        Account { deactivated: true, .. } | Account { locked: true, .. } => Err(SkipReason::Closed),
        Account { admin: true, .. } | Account { guest: true, .. } => Err(SkipReason::NotForThis),
        account if account.localpart == SERVICE_LOCALPART => Err(SkipReason::NotForThis),
        Account { password: Some(_), .. } if !reset => Err(SkipReason::HasPassword),
        _ => Ok(user),
    }
}

/// One answer for codes that are unknown, used, past or revoked.
fn not_good() -> SchoolError {
    SchoolError::Forbidden("This code is not valid. Ask the school for a new one.".into())
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The right to redeem a code at this moment.
struct Turn<'a> {
    redeeming: &'a Mutex<HashSet<[u8; 32]>>,
    hash: [u8; 32],
}

impl<'a> Turn<'a> {
    fn take(redeeming: &'a Mutex<HashSet<[u8; 32]>>, hash: [u8; 32]) -> Option<Self> {
        // Made only when it is taken: one that is dropped gives the turn of another up, and waits for the lock.
        let free = redeeming.lock().insert(hash);
        free.then(|| Self { redeeming, hash })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.redeeming.lock().remove(&self.hash);
    }
}
