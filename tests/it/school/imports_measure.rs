//! What a large import costs.

use std::{fs, path::Path, time::Instant};

use homeroom::{
    config::{Durability, Size},
    school::{
        School,
        audit::Author,
        export,
        files::{self, Hints, ReadOutcome},
        generate::{self, Plan},
    },
    store::schema::school::ImportState,
};

use super::small::SOURCE;
use crate::harness::Server;

/// 100,000 people with 400,000 enrollments, from a ZIP to decisions.
/// `cargo test --release --test it imports_measure -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn a_large_import() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roster.zip");
    {
        let roster = generate::roster(&Plan::of_size(100_000, 400_000));
        println!("{} people, {} enrollments, {} in all", roster.people.len(), roster.enrollments.len(), roster.len());
        export::zip(&roster, fs::File::create(&file).unwrap()).unwrap();
    }
    // From here on the peak counts anew.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    println!("before: {} MiB", memory("VmRSS"));
    let server = Server::with(|config| {
        config.database.memory = Size::mib(128);
        config.database.durability = Durability::Fsync;
    })
    .await;
    let school = &server.app().services().school;
    for round in ["first", "again, hash unknown", "again"] {
        import(school, &file, round).await;
        println!("{round}: peak {} MiB, now {} MiB", memory("VmHWM"), memory("VmRSS"));
    }
}

async fn import(school: &School, file: &Path, round: &str) {
    let (start, file) = (Instant::now(), file.to_owned());
    let read = move || files::read(&file, &Hints::default());
    let mut read: ReadOutcome = tokio::task::spawn_blocking(read).await.unwrap();
    println!("{round}: read {:?}, {} errors, {} warnings", start.elapsed(), read.errors, read.warnings);
    if let Some(bundle) = read.bundle.as_mut().filter(|_| round.contains("unknown")) {
        bundle.sha256 = [1; 32];
    }
    let number = school.imports.plan(SOURCE, read, &Author::console()).await.unwrap();
    let plan = school.imports.get(number).await.unwrap().unwrap();
    println!("{round}: planned {:?}, {:?}", start.elapsed(), plan.counts);
    school.imports.apply(number, false, &Author::console()).await.unwrap();
    assert_eq!(school.imports.settled(number).await.unwrap().state, ImportState::Applied);
    println!("{round}: in force {:?}", start.elapsed());
}

/// A figure of this process in MiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
