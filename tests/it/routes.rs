//! The complete route table is one snapshot: a change of it is seen in review.

use std::{env, fs};

#[test]
fn the_route_table_is_the_snapshot() {
    // Below the package, which is where cargo runs tests.
    let file = "tests/it/routes.txt";
    let lines = homeroom::routes::all().lines();
    let found = lines.join("\n") + "\n";
    if env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(file, &found).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    let added: Vec<_> = found.lines().filter(|line| !expected.lines().any(|other| other == *line)).collect();
    let removed: Vec<_> = expected.lines().filter(|line| !found.lines().any(|other| other == *line)).collect();
    assert!(
        added.is_empty() && removed.is_empty(),
        "run with UPDATE_SNAPSHOTS=1 if this is meant\nadded: {added:#?}\nremoved: {removed:#?}"
    );
}

#[test]
fn no_route_is_listed_twice() {
    let mut lines = homeroom::routes::all().lines();
    let all = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), all);
}
