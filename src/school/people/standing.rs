//! Roles and age of one person.

use ruma::ServerName;

use super::super::roster::SchoolRole;

/// A set of school roles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// No role.
    pub const NONE: Self = Self(0);

    /// The set with one role more.
    #[must_use]
    pub fn with(self, role: SchoolRole) -> Self {
        Self(self.0 | 1 << role.number())
    }

    /// Whether a role is in it.
    pub fn has(self, role: SchoolRole) -> bool {
        self.0 & (1 << role.number()) != 0
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles, narrowest first.
    pub fn iter(self) -> impl Iterator<Item = SchoolRole> {
        SchoolRole::ALL.into_iter().filter(move |role| self.has(*role))
    }

    /// The widest role.
    pub fn widest(self) -> Option<SchoolRole> {
        self.iter().last()
    }

    /// Whether the person works at the school: teacher, staff, leadership or safeguarding lead.
    pub fn works_here(self) -> bool {
        [SchoolRole::Teacher, SchoolRole::Staff, SchoolRole::Leadership, SchoolRole::SafeguardingLead]
            .into_iter()
            .any(|role| self.has(role))
    }

    /// Whether the person is a pupil or a guardian and does not work at the school: somebody whose rooms stay here,
    /// unencrypted and by invitation.
    pub fn is_family(self) -> bool {
        !self.is_empty() && !self.works_here()
    }
}

impl FromIterator<SchoolRole> for Roles {
    fn from_iter<I: IntoIterator<Item = SchoolRole>>(roles: I) -> Self {
        roles.into_iter().fold(Self::NONE, Self::with)
    }
}

/// One person as the policy sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a person, each asked by itself")]
pub struct Standing<'a> {
    /// What they are. Empty for accounts the school does not know, and for people who have left or are locked.
    pub roles: Roles,
    /// A pupil under 13 or up to grade 6, or of unknown age.
    pub junior: bool,
    /// The grade of a pupil, as a number.
    pub grade: Option<u8>,
    /// Somebody families may turn to without another relation: leadership, the office, counsellors.
    pub reachable: bool,
    /// Was known to the school, and has left it or is locked.
    pub gone: bool,
    /// The account through which the school itself acts.
    pub service: bool,
    /// The other server of a remote user.
    pub remote: Option<&'a ServerName>,
}

impl<'a> Standing<'a> {
    /// An account of this server that the school does not know.
    pub const UNKNOWN: Standing<'static> = Standing {
        roles: Roles::NONE,
        junior: false,
        grade: None,
        reachable: false,
        gone: false,
        service: false,
        remote: None,
    };

    /// A user of another server.
    pub fn remote(server: &'a ServerName) -> Self {
        Standing { remote: Some(server), ..Standing::UNKNOWN }
    }
}
