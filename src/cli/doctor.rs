//! `homeroom doctor`: whether disk, permissions, clock and data are sound.
//!
//! It only looks: it works beside a running server as well as without one, and changes nothing.

use std::{
    fmt::{self, Write as _},
    fs,
    io::{self, Write as _},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::failure::Failure;
use crate::{
    clock::Clock,
    config::Config,
    store::{
        DataFolder, StoreError,
        check::{Report, check_folder},
    },
};

const MIB: u64 = 1 << 20;
/// With less free space the database cannot even merge its files, and writing will stop soon.
const FREE_MIN: u64 = 256 * MIB;
/// With less free space somebody should look.
const FREE_LOW: u64 = 2048 * MIB;
/// With fewer free files writing will stop soon.
const FILES_MIN: u64 = 2000;
/// Before this (2025-01-01) no Homeroom existed: the clock is wrong.
const EARLIEST_MS: u64 = 1_735_689_600_000;
/// How far files may lie in the future, in milliseconds: file systems round.
const FUTURE_MS: u64 = 60_000;
/// Memory for the deep check's reading.
const READ_BYTES: usize = 32 << 20;
/// A running server may delete a file between being listed and being opened: then looking again helps.
const OPEN_TRIES: usize = 5;

/// Examines the data folder, with `deep` also every invariant of its tables, and says what it finds.
pub(super) fn doctor(config: &Config, deep: bool) -> Result<(), Failure> {
    let lines = examine(config, deep, &Clock::system());
    let mut text = String::new();
    for line in &lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("cannot write the answer: {error}"))?;
    match lines.iter().filter(|line| line.level == Level::Problem).count() {
        0 => Ok(()),
        1 => Err(Failure::Other("1 problem found".into())),
        n => Err(Failure::Other(format!("{n} problems found"))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Good,
    Warning,
    Problem,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Line {
    level: Level,
    what: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Good => "ok      ",
            Level::Warning => "warning ",
            Level::Problem => "PROBLEM ",
        };
        write!(f, "{level}{}", self.what)
    }
}

fn good(what: impl Into<String>) -> Line {
    Line { level: Level::Good, what: what.into() }
}

fn warning(what: impl Into<String>) -> Line {
    Line { level: Level::Warning, what: what.into() }
}

fn problem(what: impl Into<String>) -> Line {
    Line { level: Level::Problem, what: what.into() }
}

fn examine(config: &Config, deep: bool, clock: &Clock) -> Vec<Line> {
    let path = &config.database.path;
    let mut lines = vec![disk(path)];
    if !path.exists() {
        lines.push(clock_line(clock, None));
        lines.push(warning(format!("{} does not exist yet: the server has never been started", path.display())));
        return lines;
    }
    let files = Files::read(path);
    lines.push(clock_line(clock, files.newest_ms));
    lines.extend(files.lines(path));
    // Opening a folder that exists changes nothing in it.
    let folder = match DataFolder::open(path, config.server.name.as_str()) {
        Ok(folder) => folder,
        Err(error) => {
            lines.push(problem(error.to_string()));
            return lines;
        }
    };
    if !folder.database().join("CURRENT").exists() {
        lines.push(warning(format!("{} is empty: the server has never been started", path.display())));
        return lines;
    }
    lines.push(good(format!("{} belongs to {}", path.display(), config.server.name)));
    let running = UnixStream::connect(folder.admin_socket()).is_ok();
    lines.push(good(if running { "the server is running" } else { "the server is not running" }));
    if deep {
        lines.extend(tables(&folder));
    }
    lines
}

/// The file system that holds the folder, or will.
fn disk(path: &Path) -> Line {
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(disk) => disk_line(
            disk.f_bavail.saturating_mul(disk.f_frsize),
            disk.f_blocks.saturating_mul(disk.f_frsize),
            // Some file systems have no fixed number of files and say 0 of 0.
            (disk.f_files > 0).then_some(disk.f_favail),
        ),
        Err(error) => problem(format!("the disk of {} cannot be examined: {error}", existing.display())),
    }
}

fn disk_line(free: u64, all: u64, files: Option<u64>) -> Line {
    let text = format!("disk: {} MiB of {} MiB are free", free / MIB, all / MIB);
    match files {
        Some(files) if files < FILES_MIN => problem(format!("disk: only {files} more files can be made")),
        _ if free < FREE_MIN => problem(format!("{text}. Without space nothing can be written: make room")),
        _ if free < FREE_LOW => warning(format!("{text}. That is little")),
        _ => good(text),
    }
}

fn clock_line(clock: &Clock, newest_ms: Option<u64>) -> Line {
    let now_ms = clock.now_ms();
    if now_ms < EARLIEST_MS {
        return problem(format!("clock: it says {}, which is in the past. Set it, or let NTP do so", day(now_ms)));
    }
    match newest_ms {
        Some(newest) if newest > now_ms.saturating_add(FUTURE_MS) => problem(format!(
            "clock: it says {}, but files were written on {} already. It went backwards, or was wrong then",
            day(now_ms),
            day(newest)
        )),
        _ => good(format!("clock: {}", day(now_ms))),
    }
}

fn day(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map_or_else(|| format!("{ms} ms"), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// What can be seen of the folder's files without opening them.
#[derive(Default)]
struct Files {
    /// The owner of the folder, and whether others can get in.
    folder: Option<(u32, u32)>,
    newest_ms: Option<u64>,
    bytes: u64,
    foreign: Option<PathBuf>,
    unreadable: Option<(PathBuf, io::Error)>,
}

impl Files {
    /// Looks at the folder and the database in it; uploads are too many.
    fn read(path: &Path) -> Self {
        let mut files = Self::default();
        match fs::metadata(path) {
            Ok(metadata) => files.folder = Some((metadata.uid(), metadata.mode())),
            Err(error) => files.unreadable = Some((path.to_owned(), error)),
        }
        files.look_into(path);
        files.look_into(&path.join("db"));
        files
    }

    fn look_into(&mut self, folder: &Path) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            // A folder without a database is told of elsewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.unreadable.get_or_insert((folder.to_owned(), error));
                return;
            }
        };
        for entry in entries.flatten() {
            // A running server makes and deletes files all the time.
            let Ok(metadata) = entry.metadata() else { continue };
            if self.folder.is_some_and(|(owner, _)| metadata.uid() != owner) {
                self.foreign.get_or_insert(entry.path());
            }
            self.bytes = self.bytes.saturating_add(if metadata.is_file() { metadata.len() } else { 0 });
            let since_epoch =
                metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            self.newest_ms = self.newest_ms.max(since_epoch.and_then(|time| u64::try_from(time.as_millis()).ok()));
        }
    }

    fn lines(&self, path: &Path) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some((path, error)) = &self.unreadable {
            lines.push(problem(format!("permissions: {} cannot be read: {error}", path.display())));
        }
        if let Some((owner, mode)) = self.folder {
            let me = rustix::process::geteuid();
            if mode & 0o077 != 0 {
                let text = "it holds messages, keys and password hashes. Run chmod 700 on it";
                lines.push(problem(format!("permissions: others can look into {}, and {text}", path.display())));
            }
            if !me.is_root() && me.as_raw() != owner {
                lines.push(problem(format!("permissions: {} belongs to user {owner}, not to you", path.display())));
            }
        }
        if let Some(foreign) = &self.foreign {
            let text = "has another owner than the folder: was Homeroom once started as another user? Run chown on it";
            lines.push(problem(format!("permissions: {} {text}", foreign.display())));
        }
        if rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_err() {
            lines.push(problem(format!("permissions: {} cannot be written", path.display())));
        }
        if lines.is_empty() {
            lines.push(good(format!("permissions: {} is its owner's alone", path.display())));
        }
        lines.push(good(format!("size: {} MiB without uploads", self.bytes / MIB)));
        lines
    }
}

/// Every invariant of the tables.
fn tables(folder: &DataFolder) -> Vec<Line> {
    let report = match read_tables(&folder.database()) {
        Ok(report) => report,
        Err(error) => {
            return vec![problem(format!("tables: the database cannot be read: {error}. Restore it from a backup"))];
        }
    };
    if report.findings_total == 0 {
        return vec![good(format!("tables: {} rows, every invariant holds", report.rows))];
    }
    let mut lines = vec![problem(format!("tables: {} findings in {} rows", report.findings_total, report.rows))];
    lines.extend(report.findings.iter().map(|finding| warning(format!("  {finding}"))));
    lines
}

fn read_tables(database: &Path) -> Result<Report, StoreError> {
    for _ in 1..OPEN_TRIES {
        if let Ok(report) = check_folder(database, READ_BYTES) {
            return Ok(report);
        }
    }
    check_folder(database, READ_BYTES)
}

#[cfg(test)]
mod tests;
