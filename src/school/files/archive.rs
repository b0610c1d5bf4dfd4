//! A ZIP that may mean harm: its list of entries is bounded before it is read, names are only compared, and streams are
//! bounded by what they give.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    rc::Rc,
};

use zip::ZipArchive;

use super::{
    bounded::{Allowance, Bounded, Limits, refuse},
    problems::{Fault, Problems},
    source::is_table,
};

/// Bytes that are read to find and list the entries.
const DIRECTORY_BYTES: u64 = 16 * 1024 * 1024;

/// The names of tables, and their places in the archive.
pub(super) type Tables = Vec<(String, usize)>;

/// An open ZIP.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<Allowance<File>>>,
    allowance: Rc<Cell<u64>>,
}

impl Archive {
    /// Lists the tables of a ZIP, with their places in it. `None` when it is refused.
    pub(super) fn open(mut file: File, limits: Limits, problems: &mut Problems) -> io::Result<Option<(Self, Tables)>> {
        let bytes = file.metadata()?.len();
        if bytes > limits.archive_bytes {
            let message = format!("the ZIP is larger than the {} bytes that are read", limits.archive_bytes);
            problems.error("", Fault::new("file_too_large", message, "Export a school at a time."));
            return Ok(None);
        }
        let told = entries_told(&mut file, bytes)?;
        file.rewind()?;
        let (meter, allowance) = Allowance::new(file, DIRECTORY_BYTES, too_many_entries);
        let zip = match ZipArchive::new(BufReader::new(meter)) {
            Ok(zip) => zip,
            Err(error) => {
                let message = format!("it begins like a ZIP, but is none: {error}");
                problems.error("", Fault::new("broken_zip", message, "Pack the files again."));
                return Ok(None);
            }
        };
        if zip.len() > limits.files {
            problems.error("", too_many_entries());
            return Ok(None);
        }
        // The archive keeps one entry of each name, so it has fewer than it tells when names come twice.
        if told.is_some_and(|told| told != zip.len()) {
            let message = "the ZIP holds several entries of the same name".to_owned();
            problems.error("", Fault::new("duplicate_file", message, "Pack the files again, each once."));
            return Ok(None);
        }
        allowance.set(u64::MAX);
        let mut archive = Self { zip, allowance };
        let names = archive.tables(problems)?;
        Ok(Some((archive, names)))
    }

    /// The tables, without their common folder.
    fn tables(&mut self, problems: &mut Problems) -> io::Result<Tables> {
        let mut found = Vec::new();
        for index in 0..self.zip.len() {
            let entry = self.zip.by_index_raw(index)?;
            let name = entry.name().to_owned();
            if name == "[Content_Types].xml" {
                let fault = Fault::new(
                    "not_a_table",
                    "this is a workbook or document, not a ZIP of CSV files",
                    "Save each sheet as CSV.",
                );
                problems.error("", fault);
            }
            let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
            if entry.is_dir() || name.starts_with("__MACOSX/") || !is_table(base) {
                continue;
            }
            let steps: Vec<&str> = name.split('/').collect();
            let tricky = name.contains(['\\', ':', '\0']) || steps.iter().any(|step| matches!(*step, "" | "." | ".."));
            if tricky || entry.is_symlink() {
                let fault = Fault::new(
                    "odd_path",
                    "the ZIP names a place outside of itself; this entry is not read",
                    "Pack the files again.",
                );
                problems.warn(&name, fault);
                continue;
            }
            found.push((name, index));
        }
        // Files at the top, or those of the only folder that has any.
        let folders: BTreeSet<String> = found.iter().map(|(name, _)| folder(name).to_owned()).collect();
        let chosen = match folders.first() {
            Some(top) if top.is_empty() => Some(String::new()),
            Some(only) if folders.len() == 1 && !only.contains('/') => Some(only.clone()),
            _ => None,
        };
        let mut tables = Vec::new();
        for (name, index) in found {
            if chosen.as_deref() == Some(folder(&name)) {
                tables.push((name.rsplit('/').next().unwrap_or_default().to_owned(), index));
            } else {
                let fault = Fault::new(
                    "nested_file",
                    "the file is in a folder of its own and is not read",
                    "Put all files into the top of the ZIP.",
                );
                problems.warn(&name, fault);
            }
        }
        Ok(tables)
    }

    /// The bytes of an entry.
    pub(super) fn stream(&mut self, index: usize, limits: Limits) -> io::Result<Box<dyn Read + '_>> {
        self.allowance.set(u64::MAX);
        if self.zip.by_index_raw(index)?.encrypted() {
            return Err(refuse(Fault::new(
                "encrypted_file",
                "the file is encrypted",
                "Pack the files without a password.",
            )));
        }
        let entry = self.zip.by_index(index)?;
        let packed = entry.compressed_size();
        Ok(Box::new(Bounded::new(entry, limits.file_bytes, Some((packed, limits.ratio)))))
    }
}

fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn too_many_entries() -> Fault {
    Fault::new("too_many_files", "the ZIP lists too many files", "Pack only the roster's files.")
}

/// How many entries the end of the ZIP tells of. `None` when the number is in a larger record, which only ZIPs of
/// 65,535 entries and more need.
fn entries_told(file: &mut File, bytes: u64) -> io::Result<Option<usize>> {
    let length = bytes.min(65_557);
    file.seek(SeekFrom::Start(bytes - length))?;
    let mut tail = Vec::new();
    file.take(length).read_to_end(&mut tail)?;
    let ends = tail.windows(12).rev();
    let told = ends.filter(|window| window.starts_with(b"PK\x05\x06")).find_map(|window| match window {
        [.., low, high] => Some(u16::from_le_bytes([*low, *high])),
        _ => None,
    });
    Ok(told.filter(|told| *told != u16::MAX).map(usize::from))
}
