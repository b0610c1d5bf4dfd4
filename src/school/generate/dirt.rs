//! What is wrong with the files of real schools: each kind done to a clean bundle, and what a reader has to make of it.

use std::mem;

use crate::school::export::Files;

/// A kind of dirt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dirt {
    /// A byte-order mark at the beginning of every file.
    Bom,
    /// Lines that end with a line feed only.
    LineFeeds,
    /// Empty lines between the rows.
    EmptyLines,
    /// Spaces around every cell.
    Whitespace,
    /// Every cell in double quotes.
    AllQuoted,
    /// Semicolons between the cells, as a German spreadsheet writes them.
    Semicolons,
    /// Headers in capitals.
    UpperCaseHeaders,
    /// `TRUE` and `FALSE` instead of `true` and `false`.
    UpperCaseFlags,
    /// Columns in another order.
    ReorderedColumns,
    /// Columns that no binding knows.
    UnknownColumns,
    /// A line break within a cell.
    QuotedNewline,
    /// A file in Windows-1252.
    Windows1252,
    /// Rows without the empty cells at their end.
    ShortRows,
    /// Dates as they are written in German.
    OddDate,
    /// A file that is partly in UTF-8 and partly not.
    BrokenEncoding,
    /// A cell with a NUL byte.
    NulByte,
    /// A double quote that is not closed.
    UnclosedQuote,
    /// A row with more cells than there are columns.
    LongRow,
    /// A cell that is longer than any name.
    HugeCell,
    /// A file that the manifest tells of is not there.
    MissingFile,
    /// A column that is needed is not there.
    MissingColumn,
    /// Two rows with the same id.
    DuplicateId,
    /// A row without an id.
    EmptyId,
    /// An enrollment of somebody who is not there.
    DanglingReference,
    /// Two organisations that belong to each other.
    OrgCycle,
    /// A day that does not exist.
    BadDate,
    /// Neither true nor false.
    BadFlag,
    /// A role in a class that no binding knows.
    BadRole,
}

/// What a reader has to make of a dirty bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It reads the roster of the clean bundle, and says nothing or this.
    Accepted(Option<&'static str>),
    /// It reads nothing, and gives a problem of this code.
    Refused(&'static str),
}

impl Dirt {
    /// All of them, the harmless ones first.
    pub const ALL: [Self; 28] = [
        Self::Bom,
        Self::LineFeeds,
        Self::EmptyLines,
        Self::Whitespace,
        Self::AllQuoted,
        Self::Semicolons,
        Self::UpperCaseHeaders,
        Self::UpperCaseFlags,
        Self::ReorderedColumns,
        Self::UnknownColumns,
        Self::QuotedNewline,
        Self::Windows1252,
        Self::ShortRows,
        Self::OddDate,
        Self::BrokenEncoding,
        Self::NulByte,
        Self::UnclosedQuote,
        Self::LongRow,
        Self::HugeCell,
        Self::MissingFile,
        Self::MissingColumn,
        Self::DuplicateId,
        Self::EmptyId,
        Self::DanglingReference,
        Self::OrgCycle,
        Self::BadDate,
        Self::BadFlag,
        Self::BadRole,
    ];

    /// What a reader has to make of it.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Bom
            | Self::LineFeeds
            | Self::EmptyLines
            | Self::Whitespace
            | Self::AllQuoted
            | Self::Semicolons
            | Self::UpperCaseHeaders
            | Self::UpperCaseFlags
            | Self::ReorderedColumns
            | Self::UnknownColumns
            | Self::QuotedNewline => Verdict::Accepted(None),
            Self::Windows1252 => Verdict::Accepted(Some("encoding")),
            Self::ShortRows => Verdict::Accepted(Some("too_few_cells")),
            Self::OddDate => Verdict::Accepted(Some("odd_date")),
            Self::BrokenEncoding => Verdict::Refused("bad_encoding"),
            Self::NulByte => Verdict::Refused("nul_byte"),
            Self::UnclosedQuote => Verdict::Refused("unclosed_quote"),
            Self::LongRow => Verdict::Refused("too_many_cells"),
            Self::HugeCell => Verdict::Refused("cell_too_long"),
            Self::MissingFile => Verdict::Refused("missing_file"),
            Self::MissingColumn => Verdict::Refused("missing_column"),
            Self::DuplicateId => Verdict::Refused("duplicate_id"),
            Self::EmptyId => Verdict::Refused("empty_id"),
            Self::DanglingReference => Verdict::Refused("dangling_reference"),
            Self::OrgCycle => Verdict::Refused("cycle"),
            Self::BadDate => Verdict::Refused("bad_date"),
            Self::BadFlag => Verdict::Refused("bad_flag"),
            Self::BadRole => Verdict::Refused("unknown_role"),
        }
    }

    /// Makes the files of a bundle, as `export::files` gives them, dirty. Files of a roster without people or classes may
    /// stay clean.
    pub fn soil(self, files: &mut Files) {
        match self {
            Self::Bom | Self::LineFeeds | Self::UnclosedQuote | Self::Windows1252 | Self::BrokenEncoding => {
                self.soil_bytes(files);
            }
            Self::EmptyLines | Self::Whitespace | Self::AllQuoted | Self::Semicolons | Self::ShortRows => {
                self.rewrite(files);
            }
            Self::UpperCaseHeaders | Self::UpperCaseFlags | Self::ReorderedColumns | Self::UnknownColumns => {
                for bytes in files.values_mut() {
                    edit(bytes, |table| self.soil_columns(table));
                }
            }
            Self::MissingFile => drop(files.remove("courses.csv")),
            _ => {
                let file = match self {
                    Self::OrgCycle => "orgs.csv",
                    Self::QuotedNewline | Self::MissingColumn | Self::EmptyId => "classes.csv",
                    Self::DanglingReference | Self::BadRole => "enrollments.csv",
                    Self::OddDate | Self::BadDate => "academicSessions.csv",
                    _ => "users.csv",
                };
                if let Some(bytes) = files.get_mut(file) {
                    edit(bytes, |table| {
                        self.soil_cells(table);
                    });
                }
            }
        }
    }

    fn soil_bytes(self, files: &mut Files) {
        for (name, bytes) in files {
            match self {
                Self::Bom => drop(bytes.splice(0..0, *b"\xEF\xBB\xBF")),
                Self::LineFeeds => bytes.retain(|byte| *byte != b'\r'),
                Self::UnclosedQuote if *name == "users.csv" => bytes.extend(b"\"stu-x,,,true\r\nstu-y,,,true\r\n"),
                Self::Windows1252 if *name == "classes.csv" => {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    *bytes = encoding_rs::WINDOWS_1252.encode(&text).0.into_owned();
                }
                // Half of a character in UTF-8, in a file that has whole ones.
                Self::BrokenEncoding if *name == "users.csv" => {
                    bytes.extend("stu-y,,,true,ü,,\u{fc}".as_bytes());
                    bytes.pop();
                    bytes.extend(b"x,Y\r\n");
                }
                _ => {}
            }
        }
    }

    /// Writes the same cells in another way.
    fn rewrite(self, files: &mut Files) {
        for bytes in files.values_mut() {
            let Some(table) = parse(bytes) else { continue };
            let mut text = Vec::new();
            for mut row in table {
                if self == Self::ShortRows {
                    let filled = row.iter().rposition(|cell| !cell.is_empty()).map_or(1, |last| last + 1);
                    row.truncate(filled);
                }
                let cells = row.iter_mut().map(|cell| match self {
                    Self::Whitespace => {
                        // Spaces outside of quotation marks would make the marks part of the cell: they go inside.
                        format!("\"  {} \t\"", cell.replace('"', "\"\""))
                    }
                    _ => format!("\"{}\"", cell.replace('"', "\"\"")),
                });
                let separator = if self == Self::Semicolons { ";" } else { "," };
                text.extend(cells.collect::<Vec<_>>().join(separator).into_bytes());
                text.extend(if self == Self::EmptyLines { "\r\n\r\n \r\n" } else { "\r\n" }.bytes());
            }
            *bytes = text;
        }
    }

    fn soil_columns(self, table: &mut [Vec<String>]) {
        for (number, row) in table.iter_mut().enumerate() {
            match self {
                Self::UpperCaseHeaders if number == 0 => row.iter_mut().for_each(|cell| *cell = cell.to_uppercase()),
                Self::UpperCaseFlags => {
                    for cell in row.iter_mut().filter(|cell| matches!(cell.as_str(), "true" | "false")) {
                        cell.make_ascii_uppercase();
                    }
                }
                Self::ReorderedColumns => row.reverse(),
                Self::UnknownColumns => {
                    row.insert(1, if number == 0 { "x.favouriteColour" } else { "ultramarine" }.to_owned());
                    row.push(if number == 0 { "locker" } else { "" }.to_owned());
                }
                _ => {}
            }
        }
    }

    /// `None` when the table has not what is to be soiled.
    fn soil_cells(self, table: &mut Vec<Vec<String>>) -> Option<()> {
        match self {
            Self::QuotedNewline => {
                for row in 1..table.len() {
                    let title = cell(table, row, "title")?;
                    *title = title.replace(' ', "\r\n");
                }
            }
            Self::OddDate => {
                let begin = cell(table, 1, "startDate")?;
                *begin = begin.splitn(3, '-').collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(".");
            }
            Self::NulByte => cell(table, 1, "givenName")?.push('\0'),
            Self::LongRow => table.get_mut(1)?.push("x".to_owned()),
            Self::HugeCell => cell(table, 1, "givenName")?.push_str(&"x".repeat(64 * 1024)),
            Self::MissingColumn => {
                let column = column(table, "schoolSourcedId")?;
                for row in table.iter_mut().filter(|row| row.len() > column) {
                    row.remove(column);
                }
            }
            Self::DuplicateId => {
                let last = table.last()?.clone();
                table.push(last);
            }
            Self::EmptyId => cell(table, 1, "sourcedId")?.clear(),
            Self::DanglingReference => "stu-nobody".clone_into(cell(table, 1, "userSourcedId")?),
            Self::OrgCycle => {
                let (first, second) = (mem::take(cell(table, 1, "sourcedId")?), cell(table, 2, "sourcedId")?.clone());
                first.clone_into(cell(table, 1, "sourcedId")?);
                first.clone_into(cell(table, 2, "parentSourcedId")?);
                *cell(table, 1, "parentSourcedId")? = second;
            }
            Self::BadDate => "2026-02-30".clone_into(cell(table, 1, "startDate")?),
            Self::BadFlag => "perhaps".clone_into(cell(table, 1, "enabledUser")?),
            Self::BadRole => "wizard".clone_into(cell(table, 1, "role")?),
            _ => {}
        }
        Some(())
    }
}

/// The rows of a file, its header first; `None` if it cannot be parsed.
fn parse(bytes: &[u8]) -> Option<Vec<Vec<String>>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let rows = reader.records().map(|row| row.map(|row| row.iter().map(str::to_owned).collect()));
    rows.collect::<Result<_, _>>().ok()
}

/// Changes the cells of a file.
fn edit(bytes: &mut Vec<u8>, change: impl FnOnce(&mut Vec<Vec<String>>)) {
    let Some(mut table) = parse(bytes) else { return };
    change(&mut table);
    let mut writer = csv::WriterBuilder::new().flexible(true).terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let written = table.iter().try_for_each(|row| writer.write_record(row));
    if let (Ok(()), Ok(text)) = (written, writer.into_inner()) {
        *bytes = text;
    }
}

fn column(table: &[Vec<String>], name: &str) -> Option<usize> {
    table.first()?.iter().position(|header| header == name)
}

/// A cell by its row, from 1, and its column's header.
fn cell<'a>(table: &'a mut [Vec<String>], row: usize, name: &str) -> Option<&'a mut String> {
    let column = column(table, name)?;
    table.get_mut(row)?.get_mut(column)
}
