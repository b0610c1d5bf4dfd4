//! The files of a bundle (`OneRoster` 1.2.1 CSV binding, section 2).
//!
//! The same roster gives the same bytes: rows stand in the order of their ids, nothing is dated, and the entries of an
//! archive carry the oldest time that ZIP knows. So two exports can be compared, and an export proves by its hash that it
//! is unchanged.
//!
//! Cells are written as they are. A name that begins with `=`, `+`, `-`, `@` or a tab is a formula to a spreadsheet, and
//! the usual remedy, an apostrophe before it, would come back as part of the name at the next import. The files are made
//! for programs; who opens one in a spreadsheet imports its columns as text.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use super::sheets::{SHEETS, Sheet, Tables};
use crate::school::roster::Roster;

/// The files of a bundle: their names and their bytes.
pub type Files = BTreeMap<&'static str, Vec<u8>>;

/// Why nothing, or not everything, was written. What was begun is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The disk, or what was written to, failed.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
    /// A row could not be written.
    #[error("cannot write a row of the export: {0}")]
    Row(#[from] csv::Error),
    /// The archive could not be written.
    #[error("cannot write the archive: {0}")]
    Zip(#[from] zip::result::ZipError),
}

/// A roster's files in memory.
pub fn files(roster: &Roster) -> Result<Files, ExportError> {
    let tables = Tables::of(roster);
    let mut files = Files::new();
    for sheet in &SHEETS {
        let mut bytes = Vec::new();
        write_sheet(sheet, &tables, &mut bytes)?;
        files.insert(sheet.file, bytes);
    }
    Ok(files)
}

/// Writes a roster as a ZIP archive, one file after the other: never is more than a row of it in memory.
pub fn zip(roster: &Roster, to: impl Write + Seek) -> Result<(), ExportError> {
    let tables = Tables::of(roster);
    let options = SimpleFileOptions::DEFAULT
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(0o600);
    let mut archive = ZipWriter::new(to);
    for sheet in &SHEETS {
        archive.start_file(sheet.file, options)?;
        write_sheet(sheet, &tables, &mut archive)?;
    }
    archive.finish()?.flush()?;
    Ok(())
}

/// Writes a roster into a folder, which is made when it is missing. Files of these names are replaced; new ones can be
/// read by nobody else, because they hold the names of children.
pub fn folder(roster: &Roster, folder: &Path) -> Result<(), ExportError> {
    let tables = Tables::of(roster);
    fs::create_dir_all(folder)?;
    for sheet in &SHEETS {
        let file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(folder.join(sheet.file))?;
        let mut file = io::BufWriter::new(file);
        write_sheet(sheet, &tables, &mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    }
    Ok(())
}

/// Writes one file, its header first. Lines end with CR LF, as RFC 4180 has it.
fn write_sheet(sheet: &Sheet, tables: &Tables<'_>, to: &mut dyn Write) -> Result<(), ExportError> {
    let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(to);
    rows.write_record(sheet.columns.split(','))?;
    (sheet.rows)(tables, &mut rows)?;
    rows.flush()?;
    Ok(())
}
