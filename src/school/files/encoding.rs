//! Bytes to text. Spreadsheets write UTF-8 with and without a byte-order mark, UTF-16, or Windows-1252, and say nothing.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use sha2::{Digest, Sha256};

const CHUNK_BYTES: usize = 64 * 1024;

/// What a first pass over a file tells.
pub(super) struct Survey {
    /// The hash of its bytes.
    pub(super) sha256: [u8; 32],
    /// How many they are.
    pub(super) bytes: u64,
    /// How they are to be read, or the first line that cannot be.
    pub(super) encoding: Result<&'static Encoding, u64>,
}

/// Reads a whole file once, to know its encoding before a row of it is taken for true.
pub(super) fn survey(stream: &mut dyn Read) -> io::Result<Survey> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut check: Option<Check> = None;
    loop {
        let read = fill(stream, &mut buffer)?;
        let chunk = buffer.get(..read).unwrap_or_default();
        hash.update(chunk);
        bytes += read as u64;
        check.get_or_insert_with(|| Check::of(chunk)).feed(chunk, read < CHUNK_BYTES);
        if read < CHUNK_BYTES {
            break;
        }
    }
    let encoding = check.map_or(Ok(UTF_8), Check::finish);
    Ok(Survey { sha256: hash.finalize().into(), bytes, encoding })
}

/// Fills a buffer unless the stream ends before.
fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

enum Check {
    /// Whether it is UTF-8, and if not, whether it can be Windows-1252.
    Bytes {
        carry: Vec<u8>,
        line: u64,
        wide: bool,
        invalid: Option<u64>,
        undefined: bool,
    },
    Utf16 {
        encoding: &'static Encoding,
        decoder: Decoder,
        line: u64,
        invalid: Option<u64>,
    },
}

impl Check {
    fn of(head: &[u8]) -> Self {
        let zeros = |odd: usize| head.iter().take(256).skip(odd).step_by(2).filter(|byte| **byte == 0).count();
        let encoding = match Encoding::for_bom(head) {
            Some((encoding, _)) => Some(encoding).filter(|encoding| *encoding != UTF_8),
            // Latin letters in UTF-16 have a zero beside them; a text has none.
            None if zeros(1) > 8 && zeros(0) == 0 => Some(UTF_16LE),
            None if zeros(0) > 8 && zeros(1) == 0 => Some(UTF_16BE),
            None => None,
        };
        match encoding {
            Some(encoding) => Self::Utf16 { encoding, decoder: encoding.new_decoder(), line: 1, invalid: None },
            None => Self::Bytes { carry: Vec::new(), line: 1, wide: false, invalid: None, undefined: false },
        }
    }

    fn feed(&mut self, chunk: &[u8], last: bool) {
        match self {
            Self::Bytes { carry, line, wide, invalid, undefined } => {
                let mut joined = std::mem::take(carry);
                let mut rest = if joined.is_empty() {
                    chunk
                } else {
                    joined.extend_from_slice(chunk);
                    &joined
                };
                loop {
                    let (valid, error) = match std::str::from_utf8(rest) {
                        Ok(valid) => (valid.as_bytes(), None),
                        Err(error) => (rest.get(..error.valid_up_to()).unwrap_or_default(), Some(error)),
                    };
                    *wide |= !valid.is_ascii();
                    if invalid.is_none() {
                        *line += newlines(valid);
                    }
                    let Some(error) = error else { break };
                    let after = rest.get(error.valid_up_to()..).unwrap_or_default();
                    let Some(length) = error.error_len() else {
                        if last {
                            invalid.get_or_insert(*line);
                        } else {
                            *carry = after.to_vec();
                        }
                        break;
                    };
                    invalid.get_or_insert(*line);
                    // The five bytes Windows-1252 does not use.
                    *undefined |=
                        after.iter().take(length).any(|byte| matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d));
                    rest = after.get(length..).unwrap_or_default();
                }
            }
            Self::Utf16 { decoder, line, invalid, .. } => {
                let mut rest = chunk;
                let mut text = vec![0; CHUNK_BYTES];
                loop {
                    let (result, read, written) = decoder.decode_to_utf8_without_replacement(rest, &mut text, last);
                    if invalid.is_none() {
                        *line += newlines(text.get(..written).unwrap_or_default());
                    }
                    rest = rest.get(read..).unwrap_or_default();
                    match result {
                        DecoderResult::InputEmpty => break,
                        DecoderResult::OutputFull => {}
                        DecoderResult::Malformed(..) => _ = invalid.get_or_insert(*line),
                    }
                }
            }
        }
    }

    fn finish(self) -> Result<&'static Encoding, u64> {
        match self {
            Self::Bytes { invalid: None, .. } => Ok(UTF_8),
            // Valid UTF-8 beside invalid: two files pasted together, or a broken one. No guess is right for both.
            Self::Bytes { invalid: Some(line), wide, undefined, .. } if wide || undefined => Err(line),
            Self::Bytes { .. } => Ok(WINDOWS_1252),
            Self::Utf16 { encoding, invalid, .. } => invalid.map_or(Ok(encoding), Err),
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// A file as UTF-8 without byte-order mark; every line, also the last, ends with a single line feed.
pub(super) struct Text<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    ready: Vec<u8>,
    at: usize,
    after_return: bool,
    last: u8,
    ended: bool,
}

impl<R: Read> Text<R> {
    pub(super) fn new(inner: R, encoding: &'static Encoding) -> Self {
        let decoder = encoding.new_decoder_with_bom_removal();
        let raw = vec![0; CHUNK_BYTES];
        Self { inner, decoder, raw, ready: Vec::new(), at: 0, after_return: false, last: b'\n', ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        let read = self.inner.read(&mut self.raw)?;
        let source = self.raw.get(..read).unwrap_or_default();
        self.ended = read == 0;
        self.at = 0;
        // Three bytes for each are enough in every encoding here.
        self.ready.resize(self.decoder.max_utf8_buffer_length(read).unwrap_or(read * 4 + 16), 0);
        let (result, _, written, _) = self.decoder.decode_to_utf8(source, &mut self.ready, self.ended);
        if result == CoderResult::OutputFull {
            return Err(io::Error::other("the text grew more than text can"));
        }
        self.ready.truncate(written);
        if self.after_return || self.ready.contains(&b'\r') {
            let mut after = self.after_return;
            self.ready.retain_mut(|byte| {
                let pair = after && *byte == b'\n';
                after = *byte == b'\r';
                if after {
                    *byte = b'\n';
                }
                !pair
            });
            self.after_return = after;
        }
        self.last = self.ready.last().copied().unwrap_or(self.last);
        if self.ended && self.last != b'\n' {
            self.ready.push(b'\n');
        }
        Ok(())
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.ready.len() {
            if self.ended {
                return Ok(0);
            }
            self.refill()?;
        }
        let ready = self.ready.get(self.at..).unwrap_or_default();
        let length = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), ready.get(..length)) {
            to.copy_from_slice(from);
        }
        self.at += length;
        Ok(length)
    }
}
