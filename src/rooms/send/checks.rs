//! Forms of state that the server refuses although the authorisation rules would let them pass.

use ruma::{
    OwnedRoomAliasId, RoomAliasId, UserId,
    events::{StateEventType, room::server_acl::RoomServerAclEventContent},
};
use serde_json::value::RawValue;

use super::super::{Rooms, RoomsError, Writer};
use crate::{
    event::{Content, content, content::CanonicalAlias},
    store::schema::rooms::ALIASES,
};

impl Rooms {
    /// Checks the form of a state event that a client wants to set.
    pub(super) async fn check_state_form(
        &self,
        writer: &Writer,
        kind: &StateEventType,
        key: &str,
        content: &Content,
    ) -> Result<(), RoomsError> {
        match kind {
            StateEventType::RoomCreate => Err(RoomsError::Invalid("a room is created once".into())),
            StateEventType::RoomCanonicalAlias if key.is_empty() => self.check_canonical_alias(writer, content).await,
            StateEventType::RoomPowerLevels if key.is_empty() => check_creators(writer, content),
            StateEventType::RoomServerAcl if key.is_empty() => self.check_acl(content),
            _ => Ok(()),
        }
    }

    /// Aliases that are announced anew must be aliases, and name this room.
    async fn check_canonical_alias(&self, writer: &Writer, content: &Content) -> Result<(), RoomsError> {
        let wanted = read_aliases(content.raw())?;
        let current = writer.state_event(&StateEventType::RoomCanonicalAlias, "").await?;
        let current = current.map(|event| CanonicalAlias::read(&event.pdu.content)).unwrap_or_default();
        for alias in wanted {
            if current.all().any(|known| *known == alias) {
                continue;
            }
            let row = self.parts.store.get(&ALIASES, &alias.as_str().to_owned()).await?;
            if row.is_none_or(|row| row.room != writer.room().number) {
                return Err(RoomsError::BadAlias(format!("the alias {alias} does not point to this room")));
            }
        }
        Ok(())
    }

    /// A server that shuts itself out of its own room could not undo it.
    fn check_acl(&self, content: &Content) -> Result<(), RoomsError> {
        let acl: RoomServerAclEventContent =
            serde_json::from_str(content.as_str()).map_err(|e| RoomsError::BadJson(e.to_string()))?;
        if acl.is_allowed(&self.parts.server_name) {
            Ok(())
        } else {
            Err(RoomsError::Invalid("the list of allowed servers would shut this server out".into()))
        }
    }
}

/// Creators of rooms from version 12 have infinite power, so they must not be listed.
fn check_creators(writer: &Writer, content: &Content) -> Result<(), RoomsError> {
    if !writer.room().rules.authorization.explicitly_privilege_room_creators {
        return Ok(());
    }
    listed_creator(content.raw(), |user| writer.view().power.is_creator(user))
}

/// Refuses power levels that list a creator.
pub(in crate::rooms) fn listed_creator(
    content: &RawValue,
    is_creator: impl Fn(&UserId) -> bool,
) -> Result<(), RoomsError> {
    let users = content::field(content, "users").and_then(|users| serde_json::from_str(users.get()).ok());
    let users: serde_json::Map<String, serde_json::Value> = users.unwrap_or_default();
    let listed = users.keys().filter_map(|user| <&UserId>::try_from(user.as_str()).ok()).any(is_creator);
    if listed { Err(RoomsError::Invalid("`users` must not contain a creator of the room".into())) } else { Ok(()) }
}

/// The aliases in an `m.room.canonical_alias` content, read strictly. An empty or null main alias is none.
fn read_aliases(content: &RawValue) -> Result<Vec<OwnedRoomAliasId>, RoomsError> {
    #[derive(serde::Deserialize)]
    struct Announced {
        #[serde(default)]
        alias: Option<String>,
        #[serde(default)]
        alt_aliases: Option<Vec<String>>,
    }
    let announced: Announced = serde_json::from_str(content.get())
        .map_err(|_| RoomsError::Invalid("`alias` has to be a string and `alt_aliases` a list of strings".into()))?;
    let main = announced.alias.filter(|alias| !alias.is_empty());
    main.into_iter()
        .chain(announced.alt_aliases.unwrap_or_default())
        .map(|alias| {
            RoomAliasId::parse(&alias).map_err(|_| RoomsError::Invalid(format!("{alias:?} is not a room alias")))
        })
        .collect()
}
