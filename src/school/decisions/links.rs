//! What the school says of a pupil and an adult, whatever the roster says: a relative is confirmed, two are kept apart.

use ruma::{OwnedUserId, UserId};
use serde_json::json;

use super::service::{Decisions, reasoned};
use crate::{
    school::{SchoolError, audit::Author, roster::SchoolRole},
    store::{
        Batch, Order, UserNo,
        schema::school::{LINK_DECISIONS, LinkDecision},
    },
};

/// Decisions about links there may be at once.
const LINK_DECISIONS_MAX: usize = 20_000;

/// A decision about a pupil and an adult, to be made. It replaces the one before.
#[derive(Debug, Clone)]
pub struct NewLinkDecision {
    /// The pupil.
    pub student: OwnedUserId,
    /// The adult.
    pub adult: OwnedUserId,
    /// Whether the school deals with the adult about the pupil; `None` leaves it to the roster.
    pub contact: Option<bool>,
    /// Whether the two must be kept apart, whoever acts; `None` leaves it to the roster.
    pub isolated: Option<bool>,
    /// Why, for the record.
    pub reason: String,
}

/// A decision with the people's ids.
#[derive(Debug, Clone)]
pub struct KnownLinkDecision {
    /// The pupil.
    pub student: OwnedUserId,
    /// The adult.
    pub adult: OwnedUserId,
    /// What was decided.
    pub decision: LinkDecision,
}

impl Decisions {
    /// Decides about a pupil and an adult, in force when this returns. Recorded as `link.decide`.
    ///
    /// # Errors
    /// `NotFound` for unknown accounts; `Invalid` when the one is no pupil, the two are one, nothing is decided, or
    /// the two are to be in contact and kept apart.
    pub async fn decide_link(&self, new: &NewLinkDecision, by: &Author) -> Result<(), SchoolError> {
        let invalid = |text: &str| Err(SchoolError::Invalid(text.to_owned()));
        let reason = reasoned(&new.reason)?;
        match (new.contact, new.isolated) {
            (None, None) => return invalid("nothing is decided: set contact or isolated"),
            (Some(true), Some(true)) => return invalid("two who must be kept apart have no contact"),
            _ => {}
        }
        let _turn = self.turn.lock().await;
        let (student, adult) = (self.account(&new.student).await?, self.account(&new.adult).await?);
        if student == adult {
            return invalid("a pupil is not their own guardian");
        }
        let people = self.rules.people();
        let is_pupil =
            |user: UserNo| people.of_user(user).is_some_and(|person| people.roles(person).has(SchoolRole::Student));
        if !is_pupil(student) {
            return Err(SchoolError::Invalid(format!("{} is no pupil", new.student)));
        }
        if people.of_user(adult).is_none() {
            return Err(SchoolError::Invalid(format!("the school does not know {}", new.adult)));
        }
        let count = self.store.prefix(&LINK_DECISIONS, &(), Order::Ascending, LINK_DECISIONS_MAX).await?.len();
        if count >= LINK_DECISIONS_MAX {
            return Err(SchoolError::Conflict("there are too many decisions about links".to_owned()));
        }
        let mut batch = Batch::new();
        let decision = LinkDecision {
            contact: new.contact,
            isolated: new.isolated,
            reason: reason.clone(),
            by: by.as_str().to_owned(),
            at_ms: self.clock.now_ms(),
        };
        batch.put(&LINK_DECISIONS, &(student, adult), &decision);
        let detail = json!({ "adult": new.adult, "contact": new.contact, "isolated": new.isolated, "reason": reason });
        self.audit.stage(&mut batch, by, "link.decide", new.student.as_str(), &detail);
        self.store.commit(batch).await?;
        self.refresh.now().await
    }

    /// Leaves a pupil and an adult to the roster again. Recorded as `link.clear`.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn clear_link(&self, student: &UserId, adult: &UserId, by: &Author) -> Result<(), SchoolError> {
        let _turn = self.turn.lock().await;
        let missing = || SchoolError::NotFound("decision about this pupil and adult");
        let key =
            (self.store.user(student).await?.ok_or_else(missing)?, self.store.user(adult).await?.ok_or_else(missing)?);
        self.store.get(&LINK_DECISIONS, &key).await?.ok_or_else(missing)?;
        let mut batch = Batch::new();
        batch.delete(&LINK_DECISIONS, &key);
        self.audit.stage(&mut batch, by, "link.clear", student.as_str(), &json!({ "adult": adult }));
        self.store.commit(batch).await?;
        self.refresh.now().await
    }

    /// At most `limit` decisions, those about one pupil if one is given.
    ///
    /// # Errors
    /// `NotFound` for an unknown pupil.
    pub async fn links(&self, student: Option<&UserId>, limit: usize) -> Result<Vec<KnownLinkDecision>, SchoolError> {
        let limit = limit.min(LINK_DECISIONS_MAX);
        let rows = match student {
            Some(student) => {
                let number = self.store.user(student).await?.ok_or(SchoolError::NotFound("account"))?;
                self.store.prefix(&LINK_DECISIONS, &number, Order::Ascending, limit).await?
            }
            None => self.store.prefix(&LINK_DECISIONS, &(), Order::Ascending, limit).await?,
        };
        let mut known = Vec::new();
        for ((student, adult), decision) in rows {
            let (student, adult) = (self.store.user_id(student).await?, self.store.user_id(adult).await?);
            known.push(KnownLinkDecision { student, adult, decision });
        }
        Ok(known)
    }
}
