//! How many files the server may open.

use crate::harness::{Process, write_config};

#[tokio::test]
async fn a_low_limit_of_open_files_is_raised_as_far_as_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start_after("ulimit -Sn 256", &write_config(folder.path())).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.child.id().unwrap())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard]: [&str; 2] = line.split_whitespace().skip(3).take(2).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(soft, hard);
    assert_ne!(soft, "256");
    process.kill().await;
}
