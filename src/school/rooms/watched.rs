//! Rooms that adults watch over, and the rooms of families: made on first use, and kept true to the roster since.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{OwnedRoomId, events::StateEventType};
use serde_json::json;

use super::{
    super::{
        SchoolError,
        people::{People, PersonNo, Relations},
        policy::Outcome,
        roster::{EnrollmentRole, SchoolRole},
    },
    content::{self, Mode},
    desk::Desk,
    edit::Edit,
    keeper::works_here,
    wanted::{ADULT_POWER, guardians, is_here},
};
use crate::{
    rooms::policy::Verb,
    store::{
        RoomNo, UserNo,
        schema::school::{RoomKind, RoomLink},
    },
};

/// How many adults of the school a supervised room has at least.
pub(in crate::school) const ADULTS_MIN: usize = 2;

/// A supervised room without enough adults.
pub(super) const UNWATCHED: &str = "room.unwatched";

/// The key of the room of two people.
pub(in crate::school) fn pair_key(one: UserNo, other: UserNo) -> String {
    format!("{}-{}", one.0.min(other.0), one.0.max(other.0))
}

/// The two of such a key.
pub(super) fn pair_of(object: &str) -> Option<(UserNo, UserNo)> {
    let (one, other) = object.split_once('-')?;
    Some((UserNo(one.parse().ok()?), UserNo(other.parse().ok()?)))
}

/// Two people who need others around them: the one who is watched over, and the adult.
#[derive(Debug, Clone, Copy)]
pub(in crate::school) struct Pair {
    pub(in crate::school) student: PersonNo,
    pub(in crate::school) adult: PersonNo,
}

impl Pair {
    /// Whoever of the two does not work at the school is watched over.
    pub(in crate::school) fn of(people: &People, one: PersonNo, other: PersonNo) -> Self {
        if people.roles(other).works_here() && !people.roles(one).works_here() {
            Self { student: one, adult: other }
        } else {
            Self { student: other, adult: one }
        }
    }

    /// Adults who could watch over the two, the nearest first: who teaches in the class they share, the tutor, the
    /// safeguarding leads and the leadership, a guardian.
    pub(in crate::school) fn watchers(self, people: &People) -> Vec<PersonNo> {
        let mut found: Vec<PersonNo> = Vec::new();
        let mut add = |person: PersonNo, guardian: bool| {
            let fit = person != self.adult
                && person != self.student
                && is_here(people, person)
                && (guardian || people.roles(person).works_here())
                && !people.relations(person, self.student).has_any(Relations::ISOLATED.with(Relations::NO_CONTACT));
            if fit && !found.contains(&person) {
                found.push(person);
            }
        };
        for class in people.enrolled(self.student).filter(|member| member.role == EnrollmentRole::Student) {
            let teachers = || people.members(class.class).filter(|member| member.role != EnrollmentRole::Student);
            if teachers().any(|member| member.person == self.adult) {
                teachers().for_each(|member| add(member.person, false));
            }
        }
        people.tutors(self.student).for_each(|tutor| add(tutor, false));
        for role in [SchoolRole::SafeguardingLead, SchoolRole::Leadership] {
            let (near, far): (Vec<_>, Vec<_>) = people.with_role(role).partition(|person| {
                let mine = people.orgs_of(self.student);
                people.orgs_of(*person).iter().any(|org| mine.contains(org))
            });
            near.into_iter().chain(far).take(16).for_each(|person| add(person, false));
        }
        guardians(people, self.student).for_each(|guardian| add(guardian, true));
        found
    }

    fn name(self, people: &People) -> String {
        format!("{} · {}", people.display_name(self.student), people.display_name(self.adult))
    }
}

impl Desk {
    /// Keeps a room of a family, or one that adults watch over, true to the people. The answer is whether it changed.
    pub(super) async fn keep_watched(
        &self,
        people: &People,
        number: RoomNo,
        link: &RoomLink,
    ) -> Result<bool, SchoolError> {
        let Some(room) = self.rooms.get(number).await? else { return Ok(false) };
        let mut edit = Edit::of(self, &room).await?;
        match link.kind {
            RoomKind::Family => keep_family(people, link, &mut edit).await?,
            _ => self.keep_supervised(people, link, &mut edit).await?,
        }
        let changed = edit.has_changed();
        edit.commit().await?;
        Ok(changed)
    }

    async fn keep_supervised(&self, people: &People, link: &RoomLink, edit: &mut Edit<'_>) -> Result<(), SchoolError> {
        let Some((one, other)) = pair_of(&link.object) else { return Ok(()) };
        let joined = edit.joined();
        let (Some(one), Some(other)) = (people.of_user(one), people.of_user(other)) else { return Ok(()) };
        let pair = Pair::of(people, one, other);
        let stays = |user: &UserNo| {
            people.of_user(*user).is_some_and(|person| {
                let apart = Relations::ISOLATED.with(Relations::NO_CONTACT);
                is_here(people, person) && !people.relations(person, pair.student).has_any(apart)
            })
        };
        let (staying, going): (Vec<UserNo>, Vec<UserNo>) = joined.iter().partition(|user| stays(user));
        let mut adults: Vec<UserNo> =
            staying.iter().copied().filter(|user| is_adult(people, pair.student, *user)).collect();
        let watched = staying.iter().any(|user| *user == people.user(pair.student));
        // Others come before anybody goes. Without the one who is watched over there is nothing to watch.
        if watched {
            self.fill_up(people, pair, &mut adults, edit).await?;
        }
        for user in going {
            edit.remove(user).await?;
        }
        let unwatched = watched && adults.len() < ADULTS_MIN;
        let forbidden = !self.may_write(people, pair);
        let held = link.held || forbidden;
        let now = RoomLink { frozen: unwatched || held, held, ..link.clone() };
        if *link == now && joined.len() == edit.joined().len() && !edit.has_changed() {
            return Ok(());
        }
        let number = edit.number();
        if forbidden && !link.held {
            edit.say("The rules of the school no longer allow this chat. It can still be read.").await?;
        }
        if unwatched && !link.frozen {
            edit.say("There is no second adult in this room, so nobody can write in it at the moment.").await?;
        }
        if unwatched {
            let tutor = people.tutors(pair.student).find(|tutor| is_here(people, *tutor));
            let text = format!("The chat of {} needs another adult.", pair.name(people));
            self.tasks.stage(edit.batch(), (UNWATCHED, number), tutor.map(|tutor| people.user(tutor)), text);
        } else if self.tasks.is_open(UNWATCHED, number) {
            self.tasks.stage_done(edit.batch(), UNWATCHED, number);
        }
        edit.link(&now);
        let powers: Vec<(UserNo, i64)> = adults.iter().map(|user| (*user, ADULT_POWER)).collect();
        edit.rules(&now, &powers, (None, Mode::Open)).await
    }

    /// Brings in as many adults as are missing. Those who come are added to `adults`.
    async fn fill_up(
        &self,
        people: &People,
        pair: Pair,
        adults: &mut Vec<UserNo>,
        edit: &mut Edit<'_>,
    ) -> Result<(), SchoolError> {
        if adults.len() >= ADULTS_MIN {
            return Ok(());
        }
        let there = adults.clone();
        let candidates = pair.watchers(people).into_iter().map(|person| people.user(person));
        for user in candidates.filter(|user| !there.contains(user)) {
            if adults.len() >= ADULTS_MIN {
                break;
            }
            edit.bring(user).await?;
            adults.push(user);
        }
        Ok(())
    }

    /// Whether either of the two may still start what they have.
    fn may_write(&self, people: &People, pair: Pair) -> bool {
        let (student, adult) = (pair.student, pair.adult);
        if !is_here(people, student) || !is_here(people, adult) {
            // Nobody writes to who is not there; the room is that of those who stay.
            return true;
        }
        [(student, adult), (adult, student)].into_iter().any(|(actor, target)| {
            let ruling = self.rules.ruling_between(people, actor, target, Verb::Dm);
            matches!(ruling.outcome, Outcome::Allow | Outcome::Supervised { .. })
        })
    }

    /// Makes the room of a pair, and whoever watches over it is in it from the first moment.
    ///
    /// # Errors
    /// [`SchoolError::Rooms`] with the reason `supervised.no_adult` when there is nobody who could.
    pub(in crate::school) async fn make_supervised(
        &self,
        people: &People,
        pair: Pair,
        adults_min: usize,
        topic: Option<&str>,
    ) -> Result<OwnedRoomId, SchoolError> {
        let (student, adult) = (people.user(pair.student), people.user(pair.adult));
        let mut adults = Vec::new();
        if is_adult(people, pair.student, adult) {
            adults.push(adult);
        }
        let wanted = adults_min.max(ADULTS_MIN);
        let others = pair.watchers(people).into_iter().map(|person| people.user(person));
        adults.extend(others.take(wanted.saturating_sub(adults.len())));
        if adults.len() < wanted {
            return Err(SchoolError::Rooms(crate::rooms::RoomsError::Policy {
                message: "This chat needs a second adult of the school, and there is none at the moment".into(),
                reason: "supervised.no_adult".into(),
            }));
        }
        let mut edit = Edit::new_room(self, &content::create(RoomKind::Supervised, true)).await?;
        let link = RoomLink {
            kind: RoomKind::Supervised,
            object: pair_key(student, adult),
            frozen: false,
            archived: false,
            held: false,
        };
        edit.link(&link);
        let powers: Vec<(UserNo, i64)> = adults.iter().map(|user| (*user, ADULT_POWER)).collect();
        edit.rules(&link, &powers, (None, Mode::Open)).await?;
        edit.usual_state(true).await?;
        edit.set(StateEventType::RoomName, "", json!({ "name": pair.name(people) })).await?;
        if let Some(topic) = topic {
            edit.set(StateEventType::RoomTopic, "", content::topic(topic)).await?;
        }
        for user in adults.into_iter().chain([student, adult]) {
            edit.bring(user).await?;
        }
        let id = edit.writer.room().id.clone();
        edit.commit().await?;
        Ok(id)
    }

    /// Makes the room of a pupil's family with an adult of the school in it, or lets them join the one there is.
    ///
    /// # Errors
    /// [`SchoolError::Rooms`] with the reason `family.no_guardian` when the school deals with no guardian.
    pub(in crate::school) async fn family_room(
        &self,
        people: &People,
        student: PersonNo,
        with: Option<PersonNo>,
    ) -> Result<OwnedRoomId, SchoolError> {
        let object = people.user(student).0.to_string();
        let _making = self.making(&object).await;
        let with = with.map(|person| people.user(person));
        if let Some(number) = self.rules.rooms().of_object(&self.store, RoomKind::Family, &object).await?
            && let Some(room) = self.rooms.get(number).await?
        {
            let mut edit = Edit::of(self, &room).await?;
            if let Some(user) = with.filter(|user| !edit.joined().contains(user)) {
                edit.bring(user).await?;
                let link = self.rules.rooms().get(number);
                if let Some(link) = link {
                    let powers = family_powers(people, &edit.joined());
                    edit.rules(&link, &powers, (None, Mode::Open)).await?;
                }
            }
            edit.commit().await?;
            return Ok(room.id.clone());
        }
        if guardians(people, student).next().is_none() {
            return Err(SchoolError::Rooms(crate::rooms::RoomsError::Policy {
                message: "Younger pupils are written to together with their family, and the school knows of no \
                          guardian"
                    .into(),
                reason: "family.no_guardian".into(),
            }));
        }
        let mut edit = Edit::new_room(self, &content::create(RoomKind::Family, true)).await?;
        let link = RoomLink { kind: RoomKind::Family, object, frozen: false, archived: false, held: false };
        edit.link(&link);
        let members: Vec<UserNo> = family(people, student).chain(with).collect();
        edit.rules(&link, &family_powers(people, &members), (None, Mode::Open)).await?;
        edit.usual_state(true).await?;
        let name = format!("Family of {}", people.display_name(student));
        edit.set(StateEventType::RoomName, "", json!({ "name": name })).await?;
        for user in members {
            edit.bring(user).await?;
        }
        let id = edit.writer.room().id.clone();
        edit.commit().await?;
        Ok(id)
    }
}

/// Whether somebody counts as an adult who watches over a pupil: who works at the school, or a guardian.
pub(super) fn is_adult(people: &People, student: PersonNo, user: UserNo) -> bool {
    works_here(people, user)
        || people.of_user(user).is_some_and(|person| guardians(people, student).any(|guardian| guardian == person))
}

/// The pupil of a family's room.
fn student_of(people: &People, link: &RoomLink) -> Option<PersonNo> {
    people.of_user(UserNo(link.object.parse().ok()?))
}

/// The rooms of families that ended while their pupil was away, and have no other room since: the last of each, where
/// the pupil is back.
pub(super) fn reopened(people: &People, book: &[(RoomNo, Arc<RoomLink>)]) -> HashSet<RoomNo> {
    let families = || book.iter().filter(|(_, link)| link.kind == RoomKind::Family);
    let open: HashSet<&str> = families().filter(|(_, link)| !link.archived).map(|(_, link)| &*link.object).collect();
    let mut last: HashMap<&str, RoomNo> = HashMap::new();
    for (number, link) in families().filter(|(_, link)| link.archived && !open.contains(&*link.object)) {
        if student_of(people, link).is_some_and(|student| is_here(people, student)) {
            let kept = last.entry(&link.object).or_insert(*number);
            *kept = (*kept).max(*number);
        }
    }
    last.into_values().collect()
}

/// Who is in the room of a family without having asked: guardians and tutors.
fn family(people: &People, student: PersonNo) -> impl Iterator<Item = UserNo> {
    let tutors = people.tutors(student).filter(|tutor| is_here(people, *tutor));
    guardians(people, student).chain(tutors).map(|person| people.user(person))
}

fn family_powers(people: &People, members: &[UserNo]) -> Vec<(UserNo, i64)> {
    members.iter().filter(|user| works_here(people, **user)).map(|user| (*user, ADULT_POWER)).collect()
}

async fn keep_family(people: &People, link: &RoomLink, edit: &mut Edit<'_>) -> Result<(), SchoolError> {
    let Some(student) = student_of(people, link) else { return Ok(()) };
    let joined = edit.joined();
    // Without the pupil there is no family to talk about.
    let here = is_here(people, student);
    let wanted: Vec<UserNo> = if here { family(people, student).collect() } else { Vec::new() };
    let concerned = Relations::TEACHES.with(Relations::TUTOR_OF);
    let stays = |user: &UserNo| {
        wanted.contains(user)
            || here
                && people.of_user(*user).is_some_and(|person| {
                    let roles = people.roles(person);
                    let leads = roles.has(SchoolRole::Leadership) || roles.has(SchoolRole::SafeguardingLead);
                    is_here(people, person) && (leads || people.relations(person, student).has_any(concerned))
                })
    };
    for user in &joined {
        if !stays(user) {
            edit.remove(*user).await?;
        }
    }
    for user in &wanted {
        if !joined.contains(user) {
            edit.bring(*user).await?;
        }
    }
    if !edit.has_changed() {
        return Ok(());
    }
    edit.link(&RoomLink { archived: !here, ..link.clone() });
    let powers = family_powers(people, &edit.joined());
    edit.rules(&RoomLink { archived: !here, ..link.clone() }, &powers, (None, Mode::Open)).await
}
