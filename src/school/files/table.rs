//! A table: columns by their headers, rows with their real lines, and cells that tell what is wrong with them.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    io::{self, Cursor, Read},
    rc::Rc,
};

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use encoding_rs::Encoding;

use super::{
    bounded::{Allowance, Limits, fault_of},
    encoding::Text,
    problems::{Fault, Problems},
};
use crate::school::problem::Severity;

/// Bytes of the file that are looked at for its separator.
const HEAD_BYTES: usize = 16 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;

type Stream<'a> = io::Chain<Cursor<Vec<u8>>, Text<Box<dyn Read + 'a>>>;

/// A column of a table; one that the file does not have gives empty cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column(Option<usize>);

/// A table, row by row.
pub(super) struct Table<'a> {
    file: String,
    reader: csv::Reader<Allowance<Stream<'a>>>,
    allowance: Rc<Cell<u64>>,
    limits: Limits,
    headers: Vec<String>,
    by_name: HashMap<String, usize>,
    /// Columns that are read, and how long their cells may be.
    used: Vec<(usize, usize)>,
    record: StringRecord,
    /// The line of the row.
    line: u64,
    /// The line after the row.
    after: u64,
    /// Lines before those the reader sees.
    skipped: u64,
    rows: u64,
    /// What was said once for all rows.
    told: RefCell<HashSet<(&'static str, Option<usize>)>>,
}

impl<'a> Table<'a> {
    /// Reads the header. `None` when there is none, which is then among the problems.
    pub(super) fn open(
        file: String,
        stream: Box<dyn Read + 'a>,
        encoding: &'static Encoding,
        limits: Limits,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut text = Text::new(stream, encoding);
        let mut head = Vec::new();
        if let Err(error) = text.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head) {
            problems.error(&file, fault_of(&error));
            return None;
        }
        let (separator, skip) = separator(&head);
        head.drain(..skip);
        let stream = Cursor::new(head).chain(text);
        let (guard, allowance) = Allowance::new(stream, u64::MAX, row_too_long);
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .trim(Trim::None)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(guard);
        let mut table = Self {
            file,
            reader,
            allowance,
            limits,
            headers: Vec::new(),
            by_name: HashMap::new(),
            used: Vec::new(),
            record: StringRecord::new(),
            line: 1,
            after: 1,
            skipped: u64::from(skip > 0),
            rows: 0,
            told: RefCell::default(),
        };
        let errors = problems.errors();
        while table.read_record(problems) {
            if !table.is_blank() {
                table.name_columns(problems);
                return Some(table);
            }
        }
        if problems.errors() == errors {
            let fault = Fault::new("no_header", "the file is empty", "Its first line names the columns.");
            table.report(problems, Severity::Error, None, fault);
        }
        None
    }

    fn name_columns(&mut self, problems: &mut Problems) {
        self.headers = self.record.iter().map(|header| strip(header).to_owned()).collect();
        for (index, header) in self.headers.iter().enumerate().filter(|(_, header)| !header.is_empty()) {
            if self.by_name.insert(header.to_lowercase(), index).is_some() {
                let fault =
                    Fault::new("duplicate_column", format!("there are two columns {header}"), "Leave one of them out.");
                self.error(problems, Column(Some(index)), fault);
            }
        }
    }

    /// The column of the first of these lower-case names that the file has.
    pub(super) fn column(&mut self, names: &[&str]) -> Column {
        let max = self.limits.cell_bytes;
        self.find(names, max)
    }

    /// The same for a list, which may be as long as a row.
    pub(super) fn list_column(&mut self, names: &[&str]) -> Column {
        self.find(names, usize::MAX)
    }

    /// The same for a column that must be there; `name` is how its format writes it.
    pub(super) fn required_column(&mut self, name: &str, others: &[&str], problems: &mut Problems) -> Option<Column> {
        let lower = name.to_lowercase();
        let names: Vec<&str> = std::iter::once(lower.as_str()).chain(others.iter().copied()).collect();
        let column = self.column(&names);
        if column.is_there() {
            return Some(column);
        }
        let nearest = self.headers.iter().filter(|header| !header.is_empty());
        let nearest = nearest.min_by_key(|header| distance(&header.to_lowercase(), &lower));
        let hint = nearest.map_or_else(
            || "The first line names the columns.".to_owned(),
            |nearest| format!("Add it to the first line; the nearest there is \"{}\".", cut(nearest)),
        );
        let fault = Fault::new("missing_column", format!("the column {name} is missing"), hint);
        problems.push(fault.at(Severity::Error, &self.file, Some(self.line), Some(name)));
        None
    }

    fn find(&mut self, names: &[&str], max: usize) -> Column {
        let index = names.iter().find_map(|name| self.by_name.get(*name).copied());
        self.used.extend(index.map(|index| (index, max)));
        Column(index)
    }

    /// Its headers as they are written.
    pub(super) fn headers(&self) -> &[String] {
        &self.headers
    }

    /// The file it is read from.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The line of the row.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Goes to the next row that can be read. Rows that cannot be are among the problems.
    pub(super) fn next(&mut self, problems: &mut Problems) -> bool {
        while self.read_record(problems) {
            if self.is_blank() {
                continue;
            }
            self.rows += 1;
            if self.rows > self.limits.rows {
                let message = format!("the file has more than {} rows", self.limits.rows);
                self.report(
                    problems,
                    Severity::Error,
                    None,
                    Fault::new("too_many_rows", message, "Export a school at a time."),
                );
                return false;
            }
            if self.is_sound(problems) {
                return true;
            }
        }
        false
    }

    fn is_blank(&self) -> bool {
        self.record.iter().all(|cell| strip(cell).is_empty())
    }

    fn is_sound(&self, problems: &mut Problems) -> bool {
        let (cells, width) = (self.record.len(), self.headers.len());
        if cells > width && self.record.iter().skip(width).any(|cell| !strip(cell).is_empty()) {
            let message = format!("the row has {cells} cells, but there are {width} columns");
            let hint = "A cell that holds the separator, such as a list, is written in double quotes.";
            self.error(problems, Column(None), Fault::new("too_many_cells", message, hint));
            return false;
        }
        if cells < width {
            let message =
                format!("the row has {cells} cells, but there are {width} columns; the others count as empty");
            let hint = "Write a separator for each column, also for empty ones.";
            self.warn_once(problems, Column(None), Fault::new("too_few_cells", message, hint));
        }
        let mut sound = true;
        let nul = self.record.as_slice().contains('\0');
        let long = self.record.as_slice().len() > self.limits.cell_bytes;
        for (index, max) in self.used.iter().filter(|_| nul || long) {
            let cell = self.record.get(*index).unwrap_or_default();
            if cell.contains('\0') {
                let hint = "The file is damaged or in an unusual encoding; save it as UTF-8.";
                self.error(problems, Column(Some(*index)), Fault::new("nul_byte", "the cell holds a NUL byte", hint));
                sound = false;
            }
            if cell.len() > *max {
                let message = format!("the cell has {} bytes, more than {max}", cell.len());
                let hint = "Look for a double quote that is not closed.";
                self.error(problems, Column(Some(*index)), Fault::new("cell_too_long", message, hint));
                sound = false;
            }
        }
        sound
    }

    /// Reads a record and finds its line.
    fn read_record(&mut self, problems: &mut Problems) -> bool {
        self.allowance.set((self.limits.row_bytes + BUFFER_BYTES) as u64);
        match self.reader.read_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                let line = self.after + self.skipped;
                let fault = match error.into_kind() {
                    ErrorKind::Io(error) => fault_of(&error),
                    _ => Fault::new("bad_row", "the row cannot be read", "Save the file as UTF-8."),
                };
                problems.push(fault.at(Severity::Error, &self.file, Some(line), None));
                return false;
            }
        }
        // Every line ends with one line feed, the last too: so the row began as many lines before as it holds.
        let after = self.reader.position().line();
        let within = self.record.as_slice().bytes().filter(|byte| *byte == b'\n').count() as u64;
        let begin = after.saturating_sub(within + 1);
        self.line = begin.max(self.after) + self.skipped;
        if begin < self.after {
            let hint =
                "Everything after it counts as one cell. Close it, or write two double quotes for one within a cell.";
            let fault = Fault::new("unclosed_quote", "a double quote is opened here and never closed", hint);
            self.error(problems, Column(None), fault);
            return false;
        }
        self.after = after;
        true
    }

    /// A cell of the row, without the space around it.
    pub(super) fn cell(&self, column: Column) -> &str {
        column.0.and_then(|index| self.record.get(index)).map_or("", strip)
    }

    /// An error in a cell of the row, or in the row.
    pub(super) fn error(&self, problems: &mut Problems, column: Column, fault: Fault) {
        self.report(problems, Severity::Error, column.0, fault);
    }

    /// A warning about a cell of the row, or the row.
    pub(super) fn warn(&self, problems: &mut Problems, column: Column, fault: Fault) {
        self.report(problems, Severity::Warning, column.0, fault);
    }

    /// An error in an earlier row.
    pub(super) fn error_at(&self, problems: &mut Problems, line: u64, column: Column, fault: Fault) {
        problems.push(fault.at(Severity::Error, &self.file, Some(line), self.header(column.0)));
    }

    /// A warning about an earlier row.
    pub(super) fn warn_at(&self, problems: &mut Problems, line: u64, column: Column, fault: Fault) {
        problems.push(fault.at(Severity::Warning, &self.file, Some(line), self.header(column.0)));
    }

    /// A warning that is given for the first row of many only.
    pub(super) fn warn_once(&self, problems: &mut Problems, column: Column, mut fault: Fault) {
        if self.told.borrow_mut().insert((fault.code, column.0)) {
            fault.hint.push_str(" Said once for the file.");
            self.warn(problems, column, fault);
        }
    }

    fn report(&self, problems: &mut Problems, severity: Severity, column: Option<usize>, fault: Fault) {
        problems.push(fault.at(severity, &self.file, Some(self.line), self.header(column)));
    }

    fn header(&self, column: Option<usize>) -> Option<&str> {
        column.and_then(|index| self.headers.get(index)).map(|header| cut(header))
    }
}

impl Column {
    /// Whether the file has it.
    pub(super) fn is_there(self) -> bool {
        self.0.is_some()
    }
}

/// Text without space around it, also of the kinds that cannot be seen.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'))
}

/// The beginning of a text, for a message.
pub(super) fn cut(text: &str) -> &str {
    text.char_indices().nth(60).map_or(text, |(end, _)| text.get(..end).unwrap_or_default())
}

fn row_too_long() -> Fault {
    Fault::new("row_too_long", "a row that begins here is too long", "Look for a double quote that is not closed.")
}

/// The separator of a file, and how many bytes of its beginning are no table: Excel's own first line tells of it.
fn separator(head: &[u8]) -> (u8, usize) {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] = line {
        return (*separator, line.len() + 1);
    }
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in line {
        quoted ^= *byte == b'"';
        for (separator, count) in &mut counts {
            *count += usize::from(!quoted && byte == separator);
        }
    }
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    (most.filter(|(_, count)| *count > 0).map_or(b',', |(separator, _)| *separator), 0)
}

/// How many letters two names differ in (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let (mut diagonal, mut left) = (i, i + 1);
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let best = (*cell + 1).min(left + 1).min(diagonal + usize::from(x != *y));
            diagonal = *cell;
            *cell = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
