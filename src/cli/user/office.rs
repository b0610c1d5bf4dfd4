//! Where orders of an administrator are carried out: in the running server, or here when there is none.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::runtime::Runtime;

use crate::{
    cli::failure::Failure,
    clock::Clock,
    config::{self, Config},
    ids::Ids,
    notify::Notifier,
    store::{DataFolder, Durability, Store, StoreOptions},
    users::{AdminAnswer, AdminOrder, Users},
};

/// How long an order may take: signing out somebody with many devices takes its time.
const ANSWER_WAIT: Duration = Duration::from_mins(1);

/// The longest answer, in bytes: a page of accounts.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Memory for the database when no server runs, in bytes.
const MEMORY_BYTES: usize = 16 << 20;

/// Carries out orders.
pub(super) enum Office {
    /// Through the socket of the running server.
    Running(BufReader<UnixStream>),
    /// On the data folder of a stopped one.
    Stopped {
        /// The services.
        users: Box<Users>,
        /// What they run on.
        runtime: Runtime,
    },
}

impl Office {
    /// Finds the running server, or opens the data folder.
    pub(super) fn reach(config: &Config) -> Result<Self, Failure> {
        check_owner(&config.database.path)?;
        let folder = DataFolder::open(&config.database.path, config.server.name.as_str());
        let folder = folder.map_err(|error| Failure::Other(error.to_string()))?;
        match UnixStream::connect(folder.admin_socket()) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_WAIT)).map_err(|error| unreachable_server(&error))?;
                Ok(Self::Running(BufReader::new(stream)))
            }
            // No socket, or one that a killed server left behind.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Self::open(config, &folder)
            }
            Err(error) => Err(unreachable_server(&error)),
        }
    }

    fn open(config: &Config, folder: &DataFolder) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Other(error.to_string());
        let name = config.server.name.as_str();
        let durability = match config.database.durability {
            config::Durability::Fsync => Durability::Fsync,
            config::Durability::Os => Durability::Os,
        };
        let options = StoreOptions { memory_bytes: MEMORY_BYTES, durability };
        let store = Store::open(&folder.database(), &options).map_err(|error| {
            Failure::Other(format!("cannot open the database, perhaps a server that is starting has it: {error}"))
        })?;
        folder.seal(name).map_err(|error| failed(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let notifier = Notifier::start().map_err(|error| failed(&error))?;
        let users = Users::new(&Arc::new(config.clone()), store, Clock::system(), Ids::system(), notifier);
        Ok(Self::Stopped { users: Box::new(users.map_err(|error| failed(&error))?), runtime })
    }

    /// Has an order carried out.
    pub(super) fn order(&mut self, order: AdminOrder) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Stopped { users, runtime } => Ok(runtime.block_on(users.carry_out(order))),
            Self::Running(stream) => {
                let line = order.to_line();
                stream.get_mut().write_all(line.expose().as_bytes()).map_err(|error| unreachable_server(&error))?;
                let mut answer = String::new();
                let read = stream.take(ANSWER_BYTES_MAX).read_line(&mut answer);
                read.map_err(|error| unreachable_server(&error))?;
                serde_json::from_str(&answer)
                    .map_err(|_| Failure::Other("the running server does not answer; see its log".into()))
            }
        }
    }
}

fn unreachable_server(error: &io::Error) -> Failure {
    Failure::Other(format!("cannot talk to the running server: {error}"))
}

/// Files that another user makes in the data folder would keep the server from starting.
fn check_owner(path: &Path) -> Result<(), Failure> {
    let Ok(folder) = fs::metadata(path) else { return Ok(()) };
    let (owner, me) = (folder.uid(), rustix::process::geteuid().as_raw());
    if owner == me {
        return Ok(());
    }
    Err(Failure::Other(format!(
        "{} belongs to the system user {owner}, this command runs as {me}: run it as the user of the server",
        path.display()
    )))
}
