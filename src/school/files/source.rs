//! A ZIP, a folder or a file as a set of named streams. Nothing is ever unpacked to the disk.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{
    archive::Archive,
    bounded::{Bounded, Limits, fault_of},
    problems::{Fault, Problems},
};

/// Where files come from.
pub(super) struct Source {
    place: Place,
    /// The files by their lower-case names.
    files: BTreeMap<String, Entry>,
    pub(super) limits: Limits,
    /// Bytes that may still be read of files not looked at yet.
    pub(super) total_left: u64,
}

enum Place {
    Zip(Box<Archive>),
    Disk,
}

/// A file.
struct Entry {
    /// As it is called in the bundle.
    name: String,
    at: At,
}

enum At {
    Index(usize),
    Path(PathBuf),
}

impl Source {
    /// Looks at a path without reading any file. `None` when nothing can be read at all.
    pub(super) fn open(path: &Path, limits: Limits, problems: &mut Problems) -> Option<Self> {
        match Self::try_open(path, limits, problems) {
            Ok(source) => source,
            Err(error) => {
                problems.error("", fault_of(&error));
                None
            }
        }
    }

    fn try_open(path: &Path, limits: Limits, problems: &mut Problems) -> io::Result<Option<Self>> {
        let (place, files) = if fs::metadata(path)?.is_dir() {
            let Some(files) = list_folder(path, limits, problems)? else { return Ok(None) };
            (Place::Disk, files)
        } else {
            let mut file = open_regular(path, true)?;
            let mut magic = [0; 4];
            let read = file.read(&mut magic)?;
            if read == 4 && matches!(&magic, b"PK\x03\x04" | b"PK\x05\x06" | b"PK\x07\x08") {
                let Some((archive, names)) = Archive::open(file, limits, problems)? else { return Ok(None) };
                let files = names.into_iter().map(|(name, index)| (name, At::Index(index))).collect();
                (Place::Zip(Box::new(archive)), files)
            } else {
                let name =
                    path.file_name().map_or_else(|| "roster.csv".into(), |name| name.to_string_lossy().into_owned());
                (Place::Disk, vec![(name, At::Path(path.to_owned()))])
            }
        };
        let mut named = BTreeMap::new();
        for (name, at) in files {
            if let Some(before) = named.insert(name.to_lowercase(), Entry { name: name.clone(), at }) {
                let message = format!("{} and {name} are the same file twice", before.name);
                problems.error(&name, Fault::new("duplicate_file", message, "Leave one of them out."));
            }
        }
        Ok(Some(Self { place, files: named, limits, total_left: limits.total_bytes }))
    }

    /// The lower-case names of its files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether there is a file of this lower-case name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// A file's name as it is written.
    pub(super) fn written(&self, name: &str) -> String {
        self.files.get(name).map_or_else(|| name.to_owned(), |entry| entry.name.clone())
    }

    /// A file's bytes, from the first.
    pub(super) fn stream(&mut self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let entry = self.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        match (&mut self.place, &entry.at) {
            (Place::Zip(archive), At::Index(index)) => archive.stream(*index, self.limits),
            (_, At::Path(path)) => {
                let file = open_regular(path, false)?;
                Ok(Box::new(Bounded::new(file, self.limits.file_bytes, None)))
            }
            (Place::Disk, At::Index(_)) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Opens a file that is one: never a pipe or device, which would make the reader wait, nor a link out of a folder.
fn open_regular(path: &Path, follow: bool) -> io::Result<File> {
    let flags = if follow { OFlags::NONBLOCK } else { OFlags::NONBLOCK | OFlags::NOFOLLOW };
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

type Listing = Vec<(String, At)>;

fn list_folder(folder: &Path, limits: Limits, problems: &mut Problems) -> io::Result<Option<Listing>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        if entries.len() >= limits.files {
            let message = format!("the folder holds more than {} files", limits.files);
            problems.error("", Fault::new("too_many_files", message, "Put the roster into a folder of its own."));
            return Ok(None);
        }
        entries.push(entry?);
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_table(&name) {
            continue;
        }
        // The type of the entry itself: a link is not followed.
        if entry.file_type()?.is_file() {
            files.push((name, At::Path(entry.path())));
        } else {
            let fault =
                Fault::new("not_a_file", "it is no regular file, and is not read", "Put the file itself there.");
            problems.warn(&name, fault);
        }
    }
    Ok(Some(files))
}

/// Whether a name is that of a table, and not of something that systems leave in folders.
pub(super) fn is_table(name: &str) -> bool {
    let extension = Path::new(name).extension().unwrap_or_default();
    !name.starts_with('.')
        && (extension.eq_ignore_ascii_case("csv")
            || extension.eq_ignore_ascii_case("txt")
            || extension.eq_ignore_ascii_case("tsv"))
}
