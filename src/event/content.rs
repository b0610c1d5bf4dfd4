//! Lenient readers for the contents the server itself looks at.
//!
//! Remote servers and old clients put anything anywhere, and an event that passed the authorisation rules stays in the
//! room. So a damaged field reads as absent and never hides its neighbours. To *make* content, use ruma's types or
//! `json!`.

mod acl;
mod policy;
mod relation;
mod third_party;

use std::borrow::Cow;

use ruma::{
    OwnedEventId, OwnedMxcUri, OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomVersionId, UserId,
    events::room::{guest_access::GuestAccess, history_visibility::HistoryVisibility, member::MembershipState},
    room::{JoinRuleKind, RoomType},
    room_version_rules::RoomVersionRules,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

pub use self::{
    acl::ServerAcl,
    policy::Policy,
    relation::{Mentions, RelatesTo},
    third_party::{InviteKey, SignedInvite, ThirdPartyInvite},
};

/// A field not read yet.
type Field<'a> = Option<&'a RawValue>;

/// The fields of an object that are wanted, each to be read by itself: `fields!(Name: key, name = "m.key")`.
macro_rules! fields {
    ($name:ident: $($field:ident $(= $key:literal)?),+) => {
        #[derive(serde::Deserialize, Default)]
        #[serde(default)]
        struct $name<'a> {
            $(#[serde(borrow $(, rename = $key)?)]
            $field: Field<'a>,)+
        }
    };
}
use fields;

/// Reads a content's top level; anything but an object reads as an empty one.
fn open<'a, T: Deserialize<'a> + Default>(content: &'a RawValue) -> T {
    serde_json::from_str(content.get()).unwrap_or_default()
}

fn value<T: DeserializeOwned>(field: Field<'_>) -> Option<T> {
    serde_json::from_str(field?.get()).ok()
}

fn text(field: Field<'_>) -> Option<Box<str>> {
    value(field)
}

/// The items of an array that can be read; the others are skipped.
fn items<T: DeserializeOwned>(field: Field<'_>) -> Vec<T> {
    let Some(field) = field else { return Vec::new() };
    let raw: Vec<&RawValue> = serde_json::from_str(field.get()).unwrap_or_default();
    raw.into_iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect()
}

/// A content of which one string or value is wanted.
macro_rules! one_field {
    ($(#[$doc:meta])* $name:ident, $key:literal, $type:ty, $read:expr) => {
        $(#[$doc])*
        pub fn $name(content: &RawValue) -> $type {
            fields!(One: field = $key);
            let one: One<'_> = open(content);
            ($read)(one.field)
        }
    };
}

one_field!(
    /// `m.room.member`: the membership alone, which is all that most questions need.
    membership, "membership", Option<MembershipState>, value);
one_field!(
    /// `m.room.redaction` from room version 11: the target.
    redacts, "redacts", Option<OwnedEventId>, value);
one_field!(
/// `m.room.history_visibility`; `shared` where it says nothing readable or an unknown value.
history_visibility, "history_visibility", HistoryVisibility, |field| match value(field) {
    Some(HistoryVisibility::_Custom(_)) | None => HistoryVisibility::Shared,
    Some(known) => known,
});
one_field!(
    /// `m.room.guest_access`; `forbidden` where it says nothing readable.
    guest_access, "guest_access", GuestAccess, |field| value(field).unwrap_or(GuestAccess::Forbidden));
one_field!(
    /// `m.room.name`; an empty name counts as none.
    name, "name", Option<Box<str>>, |field| text(field).filter(|name| !name.is_empty()));
one_field!(
    /// `m.room.topic`: the plain text form.
    topic, "topic", Option<Box<str>>, |field| text(field).filter(|topic| !topic.is_empty()));
one_field!(
    /// `m.room.avatar`: the picture's address.
    avatar_url, "url", Option<OwnedMxcUri>, |field| value(field).filter(|url: &OwnedMxcUri| url.is_valid()));
one_field!(
    /// `m.room.encryption`: the algorithm. The presence of the state event is what makes a room encrypted.
    encryption_algorithm, "algorithm", Option<Box<str>>, text);
one_field!(
    /// `m.room.tombstone`: the room that replaces this one.
    replacement_room, "replacement_room", Option<OwnedRoomId>, value);
one_field!(
    /// `m.room.message`: the `msgtype`.
    msgtype, "msgtype", Option<Box<str>>, text);
one_field!(
    /// Any message: the plain text `body`.
    body, "body", Option<Box<str>>, text);

/// `m.room.member`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Absent only on damaged events.
    pub membership: Option<MembershipState>,
    /// The name shown in this room.
    pub displayname: Option<Box<str>>,
    /// The picture shown in this room.
    pub avatar_url: Option<OwnedMxcUri>,
    /// On invites: the room is meant as a direct chat.
    pub is_direct: Option<bool>,
    /// On joins of restricted rooms: the member who vouches.
    pub join_authorised_via_users_server: Option<OwnedUserId>,
    /// Why, in the sender's words.
    pub reason: Option<Box<str>>,
    /// On invites: made from an invite to an e-mail address or the like.
    pub third_party_invite: bool,
}

impl Member {
    /// Reads the content of an `m.room.member` event.
    pub fn read(content: &RawValue) -> Self {
        fields!(
            Fields: membership, displayname, avatar_url, is_direct, join_authorised_via_users_server, reason,
                third_party_invite
        );
        let fields: Fields<'_> = open(content);
        Self {
            membership: value(fields.membership),
            displayname: text(fields.displayname),
            // Clients write an empty string to take the picture away.
            avatar_url: value::<OwnedMxcUri>(fields.avatar_url).filter(|url| !url.as_str().is_empty()),
            is_direct: value(fields.is_direct),
            join_authorised_via_users_server: value(fields.join_authorised_via_users_server),
            reason: text(fields.reason),
            third_party_invite: fields.third_party_invite.is_some_and(|field| field.get().starts_with('{')),
        }
    }
}

/// `m.room.join_rules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRules {
    /// The rule; `invite` where it says nothing readable.
    pub rule: JoinRuleKind,
    /// The rooms whose members may join, for restricted rules. Conditions of unknown types are left out.
    pub allow: Vec<OwnedRoomId>,
}

impl JoinRules {
    /// Reads the content of an `m.room.join_rules` event.
    pub fn read(content: &RawValue) -> Self {
        fields!(Fields: join_rule, allow);
        #[derive(Deserialize)]
        struct Condition {
            r#type: String,
            room_id: OwnedRoomId,
        }
        let fields: Fields<'_> = open(content);
        let allow: Vec<Condition> = items(fields.allow);
        Self {
            rule: value(fields.join_rule).unwrap_or(JoinRuleKind::Invite),
            allow: allow.into_iter().filter(|one| one.r#type == "m.room_membership").map(|one| one.room_id).collect(),
        }
    }

    /// Whether membership of another room can open the door.
    pub fn is_restricted(&self) -> bool {
        matches!(self.rule, JoinRuleKind::Restricted | JoinRuleKind::KnockRestricted)
    }
}

/// `m.room.canonical_alias`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CanonicalAlias {
    /// The main alias.
    pub alias: Option<OwnedRoomAliasId>,
    /// Others that are announced.
    pub alt_aliases: Vec<OwnedRoomAliasId>,
}

impl CanonicalAlias {
    /// Reads the content of an `m.room.canonical_alias` event.
    pub fn read(content: &RawValue) -> Self {
        fields!(Fields: alias, alt_aliases);
        let fields: Fields<'_> = open(content);
        Self { alias: value(fields.alias), alt_aliases: items(fields.alt_aliases) }
    }

    /// All of them, the main one first.
    pub fn all(&self) -> impl Iterator<Item = &OwnedRoomAliasId> {
        self.alias.iter().chain(&self.alt_aliases)
    }
}

/// `m.room.create`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The version, `1` where absent.
    pub room_version: RoomVersionId,
    /// `m.space` and the like.
    pub room_type: Option<RoomType>,
    /// The room this one replaces.
    pub predecessor: Option<OwnedRoomId>,
    /// The last event of the room this one replaces.
    pub predecessor_event: Option<OwnedEventId>,
    /// Whether other servers may take part; they may unless it says `false`.
    pub federate: bool,
    /// The creator first, then, from room version 12, the additional ones; no one twice.
    pub creators: Vec<OwnedUserId>,
}

impl Create {
    /// Reads the content of an `m.room.create` event of a room with these rules.
    pub fn read(content: &RawValue, sender: &UserId, rules: &RoomVersionRules) -> Self {
        fields!(Fields: room_version, r#type, predecessor, federate = "m.federate", creator, additional_creators);
        fields!(Predecessor: room_id, event_id);
        let fields: Fields<'_> = open(content);
        let predecessor: Predecessor<'_> = fields.predecessor.map(open).unwrap_or_default();
        let creator = if rules.authorization.use_room_create_sender { None } else { value(fields.creator) };
        let mut creators = vec![creator.unwrap_or_else(|| sender.to_owned())];
        if rules.authorization.additional_room_creators {
            for user in items::<OwnedUserId>(fields.additional_creators) {
                if !creators.contains(&user) {
                    creators.push(user);
                }
            }
        }
        Self {
            room_version: value(fields.room_version).unwrap_or(RoomVersionId::V1),
            room_type: value(fields.r#type),
            predecessor: value(predecessor.room_id),
            predecessor_event: value(predecessor.event_id),
            federate: value(fields.federate).unwrap_or(true),
            creators,
        }
    }
}

/// The version a create event names, `1` where it names none. Needed before its rules are known.
pub fn create_room_version(content: &RawValue) -> Option<RoomVersionId> {
    fields!(One: room_version);
    match open::<One<'_>>(content).room_version {
        None => Some(RoomVersionId::V1),
        field => value(field),
    }
}

/// A field of the content as raw JSON: for readers that have no function of their own here.
pub fn field<'a>(content: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    let mut fields: std::collections::BTreeMap<Cow<'a, str>, &'a RawValue> =
        serde_json::from_str(content.get()).ok()?;
    fields.remove(key)
}
