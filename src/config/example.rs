//! `config/homeroom.example.toml`, written from the definitions.

use std::fmt::Write;

use super::{
    reader::FILE_SUFFIX,
    section::{Kind, OptionInfo},
    whole::definitions,
};

const HEAD: &str = "\
# Homeroom: every option, with its default.
#
# Only `[server] name` has to be set; leave out whatever you do not change. `homeroom check` finds mistakes.
# An environment variable goes before this file: HOMEROOM__LISTEN__CLIENT sets `client` under [listen].
# A secret can also be kept in a file of its own, named by the option with `_file` at its end.
# Relative paths start at the folder of this file. Sizes and times are written with their units.
";

/// The complete, commented example: reading it gives the defaults.
pub fn example() -> String {
    let mut text = HEAD.to_owned();
    for section in definitions() {
        text.push('\n');
        comment(&mut text, section.about);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "[{}]", section.table);
        for option in &section.options {
            if option.name != section.options.first().map_or("", |first| first.name) {
                text.push('\n');
            }
            comment(&mut text, option.doc);
            assignment(&mut text, option);
        }
    }
    text
}

fn comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "#{line}");
    }
}

fn assignment(text: &mut String, option: &OptionInfo) {
    let name = option.name;
    let _ = match (option.kind, &option.default) {
        (Kind::Required(shown), _) => writeln!(text, "{name} = \"{shown}\""),
        (Kind::Plain, Some(default)) => writeln!(text, "{name} = {default}"),
        (Kind::Plain, None) => writeln!(text, "# {name} ="),
        (Kind::Example(shown), _) => writeln!(text, "# {name} = \"{shown}\""),
        (Kind::Secret(file), Some(default)) => {
            writeln!(text, "# {name} = {default}\n# {name}{FILE_SUFFIX} = \"{file}\"")
        }
        (Kind::Secret(file), None) => {
            writeln!(text, "# {name} = \"…\"\n# {name}{FILE_SUFFIX} = \"{file}\"")
        }
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use std::path::Path;

    use ruma::owned_server_name;

    use super::*;
    use crate::config::{Config, load, parse};

    // Below the package, which is where cargo runs tests.
    const EXAMPLE: &str = "config/homeroom.example.toml";
    const MINIMAL: &str = "config/minimal.toml";

    /// After a change of the definitions, `HOMEROOM_WRITE_EXAMPLE=1 cargo test example` writes the file anew.
    #[test]
    fn the_example_file_is_what_the_definitions_say() {
        if std::env::var_os("HOMEROOM_WRITE_EXAMPLE").is_some() {
            std::fs::write(EXAMPLE, example()).unwrap();
        }
        let written = std::fs::read_to_string(EXAMPLE).unwrap();
        assert_eq!(written, example(), "run the test with HOMEROOM_WRITE_EXAMPLE=1 to write it anew");
    }

    #[test]
    fn the_example_says_the_defaults() {
        let config = parse("example", &example(), Path::new(""), []).unwrap();
        assert_eq!(config, Config::defaults(owned_server_name!("school.example")));
    }

    #[test]
    fn every_line_of_the_example_fits_a_screen() {
        for line in example().lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }

    #[test]
    fn the_minimal_configuration_is_valid() {
        let config = load(Path::new(MINIMAL)).unwrap();
        let mut expected = Config::defaults(owned_server_name!("localhost"));
        expected.database.path = std::path::absolute("config").unwrap().join("../data");
        assert_eq!(config, expected);
    }
}
