//! Keeps the school's rooms what the roster says.
//!
//! Every change of the people starts a pass: the rooms that ought to be are computed, and those whose wish has changed
//! since it was last fulfilled are worked on, those that are there before those that are to be made. A pass that was
//! cut short begins again at the next start; a pass without changes reads and writes nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use ruma::OwnedRoomId;
use tokio::{sync::watch, task::JoinSet};

use super::{
    super::{SchoolError, people::People},
    apply::{Done, Goal},
    book::families,
    desk::Desk,
    wanted::{Wanted, family_student, guardians, is_here, wanted},
    watched::reopened,
};
use crate::store::{
    Position, RoomNo, UserNo,
    schema::school::{RoomKind, RoomLink},
};

/// Rooms worked on at once. Few, so that people's messages do not wait.
const AT_ONCE: usize = 4;
/// How long the keeper waits when a pass has failed.
const RETRY: Duration = Duration::from_secs(30);

/// How far the keeper is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// How many changes of the people it has taken in: one more than their counter.
    pub taken_in: u64,
    /// Whether a pass is going on.
    pub working: bool,
    /// Rooms of that pass.
    pub total: u64,
    /// Rooms looked at so far.
    pub looked_at: u64,
    /// What the last pass has done.
    pub last: Summary,
}

/// What a pass has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Rooms made.
    pub made: u64,
    /// Rooms changed.
    pub changed: u64,
    /// Rooms ended.
    pub archived: u64,
    /// People who have left their rooms.
    pub departed: u64,
    /// Rooms that could not be worked on; the log has the reasons.
    pub failed: u64,
}

impl Summary {
    fn count(&mut self, done: Done) {
        match done {
            Done::Nothing => {}
            Done::Made => self.made += 1,
            Done::Changed => self.changed += 1,
        }
    }
}

/// A room's object: its kind and key.
type ObjectKey = (RoomKind, String);

/// The school's rooms, kept. Cheap to clone.
#[derive(Clone)]
pub struct SchoolRooms {
    pub(super) desk: Arc<Desk>,
    progress: Arc<watch::Sender<Progress>>,
    /// Up to where announcements were sent on.
    pub(super) sent_on: Arc<watch::Sender<Position>>,
    /// One pass at a time.
    passing: Arc<tokio::sync::Mutex<()>>,
}

impl SchoolRooms {
    pub(in crate::school) fn new(desk: Arc<Desk>) -> Self {
        Self {
            desk,
            progress: Arc::new(watch::Sender::default()),
            sent_on: Arc::new(watch::Sender::new(Position(0))),
            passing: Arc::default(),
        }
    }

    /// Follows the people. Runs until it is dropped.
    pub async fn keep(&self) {
        let mut changed = self.desk.rules.changed();
        loop {
            let count = *changed.borrow_and_update();
            let failed = match self.pass(false).await {
                Ok(summary) => summary.failed > 0,
                Err(error) => {
                    tracing::warn!(%error, "the school's rooms could not be kept");
                    true
                }
            };
            self.progress.send_modify(|progress| progress.taken_in = count + 1);
            if failed {
                tokio::select! {
                    () = self.desk.clock.sleep(RETRY) => {}
                    _ = changed.changed() => {}
                }
            } else if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// How far the keeper is; changes with its work.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Waits until everything the people of this moment ask for is done.
    pub async fn settled(&self) {
        let wanted = *self.desk.rules.changed().borrow() + 1;
        // The sender is held by this value.
        let _ = self.progress.subscribe().wait_for(|progress| progress.taken_in >= wanted).await;
    }

    /// Looks at every room closely, also those of which nothing seems to have changed.
    ///
    /// # Errors
    /// [`SchoolError::Conflict`] when the service account cannot be made; the store failed.
    pub async fn reconcile(&self) -> Result<Summary, SchoolError> {
        self.pass(true).await
    }

    async fn pass(&self, closely: bool) -> Result<Summary, SchoolError> {
        let _one = self.passing.lock().await;
        let people = self.desk.rules.people();
        if !people.is_loaded() {
            return Ok(Summary::default());
        }
        self.desk.service().await?;
        self.desk.load_applied().await?;
        // Rooms made from here on are those of people of this moment or later, and of a later pass.
        let book = self.desk.rules.rooms().all();
        let families = families(&book);
        let people = self.desk.rules.people();
        let settings = self.desk.settings();
        let rooms = {
            let people = people.clone();
            let computed = tokio::task::spawn_blocking(move || wanted(&people, settings, &families)).await;
            computed.map_err(SchoolError::task)?.into_iter().map(Arc::new).collect::<Vec<_>>()
        };
        let total = u64::try_from(rooms.len()).unwrap_or(u64::MAX);
        self.progress.send_modify(|now| (now.working, now.total, now.looked_at) = (true, total, 0));
        let mut pass =
            Pass { keeper: self, people, rooms, book, closely, summary: Summary::default(), there: HashMap::new() };
        let done = pass.run().await;
        let summary = pass.summary;
        self.progress.send_modify(|now| (now.working, now.last) = (false, summary));
        done.map(|()| summary)
    }
}

struct Pass<'a> {
    keeper: &'a SchoolRooms,
    people: Arc<People>,
    rooms: Vec<Arc<Wanted>>,
    /// The rooms there were when the pass began.
    book: Vec<(RoomNo, Arc<RoomLink>)>,
    closely: bool,
    summary: Summary,
    /// The rooms that are there, the archived ones too where there is no other.
    there: HashMap<ObjectKey, RoomNo>,
}

impl Pass<'_> {
    async fn run(&mut self) -> Result<(), SchoolError> {
        self.find();
        // What takes people out of rooms comes first; but before an adult goes, another takes their place.
        self.watched_rooms().await;
        self.departures().await?;
        self.summary.changed += self.keeper.desk.close_chats(&self.people).await?;
        let before = self.summary.archived;
        self.gone_objects().await;
        if self.summary.archived > before {
            self.summary.departed += self.keeper.desk.part_again(&self.people).await?;
        }
        self.spaces().await?;
        let parents = self.room_ids().await?;
        self.all_but_spaces(&parents, true).await;
        self.all_but_spaces(&parents, false).await;
        self.fill_spaces(&parents).await
    }

    fn desk(&self) -> &Desk {
        &self.keeper.desk
    }

    fn find(&mut self) {
        let mut book = self.book.clone();
        book.sort_by_key(|(number, link)| (!link.archived, *number));
        for (number, link) in book {
            self.there.insert((link.kind, link.object.clone()), number);
        }
    }

    fn failed(&mut self, room: &str, error: &SchoolError) {
        tracing::warn!(%error, room, "a room of the school could not be kept");
        self.summary.failed += 1;
    }

    async fn departures(&mut self) -> Result<(), SchoolError> {
        let desk = &self.keeper.desk;
        self.summary.departed += desk.clear_departed(&self.people).await?;
        self.summary.departed += desk.clear_families(&self.people).await?;
        self.summary.departed += desk.part(&self.people).await?;
        Ok(())
    }

    /// Rooms that the roster does not make, but changes: of families, and those adults watch over.
    async fn watched_rooms(&mut self) {
        let book = self.desk().rules.rooms().all();
        let reopened = reopened(&self.people, &book);
        let rooms: Vec<(RoomNo, Arc<RoomLink>)> = book
            .into_iter()
            .filter(|(number, link)| {
                let open = !link.archived && matches!(link.kind, RoomKind::Family | RoomKind::Supervised);
                open || reopened.contains(number)
            })
            .collect();
        let (desk, people) = (self.keeper.desk.clone(), self.people.clone());
        let done = a_few_at_once(rooms, move |(number, link)| {
            let (desk, people) = (desk.clone(), people.clone());
            async move { (link.object.clone(), desk.keep_watched(&people, number, &link).await) }
        })
        .await;
        for (object, result) in done {
            match result {
                Ok(changed) => self.summary.changed += u64::from(changed),
                Err(error) => self.failed(&object, &error),
            }
        }
    }

    /// Ends rooms whose object is gone, of those that were there when the pass began, and takes those out of ended family rooms who are no longer family.
    async fn gone_objects(&mut self) {
        let wanted: HashSet<(RoomKind, &str)> = self.rooms.iter().map(|room| (room.kind, &*room.object)).collect();
        let mut gone = Vec::new();
        for (number, link) in self.book.clone() {
            let of_roster = !matches!(link.kind, RoomKind::Family | RoomKind::Supervised);
            if !of_roster || wanted.contains(&(link.kind, &*link.object)) {
                continue;
            }
            if !link.archived || link.kind == RoomKind::ClassFamily {
                gone.push((number, link));
            }
        }
        for (number, link) in gone {
            let people = self.people.clone();
            let family = (link.kind == RoomKind::ClassFamily).then(|| family_of(&people, &link.object)).flatten();
            let kept =
                |user: UserNo| family.as_ref().is_none_or(|family| family.contains(&user)) || works_here(&people, user);
            let mark = family.clone().unwrap_or_default();
            match self.keeper.desk.archive(number, &mark, kept).await {
                Ok(changed) if !link.archived => self.summary.archived += u64::from(changed),
                Ok(changed) => self.summary.changed += u64::from(changed),
                Err(error) => self.failed(&link.object, &error),
            }
        }
    }

    /// Makes the spaces that are missing, so that what is listed in them can name them.
    async fn spaces(&mut self) -> Result<(), SchoolError> {
        let missing: Vec<Arc<Wanted>> = self
            .rooms
            .iter()
            .filter(|room| room.kind.is_space() && !self.there.contains_key(&(room.kind, room.object.clone())))
            .cloned()
            .collect();
        for room in missing {
            let goal = Goal { wanted: &room, room: None, parent: None, children: &[], closely: false };
            let (number, done) = self.desk().apply(&goal).await?;
            self.summary.count(done);
            self.there.insert((room.kind, room.object.clone()), number);
        }
        Ok(())
    }

    /// The ids of the spaces.
    async fn room_ids(&self) -> Result<HashMap<ObjectKey, OwnedRoomId>, SchoolError> {
        let mut ids = HashMap::new();
        for room in self.rooms.iter().filter(|room| room.kind.is_space()) {
            let key = (room.kind, room.object.clone());
            if let Some(number) = self.there.get(&key) {
                ids.insert(key, self.desk().store.room_id(*number).await?);
            }
        }
        Ok(ids)
    }

    async fn all_but_spaces(&mut self, parents: &HashMap<ObjectKey, OwnedRoomId>, there: bool) {
        let chosen = self.rooms.iter().filter(|room| !room.kind.is_space()).filter_map(|room| {
            let number = self.there.get(&(room.kind, room.object.clone())).copied();
            let parent = room.parent.as_ref().and_then(|parent| parents.get(parent)).cloned();
            (number.is_some() == there).then(|| (room.clone(), number, parent))
        });
        let chosen: Vec<_> = chosen.collect();
        let (keeper, closely) = (self.keeper.clone(), self.closely);
        let done = a_few_at_once(chosen, move |(room, number, parent)| {
            let keeper = keeper.clone();
            async move {
                let goal = Goal { wanted: &room, room: number, parent: parent.as_deref(), children: &[], closely };
                let done = keeper.desk.apply(&goal).await;
                keeper.progress.send_modify(|now| now.looked_at += 1);
                (room, done)
            }
        })
        .await;
        for (room, result) in done {
            match result {
                Ok((number, done)) => {
                    self.summary.count(done);
                    self.there.insert((room.kind, room.object.clone()), number);
                }
                Err(error) => self.failed(&room.name, &error),
            }
        }
    }

    /// The members of spaces, and what is listed in them.
    async fn fill_spaces(&mut self, parents: &HashMap<ObjectKey, OwnedRoomId>) -> Result<(), SchoolError> {
        let mut children: HashMap<ObjectKey, Vec<OwnedRoomId>> = HashMap::new();
        for room in &self.rooms {
            let Some(parent) = room.parent.clone() else { continue };
            let Some(number) = self.there.get(&(room.kind, room.object.clone())) else { continue };
            let id = self.desk().store.room_id(*number).await?;
            children.entry(parent).or_default().push(id);
        }
        let rooms = std::mem::take(&mut self.rooms);
        for room in rooms.iter().filter(|room| room.kind.is_space()) {
            let key = (room.kind, room.object.clone());
            let mut below = children.remove(&key).unwrap_or_default();
            below.sort();
            let parent = room.parent.as_ref().and_then(|parent| parents.get(parent)).map(|id| &**id);
            let number = self.there.get(&key).copied();
            let goal = Goal { wanted: room, room: number, parent, children: &below, closely: self.closely };
            match self.desk().apply(&goal).await {
                Ok((_, done)) => self.summary.count(done),
                Err(error) => self.failed(&room.name, &error),
            }
            self.keeper.progress.send_modify(|now| now.looked_at += 1);
        }
        self.rooms = rooms;
        Ok(())
    }
}

/// Works through a list, a few items at a time.
pub(super) async fn a_few_at_once<T, R: Send + 'static, F: Future<Output = R> + Send + 'static>(
    items: Vec<T>,
    work: impl Fn(T) -> F,
) -> Vec<R> {
    let mut at_work = JoinSet::new();
    let mut done = Vec::with_capacity(items.len());
    for item in items {
        if at_work.len() >= AT_ONCE {
            done.extend(at_work.join_next().await.and_then(Result::ok));
        }
        at_work.spawn(work(item));
    }
    while let Some(one) = at_work.join_next().await {
        done.extend(one.ok());
    }
    done
}

/// The guardians of the pupil that a family's announcements are about; `None` for those of a whole class.
fn family_of(people: &People, object: &str) -> Option<Vec<UserNo>> {
    let student = family_student(object)?;
    let guardians = people.of_user(student).map(|student| guardians(people, student).collect::<Vec<_>>());
    Some(guardians.unwrap_or_default().into_iter().map(|person| people.user(person)).collect())
}

/// Whether an account is somebody who works at the school today.
pub(super) fn works_here(people: &People, user: UserNo) -> bool {
    people.of_user(user).is_some_and(|person| is_here(people, person) && people.roles(person).works_here())
}
