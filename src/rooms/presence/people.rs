//! What is known of everybody's presence. Pure: the caller brings the time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use ruma::presence::PresenceState;

use super::Status;
use crate::store::{Position, UserNo};

/// A device counts as there for this long after its last request ended.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// Somebody of another server counts as there for this long after it last said so.
const REMOTE_GONE_AFTER: Duration = Duration::from_mins(30);
/// Devices of one person that are told apart; the one not seen for longest makes room.
const DEVICES_MAX: usize = 8;
/// People remembered; beyond, those who have been gone for longest are forgotten.
const PEOPLE_MAX: usize = 50_000;
/// How long nobody is looked for again who could be forgotten for the sake of somebody elsewhere.
const FORGET_PAUSE: Duration = Duration::from_secs(5);

/// Everybody.
#[derive(Default)]
pub(super) struct People {
    known: HashMap<UserNo, Person>,
    /// Who changed at which position; each person stands here once at most.
    log: BTreeMap<Position, Vec<UserNo>>,
    /// Something waits to be published at this time.
    due: Option<Duration>,
    /// The task runs, and will look again at this time.
    pub(super) wakes_at: Option<Duration>,
    /// When it was looked last whom to forget for the sake of somebody elsewhere.
    forgot: Option<Duration>,
}

#[derive(Default)]
struct Person {
    devices: Vec<Device>,
    /// A state that was set by request, with the time; the next sync of any device ends it.
    set: Option<(PresenceState, Duration)>,
    /// What another server said of one of its users, with the time.
    elsewhere: Option<(PresenceState, Duration)>,
    status_msg: Option<String>,
    active: Option<Duration>,
    shown: Shown,
    /// When they were told.
    shown_at: Option<Position>,
}

struct Device {
    id: Box<str>,
    online: bool,
    /// Requests that wait at the moment.
    waiting: u32,
    seen: Duration,
}

/// What others were told last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    state: PresenceState,
    status_msg: Option<String>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { state: PresenceState::Offline, status_msg: None }
    }
}

impl Person {
    fn state(&self, now: Duration) -> PresenceState {
        if let Some((state, at)) = &self.elsewhere {
            let still = now.saturating_sub(*at) < REMOTE_GONE_AFTER;
            return if still { state.clone() } else { PresenceState::Offline };
        }
        let there = |device: &&Device| device.waiting > 0 || now.saturating_sub(device.seen) < GONE_AFTER;
        let mut there = self.devices.iter().filter(there).peekable();
        match &self.set {
            Some((state, at)) if there.peek().is_some() || now.saturating_sub(*at) < GONE_AFTER => state.clone(),
            Some(_) => PresenceState::Offline,
            None if there.peek().is_none() => PresenceState::Offline,
            None if there.any(|device| device.online) => PresenceState::Online,
            None => PresenceState::Unavailable,
        }
    }

    fn now_shown(&self, now: Duration) -> Shown {
        Shown { state: self.state(now), status_msg: self.status_msg.clone() }
    }
}

impl People {
    /// A device's request begins.
    pub(super) fn enter(&mut self, user: UserNo, device: &str, online: bool, now: Duration) {
        let person = self.person(user);
        person.set = None;
        if online {
            person.active = Some(now);
        }
        if let Some(known) = person.devices.iter_mut().find(|known| *known.id == *device) {
            known.online = online;
            known.waiting += 1;
            known.seen = now;
            return;
        }
        if person.devices.len() >= DEVICES_MAX
            && let Some((oldest, _)) = person.devices.iter().enumerate().min_by_key(|(_, device)| device.seen)
        {
            person.devices.swap_remove(oldest);
        }
        person.devices.push(Device { id: device.into(), online, waiting: 1, seen: now });
    }

    /// A device's request ends.
    pub(super) fn leave(&mut self, user: UserNo, device: &str, now: Duration) {
        let devices = self.known.get_mut(&user).map(|person| &mut person.devices);
        if let Some(device) = devices.and_then(|devices| devices.iter_mut().find(|known| *known.id == *device)) {
            device.waiting = device.waiting.saturating_sub(1);
            device.seen = now;
        }
    }

    /// A state set by request.
    pub(super) fn set(&mut self, user: UserNo, state: PresenceState, status_msg: Option<String>, now: Duration) {
        let person = self.person(user);
        if state == PresenceState::Online {
            person.active = Some(now);
        }
        person.set = Some((state, now));
        person.status_msg = status_msg.filter(|message| !message.is_empty());
    }

    /// What another server says of one of its users, last active so long ago. Where too many are there already, nothing.
    pub(super) fn set_elsewhere(
        &mut self,
        user: UserNo,
        (state, status_msg): (PresenceState, Option<String>),
        active_ago: Duration,
        now: Duration,
    ) {
        if self.is_full(user) {
            // There may be nobody to forget, and it takes long to find out.
            if self.forgot.is_some_and(|at| now.saturating_sub(at) < FORGET_PAUSE) {
                return;
            }
            self.forgot = Some(now);
            self.forget();
            if self.is_full(user) {
                return;
            }
        }
        let person = self.person(user);
        person.active = Some(now.saturating_sub(active_ago));
        person.elsewhere = Some((state, now));
        person.status_msg = status_msg.filter(|message| !message.is_empty());
    }

    /// Whether others would see something else than they were told.
    pub(super) fn differs(&self, user: UserNo, now: Duration) -> bool {
        self.known.get(&user).is_some_and(|person| {
            person.state(now) != person.shown.state || person.status_msg != person.shown.status_msg
        })
    }

    /// Something waits to be published, at `at` or when something else already is. Answers when.
    pub(super) fn publish_at(&mut self, at: Duration) -> Duration {
        let due = self.due.map_or(at, |due| due.min(at));
        self.due = Some(due);
        due
    }

    /// Everything that differs, if it is time to publish; what differs by the passing of time alone waits for others.
    pub(super) fn differences(&mut self, now: Duration, gather: Duration) -> HashMap<UserNo, Shown> {
        match self.due {
            Some(due) if due <= now => {
                self.due = None;
                let users = self.known.iter().filter(|(user, _)| self.differs(**user, now));
                users.map(|(user, person)| (*user, person.now_shown(now))).collect()
            }
            Some(_) => HashMap::new(),
            None => {
                if self.known.keys().any(|user| self.differs(*user, now)) {
                    self.due = Some(now + gather);
                }
                HashMap::new()
            }
        }
    }

    /// When to look again: at the latest in `every`, never when nobody is there.
    pub(super) fn next_look(&self, now: Duration, every: Duration) -> Option<Duration> {
        let there = self.known.values().any(|person| person.shown.state != PresenceState::Offline);
        let look = (there || self.known.values().any(|person| person.state(now) != PresenceState::Offline))
            .then(|| now + every);
        match (self.due, look) {
            (Some(due), Some(look)) => Some(due.min(look)),
            (due, look) => due.or(look),
        }
    }

    /// Called by the committer: others can see these now.
    pub(super) fn published(&mut self, changed: HashMap<UserNo, Shown>, position: Position) {
        for (user, shown) in changed {
            let Some(person) = self.known.get_mut(&user) else { continue };
            person.shown = shown;
            let old = person.shown_at.replace(position);
            if let Some(old) = old
                && let Some(users) = self.log.get_mut(&old)
            {
                users.retain(|known| *known != user);
                if users.is_empty() {
                    self.log.remove(&old);
                }
            }
            self.log.entry(position).or_default().push(user);
        }
    }

    /// Who changed after `since` and up to `upto`, the newest first, and those of `met` who are there; with `since`
    /// zero, everybody who is there.
    pub(super) fn changed(&self, since: Position, upto: Position, met: &BTreeSet<UserNo>) -> Vec<UserNo> {
        if since >= upto {
            return Vec::new();
        }
        let log = self.log.range(Position(since.0 + 1)..=upto).rev().flat_map(|(_, users)| users.iter().copied());
        let mut changed: Vec<UserNo> = log.filter(|user| since != Position::ZERO || self.is_there(*user)).collect();
        let told = |user: &UserNo| self.known.get(user).and_then(|person| person.shown_at);
        changed.extend(met.iter().filter(|user| self.is_there(**user) && told(user).is_some_and(|at| at <= since)));
        changed
    }

    fn is_there(&self, user: UserNo) -> bool {
        self.known.get(&user).is_some_and(|person| person.shown.state != PresenceState::Offline)
    }

    /// A person's presence at this moment.
    pub(super) fn status(&self, user: UserNo, now: Duration) -> Status {
        let person = self.known.get(&user);
        let presence = person.map_or(PresenceState::Offline, |person| person.state(now));
        let active = person.and_then(|person| person.active).map(|at| now.saturating_sub(at));
        Status {
            currently_active: presence == PresenceState::Online,
            last_active_ago: active.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
            status_msg: person.and_then(|person| person.status_msg.clone()),
            presence,
        }
    }

    /// Whether there is no place for somebody who is not known yet.
    fn is_full(&self, user: UserNo) -> bool {
        self.known.len() >= PEOPLE_MAX && !self.known.contains_key(&user)
    }

    fn person(&mut self, user: UserNo) -> &mut Person {
        if self.is_full(user) {
            self.forget();
        }
        self.known.entry(user).or_default()
    }

    /// Forgets the half of those who are gone that has not changed for longest.
    fn forget(&mut self) {
        let gone = |person: &Person| {
            person.shown.state == PresenceState::Offline && person.devices.iter().all(|d| d.waiting == 0)
        };
        let mut changes: Vec<Option<Position>> = self.known.values().filter(|p| gone(p)).map(|p| p.shown_at).collect();
        changes.sort_unstable();
        let middle = changes.get(changes.len() / 2).copied().flatten();
        self.known.retain(|_, person| !gone(person) || person.shown_at > middle);
        let known = &self.known;
        self.log.retain(|_, users| {
            users.retain(|user| known.contains_key(user));
            !users.is_empty()
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn those_of_other_servers_take_no_more_than_their_place() {
        let (mut people, now) = (People::default(), Duration::from_hours(1));
        for user in 1..=PEOPLE_MAX as u64 + 10 {
            people.set_elsewhere(UserNo(user), (PresenceState::Online, None), Duration::ZERO, now);
            // They are told of, so that nobody counts as gone.
            let shown = people.known.get(&UserNo(user)).map(|person| (UserNo(user), person.now_shown(now)));
            people.published(shown.into_iter().collect(), Position(user));
        }
        assert_eq!(people.known.len(), PEOPLE_MAX);
        // Who is here has a place nevertheless.
        people.enter(UserNo(1_000_000), "phone", true, now);
        assert_eq!(people.status(UserNo(1_000_000), now).presence, PresenceState::Online);
    }
}
