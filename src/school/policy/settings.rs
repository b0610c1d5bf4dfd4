//! The policy's settings: a preset, switches that are set otherwise, and where.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Levels, Preset, Switch, facts::Scopes, presets::GRADE_MAX};
use crate::config;

/// Places with switches of their own, those of the preset among them: each is a bit of [`Scopes`].
const SCOPES_MAX: usize = 64;
/// Places that an administrator may name.
const SCOPED_MAX: usize = 60;
/// Accounts that may be shown to other servers by name.
const PUBLISHED_MAX: usize = 500;
/// The longest id or localpart, in bytes.
const ID_BYTES_MAX: usize = 255;

/// The settings as they are stored and as the API has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What to begin from: a name of [`Preset`].
    pub preset: String,
    /// Switches for the whole server. What stands here goes before the preset, also where that has a level for a part.
    pub switches: BTreeMap<String, Level>,
    /// Switches for a part of it. The narrower part goes before the wider one; of parts that are equally wide, the
    /// narrower level counts.
    pub scoped: Vec<Scoped>,
    /// Localparts of accounts that other servers are shown, besides the leadership and whoever is there for families.
    pub published: BTreeSet<String>,
}

/// The level of a switch: its name, or `true` and `false` for `on` and `off`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Level {
    /// `on` or `off`.
    Flag(bool),
    /// A level's name.
    Name(String),
}

/// Switches for a part of the school.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scoped {
    /// For which pupils, and for the guardians of which pupils.
    pub scope: Scope,
    /// The switches.
    pub switches: BTreeMap<String, Level>,
}

/// A part of the school: `{"org": {"source": …, "id": …}}`, `{"grades": {"from": 5, "to": 6}}` or
/// `{"class": {"source": …, "id": …}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// An organisation.
    Org(ObjectRef),
    /// Grades, both included.
    Grades(Grades),
    /// A class.
    Class(ObjectRef),
}

/// An object of a roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// The source that tells of it.
    pub source: String,
    /// Its id there.
    pub id: String,
}

/// Some grades that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grades {
    /// The first.
    pub from: u8,
    /// The last.
    pub to: u8,
}

/// Something wrong with settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingsProblem {
    /// Where: a path such as `scoped[0].switches.pupil_photos`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Settings {
    /// Those of a preset, with nothing set otherwise.
    pub fn of(preset: Preset) -> Self {
        Self { preset: preset.name().to_owned(), ..Self::default() }
    }

    /// Those of the configuration.
    pub fn configured(config: &config::School) -> Self {
        let preset = match config.preset {
            config::SchoolPreset::Safe => Preset::Safe,
            config::SchoolPreset::Classmates => Preset::Classmates,
            config::SchoolPreset::StaffOnly => Preset::StaffOnly,
            config::SchoolPreset::OpenUpperSchool => Preset::OpenUpperSchool,
        };
        let named =
            |setting: &config::SwitchSetting| (setting.switch.to_owned(), Level::Name(setting.level.to_owned()));
        Self { switches: config.switches.iter().map(named).collect(), ..Self::of(preset) }
    }

    /// Reads settings, which are JSON of an administrator's.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(json: &str) -> Result<(Self, Compiled), Vec<SettingsProblem>> {
        let settings: Self = serde_json::from_str(json)
            .map_err(|error| vec![SettingsProblem { path: String::new(), message: error.to_string() }])?;
        let compiled = settings.compile()?;
        Ok((settings, compiled))
    }

    /// Makes them ready to decide by.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn compile(&self) -> Result<Compiled, Vec<SettingsProblem>> {
        let mut problems = Problems(Vec::new());
        let preset = if self.preset.is_empty() { Some(Preset::Safe) } else { Preset::from_name(&self.preset) };
        if preset.is_none() {
            let known = Preset::ALL.map(Preset::name).join(", ");
            problems.add("preset", format!("there is no preset {:?}; there are {known}", self.preset));
        }
        let mut compiled = Compiled::of(preset.unwrap_or_default());
        for (switch, level) in problems.levels("switches", &self.switches) {
            compiled.base.set(switch, level);
            compiled.entries.retain(|entry| entry.switch != switch);
        }
        if self.scoped.len() > SCOPED_MAX {
            problems.add("scoped", format!("at most {SCOPED_MAX} parts of the school can have switches of their own"));
        }
        for (index, scoped) in self.scoped.iter().take(SCOPED_MAX).enumerate() {
            scoped.scope.check(&format!("scoped[{index}].scope"), &mut problems);
            let levels = problems.levels(&format!("scoped[{index}].switches"), &scoped.switches);
            let Some(number) = compiled.scope(scoped.scope.clone()) else { continue };
            let width = scoped.scope.width();
            let entry = |(switch, level)| Entry { named: true, width, scope: number, switch, level };
            compiled.entries.extend(levels.into_iter().map(entry));
        }
        if self.published.len() > PUBLISHED_MAX {
            problems.add("published", format!("at most {PUBLISHED_MAX} accounts can be published by name"));
        }
        for name in &self.published {
            if name.is_empty() || name.len() > ID_BYTES_MAX || name.contains([':', '@']) {
                problems.add("published", format!("{name:?} is not the part of a user id before the colon"));
            }
        }
        compiled.published = self.published.iter().map(|name| name.as_str().into()).collect();
        compiled.entries.sort_by_key(|entry| (entry.named, entry.width));
        if problems.0.is_empty() { Ok(compiled) } else { Err(problems.0) }
    }
}

struct Problems(Vec<SettingsProblem>);

impl Problems {
    fn add(&mut self, path: &str, message: String) {
        self.0.push(SettingsProblem { path: path.to_owned(), message });
    }

    fn levels(&mut self, path: &str, switches: &BTreeMap<String, Level>) -> Vec<(Switch, u8)> {
        let mut levels = Vec::new();
        for (name, level) in switches {
            let Some(switch) = Switch::from_name(name) else {
                self.add(&format!("{path}.{name}"), "there is no such switch".to_owned());
                continue;
            };
            let level = match level {
                Level::Flag(true) => "on",
                Level::Flag(false) => "off",
                Level::Name(name) => name,
            };
            if let Some(level) = switch.level(level) {
                levels.push((switch, level));
            } else {
                let known = switch.info().levels.join(", ");
                self.add(&format!("{path}.{name}"), format!("{level:?} is none of its levels: {known}"));
            }
        }
        levels
    }
}

impl Scope {
    /// The larger, the narrower the part is.
    fn width(&self) -> u8 {
        match self {
            Self::Org(_) => 1,
            Self::Grades(_) => 2,
            Self::Class(_) => 3,
        }
    }

    fn check(&self, path: &str, problems: &mut Problems) {
        match self {
            Self::Grades(grades) if grades.from > grades.to || grades.to > GRADE_MAX => {
                problems.add(path, format!("grades go from 0 to {GRADE_MAX}, the lower one first"));
            }
            Self::Org(object) | Self::Class(object)
                if [&object.source, &object.id].iter().any(|id| id.is_empty() || id.len() > ID_BYTES_MAX) =>
            {
                problems.add(path, format!("source and id have 1 to {ID_BYTES_MAX} bytes"));
            }
            _ => {}
        }
    }
}

/// Settings, ready to decide by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    base: Levels,
    /// The parts of the school that have levels of their own: the bits of [`Scopes`].
    scopes: Vec<Scope>,
    /// What they set: the preset first, and of each the widest part first.
    entries: Vec<Entry>,
    published: Vec<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// An administrator has set it, not the preset.
    named: bool,
    width: u8,
    scope: u8,
    switch: Switch,
    level: u8,
}

impl Default for Compiled {
    fn default() -> Self {
        Self::of(Preset::Safe)
    }
}

impl Compiled {
    /// Those of a preset.
    pub fn of(preset: Preset) -> Self {
        let mut compiled = Self { base: Levels::SAFE, scopes: Vec::new(), entries: Vec::new(), published: Vec::new() };
        for (grades, switch, level) in preset.deltas() {
            let Some((from, to)) = *grades else {
                compiled.base.set(*switch, *level);
                continue;
            };
            let scope = Scope::Grades(Grades { from, to });
            let width = scope.width();
            if let Some(scope) = compiled.scope(scope) {
                compiled.entries.push(Entry { named: false, width, scope, switch: *switch, level: *level });
            }
        }
        compiled
    }

    fn scope(&mut self, scope: Scope) -> Option<u8> {
        if let Some(known) = self.scopes.iter().position(|known| *known == scope) {
            return u8::try_from(known).ok();
        }
        if self.scopes.len() >= SCOPES_MAX {
            return None;
        }
        self.scopes.push(scope);
        u8::try_from(self.scopes.len() - 1).ok()
    }

    /// The parts of the school that have levels of their own: the bits of [`Scopes`].
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// Whether an account is shown to other servers by name.
    pub fn publishes(&self, localpart: &str) -> bool {
        self.published.binary_search_by(|known| (**known).cmp(localpart)).is_ok()
    }

    /// The levels for a pair. A part that only one of two is in can narrow a level, never widen it.
    pub fn levels(&self, scopes: Scopes) -> Levels {
        let mut levels = self.base;
        if scopes.any == 0 {
            return levels;
        }
        for group in self.entries.chunk_by(|one, other| (one.named, one.width) == (other.named, other.width)) {
            let mut set: u32 = 0;
            for entry in group.iter().filter(|entry| scopes.all >> entry.scope & 1 == 1) {
                let first = set >> entry.switch as u32 & 1 == 0;
                let level = if first { entry.level } else { entry.level.min(levels.of(entry.switch)) };
                levels.set(entry.switch, level);
                set |= 1 << entry.switch as u32;
            }
            for entry in group.iter().filter(|entry| (scopes.any & !scopes.all) >> entry.scope & 1 == 1) {
                levels.set(entry.switch, entry.level.min(levels.of(entry.switch)));
            }
        }
        levels
    }
}
