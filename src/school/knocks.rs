//! Knocks: somebody asks for contact, and the other decides.
//!
//! Who may knock is the contact policy's to say: where writing to somebody needs their consent first. Who declines is
//! not told on: the knock stays open for who asked, counts as such, can be taken back, and be made again. Accepting starts the chat as the policy has it, and a decision about
//! this pair, which ends by itself, lets it go on.

use std::{sync::Arc, time::Duration};

use ruma::{OwnedUserId, UserId};
use tokio::sync::Mutex;

use super::{
    Rules, SchoolError,
    audit::Author,
    chats::Chats,
    decisions::{Decisions, NewOverride},
    policy::Outcome,
    roster::SchoolRole,
    sequence::Sequence,
};
use crate::{
    clock::Clock,
    rooms::{Actor, RoomsError, policy::Verb},
    store::{
        Batch, Order, RoomNo, Store, UserNo,
        schema::school::{KNOCKS, Knock, KnockState, OverrideEffect, USER_KNOCKS},
    },
    users::Users,
};

/// Knocks that one person has open at once.
const OPEN_FROM_MAX: usize = 10;
/// Knocks that wait for one person at once.
const OPEN_TO_MAX: usize = 100;
/// Knocks of one person that are kept; more is a sign that something is wrong.
const ROWS_MAX: usize = 2_000;
/// The longest text, in characters.
const TEXT_CHARS_MAX: usize = 500;
/// Half a school year: how long an accepted knock opens the way, how long one is kept, and how long who was declined
/// does not reach the same person by asking again.
const KEPT: Duration = Duration::from_hours(24 * 180);
const REASON: &str = "knock accepted";

/// What to do with a knock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnockAnswer {
    /// Agree: the chat is started.
    Accept,
    /// Say no, silently.
    Decline,
    /// Take it back.
    Withdraw,
}

impl KnockAnswer {
    /// The answer of a name in the API.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "accept" => Self::Accept,
            "decline" => Self::Decline,
            "withdraw" => Self::Withdraw,
            _ => return None,
        })
    }
}

/// A knock as one of the two sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenKnock {
    /// Its number.
    pub number: u64,
    /// Whether the viewer is who asked.
    pub mine: bool,
    /// The other.
    pub with: OwnedUserId,
    /// The knock. For who asked, a declined one is open, or taken back.
    pub knock: Knock,
}

/// Requests for contact. Cheap to clone.
#[derive(Clone)]
pub struct Knocks {
    store: Store,
    clock: Clock,
    rules: Arc<Rules>,
    users: Users,
    chats: Chats,
    decisions: Decisions,
    numbers: Sequence,
    /// One change at a time: each is made from what is there.
    turn: Arc<Mutex<()>>,
}

impl Knocks {
    pub(super) async fn load(
        store: Store,
        clock: Clock,
        rules: Arc<Rules>,
        users: Users,
        (chats, decisions): (Chats, Decisions),
    ) -> Result<Self, SchoolError> {
        let numbers = Sequence::load(&store, &KNOCKS).await?;
        Ok(Self { store, clock, rules, users, chats, decisions, numbers, turn: Arc::default() })
    }

    /// Asks somebody for contact; the number of the knock. Asked again, the answer is the knock that waits already.
    ///
    /// # Errors
    /// [`RoomsError::NoUser`] for whom the asker may not know of, [`RoomsError::Policy`] where the policy says no;
    /// [`SchoolError::Conflict`] where nobody has to ask, and for too many open knocks.
    pub async fn ask(&self, from: &Actor<'_>, to: &UserId, text: &str) -> Result<u64, SchoolError> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
            return Err(SchoolError::Invalid(format!("a knock has a text of 1 to {TEXT_CHARS_MAX} characters")));
        }
        let Some((target, _)) = self.users.accounts.get(to).await?.filter(|(_, account)| !account.deactivated) else {
            return Err(RoomsError::NoUser.into());
        };
        self.check(from.user_id, to)?;
        let _turn = self.turn.lock().await;
        let mut batch = Batch::new();
        let mine = self.rows(from.user, &mut batch).await?;
        // What is open for who asks: they count it, too.
        let waiting = || mine.iter().filter(|(_, knock)| knock.from == from.user && seems_open(knock.state));
        if let Some((number, _)) = waiting().find(|(_, knock)| knock.to == target) {
            return Ok(*number);
        }
        if waiting().count() >= OPEN_FROM_MAX || mine.len() >= ROWS_MAX {
            return Err(SchoolError::Conflict("You have asked many people already: wait for their answers".into()));
        }
        let theirs = self.rows(target, &mut batch).await?;
        let open = theirs.iter().filter(|(_, knock)| knock.to == target && knock.state == KnockState::Open);
        if open.count() >= OPEN_TO_MAX || theirs.len() >= ROWS_MAX {
            return Err(SchoolError::Conflict("Too many people wait for an answer of this person".into()));
        }
        // Asked again after a no that they do not know of: it is as if it was said again, and does not ring.
        let is_no = |knock: &Knock| knock.from == from.user && knock.state == KnockState::DeclinedAndWithdrawn;
        let declined = mine.iter().any(|(_, knock)| is_no(knock) && knock.to == target);
        let (number, at_ms) = (self.numbers.next(), self.clock.now_ms());
        let knock = Knock {
            from: from.user,
            to: target,
            text: text.to_owned(),
            state: if declined { KnockState::Declined } else { KnockState::Open },
            room: None,
            at_ms,
            answered_ms: declined.then_some(at_ms),
        };
        batch.put(&KNOCKS, &number, &knock);
        batch.put(&USER_KNOCKS, &(from.user, number), &());
        if !declined {
            batch.put(&USER_KNOCKS, &(target, number), &());
        }
        self.store.commit(batch).await?;
        Ok(number)
    }

    /// Knocks of somebody and at somebody, newest first, from before number `before`: at most `limit`. Those of people
    /// whom the viewer ignores are left out.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, viewer: UserNo, before: Option<u64>, limit: usize) -> Result<Vec<SeenKnock>, SchoolError> {
        let ignored = self.users.ignored(viewer).await?;
        let to = (viewer, before.unwrap_or(u64::MAX));
        let rows = self.store.range(&USER_KNOCKS, &(viewer, 0_u64), &to, Order::Descending, ROWS_MAX).await?;
        let mut seen = Vec::new();
        for ((_, number), ()) in rows {
            if seen.len() >= limit {
                break;
            }
            if let Some(knock) = self.store.get(&KNOCKS, &number).await?
                && !ignored.contains(&knock.from)
            {
                seen.push(self.seen(viewer, number, knock).await?);
            }
        }
        Ok(seen)
    }

    /// Answers a knock, or takes one back; how it stands then.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`] for one that is not the caller's to answer, [`SchoolError::Conflict`] for one that was
    /// answered; those of starting a chat.
    pub async fn answer(&self, by: &Actor<'_>, number: u64, answer: KnockAnswer) -> Result<SeenKnock, SchoolError> {
        let _turn = self.turn.lock().await;
        let knock = self.store.get(&KNOCKS, &number).await?.ok_or(SchoolError::NotFound("knock"))?;
        let mine = if answer == KnockAnswer::Withdraw { knock.from == by.user } else { knock.to == by.user };
        if !mine {
            return Err(SchoolError::NotFound("knock"));
        }
        match (answer, knock.state) {
            // Who was declined does not know, and may take it back.
            (_, KnockState::Open) | (KnockAnswer::Withdraw, KnockState::Declined) => {}
            _ => return Err(SchoolError::Conflict("This knock has been answered already".into())),
        }
        let (state, room) = match answer {
            KnockAnswer::Accept => (KnockState::Accepted, Some(self.open_way(by, &knock).await?)),
            KnockAnswer::Decline => (KnockState::Declined, None),
            KnockAnswer::Withdraw if knock.state == KnockState::Declined => (KnockState::DeclinedAndWithdrawn, None),
            KnockAnswer::Withdraw => (KnockState::Withdrawn, None),
        };
        let knock = Knock { state, room, answered_ms: Some(self.clock.now_ms()), ..knock };
        let mut batch = Batch::new();
        batch.put(&KNOCKS, &number, &knock);
        self.store.commit(batch).await?;
        self.seen(by.user, number, knock).await
    }

    /// Lets who asked write, and starts the chat.
    async fn open_way(&self, by: &Actor<'_>, knock: &Knock) -> Result<RoomNo, SchoolError> {
        let from = self.store.user_id(knock.from).await?;
        let asker = self.users.accounts.by_number(knock.from).await?.filter(|account| !account.deactivated);
        if asker.is_none() {
            return Err(SchoolError::Conflict("This person has left".into()));
        }
        // The chat may have been started before a crash, or the rules may have become wider since.
        if self.rules.ruling(&from, by.user_id, Verb::Dm).outcome == Outcome::Knock {
            let until_ms = self.clock.now_ms() + kept_ms();
            let decision = NewOverride {
                actor: from.clone(),
                target: by.user_id.to_owned(),
                verb: Some(Verb::Dm),
                effect: self.effect(&from, by.user_id),
                reason: REASON.into(),
                until_ms: Some(until_ms),
            };
            self.decisions.add_override(&decision, &Author::user(by.user_id)).await?;
        }
        let actor = Actor { user_id: &from, user: knock.from, device_id: "", guest: false };
        let room_id = self.chats.start_chat(&actor, by.user_id, None).await?;
        self.store.room(&room_id).await?.ok_or(SchoolError::NotFound("room"))
    }

    /// A pupil and an adult are never left to themselves; whoever else agreed may be.
    fn effect(&self, one: &UserId, other: &UserId) -> OverrideEffect {
        let people = self.rules.people();
        let is_pupil = |user: &UserId| {
            let (standing, _) = self.rules.standing(&people, user);
            standing.roles.has(SchoolRole::Student) && !standing.roles.works_here()
        };
        if is_pupil(one) == is_pupil(other) { OverrideEffect::Allow } else { OverrideEffect::Supervised }
    }

    /// Whether somebody has to ask another before writing to them, and may.
    fn check(&self, from: &UserId, to: &UserId) -> Result<(), SchoolError> {
        let ruling = self.rules.ruling(from, to, Verb::Dm).told();
        let refused = |message: &str, rule: &str| RoomsError::Policy { message: message.into(), reason: rule.into() };
        match ruling.outcome {
            Outcome::Knock => Ok(()),
            _ if ruling.hidden => Err(RoomsError::NoUser.into()),
            Outcome::Deny => Err(refused(ruling.message, ruling.rule).into()),
            Outcome::Allow | Outcome::Supervised { .. } | Outcome::FamilyThread => {
                Err(SchoolError::Conflict("You can write to this person without asking".into()))
            }
        }
    }

    /// The knocks of somebody and at somebody. Those that were answered long ago are deleted with `batch`.
    async fn rows(&self, user: UserNo, batch: &mut Batch) -> Result<Vec<(u64, Knock)>, SchoolError> {
        let numbers = self.store.prefix(&USER_KNOCKS, &user, Order::Ascending, ROWS_MAX).await?;
        let kept_from = self.clock.now_ms().saturating_sub(kept_ms());
        let mut rows = Vec::new();
        for ((_, number), ()) in numbers {
            match self.store.get(&KNOCKS, &number).await? {
                Some(knock) if knock.at_ms < kept_from => {
                    batch.delete(&KNOCKS, &number);
                    batch.delete(&USER_KNOCKS, &(knock.from, number));
                    batch.delete(&USER_KNOCKS, &(knock.to, number));
                }
                Some(knock) => rows.push((number, knock)),
                None => {}
            }
        }
        Ok(rows)
    }

    async fn seen(&self, viewer: UserNo, number: u64, mut knock: Knock) -> Result<SeenKnock, SchoolError> {
        let mine = knock.from == viewer;
        match knock.state {
            KnockState::Declined if mine => (knock.state, knock.answered_ms) = (KnockState::Open, None),
            KnockState::DeclinedAndWithdrawn if mine => knock.state = KnockState::Withdrawn,
            KnockState::DeclinedAndWithdrawn => knock.state = KnockState::Declined,
            _ => {}
        }
        let with = self.store.user_id(if mine { knock.to } else { knock.from }).await?;
        Ok(SeenKnock { number, mine, with, knock })
    }
}

/// Whether a knock is open for who asked.
fn seems_open(state: KnockState) -> bool {
    matches!(state, KnockState::Open | KnockState::Declined)
}

fn kept_ms() -> u64 {
    u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX)
}
