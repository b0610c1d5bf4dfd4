//! Profiles: display name, avatar and any other field (specification v1.19, "Profiles").

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{UsersError, locks::Locks};
use crate::store::{Batch, Order, Store, UserNo, schema::users::PROFILE_FIELDS};

/// The longest name of a field, in bytes, by the specification.
const KEY_BYTES_MAX: usize = 255;

/// The largest profile as JSON, in bytes, by the specification.
const PROFILE_BYTES_MAX: usize = 64 * 1024;

/// The longest display name, in characters, and avatar address, in bytes: both are copied into membership events.
const DISPLAYNAME_CHARS_MAX: usize = 256;
const AVATAR_URL_BYTES_MAX: usize = 1024;

/// A profile's fields cannot be more than fit into it.
const FIELDS_MAX: usize = PROFILE_BYTES_MAX;

/// The field of the display name.
pub const DISPLAYNAME: &str = "displayname";
/// The field of the avatar.
pub const AVATAR_URL: &str = "avatar_url";

/// The profile of a user.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Its fields by name.
    pub fields: BTreeMap<String, Box<RawValue>>,
}

impl Profile {
    /// The display name.
    pub fn displayname(&self) -> Option<String> {
        self.text(DISPLAYNAME)
    }

    /// The `mxc:` address of the avatar.
    pub fn avatar_url(&self) -> Option<String> {
        self.text(AVATAR_URL)
    }

    fn text(&self, field: &str) -> Option<String> {
        self.fields.get(field).and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// Its length as JSON, in bytes.
    fn bytes(&self) -> usize {
        // Two quotes, colon and comma to each field.
        self.fields.iter().map(|(key, value)| key.len() + value.get().len() + 4).sum::<usize>() + 1
    }
}

/// Reads and changes profiles of this server's users. Cheap to clone.
#[derive(Clone)]
pub struct Profiles {
    store: Store,
    locks: Locks,
}

impl Profiles {
    pub(super) fn new(store: Store, locks: Locks) -> Self {
        Self { store, locks }
    }

    /// The profile of a user; empty when nothing is set.
    ///
    /// # Errors
    /// The store failed.
    pub async fn get(&self, user: UserNo) -> Result<Profile, UsersError> {
        let rows = self.store.prefix(&PROFILE_FIELDS, &user, Order::Ascending, FIELDS_MAX).await?;
        let fields = rows.into_iter().map(|((_, key), json)| Ok((key, raw(json)?)));
        Ok(Profile { fields: fields.collect::<Result<_, UsersError>>()? })
    }

    /// One field of a profile.
    ///
    /// # Errors
    /// The store failed.
    pub async fn field(&self, user: UserNo, key: &str) -> Result<Option<Box<RawValue>>, UsersError> {
        self.store.get(&PROFILE_FIELDS, &(user, key.to_owned())).await?.map(raw).transpose()
    }

    /// Sets a field. An empty or null display name or avatar is none. The answer is whether anything changed.
    ///
    /// # Errors
    /// [`UsersError::ProfileKeyTooLarge`], [`UsersError::ProfileTooLarge`], [`UsersError::Invalid`].
    pub async fn set(&self, user: UserNo, key: &str, value: &RawValue) -> Result<bool, UsersError> {
        check_key(key)?;
        if matches!(key, DISPLAYNAME | AVATAR_URL) && check_text(key, value)?.is_none() {
            return self.remove(user, key).await;
        }
        let _guard = self.locks.user(user).await;
        let mut profile = self.get(user).await?;
        let before = profile.fields.insert(key.to_owned(), value.to_owned());
        if before.is_some_and(|before| before.get() == value.get()) {
            return Ok(false);
        }
        if profile.bytes() > PROFILE_BYTES_MAX {
            return Err(UsersError::ProfileTooLarge);
        }
        let mut batch = Batch::new();
        batch.put(&PROFILE_FIELDS, &(user, key.to_owned()), &value.get().to_owned());
        self.store.commit(batch).await?;
        Ok(true)
    }

    /// Removes a field. The answer is whether it was there.
    ///
    /// # Errors
    /// [`UsersError::ProfileKeyTooLarge`], [`UsersError::Invalid`].
    pub async fn remove(&self, user: UserNo, key: &str) -> Result<bool, UsersError> {
        check_key(key)?;
        let _guard = self.locks.user(user).await;
        let key = (user, key.to_owned());
        if self.store.get(&PROFILE_FIELDS, &key).await?.is_none() {
            return Ok(false);
        }
        let mut batch = Batch::new();
        batch.delete(&PROFILE_FIELDS, &key);
        self.store.commit(batch).await?;
        Ok(true)
    }

    /// Adds the removal of a whole profile to `batch`.
    pub(super) async fn stage_removal(&self, batch: &mut Batch, user: UserNo) -> Result<(), UsersError> {
        for (key, _) in self.store.prefix(&PROFILE_FIELDS, &user, Order::Ascending, FIELDS_MAX).await? {
            batch.delete(&PROFILE_FIELDS, &key);
        }
        Ok(())
    }
}

/// Refuses names of fields outside the common namespaced identifier grammar (appendices of the specification).
fn check_key(key: &str) -> Result<(), UsersError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(UsersError::ProfileKeyTooLarge);
    }
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if key.bytes().next().is_some_and(|first| first.is_ascii_lowercase()) && key.bytes().all(rest) {
        Ok(())
    } else {
        Err(UsersError::Invalid("A profile field's name has a letter a-z and then only a-z 0-9 - _ ."))
    }
}

/// The text of a display name or avatar, unless it is empty.
fn check_text(key: &str, value: &RawValue) -> Result<Option<String>, UsersError> {
    let text: Option<String> =
        serde_json::from_str(value.get()).map_err(|_| UsersError::Invalid("This profile field has to be text"))?;
    let text = text.filter(|text| !text.is_empty());
    let too_long = text.as_ref().is_some_and(|text| match key {
        DISPLAYNAME => text.chars().count() > DISPLAYNAME_CHARS_MAX,
        _ => text.len() > AVATAR_URL_BYTES_MAX,
    });
    if too_long { Err(UsersError::Invalid("This profile field is too long")) } else { Ok(text) }
}

fn raw(json: String) -> Result<Box<RawValue>, UsersError> {
    RawValue::from_string(json).map_err(|_| UsersError::Internal("a stored value is not JSON"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;
    use crate::users::test::Fixture;

    fn json(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn fields_are_set_read_and_removed() {
        let fixture = Fixture::new();
        let (anna, _) = fixture.register("anna").await;
        let profiles = &fixture.users.profiles;
        assert!(profiles.set(anna.user, DISPLAYNAME, &json("\"Anna\"")).await.unwrap());
        assert!(!profiles.set(anna.user, DISPLAYNAME, &json("\"Anna\"")).await.unwrap());
        assert!(profiles.set(anna.user, "org.example.class", &json(r#"{"a":[1,null]}"#)).await.unwrap());
        let profile = profiles.get(anna.user).await.unwrap();
        assert_eq!(profile.displayname().as_deref(), Some("Anna"));
        assert_eq!(profile.fields["org.example.class"].get(), r#"{"a":[1,null]}"#);
        assert!(profiles.set(anna.user, DISPLAYNAME, &json("\"\"")).await.unwrap());
        assert!(profiles.field(anna.user, DISPLAYNAME).await.unwrap().is_none());
        assert!(profiles.remove(anna.user, "org.example.class").await.unwrap());
        assert!(!profiles.remove(anna.user, "org.example.class").await.unwrap());
    }

    #[tokio::test]
    async fn limits_are_those_of_the_specification() {
        let fixture = Fixture::new();
        let (anna, _) = fixture.register("anna").await;
        let profiles = &fixture.users.profiles;
        let set = |key: String, value: String| async move {
            profiles.set(anna.user, &key, &RawValue::from_string(value).unwrap()).await
        };
        set("k".repeat(255), "1".into()).await.unwrap();
        assert!(matches!(set("k".repeat(256), "1".into()).await, Err(UsersError::ProfileKeyTooLarge)));
        for key in ["", "Key", "k!", "1k"] {
            assert!(matches!(set(key.into(), "1".into()).await, Err(UsersError::Invalid(_))), "{key}");
        }
        let text = |length: usize| format!("\"{}\"", "x".repeat(length));
        set("a".into(), text(60_000)).await.unwrap();
        assert!(matches!(set("b".into(), text(6_000)).await, Err(UsersError::ProfileTooLarge)));
        set("a".into(), text(10)).await.unwrap();
        set("b".into(), text(6_000)).await.unwrap();
        assert!(matches!(set(DISPLAYNAME.into(), text(257)).await, Err(UsersError::Invalid(_))));
        assert!(matches!(set(DISPLAYNAME.into(), "7".into()).await, Err(UsersError::Invalid(_))));
    }
}
