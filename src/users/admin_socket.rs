//! The socket in the data folder through which the command line reaches a running server.
//!
//! Whoever can open it is the owner of the data folder, and could as well change the database: there is no other check.
//! Orders and answers are JSON objects, one in each line; an order may have several answers. Which orders there are is
//! not known here: `app.rs` hands in the [`Desk`].

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::AdminAnswer;
use crate::clock::Clock;

/// The longest order, in bytes.
const ORDER_BYTES_MAX: u64 = 16 * 1024;

/// Commands served at once; more wait.
const CONNECTIONS_MAX: usize = 8;

/// How long a command may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Answers that may wait for a slow reader.
const ANSWERS_WAITING_MAX: usize = 64;

/// Who carries out the orders of the command line.
pub trait Desk: Send + Sync + 'static {
    /// Carries out an order, a JSON object, and answers at least once. It may hold a password: never log it.
    fn attend<'a>(&'a self, order: &'a [u8], answers: Answers) -> BoxFuture<'a, ()>;
}

/// Where the answers to an order go.
#[derive(Debug, Clone)]
pub struct Answers(mpsc::Sender<Vec<u8>>);

impl Answers {
    /// For one order; the answers come out of the other end, a line of JSON each, with its break.
    pub fn channel() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (sender, receiver) = mpsc::channel(ANSWERS_WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Answers. Whether somebody still listens is not told: what was ordered is carried out all the same.
    pub async fn send(&self, answer: &impl serde::Serialize) {
        match serde_json::to_vec(answer) {
            Ok(mut line) => {
                line.push(b'\n');
                // Nobody listens any more.
                let _ = self.0.send(line).await;
            }
            Err(error) => tracing::error!(%error, "an answer at the admin socket cannot be written"),
        }
    }
}

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

    /// Hands orders to the desk until it is dropped.
    pub async fn serve(&self, desk: &Arc<dyn Desk>, clock: &Clock) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut conversations = JoinSet::new();
        loop {
            while conversations.try_join_next().is_some() {}
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (desk, clock) = (desk.clone(), clock.clone());
                    conversations.spawn(async move {
                        let _place = place;
                        if let Err(error) = converse(stream, &*desk, &clock).await {
                            tracing::debug!(%error, "a command at the admin socket went away");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin socket does not accept");
                    clock.sleep(Duration::from_secs(1)).await;
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

async fn converse(stream: UnixStream, desk: &dyn Desk, clock: &Clock) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(ORDER_BYTES_MAX);
        let read = clock.timeout(SILENCE_MAX, bounded.read_until(b'\n', &mut line)).await;
        match read {
            Some(Ok(0)) | None => return Ok(()),
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) => {}
        }
        let (answers, mut waiting) = Answers::channel();
        if !line.ends_with(b"\n") {
            zeroize::Zeroize::zeroize(&mut line);
            answers.send(&AdminAnswer::Failed("this order has no end".to_owned())).await;
            drop(answers);
            return write(&mut writer, &mut waiting).await;
        }
        let ((), written) = tokio::join!(desk.attend(&line, answers), write(&mut writer, &mut waiting));
        zeroize::Zeroize::zeroize(&mut line);
        written?;
    }
}

/// Writes the answers to one order. When the reader has gone they are taken all the same, so that the order goes on.
async fn write(writer: &mut OwnedWriteHalf, answers: &mut mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut written = Ok(());
    while let Some(answer) = answers.recv().await {
        if written.is_ok() {
            written = writer.write_all(&answer).await;
        }
    }
    written
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
                r#"{"order":"list","after":null}"#,
            );
            stream.write_all(orders.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answers = String::new();
            stream.read_to_string(&mut answers).await.unwrap();
            answers
        };
        let desk: Arc<dyn Desk> = Arc::new(fixture.users.clone());
        let answers = tokio::select! {
            () = socket.serve(&desk, &fixture.clock) => unreachable!("it serves until it is dropped"),
            answers = client => answers,
        };
        let lines: Vec<AdminAnswer> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(matches!(&lines[0], AdminAnswer::Done(id) if id == "@anna:school.example"));
        assert!(matches!(&lines[1], AdminAnswer::Failed(_)));
        let AdminAnswer::Accounts { accounts, next: None } = &lines[2] else { unreachable!("{lines:?}") };
        assert!(accounts.len() == 1 && accounts[0].admin);
        assert!(matches!(&lines[3], AdminAnswer::Failed(why) if why.contains("not understood")));
        assert!(matches!(&lines[4], AdminAnswer::Failed(why) if why.contains("no end")));
        drop(socket);
        assert!(!path.exists());
    }
}
