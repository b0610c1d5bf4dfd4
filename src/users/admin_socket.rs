//! The socket in the data folder through which the command line reaches a running server.
//!
//! Whoever can open it is the owner of the data folder, and could as well change the database: there is no other check.
//! Orders and answers are JSON objects, one in each line.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
};

use super::{AdminAnswer, Users};

/// The longest order, in bytes.
const ORDER_BYTES_MAX: u64 = 16 * 1024;

/// Commands served at once; more wait.
const CONNECTIONS_MAX: usize = 8;

/// How long a command may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The listening socket; its file is removed when it is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Listens at `path`, for the owner only. What an earlier process left there is removed: the database's own lock
    /// makes sure that no other server is running in the folder. Called inside the runtime.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The folder is the owner's alone already, so nobody can come in between.
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Carries out orders until it is dropped.
    pub async fn serve(&self, users: &Users) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut conversations = JoinSet::new();
        loop {
            while conversations.try_join_next().is_some() {}
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let users = users.clone();
                    conversations.spawn(async move {
                        let _place = place;
                        if let Err(error) = converse(stream, &users).await {
                            tracing::debug!(%error, "a command at the admin socket went away");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin socket does not accept");
                    users.clock.sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // A file that is left over is removed by the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(stream: UnixStream, users: &Users) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(ORDER_BYTES_MAX);
        let read = users.clock.timeout(SILENCE_MAX, bounded.read_until(b'\n', &mut line)).await;
        match read {
            Some(Ok(0)) | None => return Ok(()),
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) => {}
        }
        let (answer, is_last) = match serde_json::from_slice(&line) {
            Ok(order) if line.ends_with(b"\n") => (users.carry_out(order).await, false),
            Ok(_) => (AdminAnswer::Failed("this order has no end".to_owned()), true),
            // The parser's message could quote a password.
            Err(_) => (AdminAnswer::Failed("this order is not understood".to_owned()), true),
        };
        zeroize::Zeroize::zeroize(&mut line);
        let mut answer = serde_json::to_vec(&answer)?;
        answer.push(b'\n');
        writer.write_all(&answer).await?;
        if is_last {
            return Ok(());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;
    use crate::users::test::Fixture;

    #[tokio::test]
    async fn orders_are_carried_out_in_turn() {
        let fixture = Fixture::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        std::fs::write(&path, "left over").unwrap();
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let client = async {
            let orders = concat!(
                r#"{"order":"add","name":"anna","password":"correct horse","admin":true}"#,
                "\n",
                r#"{"order":"add","name":"anna","password":"correct horse","admin":true}"#,
                "\n",
                r#"{"order":"list","after":null}"#,
                "\n",
                "nonsense\n",
            );
            stream.write_all(orders.as_bytes()).await.unwrap();
            let mut answers = String::new();
            stream.read_to_string(&mut answers).await.unwrap();
            answers
        };
        let answers = tokio::select! {
            () = socket.serve(&fixture.users) => unreachable!("it serves until it is dropped"),
            answers = client => answers,
        };
        let lines: Vec<AdminAnswer> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(matches!(&lines[0], AdminAnswer::Done(id) if id == "@anna:school.example"));
        assert!(matches!(&lines[1], AdminAnswer::Failed(_)));
        let AdminAnswer::Accounts { accounts, next: None } = &lines[2] else { unreachable!("{lines:?}") };
        assert!(accounts.len() == 1 && accounts[0].admin);
        assert!(matches!(&lines[3], AdminAnswer::Failed(_)));
        drop(socket);
        assert!(!path.exists());
    }
}
