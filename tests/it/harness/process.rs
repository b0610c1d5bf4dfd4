//! The program itself, in a process of its own.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// A server of its own process.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) base: String,
    /// Where `/health` is.
    pub(crate) operations: String,
}

impl Process {
    /// Starts the program and waits until it listens.
    pub(crate) async fn start(config: &Path) -> Self {
        Self::ready(Self::spawn(config)).await
    }

    /// The same in a shell that has set limits before.
    pub(crate) async fn start_after(limits: &str, config: &Path) -> Self {
        let mut shell = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_homeroom");
        shell.args(["-c", &format!("{limits}; exec '{program}' serve --config \"$0\"")]).arg(config);
        Self::ready(Self::piped(shell)).await
    }

    async fn ready(mut child: Child) -> Self {
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            let entry: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = entry["client"].as_str().filter(|_| entry["message"] == "ready") {
                let base = format!("http://{address}");
                let operations = entry["metrics"].as_str().unwrap_or_default();
                let operations = operations.trim_start_matches("Some(").trim_end_matches(')');
                let operations = format!("http://{operations}");
                // Nobody else reads it, and a full pipe would stop the server.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Self { child, base, operations };
            }
            seen.push(line);
        }
        panic!("the server did not start: {seen:#?}");
    }

    pub(crate) fn spawn(config: &Path) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homeroom"));
        command.arg("serve").arg("--config").arg(config);
        Self::piped(command)
    }

    fn piped(mut command: Command) -> Child {
        super::install_provider();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.kill_on_drop(true).spawn().unwrap()
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

pub(crate) fn write_config(folder: &Path) -> PathBuf {
    let file = folder.join("homeroom.toml");
    let text = "[server]\nname = \"school.example\"\n[listen]\nclient = \"127.0.0.1:0\"\nmetrics = \"127.0.0.1:0\"\n\
        [database]\npath = \"data\"\nmemory = \"16 MiB\"\ndurability = \"fsync\"\n\
        [registration]\nmode = \"open\"\n[limits]\nenabled = false\n\
        [passwords]\nmemory = \"8 KiB\"\niterations = 1\n[logging]\nformat = \"json\"\n";
    std::fs::write(&file, text).unwrap();
    file
}
