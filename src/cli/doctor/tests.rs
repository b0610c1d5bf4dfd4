#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use ruma::{owned_server_name, user_id};

use super::*;
use crate::store::{Batch, Durability, Store, StoreOptions, schema::rooms::PUBLISHED};

/// Shortly after the files of these tests are made, whenever that is.
fn clock() -> Clock {
    Clock::system()
}

fn config(path: &Path) -> Config {
    let mut config = Config::defaults(owned_server_name!("a.example"));
    config.database.path = path.to_owned();
    config
}

/// A data folder as a server makes it.
fn sound(path: &Path) -> Store {
    let folder = DataFolder::open(path, "a.example").unwrap();
    let store = open(path);
    folder.seal("a.example").unwrap();
    store
}

fn open(path: &Path) -> Store {
    Store::open(&path.join("db"), &StoreOptions { memory_bytes: 8 << 20, durability: Durability::Os }).unwrap()
}

fn problems(lines: &[Line]) -> Vec<&str> {
    lines.iter().filter(|line| line.level == Level::Problem).map(|line| line.what.as_str()).collect()
}

#[tokio::test]
async fn a_sound_folder_has_no_problem_beside_a_running_store_and_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let store = sound(&path);
    let mut batch = Batch::new();
    store.mint_user(user_id!("@anna:a.example"), &mut batch).await.unwrap();
    store.commit(batch).await.unwrap();
    let lines = examine(&config(&path), true, &clock());
    assert_eq!(problems(&lines), Vec::<&str>::new());
    assert!(lines.last().unwrap().what.contains("2 rows, every invariant holds"), "{lines:?}");
    drop(store);
    assert_eq!(problems(&examine(&config(&path), true, &clock())), Vec::<&str>::new());
}

#[tokio::test]
async fn damaged_tables_are_a_problem_only_when_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let store = sound(&path);
    let mut batch = Batch::new();
    batch.put(&PUBLISHED, &crate::store::RoomNo(9), &());
    store.commit(batch).await.unwrap();
    assert_eq!(problems(&examine(&config(&path), false, &clock())), Vec::<&str>::new());
    let lines = examine(&config(&path), true, &clock());
    assert_eq!(problems(&lines), ["tables: 1 findings in 1 rows"]);
    assert!(lines.last().unwrap().what.contains("published: room 9 is not known"));
}

#[test]
fn a_folder_that_was_never_used_is_no_problem_and_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let lines = examine(&config(&path), true, &clock());
    assert_eq!(problems(&lines), Vec::<&str>::new());
    assert!(lines.last().unwrap().what.contains("never been started"));
    assert!(!path.exists());
}

#[test]
fn an_open_folder_and_another_server_name_are_problems() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    drop(sound(&path));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let lines = examine(&config(&path), false, &clock());
    assert_eq!(problems(&lines).len(), 1);
    assert!(problems(&lines).concat().contains("chmod 700"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let mut other = config(&path);
    other.server.name = owned_server_name!("b.example");
    assert!(problems(&examine(&other, false, &clock())).concat().contains("belongs to the server 'a.example'"));
}

#[test]
fn a_clock_that_is_wrong_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    drop(sound(&path));
    // A machine without a clock of its own starts in 1970.
    assert!(problems(&examine(&config(&path), false, &Clock::test(1_000))).concat().contains("which is in the past"));
    let past = Clock::test(EARLIEST_MS);
    assert!(problems(&examine(&config(&path), false, &past)).concat().contains("went backwards"));
    past.advance(Duration::from_hours(100 * 365 * 24));
    assert_eq!(problems(&examine(&config(&path), false, &past)), Vec::<&str>::new());
}

#[test]
fn a_full_disk_is_a_problem_before_it_is_full() {
    assert_eq!(disk_line(100 * MIB, 9_000 * MIB, None).level, Level::Problem);
    assert_eq!(disk_line(1_000 * MIB, 9_000 * MIB, Some(99_999)).level, Level::Warning);
    assert_eq!(disk_line(5_000 * MIB, 9_000 * MIB, Some(99_999)).level, Level::Good);
    assert_eq!(disk_line(5_000 * MIB, 9_000 * MIB, Some(9)).level, Level::Problem);
}
