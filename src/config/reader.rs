//! Reads options one by one, notes what is wrong with each and goes on.

use std::{collections::BTreeMap, path::Path};

use super::{
    problem::{Problem, did_you_mean},
    section::{Kind, OptionInfo},
    value::{FromSecretFile, Value, read_secret_file},
};

/// The suffix of the option that names the file of a secret.
pub(super) const FILE_SUFFIX: &str = "_file";

/// A value as somebody gave it.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) value: toml::Value,
    /// Set if an environment variable gave it: the variable's name and its text.
    pub(super) variable: Option<(String, String)>,
}

impl Given {
    /// The value as `T`. A variable whose text is TOML of another type (a version `12`, a name `true`) counts as
    /// plain text then.
    fn parse<T: Value>(&self) -> Result<T, super::problem::Refusal> {
        let parsed = T::read(&self.value);
        let (Err(_), Some((_, text))) = (&parsed, &self.variable) else { return parsed };
        T::read(&toml::Value::from(text.as_str())).or(parsed)
    }
}

/// What is given in one section.
pub(super) struct Reader<'a> {
    table: &'static str,
    /// What has not been taken yet.
    given: BTreeMap<String, Given>,
    /// Relative paths start here.
    folder: &'a Path,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        table: &'static str,
        given: BTreeMap<String, Given>,
        folder: &'a Path,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Self { table, given, folder, problems }
    }

    /// The option `name`, or its default.
    pub(super) fn option<T: Value>(&mut self, name: &str, default: T) -> T {
        let mut value = match self.given.remove(name) {
            Some(given) => self.parse(name, &given).unwrap_or(default),
            None => default,
        };
        value.anchor(self.folder);
        value
    }

    /// The option `name`, which has to be given; `placeholder` stands in for it in a configuration with problems.
    pub(super) fn required<T: Value>(&mut self, name: &str, placeholder: T) -> T {
        if !self.given.contains_key(name) {
            let variable = super::environment::variable(self.table, name);
            let hint = format!("set it under [{}], or in the environment as {variable}", self.table);
            self.problems.push(Problem::new(self.path(name), "it has to be set").hint(hint));
        }
        self.option(name, placeholder)
    }

    /// The secret `name`, given itself or as the name of a file with it, or its default.
    pub(super) fn secret<T: Value + FromSecretFile>(&mut self, name: &str, default: T) -> T {
        let file_option = format!("{name}{FILE_SUFFIX}");
        let file = self.given.remove(&file_option);
        let Some(file) = file else { return self.option(name, default) };
        if self.given.remove(name).is_some() {
            let problem = Problem::new(self.path(name), format!("both it and `{file_option}` are set"));
            self.problems.push(problem.hint("keep one of the two"));
            return default;
        }
        let Some(mut path) = self.parse::<std::path::PathBuf>(&file_option, &file) else { return default };
        path.anchor(self.folder);
        match read_secret_file(&path).and_then(T::from_text) {
            Ok(value) => value,
            Err(refusal) => {
                self.problems.push(refusal.at(self.path(&file_option)));
                default
            }
        }
    }

    /// Reports whatever was given and not taken. `elsewhere` are the other sections' options.
    pub(super) fn finish(self, options: &[OptionInfo], elsewhere: &[(&'static str, String)]) {
        let names = names(options);
        for (name, given) in self.given {
            let path = format!("{}.{name}", self.table);
            let mut problem = Problem::new(path, unknown(given.variable.as_ref()));
            let home = elsewhere.iter().find(|(_, option)| *option == name);
            problem.hint = did_you_mean(&name, names.iter().map(String::as_str))
                .or_else(|| home.map(|(table, _)| format!("`{name}` belongs under [{table}]")));
            self.problems.push(problem);
        }
    }

    fn parse<T: Value>(&mut self, name: &str, given: &Given) -> Option<T> {
        match given.parse() {
            Ok(value) => Some(value),
            Err(refusal) => {
                let mut problem = refusal.at(self.path(name));
                if let Some((variable, _)) = &given.variable {
                    problem.message = format!("{} (from {variable})", problem.message);
                }
                self.problems.push(problem);
                None
            }
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.table)
    }
}

/// Every key that may stand in a section: its options, and for secrets the file's.
pub(super) fn names(options: &[OptionInfo]) -> Vec<String> {
    let mut names = Vec::with_capacity(options.len());
    for option in options {
        names.push(option.name.to_owned());
        if let Kind::Secret(_) = option.kind {
            names.push(format!("{}{FILE_SUFFIX}", option.name));
        }
    }
    names
}

/// The message about a key that nothing reads.
pub(super) fn unknown(variable: Option<&(String, String)>) -> String {
    match variable {
        Some((variable, _)) => format!("there is no such option (from {variable})"),
        None => "there is no such option".to_owned(),
    }
}
