//! `[school]`: the rules of who may see, write to and call whom.

use super::{
    problem::Refusal,
    section::section,
    value::{Value, quoted, string, unknown_word, words},
};

section! {
    /// The rules of who may see, write to and call whom. They apply once a roster was imported. What an administrator
    /// has changed through the API or the command line goes before what stands here.
    pub struct School in "school" {
        /// "safe": pupils and guardians reach adults of the school only, in rooms that others watch over;
        /// "classmates": pupils also write to classmates and own teachers; "staff-only": families receive
        /// announcements; "open-upper-school": from grade 10 on, pupils write to classmates and teachers as adults do.
        pub preset: SchoolPreset = SchoolPreset::Safe;

        /// What differs from the preset: switches and their levels, such as `pupils_see_classmates=off` or
        /// `teachers_write_pupils=direct`. `GET /_homeroom/v1/policy` lists them all.
        pub switches: Vec<SwitchSetting> = Vec::new();
    }
}

words! {
    /// A set of rules to begin from.
    pub enum SchoolPreset {
        /// Pupils and guardians reach adults of the school only.
        Safe = "safe",
        /// Pupils write to classmates and own teachers.
        Classmates = "classmates",
        /// Families receive announcements.
        StaffOnly = "staff-only",
        /// The upper school is treated as adults are.
        OpenUpperSchool = "open-upper-school",
    }
}

const OFF_ON: &[&str] = &["off", "on"];
const OFF_SUPERVISED_DIRECT: &[&str] = &["off", "supervised", "direct"];

/// The switches and their levels, the narrowest level first. The contact policy says what each means.
pub const SWITCH_LEVELS: [(&str, &[&str]); 16] = [
    ("pupils_see_classmates", OFF_ON),
    ("pupils_write_classmates", OFF_ON),
    ("pupils_add_classmates", OFF_ON),
    ("pupils_knock_teachers", OFF_ON),
    ("pupils_write_teachers", OFF_SUPERVISED_DIRECT),
    ("pupils_knock_staff", OFF_ON),
    ("guardians_see_class_guardians", OFF_ON),
    ("guardians_write_class_guardians", OFF_ON),
    ("guardians_write_teachers", OFF_ON),
    ("guardians_write_staff", OFF_ON),
    ("teachers_write_pupils", OFF_SUPERVISED_DIRECT),
    ("staff_write_guardians", OFF_ON),
    ("calls_with_pupils", OFF_ON),
    ("calls_with_guardians", OFF_ON),
    ("pupil_photos", &["off", "related", "seen"]),
    ("remote_contacts", OFF_ON),
];

/// A switch and its level: `pupils_see_classmates=off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchSetting {
    /// One of the names of [`SWITCH_LEVELS`].
    pub switch: &'static str,
    /// One of its levels.
    pub level: &'static str,
}

impl Value for SwitchSetting {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let text = string(value, "a switch and its level, such as \"pupils_see_classmates=off\"")?;
        let Some((name, level)) = text.split_once('=') else {
            let refusal = Refusal::new(format!("{text:?} has no `=`"));
            return Err(refusal.hint("write a switch and its level, such as \"pupils_see_classmates=off\""));
        };
        let (name, level) = (name.trim(), level.trim());
        let Some((switch, levels)) = SWITCH_LEVELS.iter().find(|(known, _)| *known == name) else {
            return Err(unknown_word(name, &SWITCH_LEVELS.map(|(known, _)| known)));
        };
        let level = levels.iter().find(|known| **known == level).ok_or_else(|| unknown_word(level, levels))?;
        Ok(Self { switch, level })
    }

    fn write(&self) -> Option<String> {
        Some(quoted(&format!("{}={}", self.switch, self.level)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_switch_has_a_known_name_and_a_level_of_its_own() {
        let read = |text: &str| SwitchSetting::read(&toml::Value::from(text));
        let setting = read(" pupil_photos = seen ").unwrap();
        assert_eq!((setting.switch, setting.level), ("pupil_photos", "seen"));
        assert_eq!(setting.write().unwrap(), "\"pupil_photos=seen\"");
        assert!(read("pupil_photo=seen").unwrap_err().hint.unwrap().contains("pupil_photos"));
        for wrong in ["pupil_photos", "pupil_photos=on", "=off", "x=off", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(SwitchSetting::read(&toml::Value::from(true)).is_err());
    }
}
