//! Bounds on what is read: of bytes that come, never of what a header promises.

use std::{
    cell::Cell,
    fmt,
    io::{self, Read, Seek, SeekFrom},
    rc::Rc,
};

use super::problems::Fault;

const MIB: u64 = 1024 * 1024;

/// How much is read at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a ZIP.
    pub archive_bytes: u64,
    /// Files in a ZIP or folder.
    pub files: usize,
    /// Unpacked bytes of a file.
    pub file_bytes: u64,
    /// Unpacked bytes of all files that are read.
    pub total_bytes: u64,
    /// Unpacked bytes for each packed byte. Lists of the same words pack well; nothing real comes near.
    pub ratio: u64,
    /// Bytes of a row.
    pub row_bytes: usize,
    /// Bytes of a cell that is no list.
    pub cell_bytes: usize,
    /// Rows of a file.
    pub rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            archive_bytes: 512 * MIB,
            files: 1_000,
            file_bytes: 1024 * MIB,
            total_bytes: 1536 * MIB,
            ratio: 200,
            row_bytes: 1024 * 1024,
            cell_bytes: 4096,
            rows: 5_000_000,
        }
    }
}

/// A refusal on its way through [`io::Error`].
#[derive(Debug)]
struct Refused(Fault);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Refused {}

/// An I/O error that carries a fault.
pub(super) fn refuse(fault: Fault) -> io::Error {
    io::Error::other(Refused(fault))
}

/// The fault an I/O error carries, or one that says that the file cannot be read.
pub(super) fn fault_of(error: &io::Error) -> Fault {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Refused>()) {
        Some(Refused(fault)) => fault.clone(),
        None => Fault::new(
            "unreadable_file",
            format!("the file cannot be read: {error}"),
            "Make the export again; if it is a ZIP, check that it opens elsewhere.",
        ),
    }
}

/// A file's bytes, up to its limit.
pub(super) struct Bounded<R> {
    inner: R,
    read: u64,
    bytes_max: u64,
    /// The size in the archive, and how often more it may unpack to.
    packed: Option<(u64, u64)>,
}

impl<R> Bounded<R> {
    pub(super) fn new(inner: R, bytes_max: u64, packed: Option<(u64, u64)>) -> Self {
        Self { inner, read: 0, bytes_max, packed }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        if self.read > self.bytes_max {
            let message = format!("the file is larger than the {} bytes that are read", self.bytes_max);
            return Err(refuse(Fault::new("file_too_large", message, "Export fewer columns, or a school at a time.")));
        }
        // Small files may be packed as well as they like.
        if let Some((packed, ratio)) = self.packed
            && self.read > MIB.max(packed.saturating_mul(ratio))
        {
            let message = format!("the file unpacks to more than {ratio} times its size in the ZIP");
            return Err(refuse(Fault::new("zip_bomb", message, "Pack the files again with an ordinary tool.")));
        }
        Ok(read)
    }
}

/// A reader that stops after an allowance, which whoever holds the other end sets anew.
pub(super) struct Allowance<R> {
    inner: R,
    left: Rc<Cell<u64>>,
    fault: fn() -> Fault,
}

impl<R> Allowance<R> {
    pub(super) fn new(inner: R, left: u64, fault: fn() -> Fault) -> (Self, Rc<Cell<u64>>) {
        let left = Rc::new(Cell::new(left));
        (Self { inner, left: Rc::clone(&left), fault }, left)
    }
}

impl<R: Read> Read for Allowance<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(refuse((self.fault)()));
        }
        let read = self.inner.read(buffer)?;
        self.left.set(left.saturating_sub(read as u64));
        Ok(read)
    }
}

impl<R: Seek> Seek for Allowance<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
