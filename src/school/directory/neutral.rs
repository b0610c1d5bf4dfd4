//! People found because the searcher shares a room with them, or because they are in a room for everybody: all there is
//! without a roster, and with one whoever the school does not know.
//!
//! They are found under the name of their profile. A name that somebody bears in one room only is not looked at, so it
//! cannot be found by who is not in that room; of users of other servers only the names in shared rooms are known.

use std::{collections::BTreeMap, sync::Arc};

use ruma::{OwnedMxcUri, OwnedUserId, UserId};

use super::{Directory, Listed, folding::Query};
use crate::{
    event::content::Member,
    rooms::{Room, policy::Verb},
    school::SchoolError,
    store::{
        UserNo,
        schema::{rooms::Membership, users::ACCOUNTS, users::PROFILE_FIELDS},
    },
    users::DISPLAYNAME,
};

/// Accounts of this server that are looked at.
const CANDIDATES_MAX: usize = 20_000;
/// Public rooms whose members are looked at, the largest first.
const PUBLIC_ROOMS_MAX: usize = 1000;
/// Users of other servers that are looked at.
const REMOTE_MAX: usize = 2000;
/// Accounts read at once.
const STEP: usize = 512;

/// Somebody found.
pub(super) struct Stranger {
    user_id: OwnedUserId,
    name: Option<String>,
    avatar_url: Option<OwnedMxcUri>,
    /// Shares a room with the searcher.
    met: bool,
    /// The name has the words of the query whole.
    exact: bool,
}

impl Stranger {
    pub(super) fn into_listed(self) -> Listed {
        Listed { user_id: self.user_id, name: self.name, avatar_url: self.avatar_url }
    }
}

/// Who is looked at.
#[derive(Default)]
struct Candidates {
    /// Accounts of this server, and whether the searcher shares a room with them.
    local: BTreeMap<UserNo, bool>,
    /// Users of other servers.
    remote: BTreeMap<OwnedUserId, Member>,
}

impl Directory {
    /// Whoever a query means of those the searcher has met and, without a roster, of those in public rooms: exact names
    /// first, then shared rooms, then by name. With a roster (`loaded`) only those the school does not know.
    pub(super) async fn acquaintances(
        &self,
        user: UserNo,
        user_id: &UserId,
        query: &Query,
        loaded: bool,
    ) -> Result<Vec<Stranger>, SchoolError> {
        let candidates = self.candidates(user, user_id, loaded).await?;
        let mut found = Vec::new();
        let local: Vec<(UserNo, bool)> = candidates.local.into_iter().collect();
        for step in local.chunks(STEP) {
            self.match_accounts(step, query, &mut found).await?;
        }
        for (remote, member) in candidates.remote {
            let name = member.displayname.as_deref().unwrap_or_default();
            if let Some(exact) = query.matches(name, remote.localpart()) {
                let name = (!name.is_empty()).then(|| name.to_owned());
                found.push((None, Stranger { user_id: remote, name, avatar_url: member.avatar_url, met: true, exact }));
            }
        }
        found.retain(|(_, one)| self.rules.ruling(user_id, &one.user_id, Verb::See).is_allowed());
        found.sort_by_cached_key(|(_, one)| (!one.exact, !one.met, one.name.clone(), one.user_id.clone()));
        let mut shown = Vec::with_capacity(found.len());
        for (number, mut one) in found {
            if !self.rules.ruling(user_id, &one.user_id, Verb::Photo).is_allowed() {
                one.avatar_url = None;
            } else if let Some(number) = number.filter(|_| shown.len() < super::SEARCH_MAX) {
                one.avatar_url = self.avatar(number).await?;
            }
            shown.push(one);
        }
        Ok(shown)
    }

    async fn candidates(&self, user: UserNo, user_id: &UserId, loaded: bool) -> Result<Candidates, SchoolError> {
        let mut candidates = Candidates::default();
        for one in self.rooms.user_rooms(user).await?.iter().filter(|one| one.record.membership == Membership::Join) {
            self.add_members(&one.room, true, &mut candidates).await?;
        }
        if loaded {
            let people = self.rules.people();
            candidates.local.retain(|user, _| people.of_user(*user).is_none());
        } else {
            for room in self.rooms.published_rooms(Some((user, user_id))).await?.into_iter().take(PUBLIC_ROOMS_MAX) {
                self.add_members(&room, false, &mut candidates).await?;
            }
        }
        candidates.local.remove(&user);
        Ok(candidates)
    }

    async fn add_members(&self, room: &Arc<Room>, met: bool, into: &mut Candidates) -> Result<(), SchoolError> {
        let view = room.view();
        for number in view.joined.iter().take(CANDIDATES_MAX.saturating_sub(into.local.len())) {
            *into.local.entry(UserNo(*number)).or_default() |= met;
        }
        if view.joined_count <= view.joined.len() as u64 || into.remote.len() >= REMOTE_MAX {
            return Ok(());
        }
        let members = self.rooms.joined_members(room.number).await?;
        let members = members.get(..REMOTE_MAX.min(members.len())).unwrap_or_default();
        for event in self.rooms.events().require_many(room.number, members).await? {
            let key = event.pdu.state_key.as_deref().and_then(|key| UserId::parse(key).ok());
            if let Some(id) = key.filter(|id| id.server_name() != self.rules.server()) {
                into.remote.entry(id).or_insert_with(|| Member::read(&event.pdu.content));
            }
        }
        Ok(())
    }

    /// Adds those accounts that a query means.
    async fn match_accounts(
        &self,
        accounts: &[(UserNo, bool)],
        query: &Query,
        found: &mut Vec<(Option<UserNo>, Stranger)>,
    ) -> Result<(), SchoolError> {
        let numbers: Vec<UserNo> = accounts.iter().map(|(user, _)| *user).collect();
        let names: Vec<_> = numbers.iter().map(|user| (*user, DISPLAYNAME.to_owned())).collect();
        let records = self.store.multi_get(&ACCOUNTS, &numbers).await?;
        let names = self.store.multi_get(&PROFILE_FIELDS, &names).await?;
        for (((user, met), account), name) in accounts.iter().zip(records).zip(names) {
            let Some(account) = account.filter(|account| !account.deactivated) else { continue };
            let name: Option<String> = name.and_then(|json| serde_json::from_str(&json).ok());
            let Some(exact) = query.matches(name.as_deref().unwrap_or_default(), &account.localpart) else { continue };
            let Ok(user_id) = UserId::parse(format!("@{}:{}", account.localpart, self.rules.server())) else {
                continue;
            };
            found.push((Some(*user), Stranger { user_id, name, avatar_url: None, met: *met, exact }));
        }
        Ok(())
    }
}
