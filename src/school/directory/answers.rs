//! What the directory answers, as it is written to JSON.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, OwnedUserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::school::{
    policy::{Outcome, Ruling},
    roster::SchoolRole,
};

/// A person as another one may know them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Contact {
    /// The user id.
    #[schema(value_type = String, example = "@a.keller:school.example")]
    pub user_id: OwnedUserId,
    /// How they are called.
    pub name: String,
    /// The roles in force, narrowest first.
    #[schema(value_type = Vec<String>, example = json!(["teacher"]))]
    pub roles: Vec<SchoolRole>,
    /// The widest role, in words for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'static str>,
    /// Their classes, as far as they concern the one who asks.
    pub classes: Vec<ClassName>,
    /// What the one who asks is to them: `teaches`, `classmate`, `guardian_of`…
    pub relations: Vec<&'static str>,
    /// What may be done with them.
    pub can: Can,
    /// A chat or room of the two alone or of the school's making, that both have joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub room_id: Option<OwnedRoomId>,
}

/// A class by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClassName {
    /// Its id in this interface.
    #[schema(example = "sis:7a")]
    pub id: String,
    /// Its title.
    pub title: String,
    /// What the person is there: `student`, `teacher` or `aide`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Whether it is a homeroom.
    pub homeroom: bool,
}

/// What somebody may do with another.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Can {
    /// Starting a chat.
    pub dm: Permission,
    /// Calling.
    pub call: Permission,
    /// Bringing into a group.
    pub add: Permission,
}

/// Whether something is allowed, and by which rule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Permission {
    /// `allow`; `supervised`: in a room with other adults of the school; `family`: in the family's room; `knock`: after
    /// asking; `deny`.
    #[schema(example = "supervised")]
    pub outcome: &'static str,
    /// The rule's id.
    pub rule: &'static str,
    /// Why not, or why not simply so, for the one who asks. Absent when it is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

impl From<Ruling> for Permission {
    fn from(ruling: Ruling) -> Self {
        let ruling = ruling.told();
        let reason = (!ruling.is_allowed() && !ruling.message.is_empty()).then_some(ruling.message);
        Self { outcome: outcome_name(ruling.outcome), rule: ruling.rule, reason }
    }
}

/// The name of an outcome in the API.
pub(super) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allow => "allow",
        Outcome::Supervised { .. } => "supervised",
        Outcome::FamilyThread => "family",
        Outcome::Knock => "knock",
        Outcome::Deny => "deny",
    }
}

/// A page of contacts.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct ContactsPage {
    /// People, best first.
    pub contacts: Vec<Contact>,
    /// Counts of everybody the query finds and the one who asks may see, before the other filters.
    pub facets: Facets,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// How many people there are of each sort.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Facets {
    /// By role.
    pub roles: BTreeMap<&'static str, u32>,
    /// By relation, as in [`Contact::relations`].
    pub relations: BTreeMap<&'static str, u32>,
    /// By class, those with the most people first; at most 100, of those that concern the one who asks.
    pub classes: Vec<ClassCount>,
}

/// How many people are in a class.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClassCount {
    /// The class.
    #[serde(flatten)]
    pub class: ClassName,
    /// How many of those found.
    pub count: u32,
}

/// A ruling, explained.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explanation {
    /// The verb: `see`, `dm`, `knock`, `add`, `call`, `presence` or `photo`.
    pub verb: &'static str,
    /// What is decided, as in `can`.
    #[serde(flatten)]
    pub permission: Permission,
}

/// A person by name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PersonName {
    /// The user id.
    #[schema(value_type = String)]
    pub user_id: OwnedUserId,
    /// How they are called.
    pub name: String,
}

/// A class with those of its people that the one who asks may see.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClassDetail {
    /// The class; `role` is that of the one who asks.
    #[serde(flatten)]
    pub class: ClassName,
    /// The school's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// Its room, if the one who asks is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub room_id: Option<OwnedRoomId>,
    /// Its people. Left out of the list of classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<ClassMember>>,
}

/// Somebody in a class.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClassMember {
    /// Who.
    #[serde(flatten)]
    pub person: PersonName,
    /// As what: `student`, `teacher` or `aide`.
    pub role: &'static str,
    /// The first of several teachers; of a homeroom, the tutor.
    pub primary: bool,
}

/// A page of classes.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClassesPage {
    /// The classes, homerooms first, then by title.
    pub classes: Vec<ClassDetail>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// A child of a guardian.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Child {
    /// Who.
    #[serde(flatten)]
    pub person: PersonName,
    /// What the guardian is to the child: `parent`, `guardian`, `relative` or `other`.
    pub relation: &'static str,
    /// The grade, 0 for those before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grade: Option<u8>,
    /// The classes.
    pub classes: Vec<ClassName>,
    /// Who leads the homeroom.
    pub tutors: Vec<PersonName>,
    /// Who teaches the child, tutors among them.
    pub teachers: Vec<ChildTeacher>,
    /// The family's room, if it is there and the guardian is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub family_room_id: Option<OwnedRoomId>,
}

/// A teacher of a child.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChildTeacher {
    /// Who.
    #[serde(flatten)]
    pub person: PersonName,
    /// The titles of the classes in which they teach the child.
    pub classes: Vec<String>,
}

/// All children of a guardian.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Children {
    /// The children, by name.
    pub children: Vec<Child>,
}

/// Who asks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Me {
    /// The user id.
    #[schema(value_type = String)]
    pub user_id: OwnedUserId,
    /// How they are called, if the school knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The roles in force, narrowest first; none for somebody the school does not know.
    #[schema(value_type = Vec<String>)]
    pub roles: Vec<SchoolRole>,
    /// Whether a roster was imported: without one there are no rules and no contacts.
    pub school: bool,
    /// The organisations they belong to.
    pub orgs: Vec<OrgName>,
    /// Their classes.
    pub classes: Vec<ClassName>,
    /// What a client may offer them.
    pub permissions: Permissions,
    /// When they are not disturbed: not there yet.
    #[schema(value_type = Option<Object>)]
    pub quiet_hours: Option<()>,
}

/// An organisation by name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrgName {
    /// Its id in this interface.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// What a client may offer somebody. Every endpoint checks again.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent permissions, as JSON has it")]
pub struct Permissions {
    /// Importing rosters.
    pub can_import: bool,
    /// Changing people, roles, links and overrides.
    pub can_manage_people: bool,
    /// Changing the contact rules.
    pub can_change_policy: bool,
    /// Looking after rooms.
    pub can_manage_rooms: bool,
    /// Printing activation slips.
    pub can_make_slips: bool,
    /// Reading who did what as an administrator.
    pub can_read_audit: bool,
}
