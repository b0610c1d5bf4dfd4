//! What searching costs with 100,000 people. Ignored: run it in release, alone.

use std::time::{Duration, Instant};

use super::school::School;
use crate::{
    config::SchoolPreset,
    school::{
        directory::{ContactsQuery, viewer::Viewer},
        generate::{self, Plan},
        people::PersonNo,
        roster::SchoolRole,
    },
};

/// Searches measured for each query and role.
const RUNS: usize = if cfg!(debug_assertions) { 10 } else { 200 };

fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

#[test]
#[ignore = "a measurement: cargo test --release --lib directory -- --ignored --nocapture"]
fn a_search_among_100_000_people() {
    let roster = generate::roster(&Plan::of_size(100_000, 400_000));
    let began = Instant::now();
    let school = School::new(&roster, SchoolPreset::Safe);
    let people = &school.people;
    println!("{} people, {} enrollments, built in {:?}", people.len(), roster.enrollments.len(), began.elapsed());
    let bytes = |bytes: usize| bytes as f64 / people.len() as f64;
    println!("{:.1} bytes a person, {:.1} of them names", bytes(people.bytes()), bytes(people.names().bytes()));
    let mut worst = Duration::ZERO;
    for role in SchoolRole::ALL {
        let actors: Vec<PersonNo> = people.with_role(role).collect();
        if actors.is_empty() {
            continue;
        }
        for text in ["", "m", "a", "s", "müller", "anna", "an m", "anna sch", "zzzz", "@s"] {
            let (mut searches, mut contacts, mut found) = (Vec::new(), Vec::new(), 0);
            for run in 0..RUNS {
                let id = school.id(actors[run * 7919 % actors.len()]);
                let began = Instant::now();
                let viewer = Viewer::new(&school.rules, &id);
                let query = viewer.query(text).unwrap();
                found += viewer.page(viewer.seen(query.as_ref()), None, 10).people.len();
                searches.push(began.elapsed());
                let began = Instant::now();
                let query = ContactsQuery { q: Some(text.into()), limit: 50, ..ContactsQuery::default() };
                Viewer::new(&school.rules, &id).contacts(&query).unwrap();
                contacts.push(began.elapsed());
            }
            let ((p50, p99), (contacts_p50, contacts_p99)) = (percentiles(searches), percentiles(contacts));
            worst = worst.max(p99);
            let found = found as f64 / RUNS as f64;
            let name = role.name();
            println!(
                "{name:17} {text:9?} search p50 {p50:9.1?} p99 {p99:9.1?} ({found:4.1} found) · contacts p50 \
                 {contacts_p50:9.1?} p99 {contacts_p99:9.1?}"
            );
        }
    }
    println!("worst p99 of a search: {worst:?}");
    assert!(people.bytes() <= 200 * people.len());
    if !cfg!(debug_assertions) {
        assert!(worst <= Duration::from_millis(10), "{worst:?}");
    }
}
