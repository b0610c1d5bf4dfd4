//! The named switches that narrow or widen the matrix.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many switches there are.
const COUNT: usize = 16;

/// A switch. Each stands on one of a few levels, the narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// Pupils see the pupils of their classes.
    PupilsSeeClassmates,
    /// Pupils start chats with them.
    PupilsWriteClassmates,
    /// Pupils bring them into groups.
    PupilsAddClassmates,
    /// Pupils who are no juniors ask their own teachers for a chat.
    PupilsKnockTeachers,
    /// Pupils who are no juniors write to them without asking.
    PupilsWriteTeachers,
    /// Pupils ask the office, counsellors and the leadership for a chat.
    PupilsKnockStaff,
    /// Guardians see the guardians of the same homeroom.
    GuardiansSeeClassGuardians,
    /// Guardians start chats with them.
    GuardiansWriteClassGuardians,
    /// Guardians write to their children's teachers.
    GuardiansWriteTeachers,
    /// Guardians write to the office, counsellors and the leadership.
    GuardiansWriteStaff,
    /// Who works at the school writes to pupils. Teachers reach juniors only together with their family.
    TeachersWritePupils,
    /// Who works at the school writes to guardians.
    StaffWriteGuardians,
    /// Calls where chats are allowed and one of the two is a pupil.
    CallsWithPupils,
    /// The same for guardians.
    CallsWithGuardians,
    /// Who sees pupils' pictures, of those who see the pupil.
    PupilPhotos,
    /// Staff and the staff of allowed servers reach each other.
    RemoteContacts,
}

/// What a switch is.
#[derive(Debug, Clone, Copy)]
pub struct SwitchInfo {
    /// Which.
    pub switch: Switch,
    /// Its name in the API and in settings.
    pub name: &'static str,
    /// Its levels' names, the narrowest first.
    pub levels: &'static [&'static str],
    /// The level of the preset `safe`.
    pub safe: u8,
    /// What it is about, for administrators.
    pub about: &'static str,
}

const OFF_ON: &[&str] = &["off", "on"];
const OFF_SUPERVISED_DIRECT: &[&str] = &["off", "supervised", "direct"];

macro_rules! switches {
    ($($switch:ident $name:literal $levels:expr, $safe:literal, $about:literal;)+) => {
        /// Every switch, in the order of [`Switch`].
        pub const SWITCHES: [SwitchInfo; COUNT] = [$(
            SwitchInfo { switch: Switch::$switch, name: $name, levels: $levels, safe: $safe, about: $about },
        )+];
    };
}

switches! {
    PupilsSeeClassmates "pupils_see_classmates" OFF_ON, 1, "Pupils see the pupils of their classes.";
    PupilsWriteClassmates "pupils_write_classmates" OFF_ON, 0, "Pupils start chats with the pupils of their classes.";
    PupilsAddClassmates "pupils_add_classmates" OFF_ON, 0, "Pupils bring the pupils of their classes into groups.";
    PupilsKnockTeachers "pupils_knock_teachers" OFF_ON, 1,
        "Pupils from grade 7 and age 13 ask their own teachers for a chat.";
    PupilsWriteTeachers "pupils_write_teachers" OFF_SUPERVISED_DIRECT, 0,
        "Pupils from grade 7 and age 13 write to their own teachers without asking first.";
    PupilsKnockStaff "pupils_knock_staff" OFF_ON, 1,
        "Pupils ask the office, counsellors and the leadership for a chat.";
    GuardiansSeeClassGuardians "guardians_see_class_guardians" OFF_ON, 0,
        "Guardians see the guardians of their children's homerooms.";
    GuardiansWriteClassGuardians "guardians_write_class_guardians" OFF_ON, 0,
        "Guardians start chats with guardians of their children's homerooms whom they see.";
    GuardiansWriteTeachers "guardians_write_teachers" OFF_ON, 1, "Guardians write to their children's teachers.";
    GuardiansWriteStaff "guardians_write_staff" OFF_ON, 1,
        "Guardians write to the office, counsellors and the leadership.";
    TeachersWritePupils "teachers_write_pupils" OFF_SUPERVISED_DIRECT, 1,
        "Teachers, staff and leadership write to pupils; teachers reach younger ones only together with the family.";
    StaffWriteGuardians "staff_write_guardians" OFF_ON, 1, "Teachers, staff and leadership write to guardians.";
    CallsWithPupils "calls_with_pupils" OFF_ON, 0, "Pupils take part in calls where they take part in chats.";
    CallsWithGuardians "calls_with_guardians" OFF_ON, 1, "Guardians take part in calls where they take part in chats.";
    PupilPhotos "pupil_photos" &["off", "related", "seen"], 1,
        "Pupils' pictures are shown to nobody, to who learns with, teaches or brings up the pupil, or to all who see them.";
    RemoteContacts "remote_contacts" OFF_ON, 1, "Staff and the staff of allowed servers reach each other.";
}

impl Switch {
    /// What it is.
    pub fn info(self) -> &'static SwitchInfo {
        // `SWITCHES` has the order of the enum; a test holds it.
        SWITCHES.get(self as usize).unwrap_or(&SWITCHES[0])
    }

    /// Its name in the API and in settings.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The switch of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        SWITCHES.iter().find(|info| info.name == name).map(|info| info.switch)
    }

    /// The level of a name.
    pub fn level(self, name: &str) -> Option<u8> {
        let at = self.info().levels.iter().position(|level| *level == name)?;
        u8::try_from(at).ok()
    }

    /// The name of a level.
    pub fn level_name(self, level: u8) -> &'static str {
        self.info().levels.get(usize::from(level)).copied().unwrap_or("off")
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The level of every switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels([u8; COUNT]);

impl Levels {
    /// Those of the preset `safe`.
    pub const SAFE: Self = {
        let mut levels = [0; COUNT];
        let mut at = 0;
        while at < COUNT {
            #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, with a checked bound")]
            {
                levels[at] = SWITCHES[at].safe;
            }
            at += 1;
        }
        Self(levels)
    };

    /// The level of a switch.
    pub fn of(&self, switch: Switch) -> u8 {
        self.0.get(switch as usize).copied().unwrap_or(0)
    }

    /// Sets a switch.
    pub fn set(&mut self, switch: Switch, level: u8) {
        if let Some(old) = self.0.get_mut(switch as usize) {
            *old = level;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_the_order_of_the_enum_and_names_as_they_are_stored() {
        for (index, info) in SWITCHES.iter().enumerate() {
            assert_eq!(info.switch as usize, index, "{}", info.name);
            assert_eq!(serde_json::to_value(info.switch).unwrap(), info.name);
            assert_eq!(Switch::from_name(info.name), Some(info.switch));
            assert!(usize::from(info.safe) < info.levels.len());
            assert_eq!(info.switch.level(info.levels[0]), Some(0));
            assert_eq!(Levels::SAFE.of(info.switch), info.safe);
        }
        assert_eq!(Switch::from_name("nothing"), None);
    }
}
