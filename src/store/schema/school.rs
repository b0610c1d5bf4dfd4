//! Tables of the school: the roster as each source tells it, the accounts behind it, what was decided here, and the work
//! of imports.
//!
//! Objects of a roster are keyed by their source and their id in it, so an import only ever touches its own rows. What a
//! person decides on this server (roles, overrides, links, policy) has tables of its own, which no import writes.
//! School words are those of `OneRoster` 1.2 (1EdTech).

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::store::{
    Position, RoomNo, UserNo,
    codec::{Table, record},
};

/// The key of an object of a roster: its source, and its `sourcedId` there.
pub type ObjectKey = (String, String);

/// Schools, districts, departments.
pub static ORGS: Table<ObjectKey, Org> = Table::rows(140, "school_orgs");
/// Terms and school years.
pub static SESSIONS: Table<ObjectKey, Session> = Table::rows(141, "school_sessions");
/// Courses.
pub static COURSES: Table<ObjectKey, Course> = Table::rows(142, "school_courses");
/// Classes.
pub static CLASSES: Table<ObjectKey, Class> = Table::rows(143, "school_classes");
/// People.
pub static PEOPLE: Table<ObjectKey, Person> = Table::rows(144, "school_people");
/// Who is what where.
pub static ROLES: Table<ObjectKey, RoleGrant> = Table::rows(145, "school_roles");
/// Who is in which class.
pub static ENROLLMENTS: Table<ObjectKey, Enrollment> = Table::rows(146, "school_enrollments");
/// Which adult belongs to which pupil.
pub static LINKS: Table<ObjectKey, Link> = Table::rows(147, "school_links");
/// Groups that are no classes.
pub static GROUPS: Table<ObjectKey, Group> = Table::rows(148, "school_groups");

/// The account of each person a roster ever named. Kept when they leave: an id is never given to anybody else.
pub static PERSON_ACCOUNTS: Table<ObjectKey, PersonAccount> = Table::rows(150, "school_person_accounts");
/// The same from the account: several rows when records turned out to be one person.
pub static ACCOUNT_PEOPLE: Table<(UserNo, String, String), ()> = Table::rows(151, "school_account_people");

/// Accounts that are locked because their person has left; those that an administrator locked are not among them.
pub static ROSTER_LOCKS: Table<UserNo, ()> = Table::rows(152, "school_roster_locks");
/// What is known of each source, by its name.
pub static SOURCES: Table<String, Source> = Table::rows(153, "school_sources");

/// Roles given on this server, by account and [`SchoolRole::number`].
pub static LOCAL_ROLES: Table<(UserNo, u8), LocalRole> = Table::rows(155, "school_local_roles");
/// Decisions about one pair of people and one verb, by number.
pub static OVERRIDES: Table<u64, Override> = Table::rows(156, "school_overrides");
/// What this server says of a pupil (first) and an adult, whatever the roster says.
pub static LINK_DECISIONS: Table<(UserNo, UserNo), LinkDecision> = Table::rows(157, "school_link_decisions");
/// Every version of the policy's settings: a JSON object as text.
pub static POLICIES: Table<u64, PolicyVersion> = Table::rows(158, "school_policies");

/// Imports, by number.
pub static IMPORTS: Table<u64, Import> = Table::rows(160, "school_imports");
/// What an import changes, in the order it is applied: import, number from 0.
pub static IMPORT_CHANGES: Table<(u64, u64), Change> = Table::rows(161, "school_import_changes");
/// What was wrong with an import's files: import, number from 0; a JSON object as text.
pub static IMPORT_PROBLEMS: Table<(u64, u64), String> = Table::rows(162, "school_import_problems");
/// What an import does in short, by its number: a JSON object as text.
pub static IMPORT_SUMMARIES: Table<u64, String> = Table::rows(163, "school_import_summaries");

/// Rooms that the school made.
pub static ROOM_LINKS: Table<RoomNo, RoomLink> = Table::rows(165, "school_room_links");
/// The room of an object: [`RoomKind::number`] and the object's key as text.
pub static OBJECT_ROOMS: Table<(u8, String), RoomNo> = Table::rows(166, "school_object_rooms");
/// What a room was last made to be, as a SHA-256: a room that is to be the same again is not looked at.
pub static ROOM_APPLIED: Table<RoomNo, [u8; 32]> = Table::rows(168, "school_room_applied");
/// How far the announcements of a room have been sent on: the order of the last event.
pub static ROOM_SENT_ON: Table<RoomNo, Position> = Table::rows(169, "school_room_sent_on");
/// What somebody has to look after, by number.
pub static TASKS: Table<u64, Task> = Table::rows(167, "school_tasks");

/// Requests for contact, by number.
pub static KNOCKS: Table<u64, Knock> = Table::rows(170, "school_knocks");
/// Those of each person, both of who asks and of who is asked.
pub static USER_KNOCKS: Table<(UserNo, u64), ()> = Table::rows(171, "school_user_knocks");
/// Activation slips by the SHA-256 of their code.
pub static SLIPS: Table<[u8; 32], Slip> = Table::rows(172, "school_slips");
/// The slip of each account that has one.
pub static USER_SLIPS: Table<UserNo, [u8; 32]> = Table::rows(173, "school_user_slips");

/// Administrative writes, by number.
pub static AUDIT: Table<u64, AuditRecord> = Table::rows(175, "school_audit");

/// When something begins (included) and ends (excluded). `None` is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Period {
    /// The first day.
    pub begin: Option<NaiveDate>,
    /// The first day after it.
    pub end: Option<NaiveDate>,
}

impl Period {
    /// Whether a day is in it.
    pub fn holds(&self, day: NaiveDate) -> bool {
        self.begin.is_none_or(|begin| begin <= day) && self.end.is_none_or(|end| day < end)
    }
}

/// What an organisation is (`OneRoster` 1.2 `OrgType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrgType {
    /// A school.
    School,
    /// A department of one.
    Department,
    /// A group of schools.
    District,
    /// Anything above or between: local, state, national.
    Other,
}

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Org {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: OrgType,
    /// What it belongs to: an id of the same source.
    pub parent: Option<String>,
}

/// A term, semester or school year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its title.
    pub title: String,
    /// Whether it is a whole school year.
    pub school_year: bool,
    /// When it is.
    pub period: Period,
    /// What it is a part of.
    pub parent: Option<String>,
}

/// A course: what several classes have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Its title.
    pub title: String,
    /// Whose it is.
    pub org: Option<String>,
}

/// A class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its title.
    pub title: String,
    /// The school's short name for it.
    pub code: Option<String>,
    /// The school.
    pub org: String,
    /// What is taught.
    pub course: Option<String>,
    /// A homeroom: the class that a pupil belongs to, whose primary teacher is the tutor.
    pub homeroom: bool,
    /// The grades of its pupils, as the source writes them.
    pub grades: Vec<String>,
    /// The terms in which it is taught; none means always.
    pub sessions: Vec<String>,
}

/// A person, with nothing that is not needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The given name.
    pub given: String,
    /// The family name.
    pub family: String,
    /// How they want to be called, if not by the two together.
    pub display: Option<String>,
    /// Their name in the school's other systems.
    pub username: Option<String>,
    /// For adults, to recognise them again.
    pub email: Option<String>,
    /// The same for all records of one person (`userMasterIdentifier`).
    pub master_id: Option<String>,
    /// Whether they may use the server.
    pub enabled: bool,
    /// The grade, as the source writes it.
    pub grade: Option<String>,
    /// The year of birth.
    pub birth_year: Option<u16>,
}

/// What a person is to the school.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchoolRole {
    /// A pupil.
    Student,
    /// An adult who answers for a pupil.
    Guardian,
    /// Who teaches.
    Teacher,
    /// Who works there otherwise.
    Staff,
    /// Who leads it.
    Leadership,
    /// Who answers for the children's safety. Only ever given on this server.
    SafeguardingLead,
}

impl SchoolRole {
    /// All of them, narrowest first.
    pub const ALL: [Self; 6] =
        [Self::Student, Self::Guardian, Self::Teacher, Self::Staff, Self::Leadership, Self::SafeguardingLead];

    /// Its number in keys. Never changes.
    pub fn number(self) -> u8 {
        match self {
            Self::Student => 0,
            Self::Guardian => 1,
            Self::Teacher => 2,
            Self::Staff => 3,
            Self::Leadership => 4,
            Self::SafeguardingLead => 5,
        }
    }

    /// Its name in the API and in files: `snake_case`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Student => "student",
            Self::Guardian => "guardian",
            Self::Teacher => "teacher",
            Self::Staff => "staff",
            Self::Leadership => "leadership",
            Self::SafeguardingLead => "safeguarding_lead",
        }
    }

    /// The role of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A role of a person in an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleGrant {
    /// Who.
    pub person: String,
    /// Where.
    pub org: String,
    /// As what.
    pub role: SchoolRole,
    /// What the source calls it, such as `counselor`; `None` when it is the role's own name.
    pub title: Option<String>,
    /// When.
    pub period: Period,
}

/// As what somebody is in a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrollmentRole {
    /// Learns there.
    Student,
    /// Teaches there.
    Teacher,
    /// Helps there: aides, proctors, administrators.
    Aide,
}

/// A person in a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrollment {
    /// The class.
    pub class: String,
    /// Who.
    pub person: String,
    /// As what.
    pub role: EnrollmentRole,
    /// The first of several teachers; of a homeroom, the tutor.
    pub primary: bool,
    /// When.
    pub period: Period,
}

/// What an adult is to a pupil.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Mother or father.
    Parent,
    /// A legal guardian.
    Guardian,
    /// Another relative.
    Relative,
    /// Anybody else the school knows.
    Other,
}

/// A pupil and an adult.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The pupil.
    pub student: String,
    /// The adult.
    pub adult: String,
    /// What the adult is to the pupil.
    pub relation: Relation,
    /// Whether the adult answers for the pupil by law.
    pub legal: bool,
    /// Whether the school deals with the adult about the pupil.
    pub contact: bool,
    /// Whether the two must be kept apart (a no-contact order).
    pub isolated: bool,
    /// When.
    pub period: Period,
}

/// A group that is no class: a club, a team, the office.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its title.
    pub title: String,
    /// The school.
    pub org: Option<String>,
    /// Its members: ids of people.
    pub members: Vec<String>,
}

/// Any object of a roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Object {
    /// An organisation.
    Org(Org),
    /// A term.
    Session(Session),
    /// A course.
    Course(Course),
    /// A class.
    Class(Class),
    /// A person.
    Person(Person),
    /// A role.
    Role(RoleGrant),
    /// Somebody in a class.
    Enrollment(Enrollment),
    /// A pupil and an adult.
    Link(Link),
    /// A group.
    Group(Group),
}

/// One change of an import: an object made (`before` is `None`), changed, or removed (`after` is `None`).
///
/// Its reverse, with the two swapped, undoes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The object's id in the import's source.
    pub id: String,
    /// What it was.
    pub before: Option<Object>,
    /// What it becomes.
    pub after: Option<Object>,
}

/// The account of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonAccount {
    /// The account.
    pub user: UserNo,
    /// The part of its user id before the colon.
    pub localpart: String,
}

/// A role given on this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalRole {
    /// Who gave it: a user id, or `console` for the command line.
    pub by: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// When it ends; `None` for until it is taken back.
    pub until_ms: Option<u64>,
}

/// What an override says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideEffect {
    /// It is allowed.
    Allow,
    /// It is allowed with other adults present.
    Supervised,
    /// It is denied.
    Deny,
}

/// A decision about one pair of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Who acts.
    pub actor: UserNo,
    /// On whom.
    pub target: UserNo,
    /// What: a name of `rooms::policy::Verb`, or `None` for every verb.
    pub verb: Option<String>,
    /// The decision.
    pub effect: OverrideEffect,
    /// Why, for the audit.
    pub reason: String,
    /// Who decided.
    pub by: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// When it ends; `None` for until it is taken back.
    pub until_ms: Option<u64>,
}

/// What this server says of a pupil and an adult. `None` leaves it to the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDecision {
    /// Whether the school deals with the adult about the pupil.
    pub contact: Option<bool>,
    /// Whether the two must be kept apart.
    pub isolated: Option<bool>,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub by: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
}

/// A version of the policy's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// The settings: a JSON object as text.
    pub settings: String,
    /// Who set them.
    pub by: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// Its files have errors; nothing was applied.
    Refused,
    /// Nothing was wrong, and nothing is applied: the changes can be looked at.
    Planned,
    /// It would remove so much that somebody has to confirm it.
    Held,
    /// It is being applied; after a crash it goes on.
    Applying,
    /// It is in force.
    Applied,
    /// It is being undone; after a crash that goes on.
    RollingBack,
    /// It was undone.
    RolledBack,
    /// Somebody dropped it, or another import made its plan untrue.
    Discarded,
}

impl ImportState {
    /// Its name in the API: `snake_case`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Planned => "planned",
            Self::Held => "held",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
            Self::Discarded => "discarded",
        }
    }
}

/// How many objects an import touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// New ones.
    pub created: u64,
    /// Changed ones.
    pub updated: u64,
    /// Removed ones.
    pub removed: u64,
    /// Errors in the files.
    pub errors: u64,
    /// Warnings about the files.
    pub warnings: u64,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Whose rows it touches.
    pub source: String,
    /// What it was read from, such as `oneroster-1.2`.
    pub format: String,
    /// Whether it tells only what changed.
    pub delta: bool,
    /// The SHA-256 of its files.
    pub sha256: [u8; 32],
    /// How far it is.
    pub state: ImportState,
    /// Its size.
    pub counts: Counts,
    /// Changes applied so far, or, while rolling back, still in force.
    pub done: u64,
    /// Why it is held: texts for the administrator.
    pub holds: Vec<String>,
    /// The number of the last change to this source's rows that the plan was made against.
    pub base: u64,
    /// Who imports.
    pub by: String,
    /// Unix time in milliseconds.
    pub created_ms: u64,
    /// When its state changed last.
    pub changed_ms: u64,
}

/// What is known of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Grows whenever its rows begin or have ended to change.
    pub version: u64,
    /// The imports in force that can be undone, newest last.
    pub applied: Vec<u64>,
    /// The SHA-256 of the files that made the rows what they are; `None` when they were changed otherwise since.
    pub sha256: Option<[u8; 32]>,
    /// The version of the server that read those files: another may read them otherwise.
    pub reader: String,
}

/// What a room of the school is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// The space of an organisation.
    SchoolSpace,
    /// The space of a year.
    YearSpace,
    /// The space of a homeroom.
    ClassSpace,
    /// A class.
    Class,
    /// Announcements to one family of a homeroom, or to all of them where the school lets guardians meet.
    ClassFamily,
    /// A pupil's adults and the tutor.
    Family,
    /// The staff of an organisation.
    Staff,
    /// A department.
    Department,
    /// Announcements to a whole organisation.
    Announce,
    /// A pupil, an adult, and others who watch over it.
    Supervised,
}

impl RoomKind {
    /// Its number in keys. Never changes.
    pub fn number(self) -> u8 {
        match self {
            Self::SchoolSpace => 0,
            Self::YearSpace => 1,
            Self::ClassSpace => 2,
            Self::Class => 3,
            Self::ClassFamily => 4,
            Self::Family => 5,
            Self::Staff => 6,
            Self::Department => 7,
            Self::Announce => 8,
            Self::Supervised => 9,
        }
    }

    /// Whether it is a space.
    pub fn is_space(self) -> bool {
        matches!(self, Self::SchoolSpace | Self::YearSpace | Self::ClassSpace)
    }
}

/// What a room of the school belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomLink {
    /// What it is for.
    pub kind: RoomKind,
    /// The object's key as text, as in [`OBJECT_ROOMS`].
    pub object: String,
    /// Read-only, because its invariant is broken or its object is gone.
    pub frozen: bool,
    /// Its year is over.
    pub archived: bool,
    /// An administrator, or a rule that has become tighter, keeps it frozen until an administrator opens it.
    pub held: bool,
}

/// Something that a person has to look after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What happened: a short word.
    pub kind: String,
    /// The room, if it is about one.
    pub room: Option<RoomNo>,
    /// Whose it is; administrators see all.
    pub assignee: Option<UserNo>,
    /// For people.
    pub text: String,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// When it was done.
    pub done_ms: Option<u64>,
}

/// How far a request for contact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnockState {
    /// It waits for an answer.
    Open,
    /// The other agreed; there is a room.
    Accepted,
    /// The other declined.
    Declined,
    /// Who asked took it back.
    Withdrawn,
}

/// A request for contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knock {
    /// Who asks.
    pub from: UserNo,
    /// Whom.
    pub to: UserNo,
    /// What it is about.
    pub text: String,
    /// How far it is.
    pub state: KnockState,
    /// The room that came of it.
    pub room: Option<RoomNo>,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// When it was answered.
    pub answered_ms: Option<u64>,
}

/// An activation slip: a code that lets a person set their first password once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slip {
    /// Whose account.
    pub user: UserNo,
    /// Unix time in milliseconds.
    pub created_ms: u64,
    /// When it ends.
    pub until_ms: u64,
    /// When it was used.
    pub used_ms: Option<u64>,
    /// Whether it may replace a password that is there already.
    pub reset: bool,
}

/// An administrative write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// Who: a user id, or `console` for the command line.
    pub by: String,
    /// What was done: a short word such as `override.add`.
    pub action: String,
    /// To whom or what.
    pub object: String,
    /// More: a JSON object as text, without anything secret.
    pub detail: String,
}

record!(
    Org,
    Session,
    Course,
    Class,
    Person,
    RoleGrant,
    Enrollment,
    Link,
    Group,
    Change,
    PersonAccount,
    LocalRole,
    Override,
    LinkDecision,
    PolicyVersion,
    Import,
    Source,
    RoomLink,
    Task,
    Knock,
    Slip,
    [u8; 32],
    AuditRecord,
);
