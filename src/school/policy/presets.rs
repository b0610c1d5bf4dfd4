//! Presets: levels of switches under one name.

use serde::{Deserialize, Serialize};

use super::Switch;

/// The first grade of the upper school.
const UPPER_FROM: u8 = 10;
/// The last grade there is.
pub(super) const GRADE_MAX: u8 = 13;

/// A set of levels to begin from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Pupils and guardians reach adults of the school only, and in rooms that others watch over.
    #[default]
    Safe,
    /// Pupils also write to their classmates and to their own teachers.
    Classmates,
    /// Families receive announcements; chats are for those who work at the school.
    StaffOnly,
    /// Like `safe`, but pupils from grade 10 on write to classmates and teachers as adults do.
    OpenUpperSchool,
}

/// A switch that a preset sets, for pupils of these grades or for all, and its level there.
type Delta = (Option<(u8, u8)>, Switch, u8);

impl Preset {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Safe, Self::Classmates, Self::StaffOnly, Self::OpenUpperSchool];

    /// Its name in settings and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Classmates => "classmates",
            Self::StaffOnly => "staff-only",
            Self::OpenUpperSchool => "open-upper-school",
        }
    }

    /// The preset of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// What is different from `safe`.
    pub fn deltas(self) -> &'static [Delta] {
        const UPPER: Option<(u8, u8)> = Some((UPPER_FROM, GRADE_MAX));
        match self {
            Self::Safe => &[],
            Self::Classmates => &[(None, Switch::PupilsWriteClassmates, 1), (None, Switch::PupilsWriteTeachers, 1)],
            Self::StaffOnly => &[
                (None, Switch::PupilsKnockTeachers, 0),
                (None, Switch::PupilsKnockStaff, 0),
                (None, Switch::GuardiansWriteTeachers, 0),
                (None, Switch::GuardiansWriteStaff, 0),
                (None, Switch::TeachersWritePupils, 0),
                (None, Switch::StaffWriteGuardians, 0),
            ],
            Self::OpenUpperSchool => &[
                (UPPER, Switch::PupilsWriteClassmates, 1),
                (UPPER, Switch::PupilsWriteTeachers, 2),
                (UPPER, Switch::TeachersWritePupils, 2),
            ],
        }
    }
}
