//! What a large school costs: 100,000 people with 400,000 enrollments.
//!
//!     cargo bench --bench school                  the whole size
//!     cargo bench --bench school -- 10000 40000   another: people, enrollments
//!
//! Generates a roster, writes it as a `OneRoster` 1.2 bundle, and imports it in a process of its own, so that the peak of
//! memory is that of the import alone: read the files, plan, apply with fsync, and again without a change. Then
//! decisions and searches, one after the other on one thread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod usage;

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use homeroom::{
    app::App,
    clock::Clock,
    config::{Config, Size},
    ids::Ids,
    rooms::policy::Verb,
    school::{
        School,
        audit::Author,
        export,
        files::{self, Hints},
        generate::{self, Plan},
        people::{People, PersonNo},
        roster::SchoolRole,
    },
};
use ruma::owned_server_name;

use self::usage::Usage;

/// Set for the process that imports: where the bundle is.
const BUNDLE: &str = "HOMEROOM_LOAD_BUNDLE";

fn main() {
    if let Ok(bundle) = std::env::var(BUNDLE) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(import(Path::new(&bundle)));
        return;
    }
    let sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (people, enrollments) = match sizes.as_slice() {
        [people, enrollments] => (*people, *enrollments),
        _ => (100_000, 400_000),
    };
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("school.zip");
    let roster = generate::roster(&Plan::of_size(people, enrollments).on(Clock::system().today()));
    println!("{} people, {} enrollments, {} links", roster.people.len(), roster.enrollments.len(), roster.links.len());
    let mut file = BufWriter::new(File::create(&bundle).unwrap());
    export::zip(&roster, &mut file).unwrap();
    file.flush().unwrap();
    drop((file, roster));
    println!("bundle: {:.1} MiB", fs::metadata(&bundle).unwrap().len() as f64 / 1_048_576.0);
    let done = Command::new(std::env::current_exe().unwrap()).env(BUNDLE, &bundle).status().unwrap();
    assert!(done.success());
}

async fn import(bundle: &Path) {
    let folder = tempfile::tempdir_in(bundle.parent().unwrap()).unwrap();
    let mut config = Config::defaults(owned_server_name!("school.example"));
    config.listen.client = ([127, 0, 0, 1], 0).into();
    config.database.path = folder.path().join("data");
    config.database.memory = Size::mib(256);
    let app = App::start(config, Clock::system(), Ids::system()).await.unwrap();
    let school = app.services().school.clone();
    println!("resident before: {:.1} MiB", Usage::own().now);

    let rooms = school.rooms.progress();
    let whole = Instant::now();
    read_and_apply(&school, bundle).await;
    report("first import, the roster in force", whole.elapsed());
    println!("peak so far: {:.1} MiB", Usage::own().peak);
    let again = Instant::now();
    read_and_apply(&school, bundle).await;
    report("the same again", again.elapsed());

    school.rooms.settled().await;
    let last = rooms.borrow().last;
    report("until every room stood too", whole.elapsed());
    println!("rooms: {last:?}");
    println!("resident: {:.1} MiB, peak: {:.1} MiB", Usage::own().now, Usage::own().peak);

    let people = school.people();
    println!("memory of the people: {:.1} bytes each", people.bytes() as f64 / people.len() as f64);
    decisions(&school, &people);
    searches(&app, &people).await;
    app.stop().await;
}

async fn read_and_apply(school: &School, bundle: &Path) {
    let began = Instant::now();
    let path = bundle.to_owned();
    let outcome = tokio::task::spawn_blocking(move || files::read(&path, &Hints::default())).await.unwrap();
    report("  reading the files", began.elapsed());
    let bundle = outcome.bundle.unwrap_or_else(|| panic!("{:?}", outcome.problems));
    let began = Instant::now();
    school.imports.import_now("load", bundle, &Author::console()).await.unwrap();
    report("  planning and applying", began.elapsed());
}

/// Every verb between people drawn from the whole school and from one's own classes.
fn decisions(school: &School, people: &People) {
    const ROUNDS: usize = 200_000;
    let all: Vec<PersonNo> = people.iter().collect();
    let mut draw = 0x9e37_79b9_u64;
    let mut next = |of: usize| {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(draw >> 33).unwrap() % of
    };
    let mut pairs = Vec::with_capacity(ROUNDS);
    while pairs.len() < ROUNDS {
        let actor = all[next(all.len())];
        pairs.push((actor, all[next(all.len())]));
        for class in people.enrolled(actor).take(1) {
            let near: Vec<_> = people.members(class.class).collect();
            pairs.push((actor, near[next(near.len())].person));
        }
    }
    let began = Instant::now();
    let mut allowed = 0;
    for (index, (actor, target)) in pairs.iter().enumerate() {
        let ruling = school.rules.ruling_between(people, *actor, *target, Verb::ALL[index % Verb::ALL.len()]);
        allowed += usize::from(ruling.is_allowed());
    }
    let each = began.elapsed() / u32::try_from(pairs.len()).unwrap();
    println!("a decision: {each:?} ({allowed} of {} allowed)", pairs.len());
}

async fn searches(app: &App, people: &People) {
    const RUNS: usize = 100;
    let services = app.services();
    let server = services.school.rules.server();
    for role in SchoolRole::ALL {
        let actors: Vec<PersonNo> = people.with_role(role).collect();
        if actors.is_empty() {
            continue;
        }
        let (mut times, mut worst) = (Vec::new(), (Duration::ZERO, ""));
        for text in ["m", "a", "müller", "anna", "an m", "anna sch", "zzzz"] {
            for run in 0..RUNS {
                let actor = actors[run * 7919 % actors.len()];
                let id = people.user_id(actor, server).unwrap();
                let began = Instant::now();
                services.school.directory.search(people.user(actor), &id, text, 10).await.unwrap();
                times.push(began.elapsed());
                worst = worst.max((began.elapsed(), text));
            }
        }
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        println!("a search by a {}: p50 {:?}, p99 {:?}, worst {worst:?}", role.name(), at(50), at(99));
    }
}

fn report(what: &str, took: Duration) {
    println!("{what}: {:.2} s", took.as_secs_f64());
}
