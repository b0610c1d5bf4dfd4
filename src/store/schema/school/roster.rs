//! The roster as each source tells it. School words are those of `OneRoster` 1.2 (1EdTech).

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::ObjectKey;
use crate::store::codec::{Table, record};

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

record!(Org, Session, Course, Class, Person, RoleGrant, Enrollment, Link, Group, Change);
