//! What everything that works on the school's rooms has at hand, and the account it acts through.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use ruma::{OwnedUserId, ServerName, UserId};
use tokio::sync::OnceCell;

use super::{
    super::{
        Rules, SchoolError,
        audit::Audit,
        imports::Refresh,
        people::People,
        policy::{Scopes, Switch},
        roster::OrgType,
        tasks::Tasks,
    },
    RoomSettings,
};
use crate::{
    clock::Clock,
    config::Config,
    notify::Notifier,
    rooms::{MemberProfile, Rooms},
    store::{RoomNo, Store, StoreError, UserNo, schema::school::ROOM_APPLIED},
    users::Users,
};

/// Locks that keep a chat from being made twice at once.
const PAIRS: usize = 32;

/// The digests of what rooms were last made to be.
pub(super) type Applied = HashMap<RoomNo, [u8; 32]>;

/// The parts.
pub(in crate::school) struct Desk {
    pub(in crate::school) rules: Arc<Rules>,
    pub(in crate::school) rooms: Rooms,
    pub(in crate::school) users: Users,
    pub(in crate::school) store: Store,
    pub(in crate::school) clock: Clock,
    pub(in crate::school) config: Arc<Config>,
    pub(in crate::school) audit: Audit,
    pub(in crate::school) tasks: Tasks,
    pub(in crate::school) refresh: Refresh,
    pub(in crate::school) notifier: Notifier,
    pub(super) applied: Mutex<Option<Applied>>,
    /// People who are gone, and whose rooms were left.
    pub(super) cleared: Mutex<HashSet<UserNo>>,
    /// Adults and pupils without contact, who were taken out of each other's rooms.
    pub(super) parted: Mutex<HashSet<(UserNo, UserNo)>>,
    /// Pupils and guardians whose rooms were looked at since they are nothing else.
    pub(super) families: Mutex<HashSet<UserNo>>,
    service: OnceCell<(OwnedUserId, UserNo)>,
    pairs: [tokio::sync::Mutex<()>; PAIRS],
}

/// What a [`Desk`] is built from.
pub(in crate::school) struct DeskParts {
    pub(in crate::school) rules: Arc<Rules>,
    pub(in crate::school) rooms: Rooms,
    pub(in crate::school) users: Users,
    pub(in crate::school) store: Store,
    pub(in crate::school) clock: Clock,
    pub(in crate::school) config: Arc<Config>,
    pub(in crate::school) audit: Audit,
    pub(in crate::school) tasks: Tasks,
    pub(in crate::school) refresh: Refresh,
    pub(in crate::school) notifier: Notifier,
}

impl Desk {
    pub(in crate::school) fn new(parts: DeskParts) -> Self {
        let DeskParts { rules, rooms, users, store, clock, config, audit, tasks, refresh, notifier } = parts;
        Self {
            rules,
            rooms,
            users,
            store,
            clock,
            config,
            audit,
            tasks,
            refresh,
            notifier,
            applied: Mutex::default(),
            cleared: Mutex::default(),
            parted: Mutex::default(),
            families: Mutex::default(),
            service: OnceCell::new(),
            pairs: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        }
    }

    /// The name of this server.
    pub(in crate::school) fn server(&self) -> &ServerName {
        self.rules.server()
    }

    /// What the school has chosen about its rooms.
    pub(super) fn settings(&self) -> RoomSettings {
        let policy = self.rules.in_force().policy_full();
        let levels = policy.compiled.levels(Scopes::default());
        RoomSettings { guardians_meet: levels.of(Switch::GuardiansSeeClassGuardians) > 0 }
    }

    /// The account through which the school acts: made when it is first wanted.
    ///
    /// # Errors
    /// [`SchoolError::Conflict`] when somebody else has its name.
    pub(in crate::school) async fn service(&self) -> Result<&(OwnedUserId, UserNo), SchoolError> {
        self.service.get_or_try_init(|| self.make_service()).await
    }

    async fn make_service(&self) -> Result<(OwnedUserId, UserNo), SchoolError> {
        let people = self.rules.people();
        let name = people.orgs().find(|(_, org)| org.kind == OrgType::School).map(|(_, org)| org.name.to_string());
        let made = self.users.service_account(name.as_deref().unwrap_or("School")).await;
        let (user_id, user) = made.map_err(|error| match error {
            crate::users::UsersError::NameTaken => SchoolError::Conflict(format!(
                "an ordinary account has the name @{}:{}, which the school needs for itself: no rooms can be made",
                super::super::SERVICE_LOCALPART,
                self.server()
            )),
            other => other.into(),
        })?;
        if people.of_user(user).is_none_or(|person| !people.standing(person).service) {
            self.refresh.now().await?;
        }
        Ok((user_id, user))
    }

    /// The name and picture of an account, for its member events.
    pub(super) async fn profile(&self, user: UserNo) -> Result<MemberProfile, SchoolError> {
        let profile = self.users.profiles.get(user).await?;
        let displayname = profile.displayname().or_else(|| {
            let people = self.rules.people();
            people.of_user(user).map(|person| people.display_name(person)).filter(|name| !name.is_empty())
        });
        let profile = MemberProfile { displayname, avatar_url: profile.avatar_url() };
        Ok(self.rooms.shown(&self.user_id(user).await?, profile))
    }

    /// Waits for the right to make the room of a key.
    pub(in crate::school) async fn making(&self, key: &str) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let sum = key.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        Some(self.pairs.get(sum % PAIRS)?.lock().await)
    }

    /// The user id of a number.
    pub(super) async fn user_id(&self, user: UserNo) -> Result<OwnedUserId, StoreError> {
        self.store.user_id(user).await
    }

    /// What a room was last made to be.
    pub(super) fn was_applied(&self, room: RoomNo) -> Option<[u8; 32]> {
        self.applied.lock().as_ref().and_then(|applied| applied.get(&room).copied())
    }

    /// Reads the digests, once.
    pub(super) async fn load_applied(&self) -> Result<(), SchoolError> {
        if self.applied.lock().is_some() {
            return Ok(());
        }
        let store = self.store.clone();
        let read = move || {
            let mut applied = Applied::new();
            store.walk_blocking(&ROOM_APPLIED, |room, digest| {
                applied.insert(room, digest);
                Ok(())
            })?;
            Ok::<_, StoreError>(applied)
        };
        let applied = tokio::task::spawn_blocking(read).await.map_err(SchoolError::task)??;
        *self.applied.lock() = Some(applied);
        Ok(())
    }

    /// Somebody the school knows, as the people of today have them.
    pub(in crate::school) fn person_of(
        &self,
        people: &People,
        user_id: &UserId,
    ) -> Option<super::super::people::PersonNo> {
        (user_id.server_name() == self.server()).then(|| people.find(user_id)).flatten()
    }
}
