//! The directory as the handlers ask it: what is in memory, with the pictures and rooms that are not.

use std::{collections::BTreeMap, sync::Arc};

use ruma::{OwnedMxcUri, OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::{
    answers::{Child, Children, ClassDetail, ClassesPage, Contact, ContactsPage, Explanation, Me},
    contacts::ContactsQuery,
    neutral::Stranger,
    viewer::Viewer,
};
use crate::{
    rooms::{Rooms, policy::Verb},
    school::{Rules, SchoolError, people::ClassNo, rooms::pair_key},
    store::{Store, StoreError, UserNo, schema::school::RoomKind},
    users::{AVATAR_URL, Users, UsersError},
};

/// The event type of a client's list of direct chats, in account data.
const DIRECT: &str = "m.direct";
/// Chats with one person that are looked at.
const DIRECT_ROOMS_MAX: usize = 8;

/// Looks people, classes and children up, as one person may see them. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    pub(super) rules: Arc<Rules>,
    pub(super) store: Store,
    pub(super) users: Users,
    pub(super) rooms: Rooms,
}

/// Somebody a stock client is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Who.
    pub user_id: OwnedUserId,
    /// How they are called.
    pub name: Option<String>,
    /// Their picture, if the searcher may see it.
    pub avatar_url: Option<OwnedMxcUri>,
}

impl Directory {
    /// Over these parts.
    pub(in crate::school) fn new(rules: Arc<Rules>, store: Store, users: Users, rooms: Rooms) -> Self {
        Self { rules, store, users, rooms }
    }

    fn viewer<'a>(&'a self, user_id: &'a UserId) -> Viewer<'a> {
        Viewer::new(&self.rules, user_id)
    }

    /// At most `limit` people whose name or user id a text means, best first, and whether there are more.
    ///
    /// With a roster: everyone of the school whom the searcher may see, and whoever else shares a room with them.
    /// Without one: who shares a room with the searcher, or is in a public one.
    ///
    /// # Errors
    /// [`SchoolError::Invalid`] for a text too long, the store.
    pub async fn search(
        &self,
        user: UserNo,
        user_id: &UserId,
        text: &str,
        limit: usize,
    ) -> Result<(Vec<Listed>, bool), SchoolError> {
        let (school, query) = {
            let viewer = self.viewer(user_id);
            let query = viewer.query(text)?;
            let school = viewer.people.is_loaded().then(|| {
                let page = viewer.page(viewer.seen(query.as_ref()), None, limit);
                let listed = |person| {
                    let photo = viewer.ruling(person, Verb::Photo).is_allowed();
                    Some((viewer.people.user(person), photo, viewer.name(person)?))
                };
                (page.people.into_iter().filter_map(listed).collect::<Vec<_>>(), page.next_batch.is_some())
            });
            (school, query)
        };
        let loaded = school.is_some();
        let (school, mut limited) = school.unwrap_or_default();
        let mut found = Vec::with_capacity(school.len());
        for (number, photo, person) in school {
            let avatar_url = if photo { self.avatar(number).await? } else { None };
            found.push(Listed { user_id: person.user_id, name: Some(person.name), avatar_url });
        }
        // With a roster, whom it does not name can only be of another server.
        let others = !loaded || self.rules.in_force().lists_servers();
        let Some(query) = query.filter(|_| others && !limited) else { return Ok((found, limited)) };
        let others = self.acquaintances(user, user_id, &query, loaded).await?;
        limited = found.len() + others.len() > limit;
        let room = limit.saturating_sub(found.len());
        found.extend(others.into_iter().take(room).map(Stranger::into_listed));
        Ok((found, limited))
    }

    /// A page of the people somebody may see.
    ///
    /// # Errors
    /// [`SchoolError::Invalid`] for a query too long or a foreign token, [`SchoolError::NotFound`] for a class that is
    /// none of theirs, the store.
    pub async fn contacts(
        &self,
        user: UserNo,
        user_id: &UserId,
        query: &ContactsQuery,
    ) -> Result<ContactsPage, SchoolError> {
        let mut page = self.viewer(user_id).contacts(query)?;
        self.add_rooms(user, &mut page.contacts).await?;
        Ok(page)
    }

    /// One of the people somebody may see.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`], whether there is no such person or they may not know of them; the store.
    pub async fn contact(&self, user: UserNo, user_id: &UserId, target: &UserId) -> Result<Contact, SchoolError> {
        let contact = {
            let viewer = self.viewer(user_id);
            let person = viewer.visible(target)?;
            viewer.contact(person, &viewer.interest())
        };
        let mut contact = [contact.ok_or(SchoolError::NotFound("person"))?];
        self.add_rooms(user, &mut contact).await?;
        let [contact] = contact;
        Ok(contact)
    }

    /// What the policy says of somebody and one of the people they may see, and by which rule.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`] as for [`Directory::contact`].
    pub fn why(&self, user_id: &UserId, target: &UserId, verb: Verb) -> Result<Explanation, SchoolError> {
        self.viewer(user_id).why(target, verb)
    }

    /// A page of somebody's classes.
    ///
    /// # Errors
    /// [`SchoolError::Invalid`] for a foreign token, the store.
    pub async fn classes(
        &self,
        user: UserNo,
        user_id: &UserId,
        from: Option<&str>,
        limit: usize,
    ) -> Result<ClassesPage, SchoolError> {
        let (mut page, classes) = {
            let viewer = self.viewer(user_id);
            let page = viewer.classes(from, limit)?;
            let of = |class: &ClassDetail| super::contacts::class_of_id(&viewer.people, &class.class.id);
            let classes: Vec<_> =
                page.classes.iter().map(|class| of(class).map(|no| self.class_key(&viewer, no))).collect();
            (page, classes)
        };
        for (class, key) in page.classes.iter_mut().zip(classes) {
            if let Some(key) = key {
                class.room_id = self.room_of(user, RoomKind::Class, &key).await?;
            }
        }
        Ok(page)
    }

    /// One of somebody's classes with its people.
    ///
    /// # Errors
    /// [`SchoolError::NotFound`], whether there is no such class or it is none of theirs; the store.
    pub async fn class(&self, user: UserNo, user_id: &UserId, id: &str) -> Result<ClassDetail, SchoolError> {
        let (mut detail, key) = {
            let viewer = self.viewer(user_id);
            let (class, detail) = viewer.class(id)?;
            (detail, self.class_key(&viewer, class))
        };
        detail.room_id = self.room_of(user, RoomKind::Class, &key).await?;
        Ok(detail)
    }

    /// A guardian's children.
    ///
    /// # Errors
    /// The store failed.
    pub async fn children(&self, user: UserNo, user_id: &UserId) -> Result<Children, SchoolError> {
        let children: Vec<(UserNo, Child)> = {
            let viewer = self.viewer(user_id);
            viewer.children().into_iter().map(|(person, child)| (viewer.people.user(person), child)).collect()
        };
        let mut answer = Vec::with_capacity(children.len());
        for (pupil, mut child) in children {
            child.family_room_id = self.room_of(user, RoomKind::Family, &pupil.0.to_string()).await?;
            answer.push(child);
        }
        Ok(Children { children: answer })
    }

    /// Who asks. `admin` is their account's right to administer the server.
    pub fn me(&self, user_id: &UserId, admin: bool) -> Me {
        self.viewer(user_id).me(admin)
    }

    fn class_key(&self, viewer: &Viewer<'_>, class: ClassNo) -> String {
        let _ = self;
        viewer.people.class(class).map(|class| format!("{}/{}", class.source, class.id)).unwrap_or_default()
    }

    /// The school's room of an object, if a user has joined it.
    async fn room_of(&self, user: UserNo, kind: RoomKind, object: &str) -> Result<Option<OwnedRoomId>, StoreError> {
        let Some(number) = self.rules.rooms().of_object(&self.store, kind, object).await? else { return Ok(None) };
        let room = self.rooms.get(number).await?;
        Ok(room.filter(|room| Rooms::has_joined(room, user)).map(|room| room.id.clone()))
    }

    /// The picture of an account.
    pub(super) async fn avatar(&self, user: UserNo) -> Result<Option<OwnedMxcUri>, UsersError> {
        let field = self.users.profiles.field(user, AVATAR_URL).await?;
        Ok(field.and_then(|value| serde_json::from_str(value.get()).ok()))
    }

    /// Adds the chats that the viewer and each contact are in already.
    async fn add_rooms(&self, user: UserNo, contacts: &mut [Contact]) -> Result<(), SchoolError> {
        if contacts.is_empty() {
            return Ok(());
        }
        let direct = self.direct_chats(user).await?;
        for contact in contacts {
            let Some(other) = self.store.user(&contact.user_id).await? else { continue };
            let known = direct.get(contact.user_id.as_str()).into_iter().flatten();
            contact.room_id = self.shared_chat(user, other, known.take(DIRECT_ROOMS_MAX)).await?;
            if contact.room_id.is_none() {
                contact.room_id = self.room_of(user, RoomKind::Supervised, &pair_key(user, other)).await?;
            }
        }
        Ok(())
    }

    /// The first of some rooms that both have joined.
    async fn shared_chat(
        &self,
        user: UserNo,
        other: UserNo,
        rooms: impl Iterator<Item = &String>,
    ) -> Result<Option<OwnedRoomId>, SchoolError> {
        for id in rooms {
            let Ok(id) = RoomId::parse(id) else { continue };
            if let Some(room) = self.rooms.by_id(&id).await?
                && Rooms::has_joined(&room, user)
                && Rooms::has_joined(&room, other)
            {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// What the viewer's clients wrote down about direct chats.
    async fn direct_chats(&self, user: UserNo) -> Result<BTreeMap<String, Vec<String>>, SchoolError> {
        let found = self.users.account_data.get(user, None, DIRECT).await?;
        Ok(found.and_then(|content| serde_json::from_str(content.get()).ok()).unwrap_or_default())
    }
}
