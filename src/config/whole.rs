//! All sections together, and how a file becomes a [`Config`].

use std::path::Path;

use ruma::OwnedServerName;

use super::{
    Appservices, Database, Federation, Limits, Listen, Logging, Media, Passwords, Presence, Previews, Registration,
    Rooms, School, Server, Sessions,
    environment::{self, Sections},
    problem::{Problem, did_you_mean},
    reader::{Given, Reader, names, unknown},
    section::{Check, OptionInfo, Section},
};

/// Lists the sections once, in the order of the example. `checked` marks those with a [`Check`].
macro_rules! sections {
    ($( $(#[doc = $doc:literal])+ $field:ident: $Section:ident $(, $checked:ident)?; )+) => {
        /// Everything that can be set.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $( $(#[doc = $doc])+ pub $field: $Section, )+
        }

        impl Config {
            /// The configuration of a server of that name with nothing else set; its paths are relative.
            pub fn defaults(name: OwnedServerName) -> Self {
                let mut config = Self { $( $field: $Section::defaults(), )+ };
                config.server.name = name;
                config
            }

            /// Reads every section, whatever is wrong with the ones before.
            fn read(mut sections: Sections, folder: &Path, problems: &mut Vec<Problem>) -> Self {
                let homes = homes();
                let config = Self { $( $field: {
                    let given = sections.remove($Section::TABLE).unwrap_or_default();
                    let before = problems.len();
                    let mut reader = Reader::new($Section::TABLE, given, folder, problems);
                    let section = $Section::read(&mut reader);
                    reader.finish(&$Section::options(), &homes);
                    // Contradictions between values that were not read would only confuse.
                    if problems.len() == before {
                        $( sections!(@$checked section problems); )?
                    }
                    section
                }, )+ };
                for (table, given) in sections {
                    let variable = given.into_values().find_map(|given| given.variable);
                    problems.push(unknown_section(&table, variable.as_ref()));
                }
                config
            }
        }

        /// The definition of every section.
        pub(super) fn definitions() -> Vec<Definition> {
            vec![$( Definition {
                table: $Section::TABLE,
                about: $Section::ABOUT,
                options: $Section::options(),
            }, )+]
        }
    };
    (@checked $section:ident $problems:ident) => { Check::check(&$section, $problems) };
}

/// A section as the example shows it.
pub(super) struct Definition {
    pub(super) table: &'static str,
    pub(super) about: &'static [&'static str],
    pub(super) options: Vec<OptionInfo>,
}

sections! {
    /// Who this server is.
    server: Server;
    /// The addresses it answers on.
    listen: Listen, checked;
    /// Where everything is kept.
    database: Database, checked;
    /// Who may make an account.
    registration: Registration, checked;
    /// How long a sign-in lasts.
    sessions: Sessions, checked;
    /// How passwords are kept.
    passwords: Passwords, checked;
    /// How much one person or address may ask for.
    limits: Limits, checked;
    /// How rooms are made.
    rooms: Rooms;
    /// Images and files.
    media: Media;
    /// Conversations with other servers.
    federation: Federation, checked;
    /// Previews of links.
    previews: Previews;
    /// Who may reach whom.
    school: School;
    /// Who is online.
    presence: Presence;
    /// Bots and bridges.
    appservices: Appservices, checked;
    /// What is logged, and how.
    logging: Logging;
}

/// Reads the file at `path`, and over it the process's environment.
///
/// # Errors
/// Every problem of the file and the environment, in the order of the sections.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let problem = Problem::new(name.clone(), format!("cannot read the configuration: {error}"));
        let hint = "name a file with --config; config/homeroom.example.toml is a complete one to start from";
        vec![if error.kind() == std::io::ErrorKind::NotFound { problem.hint(hint) } else { problem }]
    })?;
    // A name or value that is not Unicode cannot be meant for us, as all of ours are.
    let environment = std::env::vars_os()
        .filter_map(|(variable, value)| Some((variable.into_string().ok()?, value.into_string().ok()?)));
    // Absolute, so that it does not matter where the process moves to.
    let folder = path.parent().unwrap_or(Path::new(""));
    let folder = std::path::absolute(folder.join(".")).unwrap_or_else(|_| folder.to_owned());
    parse(&name, &text, &folder, environment)
}

/// Reads a configuration from its text; `name` is what problems call the file, `folder` is where relative paths
/// start, and `environment` the variables that go before the file.
///
/// # Errors
/// Every problem of the text and the environment, in the order of the sections.
pub fn parse(
    name: &str,
    text: &str,
    folder: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, Vec<Problem>> {
    let file: toml::Table = toml::from_str(text).map_err(|error| vec![not_toml(name, text, &error)])?;
    let mut problems = Vec::new();
    let mut sections = Sections::new();
    for (table, content) in file {
        match content {
            toml::Value::Table(options) => {
                let given = options.into_iter().map(|(option, value)| (option, Given { value, variable: None }));
                sections.insert(table, given.collect());
            }
            _ => problems.push(outside_section(&table)),
        }
    }
    environment::apply(&mut sections, environment, &mut problems);
    let config = Config::read(sections, folder, &mut problems);
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// Every name of an option with its section.
fn homes() -> Vec<(&'static str, String)> {
    let homes = definitions()
        .into_iter()
        .flat_map(|section| names(&section.options).into_iter().map(move |option| (section.table, option)));
    homes.collect()
}

/// The problem that the text is not TOML. Neither it nor its hint shows the line, as that may hold a secret.
fn not_toml(name: &str, text: &str, error: &toml::de::Error) -> Problem {
    let offset = error.span().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    Problem::new(format!("{name}, line {line}, column {column}"), error.message().to_owned())
        .hint("this is not TOML; strings need quotes, and each key stands once")
}

/// The problem that a key stands above all sections, or a section's name is not a section.
fn outside_section(key: &str) -> Problem {
    let tables: Vec<&str> = definitions().iter().map(|section| section.table).collect();
    if tables.contains(&key) {
        return Problem::new(key, "it has to be a section").hint(format!("write [{key}] and its options below"));
    }
    let problem = Problem::new(key, "it stands outside every section");
    match homes().into_iter().find(|(_, option)| option == key) {
        Some((table, _)) => problem.hint(format!("`{key}` belongs under [{table}]")),
        None => problem,
    }
}

fn unknown_section(table: &str, variable: Option<&(String, String)>) -> Problem {
    let mut problem = Problem::new(table, unknown(variable).replace("option", "section"));
    problem.hint = did_you_mean(table, definitions().iter().map(|section| section.table));
    problem
}

#[cfg(test)]
mod tests;
