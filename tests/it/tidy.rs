//! What `docs/architecture.md` says of the source, held by a test: layers, homes of dependencies, sizes.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bottom to top; what stands in one line does not import each other.
const LAYERS: [&[&str]; 12] = [
    &["clock", "ids", "secret", "notify", "places"],
    &["config", "event"],
    &["store"],
    &["remote"],
    &["users", "media"],
    &["rooms"],
    &["school", "federation", "sync"],
    &["http"],
    &["api", "inbox"],
    &["routes"],
    &["app"],
    &["cli"],
];

/// What may be named only there, outside of tests.
const HOMES: [(&str, &[&str]); 6] = [
    ("rocksdb::", &["store"]),
    ("axum::", &["http", "api", "inbox", "routes", "app"]),
    ("reqwest::", &["remote"]),
    ("Utc::now", &["clock"]),
    ("SystemTime::now", &["clock"]),
    ("tracing_subscriber::", &["cli"]),
];

/// Lines of a file at most.
const LINES_MAX: usize = 400;

/// A source file: its path below the project, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The part of the crate it belongs to: `rooms` for `src/rooms/send.rs`, `clock` for `src/clock.rs`.
    fn part(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap();
        below.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// Whether all of it is compiled for tests only.
    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs") || self.path.ends_with("/test.rs")
    }

    /// Its lines of code with their numbers, without comments and without the test module at its end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let production = self.text.lines().take_while(|line| line.trim() != "#[cfg(test)]" || !self.tests_follow(line));
        let numbered = production.enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Whether the attribute belongs to the module of tests, and not to an item in the middle of a file.
    fn tests_follow(&self, attribute: &str) -> bool {
        let after = self.text.split_once(&format!("\n{attribute}\n")).map_or("", |(_, after)| after);
        let item = after.lines().find(|line| !line.starts_with("#[") && !line.starts_with(' ') && *line != ")]");
        item.is_some_and(|item| item.starts_with("mod ") && item.ends_with('{'))
    }
}

/// The source files below a folder of the package, which is where cargo runs tests.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.to_str().unwrap().to_owned();
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 10, "the test looks in the wrong place");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn layer(part: &str) -> Option<usize> {
    LAYERS.iter().position(|parts| parts.contains(&part))
}

/// The parts that a text names behind `crate::`, also in nested groups.
fn imports(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let after = &text[at + "crate::".len()..];
        let Some(group) = after.strip_prefix('{') else {
            found.push(word(after));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (index, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    found.push(word(group[start..index].trim_start()));
                    start = index + 1;
                    if character == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    found.retain(|part| !part.is_empty());
    found
}

/// The identifier a text begins with; nothing for the name of a macro.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if text[end..].starts_with('!') { "" } else { &text[..end] }
}

#[track_caller]
fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::{a, b::{c, d}, e::f,\n};\nlet x = crate::g::h(); crate::record! {}";
    assert_eq!(imports(text), ["a", "b", "e", "g"]);
}

#[test]
fn a_folder_imports_only_what_stands_below_it() {
    let mut found = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        if ["lib", "main"].contains(&source.part()) {
            continue;
        }
        let Some(own) = layer(source.part()) else {
            found.push(format!("{} belongs to no layer", source.path));
            continue;
        };
        let code: String = source.code().map(|(_, line)| format!("{line}\n")).collect();
        for part in imports(&code) {
            match layer(part) {
                _ if part == source.part() => {}
                Some(other) if other < own => {}
                _ => found.push(format!("{} imports {part}", source.path)),
            }
        }
    }
    none("imports against the layers", &found);
}

#[test]
fn dependencies_are_used_in_their_homes_only() {
    let mut found = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        for (number, line) in source.code() {
            for (name, homes) in HOMES {
                if line.contains(name) && !homes.contains(&source.part()) {
                    found.push(format!("{}:{number} names {name}", source.path));
                }
            }
        }
    }
    none("names outside their homes", &found);
}

#[test]
fn events_are_pure() {
    let mut found = Vec::new();
    for source in sources("src").iter().filter(|source| source.part() == "event" && !source.is_test()) {
        for (number, line) in source.code() {
            let impure = ["async ", ".await", "std::fs", "std::net", "tokio::"];
            if impure.iter().any(|name| line.contains(name)) {
                found.push(format!("{}:{number} {line}", source.path));
            }
        }
    }
    none("event/ waits or does I/O", &found);
}

#[test]
fn files_are_small_enough_to_read() {
    let mut found = Vec::new();
    for source in sources("src").iter().chain(&sources("tests")) {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            found.push(format!("{} has {lines} lines", source.path));
        }
    }
    none("files of more than 400 lines", &found);
}

#[test]
fn mod_files_are_maps() {
    let mut found = Vec::new();
    for source in sources("src").iter().filter(|source| source.path.ends_with("/mod.rs") && !source.is_test()) {
        for (number, line) in source.code() {
            let first = line.split("fn ").next().unwrap();
            let function = line.contains("fn ") && first.chars().all(|c| c.is_alphanumeric() || " ()".contains(c));
            if function || line.starts_with("impl") {
                found.push(format!("{}:{number} {line}", source.path));
            }
        }
    }
    none("code in mod.rs", &found);
}

#[test]
fn names_say_what_is_in_there() {
    let vague = ["util", "utils", "common", "helpers", "misc", "manager", "data", "globals", "types"];
    let sources = sources("src");
    let named = sources.iter().filter(|source| {
        Path::new(&source.path).iter().any(|step| vague.contains(&step.to_str().unwrap().trim_end_matches(".rs")))
    });
    none("names that say nothing", &named.map(|source| source.path.clone()).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_for_later_in_a_comment() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut found = Vec::new();
    for source in sources("src").iter().chain(&sources("tests")) {
        for (index, line) in source.text.lines().enumerate() {
            let later = marks.iter().any(|mark| line.contains(mark.as_str()));
            if later || line.trim() == "#[ignore]" {
                found.push(format!("{}:{} {}", source.path, index + 1, line.trim()));
            }
        }
    }
    none("put it on a list or do it", &found);
}

#[test]
fn the_map_names_every_part() {
    let map = fs::read_to_string("docs/architecture.md").unwrap();
    let mut parts: Vec<_> = sources("src").iter().map(|source| source.part().to_owned()).collect();
    parts.dedup();
    let missing = parts.iter().filter(|part| {
        let (file, folder) = (format!("{part}.rs"), format!("{part}/"));
        !map.contains(&file) && !map.contains(&folder)
    });
    none("not in docs/architecture.md", &missing.cloned().collect::<Vec<_>>());
}
