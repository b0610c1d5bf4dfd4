//! Where orders of an administrator are carried out: in the running server, or here when there is none.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::Path,
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use crate::{
    app::Offline,
    cli::failure::Failure,
    config::Config,
    secret::Secret,
    store::DataFolder,
    users::{AdminAnswer, AdminOrder, Answers},
};

/// How long an answer may take: signing out somebody with many devices takes its time. Orders that take longer answer
/// how far they are.
const ANSWER_WAIT: Duration = Duration::from_mins(1);

/// The longest answer, in bytes: a page of accounts.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Carries out orders.
pub(super) enum Office {
    /// Through the socket of the running server.
    Running(BufReader<UnixStream>),
    /// On the data folder of a stopped one.
    Stopped {
        /// The services; `None` once they are closed.
        server: Option<Offline>,
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
                Self::open(config)
            }
            Err(error) => Err(unreachable_server(&error)),
        }
    }

    fn open(config: &Config) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Other(error.to_string()))?;
        let server = runtime.block_on(Offline::open(config.clone())).map_err(|error| {
            Failure::Other(format!("{error} (a server that is just starting or stopping may still have it)"))
        })?;
        Ok(Self::Stopped { server: Some(server), runtime })
    }

    /// Has an order about accounts carried out.
    pub(super) fn order(&mut self, order: &AdminOrder) -> Result<AdminAnswer, Failure> {
        let mut found = None;
        self.converse(&order.to_line(), |answer| {
            found = Some(answer);
            Ok(true)
        })?;
        found.ok_or_else(silent)
    }

    /// Has any order carried out. `read` is given the answers as they come, and says whether one was the last.
    pub(super) fn converse<A: DeserializeOwned>(
        &mut self,
        order: &Secret,
        mut read: impl FnMut(A) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut understand = |line: &[u8]| read(serde_json::from_slice(line).map_err(|_| silent())?);
        match self {
            Self::Running(stream) => {
                stream.get_mut().write_all(order.expose().as_bytes()).map_err(|error| unreachable_server(&error))?;
                loop {
                    let mut answer = Vec::new();
                    let read = stream.by_ref().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut answer);
                    read.map_err(|error| unreachable_server(&error))?;
                    if understand(&answer)? {
                        return Ok(());
                    }
                }
            }
            Self::Stopped { server, runtime } => {
                let Some(desk) = server.as_ref().map(Offline::desk) else { return Err(silent()) };
                let (answers, mut waiting) = Answers::channel();
                let mut heard = Ok(false);
                runtime.block_on(async {
                    let hear = async {
                        while let Some(line) = waiting.recv().await {
                            if matches!(heard, Ok(false)) {
                                heard = understand(&line);
                            }
                        }
                    };
                    tokio::join!(desk.attend(order.expose().as_bytes(), answers), hear)
                });
                if heard? { Ok(()) } else { Err(silent()) }
            }
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Self::Stopped { server, runtime } = self
            && let Some(server) = server.take()
        {
            // The next command, or a server, may open the folder as soon as this one has ended.
            runtime.block_on(server.close());
        }
    }
}

fn silent() -> Failure {
    Failure::Other("the server does not answer as it should; see its log".into())
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
