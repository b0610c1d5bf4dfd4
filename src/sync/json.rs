//! Writing JSON piece by piece: stored events are copied as bytes, so no tree of values is built.

use serde::Serialize;

/// An object or array being written; closed by [`Open::close`].
pub(super) struct Open {
    end: u8,
    empty: bool,
}

impl Open {
    pub(super) fn object(out: &mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { end: b'}', empty: true }
    }

    pub(super) fn array(out: &mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { end: b']', empty: true }
    }

    /// Begins the next item of an array.
    pub(super) fn item(&mut self, out: &mut Vec<u8>) {
        if !self.empty {
            out.push(b',');
        }
        self.empty = false;
    }

    /// Begins the next member of an object.
    pub(super) fn key(&mut self, out: &mut Vec<u8>, key: &str) {
        self.item(out);
        text(out, key);
        out.push(b':');
    }

    pub(super) fn close(self, out: &mut Vec<u8>) {
        out.push(self.end);
    }

    /// After what was written for an item has been cut off again.
    pub(super) fn reset(&mut self, empty: bool) {
        self.empty = empty;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.empty
    }
}

/// A JSON string.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    value(out, &text);
}

/// Any value that has a JSON form.
pub(super) fn value(out: &mut Vec<u8>, value: &impl Serialize) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// `"key":{"events":[…]}` around already written events.
pub(super) fn events(section: &mut Open, out: &mut Vec<u8>, key: &str, events: &[u8]) {
    section.key(out, key);
    out.extend_from_slice(b"{\"events\":[");
    out.extend_from_slice(events);
    out.extend_from_slice(b"]}");
}
