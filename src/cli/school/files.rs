//! Files between who gives a command and the server, which may not see each other's folders.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    cli::{failure::Failure, office::Office},
    config::Config,
    ids::Ids,
    school::exchange::{self, TempFile},
};

/// Files of a folder that are copied, and their bytes in all. The reader has bounds of its own.
const FILES_MAX: usize = 1_000;
const BYTES_MAX: u64 = 4 << 30;

/// Where the server finds what shall be imported.
pub(super) enum Brought {
    /// Where it was.
    There(PathBuf),
    /// A copy in the data folder.
    Copied(TempFile),
}

impl Brought {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::There(path) => path,
            Self::Copied(place) => place.path(),
        }
    }
}

/// Brings a file, or a folder's CSV files, to where the server can read them.
pub(super) fn bring(config: &Config, office: &Office, path: &Path) -> Result<Brought, Failure> {
    let cannot = |error: io::Error| Failure::Other(format!("cannot read {}: {error}", path.display()));
    let kind = fs::metadata(path).map_err(cannot)?;
    if matches!(office, Office::Stopped { .. }) {
        return Ok(Brought::There(path.to_owned()));
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).map(|ending| format!(".{ending}"));
    let place = place(config, if kind.is_dir() { "" } else { ending.as_deref().unwrap_or("") }).map_err(cannot)?;
    if kind.is_dir() {
        fs::create_dir(place.path()).map_err(cannot)?;
        let mut left = BYTES_MAX;
        for (count, entry) in fs::read_dir(path).map_err(cannot)?.enumerate() {
            let entry = entry.map_err(cannot)?;
            let is_csv = entry.path().extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
            if !is_csv || !entry.file_type().map_err(cannot)?.is_file() {
                continue;
            }
            if count >= FILES_MAX {
                return Err(Failure::Other(format!("{} has too many files", path.display())));
            }
            copy(&entry.path(), &place.path().join(entry.file_name()), &mut left).map_err(cannot)?;
        }
    } else {
        copy(path, place.path(), &mut { BYTES_MAX }).map_err(cannot)?;
    }
    Ok(Brought::Copied(place))
}

/// A name in the data folder that nobody has.
pub(super) fn place(config: &Config, ending: &str) -> io::Result<TempFile> {
    exchange::new_place(&exchange::folder(&config.database.path), &Ids::system(), ending)
}

/// Copies a file of at most `left` bytes, readable by nobody else.
fn copy(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    let mut source = io::Read::take(fs::File::open(from)?, *left + 1);
    let mut target = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let copied = io::copy(&mut source, &mut target)?;
    *left = left.checked_sub(copied).ok_or_else(|| io::Error::other("the files are too large"))?;
    Ok(())
}

/// Moves an export to where it is wanted: a ZIP, or, for a path that does not end in `.zip`, a folder of CSV files.
pub(super) fn deliver(place: &Path, to: &Path) -> Result<(), Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::Other(format!("cannot write {}: {error}", to.display()));
    if to.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip")) {
        let mut source = fs::File::open(place).map_err(|error| cannot(&error))?;
        let mut options = fs::OpenOptions::new();
        let target = options.write(true).create(true).truncate(true).mode(0o600).open(to);
        let mut target = target.map_err(|error| cannot(&error))?;
        io::copy(&mut source, &mut target).and_then(|_| target.sync_all()).map_err(|error| cannot(&error))?;
        return Ok(());
    }
    let archive = fs::File::open(place).map_err(|error| cannot(&error))?;
    let mut archive = zip::ZipArchive::new(archive).map_err(|error| cannot(&error))?;
    fs::create_dir_all(to).map_err(|error| cannot(&error))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| cannot(&error))?;
        // Our own archive: plain names. Anything else is left out.
        let Some(name) = entry.enclosed_name().filter(|name| name.components().count() == 1) else { continue };
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(to.join(name));
        let mut file = file.map_err(|error| cannot(&error))?;
        io::copy(&mut entry, &mut file).map_err(|error| cannot(&error))?;
    }
    Ok(())
}
