//! `homeroom demo`: a server with an invented school, to try it out.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{failure::Failure, logging};
use crate::{
    app::{self, Addresses, StartError},
    config,
    http::services::Services,
    ids::Ids,
    school::{
        SchoolError,
        audit::Author,
        exchange::SOURCE,
        generate::{self, Notable, Part},
        roster::{Bundle, ObjectKind, SchoolRole},
    },
    store::{UserNo, schema::school::PERSON_ACCOUNTS},
};

/// How long to wait for the rooms before the accounts are printed; they are made meanwhile.
const ROOMS_WAIT: Duration = Duration::from_secs(10);

/// Someone to sign in as.
struct Account {
    part: Part,
    user_id: String,
    why: String,
}

/// Makes the school, prints whom to sign in as, and serves until it is told to stop.
pub(super) fn demo(listen: SocketAddr, data: Option<&Path>) -> Result<(), Failure> {
    let cannot = |error: io::Error| Failure::Other(format!("cannot make the folder of the demo: {error}"));
    let folder = Folder::new(data).map_err(cannot)?;
    let file = folder.path.join("homeroom.toml");
    fs::write(&file, configuration(listen)).map_err(cannot)?;
    let config = config::load(&file).map_err(|problems| Failure::Configuration { file: file.clone(), problems })?;
    logging::start(&config.logging)?;
    let prepare = |services: Arc<Services>, addresses: Addresses| async move {
        // Passwords of nobody: random, so that a demo that somebody lets others reach is not open to all.
        let password = Ids::system().opaque(12);
        let accounts = make(&services, &password).await?;
        print(&accounts, &password, addresses, &file)
    };
    app::serve_prepared(config, prepare).map_err(|error| Failure::Other(error.to_string()))
}

fn configuration(listen: SocketAddr) -> String {
    format!(
        "[server]\nname = \"homeroom.localhost\"\npublic_url = \"http://{listen}\"\n\n[listen]\nclient = \"{listen}\"\n\n\
         [database]\npath = \"data\"\ndurability = \"os\"\n\n[logging]\nlevel = \"warn\"\n"
    )
}

/// Imports the school, unless the folder has it already, and sets the passwords.
async fn make(services: &Services, password: &str) -> Result<Vec<Account>, StartError> {
    let school = &services.school;
    let demo = generate::demo(services.clock.today());
    if school.imports.source(SOURCE).await?.applied.is_empty() {
        let bundle = Bundle {
            format: "generated",
            roster: demo.roster,
            complete: ObjectKind::ALL.into_iter().collect(),
            ..Bundle::default()
        };
        school.imports.import_now(SOURCE, bundle, &Author::server()).await?;
    }
    let mut accounts = Vec::new();
    for notable in demo.notables {
        if let Some(account) = account(services, notable, password).await? {
            accounts.push(account);
        }
    }
    // They go on being made where it takes longer.
    let _ = tokio::time::timeout(ROOMS_WAIT, school.rooms.settled()).await;
    Ok(accounts)
}

async fn account(services: &Services, notable: Notable, password: &str) -> Result<Option<Account>, StartError> {
    let key = (SOURCE.to_owned(), notable.person);
    let Some(found) = services.store.get(&PERSON_ACCOUNTS, &key).await? else { return Ok(None) };
    let user: UserNo = found.user;
    let open = services.users.accounts.by_number(user).await?;
    if !open.is_some_and(|account| !account.locked && !account.deactivated) {
        return Ok(None);
    }
    services.users.change_password(user, password.into(), false, None).await?;
    let user_id = services.store.user_id(user).await?;
    match notable.part {
        Part::Admin => services.users.accounts.set_admin(user, true).await?,
        Part::Counsellor => {
            let decisions = &services.school.decisions;
            let given = decisions.grant_role(&user_id, SchoolRole::SafeguardingLead, None, &Author::server()).await;
            given.map_err(|error: SchoolError| StartError::School(error))?;
        }
        _ => {}
    }
    Ok(Some(Account { part: notable.part, user_id: user_id.into(), why: notable.why }))
}

fn print(accounts: &[Account], password: &str, addresses: Addresses, file: &Path) -> Result<(), StartError> {
    let mut text = format!(
        "\nAn invented school runs at http://{}. Sign in with any Matrix client.\n\n{:<20} {:<36} {:<14} {}\n",
        addresses.client, "role", "user id", "password", "who"
    );
    for account in accounts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<20} {:<36} {password:<14} {}", name(account.part), account.user_id, account.why);
    }
    let _ = writeln!(text, "\nAsk it: homeroom --config {} school people\nCtrl-C ends it.", file.display());
    let written = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    written.map_err(|error| StartError::System { what: "the list of accounts", error })
}

fn name(part: Part) -> &'static str {
    match part {
        Part::Admin => "admin",
        Part::Head => "head",
        Part::Counsellor => "safeguarding lead",
        Part::Office => "office",
        Part::Teacher => "teacher",
        Part::Substitute => "substitute",
        Part::TeacherParent => "teacher and parent",
        Part::Pupil => "pupil",
        Part::JuniorPupil => "younger pupil",
        Part::Guardian => "guardian",
        Part::SharedGuardian => "guardian of several",
        Part::SeparatedGuardian => "separated guardian",
        Part::NoContact => "kept apart",
        Part::Relative => "relative",
        Part::TwoRecords => "known twice",
    }
}

/// The folder of the demo.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn new(data: Option<&Path>) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        if let Some(path) = data {
            builder.recursive(true).create(path)?;
            return Ok(Self { path: std::path::absolute(path)?, keep: true });
        }
        let path = std::env::temp_dir().join(format!("homeroom-demo-{}", Ids::system().opaque(10)));
        builder.create(&path)?;
        Ok(Self { path, keep: false })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // The system's own folder of temporary files: what cannot be removed goes with its next cleaning.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
