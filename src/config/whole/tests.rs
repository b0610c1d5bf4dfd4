//! What a configuration may say, and what each mistake is answered with.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail loudly")]

use std::path::PathBuf;

use ruma::{RoomVersionId, owned_server_name};

use super::*;
use crate::{
    config::{Durability, LogFormat, Rate, RegistrationMode, Size},
    secret::Secret,
};

const NAME: &str = "[server]\nname = \"a.example\"\n";

fn with_environment(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    parse("homeroom.toml", text, Path::new(""), environment)
}

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    with_environment(text, &[])
}

/// The only problem of `text` behind a valid `[server]`.
fn problem(text: &str) -> Problem {
    let problems = read(&format!("{NAME}{text}")).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

#[test]
fn a_name_is_enough() {
    let config = read(NAME).unwrap();
    assert_eq!(config, Config::defaults(owned_server_name!("a.example")));
    assert_eq!(config.listen.client.to_string(), "127.0.0.1:8008");
    assert_eq!(config.registration.mode, RegistrationMode::Closed);
    assert_eq!(config.database.durability, Durability::Fsync);
    assert_eq!(config.rooms.default_version, RoomVersionId::V12);
    assert!(!config.federation.is_on());
}

#[test]
fn options_are_taken_from_their_sections() {
    let config = read(
        "[server]\nname = \"a.example\"\npublic_url = \"https://m.a.example/\"\n\
         [listen]\nclient = \"0.0.0.0:80\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n\
         [database]\npath = \"/srv/h\"\nmemory = \"1 GiB\"\ndurability = \"os\"\n\
         [registration]\nmode = \"token\"\ntokens = [\"abc\"]\n\
         [limits]\nsend_per_account = \"5 per 1s\"\n\
         [logging]\nformat = \"json\"\nlevel = \"warn\"\n",
    )
    .unwrap();
    assert_eq!(config.server.public_url.unwrap().as_str(), "https://m.a.example");
    assert_eq!(config.listen.client.port(), 80);
    assert!(config.listen.trusted_proxies[0].contains([10, 1, 2, 3].into()));
    assert_eq!(config.database.path, PathBuf::from("/srv/h"));
    assert_eq!(config.database.memory, Size::gib(1));
    assert_eq!(config.database.durability, Durability::Os);
    assert_eq!(config.registration.tokens, [Secret::from("abc")]);
    assert_eq!(config.limits.send_per_account, Rate::new(5, 1));
    assert_eq!(config.logging.format, LogFormat::Json);
}

#[test]
fn a_missing_name_says_how_to_set_it() {
    let problems = read("").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].path, "server.name");
    assert!(problems[0].hint.as_ref().unwrap().contains("HOMEROOM__SERVER__NAME"));
}

#[test]
fn all_problems_come_at_once() {
    let problems = read(
        "loose = 1\n[server]\nname = \"not a name\"\n[listen]\nclient = 8008\n[registration]\nmode = \"opne\"\n\
         guest = true\n[database]\nmemory = \"lots\"\n[typo]\n[limits]\nlogin_per_account = \"often\"\n",
    )
    .unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "loose",
            "server.name",
            "listen.client",
            "database.memory",
            "registration.mode",
            "registration.guest",
            "limits.login_per_account",
            "typo",
        ]
    );
}

#[test]
fn mistakes_come_with_hints() {
    for (text, path, message, hint) in [
        ("[registration]\nmode = \"opne\"", "registration.mode", "none of \"closed\"", "did you mean `open`?"),
        ("[registration]\nguest = true", "registration.guest", "no such option", "did you mean `guests`?"),
        ("[registartion]", "registartion", "no such section", "did you mean `registration`?"),
        ("[media]\ndefault_version = \"12\"", "media.default_version", "no such option", "belongs under [rooms]"),
        ("[rooms]\ndefault_version = 12", "rooms.default_version", "found an integer", "quotes"),
        ("[rooms]\ndefault_version = \"2\"", "rooms.default_version", "cannot be made", "\"3\" to \"12\""),
        ("[listen]\nclient = \"localhost:8008\"", "listen.client", "not an address", "127.0.0.1:8008"),
        ("[listen]\ntls_key = \"Cargo.toml\"", "listen.tls_certificate", "has to be set", "both or neither"),
        ("[listen]\nmetrics = \"127.0.0.1:8008\"", "listen.metrics", "same address", "its own port"),
        ("[registration]\nmode = \"token\"", "registration.tokens", "at least one", "tokens_file"),
        ("[federation]\nallow = [\"a b\"]", "federation.allow", "entry 1", "for all"),
    ] {
        let problem = problem(text);
        assert_eq!(problem.path, path);
        assert!(problem.message.contains(message), "{problem}");
        assert!(problem.hint.as_deref().is_some_and(|given| given.contains(hint)), "{problem}");
    }
}

#[test]
fn values_out_of_bounds_are_refused() {
    for (text, path) in [
        ("[database]\nmemory = \"1 MiB\"", "database.memory"),
        ("[passwords]\niterations = 0", "passwords.iterations"),
        ("[passwords]\nmemory = \"20 GiB\"", "passwords.memory"),
        ("[passwords]\nparallel_hashes = -1", "passwords.parallel_hashes"),
        ("[limits]\nrequest_bytes_max = \"1 B\"", "limits.request_bytes_max"),
        ("[sessions]\naccess_token_lifetime = \"1s\"", "sessions.access_token_lifetime"),
        ("[registration]\nmode = \"token\"\ntokens = [\"a b\"]", "registration.tokens"),
        ("[appservices]\nregistrations = [\"missing.yaml\"]", "appservices.registrations"),
        ("[federation]\ntrusted_ca = [\"missing.pem\"]", "federation.trusted_ca"),
    ] {
        assert_eq!(problem(text).path, path, "{text}");
    }
}

#[test]
fn an_option_outside_its_section_is_shown_home() {
    let problems = read(&format!("guests = true\nlisten = 1\n{NAME}")).unwrap_err();
    assert_eq!(problems[0].hint.as_deref(), Some("`guests` belongs under [registration]"));
    assert_eq!(problems[1].message, "it has to be a section");
}

#[test]
fn text_that_is_not_toml_is_placed_without_being_shown() {
    let problems = read("[registration]\nshared_secret = hunter2\n").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].path.starts_with("homeroom.toml, line 2, column "), "{}", problems[0]);
    assert!(!problems[0].to_string().contains("hunter2"));
}

#[test]
fn the_environment_goes_before_the_file() {
    let config = with_environment(
        &format!("{NAME}[database]\nmemory = \"64 MiB\"\n"),
        &[
            ("HOMEROOM__SERVER__NAME", "hs1"),
            ("HOMEROOM__DATABASE__MEMORY", "128 MiB"),
            ("HOMEROOM__ROOMS__DEFAULT_VERSION", "11"),
            ("HOMEROOM__REGISTRATION__GUESTS", "true"),
            ("HOMEROOM__FEDERATION__ALLOW", "[\"hs2\", \"hs3\"]"),
            ("HOMEROOM__LISTEN__TRUSTED_PROXIES", "127.0.0.1"),
            ("HOMEROOM__REGISTRATION__SHARED_SECRET", "1234"),
            ("HOME", "/elsewhere"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.name, "hs1");
    assert_eq!(config.database.memory, Size::mib(128));
    assert_eq!(config.rooms.default_version, RoomVersionId::V11);
    assert!(config.registration.guests);
    assert_eq!(config.federation.allow.len(), 2);
    assert_eq!(config.listen.trusted_proxies.len(), 1);
    assert_eq!(config.registration.shared_secret, Some(Secret::from("1234")));
}

#[test]
fn problems_of_variables_name_the_variable() {
    let problems = with_environment(
        NAME,
        &[
            ("HOMEROOM__LISTEN__CLIENT", "nowhere"),
            ("HOMEROOM__LISTEN__CLEINT", "127.0.0.1:1"),
            ("HOMEROOM__NOWHERE__NAME", "x"),
            ("HOMEROOM__NAME", "x"),
        ],
    )
    .unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:#?}");
    for (problem, variable) in problems.iter().zip([
        "HOMEROOM__NAME",
        "HOMEROOM__LISTEN__CLIENT",
        "HOMEROOM__LISTEN__CLEINT",
        "HOMEROOM__NOWHERE__NAME",
    ]) {
        assert!(problem.to_string().contains(variable), "{problem}");
    }
}

#[test]
fn secrets_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "s3cret\n").unwrap();
    std::fs::write(folder.path().join("tokens"), "one\ntwo\n").unwrap();
    let text = format!("{NAME}[registration]\nshared_secret_file = \"secret\"\ntokens_file = \"tokens\"\n");
    let config = parse("homeroom.toml", &text, folder.path(), []).unwrap();
    assert_eq!(config.registration.shared_secret, Some(Secret::from("s3cret")));
    assert_eq!(config.registration.tokens, [Secret::from("one"), Secret::from("two")]);

    let variable = [("HOMEROOM__REGISTRATION__SHARED_SECRET".to_owned(), "other".to_owned())];
    let config = parse("homeroom.toml", &text, folder.path(), variable).unwrap();
    assert_eq!(config.registration.shared_secret, Some(Secret::from("other")));
}

#[test]
fn a_secret_is_given_once_and_readable() {
    let both = problem("[registration]\nshared_secret = \"hunter2\"\nshared_secret_file = \"x\"");
    assert!(both.message.contains("both"), "{both}");
    assert!(!both.to_string().contains("hunter2"));
    let missing = problem("[registration]\nshared_secret_file = \"no/such/file\"");
    assert_eq!(missing.path, "registration.shared_secret_file");
    assert!(missing.message.contains("no/such/file"));
}

#[test]
fn secrets_do_not_print_with_the_configuration() {
    let config = read(&format!("{NAME}[registration]\nshared_secret = \"hunter2\"\ntokens = [\"hunter3\"]")).unwrap();
    assert!(!format!("{config:?}").contains("hunter"));
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("homeroom.toml");
    std::fs::write(&path, NAME).unwrap();
    let config = load(&path).unwrap();
    assert_eq!(config.database.path, folder.path().join("data"));
}

#[test]
fn a_missing_file_is_one_problem_with_a_hint() {
    let problems = load(Path::new("no/such/homeroom.toml")).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].hint.as_ref().unwrap().contains("--config"));
}

#[test]
fn there_are_at_most_sixty_options() {
    let options = homes().len();
    assert!(options <= 60, "{options} options");
}
