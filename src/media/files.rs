//! The folder of files, named by the SHA-256 of their content.
//!
//! Everything here blocks.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::ids::Ids;

/// Nothing is written while less than this is free: messages have to find room on the disk.
const DISK_RESERVE_BYTES: u64 = 256 << 20;

/// The media folder.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    ids: Ids,
    /// How much stays free.
    reserve_bytes: u64,
}

impl Files {
    /// Opens the folder, makes what is missing of it, and drops what a crash left unfinished.
    pub(super) fn open(root: PathBuf, ids: Ids) -> io::Result<Self> {
        make_folder(&root)?;
        let files = Self { root, ids, reserve_bytes: DISK_RESERVE_BYTES };
        for folder in [files.incoming(), files.root.join("files"), files.root.join("thumbnails")] {
            make_folder(&folder)?;
        }
        for unfinished in fs::read_dir(files.incoming())? {
            fs::remove_file(unfinished?.path())?;
        }
        Ok(files)
    }

    fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Where content of that hash is.
    pub(super) fn path(&self, sha256: &[u8; 32]) -> PathBuf {
        self.root.join("files").join(fanned_out(sha256)).join(hex(sha256))
    }

    /// Where a thumbnail of content of that hash is; `size` and `extension` are words of this server.
    pub(super) fn thumbnail_path(&self, sha256: &[u8; 32], size: &str, extension: &str) -> PathBuf {
        let name = format!("{}-{size}.{extension}", hex(sha256));
        self.root.join("thumbnails").join(fanned_out(sha256)).join(name)
    }

    /// Whether the disk has room for more than messages.
    pub(super) fn has_room(&self) -> io::Result<bool> {
        let disk = rustix::fs::statvfs(&self.root)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize) >= self.reserve_bytes)
    }

    /// The same folder on a disk that is full.
    #[cfg(test)]
    pub(super) fn full(self) -> Self {
        Self { reserve_bytes: u64::MAX, ..self }
    }

    /// A new file, which vanishes unless it is kept.
    pub(super) fn receive(&self) -> io::Result<Incoming> {
        let path = self.incoming().join(self.ids.opaque(24));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Incoming { path: Some(path), file, hash: Sha256::new(), size: 0 })
    }

    /// Makes a received file the content of its hash, durably.
    pub(super) fn keep(&self, incoming: Incoming, sha256: &[u8; 32]) -> io::Result<()> {
        incoming.keep(&self.path(sha256))
    }

    /// Writes a thumbnail.
    pub(super) fn keep_thumbnail(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut incoming = self.receive()?;
        incoming.write(bytes)?;
        incoming.seal()?;
        incoming.keep(path)
    }

    /// Makes content its own thumbnail: the same file under both names, or a copy where the disk has no hard links.
    pub(super) fn link_thumbnail(&self, sha256: &[u8; 32], path: &Path) -> io::Result<()> {
        let content = self.path(sha256);
        make_parents(path)?;
        match fs::hard_link(&content, path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(_) => self.keep_thumbnail(path, &fs::read(content)?),
        }
    }

    /// Removes content and its thumbnails, as far as they are there.
    pub(super) fn remove(&self, sha256: &[u8; 32]) -> io::Result<()> {
        let thumbnails = match fs::read_dir(self.root.join("thumbnails").join(fanned_out(sha256))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read?),
        };
        let of_this = format!("{}-", hex(sha256));
        for thumbnail in thumbnails.into_iter().flatten() {
            let thumbnail = thumbnail?;
            if thumbnail.file_name().as_encoded_bytes().starts_with(of_this.as_bytes()) {
                remove_file(&thumbnail.path())?;
            }
        }
        remove_file(&self.path(sha256))
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file that is being received. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Incoming {
    path: Option<PathBuf>,
    file: File,
    hash: Sha256,
    size: u64,
}

impl Incoming {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Makes the bytes durable; answers their hash and number.
    pub(super) fn seal(&mut self) -> io::Result<([u8; 32], u64)> {
        self.file.sync_all()?;
        Ok((self.hash.finalize_reset().into(), self.size))
    }

    fn keep(mut self, target: &Path) -> io::Result<()> {
        let folder = make_parents(target)?;
        if let Some(path) = &self.path {
            fs::rename(path, target)?;
        }
        self.path = None;
        sync_folder(folder)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What stays behind is dropped at the next start.
            drop(fs::remove_file(path));
        }
    }
}

/// `ab/cd`: 65,536 folders, so that none grows large.
fn fanned_out(sha256: &[u8; 32]) -> PathBuf {
    let [first, second, ..] = sha256;
    PathBuf::from(format!("{first:02x}")).join(format!("{second:02x}"))
}

/// The hash as text.
pub(super) fn hex(sha256: &[u8; 32]) -> String {
    sha256.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Makes the two folders above a file, durably; answers the lower one.
fn make_parents(path: &Path) -> io::Result<&Path> {
    let missing = || io::Error::other("a file of the media folder has no folder");
    let lower = path.parent().ok_or_else(missing)?;
    if !lower.exists() {
        let upper = lower.parent().ok_or_else(missing)?;
        make_folder(upper)?;
        make_folder(lower)?;
        sync_folder(upper)?;
        sync_folder(upper.parent().ok_or_else(missing)?)?;
    }
    Ok(lower)
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn kept_files_are_found_by_their_hash_and_others_vanish() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path().join("media"), Ids::seeded(1)).unwrap();
        let mut kept = files.receive().unwrap();
        kept.write(b"ab").unwrap();
        kept.write(b"c").unwrap();
        let (sha256, size) = kept.seal().unwrap();
        assert_eq!(size, 3);
        assert!(hex(&sha256).starts_with("ba7816bf8f01cfea"));
        files.keep(kept, &sha256).unwrap();
        assert_eq!(fs::read(files.path(&sha256)).unwrap(), b"abc");
        assert!(files.path(&sha256).ends_with(format!("files/ba/78/{}", hex(&sha256))));

        let mut dropped = files.receive().unwrap();
        dropped.write(b"x").unwrap();
        drop(dropped);
        assert_eq!(fs::read_dir(files.incoming()).unwrap().count(), 0);
    }

    #[test]
    fn the_next_start_drops_what_a_crash_left() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path().to_owned(), Ids::seeded(1)).unwrap();
        std::mem::forget(files.receive().unwrap());
        assert_eq!(fs::read_dir(files.incoming()).unwrap().count(), 1);
        let files = Files::open(folder.path().to_owned(), Ids::seeded(1)).unwrap();
        assert_eq!(fs::read_dir(files.incoming()).unwrap().count(), 0);
    }
}
