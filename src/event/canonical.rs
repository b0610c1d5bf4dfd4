//! Canonical JSON: strict reading of untrusted text, and the one text form that is hashed, signed and stored.
//!
//! Source: spec v1.19, Appendices, "Canonical JSON". A value is read once into [`Value`], whose objects are sorted and
//! free of duplicate keys, so printing it *is* canonicalising it. From room version 6 numbers must be integers of
//! ±(2^53 − 1); older rooms may hold others ([`Numbers::Lenient`]). Unpaired surrogates cannot be written in UTF-8 and
//! are refused; NUL is an ordinary character of a string.

mod read;

use std::{borrow::Cow, cell::Cell, fmt};

use ruma::serde::Raw;
use serde::{Serialize, de::DeserializeSeed as _};
use serde_json::value::RawValue;

use self::read::{ValueSeed, WrittenNumbers};

/// Arrays and objects may be nested this deep, counted over the whole text.
///
/// The specification has no limit; every JSON reader has one. This one lies below serde's 128, so that an accepted
/// event can be read again after it was put into a reply.
pub const DEPTH_MAX: usize = 100;

/// Client-supplied content may be nested this deep: it must fit into an event, and the event into [`DEPTH_MAX`].
pub const CONTENT_DEPTH_MAX: usize = DEPTH_MAX - 2;

/// The largest absolute value of a number in canonical JSON, 2^53 − 1.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;

/// Which numbers are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Integers of ±(2^53 − 1), written without fraction, exponent or `-0`: room version 6 and later, and all that
    /// clients send.
    Strict,
    /// Any JSON number: room versions 1 to 5.
    Lenient,
}

/// Why a text is not canonicalisable JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not UTF-8, or an unpaired surrogate in a string. The text says where.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// A number that canonical JSON cannot hold.
    #[error("numbers must be integers between -(2^53)+1 and (2^53)-1")]
    Number,
    /// Nested deeper than allowed.
    #[error("nested too deeply")]
    TooDeep,
    /// The same key twice in one object.
    #[error("an object has the same key twice")]
    DuplicateKey,
    /// The outermost value is something else than an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// A JSON value whose printed form is canonical. Strings borrow from the text where they need no unescaping.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// Any other number; only with [`Numbers::Lenient`].
    Float(f64),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(Object<'a>),
}

/// An object, sorted by key in code point order, without duplicates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Value<'a> {
    /// Appends the canonical text.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Integer(number) => push_display(out, number),
            Self::Float(number) => write_float(out, *number),
            Self::String(text) => write_string(out, text),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(object) => object.write(out),
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The array, if it is one.
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The integer, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }
}

impl<'a> Object<'a> {
    /// Reads an object from untrusted text.
    pub fn parse(text: &'a [u8], numbers: Numbers, depth_max: usize) -> Result<Self, JsonError> {
        // Serde's errors are text; the kind of a refusal of ours is carried past it in this cell.
        let refusal = Cell::new(None);
        let mut reader = serde_json::Deserializer::from_slice(text);
        let written = WrittenNumbers::new(text);
        let seed = ValueSeed { numbers, depth_left: depth_max, refusal: &refusal, written: &written };
        let read = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
        match read {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(JsonError::NotAnObject),
            Err(error) => Err(refusal.take().unwrap_or_else(|| JsonError::Syntax(error.to_string()))),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.position(key).ok().and_then(|index| self.0.get(index)).map(|(_, value)| value)
    }

    /// The value of a key, if it is a string.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// Removes a key and gives its value.
    pub fn remove(&mut self, key: &str) -> Option<Value<'a>> {
        self.position(key).ok().map(|index| self.0.remove(index).1)
    }

    /// Sets a key, replacing what was there.
    pub fn insert(&mut self, key: impl Into<Cow<'a, str>>, value: Value<'a>) {
        let key = key.into();
        match self.position(&key) {
            Ok(index) => {
                if let Some(entry) = self.0.get_mut(index) {
                    entry.1 = value;
                }
            }
            Err(index) => self.0.insert(index, (key, value)),
        }
    }

    /// The entries in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// Appends the canonical text.
    pub fn write(&self, out: &mut String) {
        self.write_filtered(out, |_| true, |value, _, out| value.write(out));
    }

    /// Appends the canonical text of the entries whose key passes `keep`, each value printed by `print(value, key,
    /// out)`.
    ///
    /// This is how redacted forms are printed without building them.
    pub fn write_filtered(
        &self,
        out: &mut String,
        keep: impl Fn(&str) -> bool,
        print: impl Fn(&Value<'a>, &str, &mut String),
    ) {
        out.push('{');
        let mut first = true;
        for (key, value) in self.iter().filter(|(key, _)| keep(key)) {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            write_string(out, key);
            out.push(':');
            print(value, key, out);
        }
        out.push('}');
    }

    /// The canonical text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn position(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(candidate, _)| candidate.as_ref().cmp(key))
    }
}

/// Appends a string with its quotation marks, escaped as canonical JSON wants it: the shortest form, lower-case
/// hexadecimal.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            0x0c => "\\f",
            b'\r' => "\\r",
            0x00..=0x1f => "",
            _ => continue,
        };
        out.push_str(text.get(plain..index).unwrap_or_default());
        if escape.is_empty() {
            push_display(out, &format_args!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
        plain = index + 1;
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

/// Appends a number that is no integer of 64 bits: the shortest digits that read as the same number, with an exponent
/// where it is below -4 or above 15.
///
/// The specification does not say how such numbers are hashed and signed in the room versions that have them. This is
/// how the servers that made them did: `1e-07`, `1e+16`, `0.0001`.
fn write_float(out: &mut String, number: f64) {
    let shortest = format!("{number:e}");
    let exponent =
        shortest.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)));
    match exponent {
        Some((digits, exponent)) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            push_display(out, &format_args!("{digits}e{sign}{:02}", exponent.unsigned_abs()));
        }
        _ => push_display(out, &format_args!("{number:?}")),
    }
}

/// Appends a number or another value whose printing cannot fail.
pub(super) fn push_display(out: &mut String, value: &impl fmt::Display) {
    use fmt::Write as _;
    // Writing to a String has no error to report.
    let _ = write!(out, "{value}");
}

/// The content of an event to be: an object in canonical text. Made from what a client sent, or from a value of ours.
#[derive(Debug, Clone)]
pub struct Content(Box<RawValue>);

/// Why content cannot be that of an event.
pub type ContentError = JsonError;

impl Content {
    /// Reads untrusted content: a JSON object, strict in every room version.
    pub fn parse(text: &[u8]) -> Result<Self, ContentError> {
        Self::from_object(&Object::parse(text, Numbers::Strict, CONTENT_DEPTH_MAX)?)
    }

    /// Content of one of ruma's types or of a `serde_json::Value`; the same checks apply.
    pub fn from_serialize(value: &impl Serialize) -> Result<Self, ContentError> {
        let text = serde_json::to_vec(value).map_err(|error| JsonError::Syntax(error.to_string()))?;
        Self::parse(&text)
    }

    /// Content from a typed raw value, as ruma's requests carry it.
    pub fn from_raw<T>(raw: &Raw<T>) -> Result<Self, ContentError> {
        Self::parse(raw.json().get().as_bytes())
    }

    /// The content `{}`.
    pub fn empty() -> Self {
        Self(RawValue::from_string("{}".to_owned()).unwrap_or_default())
    }

    /// The same content with a string at `key`, replacing what was there.
    pub fn with_string(&self, key: &str, value: &str) -> Result<Self, ContentError> {
        let mut object = Object::parse(self.as_str().as_bytes(), Numbers::Strict, CONTENT_DEPTH_MAX)?;
        object.insert(key, Value::String(value.into()));
        Self::from_object(&object)
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The text as raw JSON, for the readers in [`super::content`].
    pub fn raw(&self) -> &RawValue {
        &self.0
    }

    /// Gives the raw JSON away.
    pub fn into_raw(self) -> Box<RawValue> {
        self.0
    }

    fn from_object(object: &Object<'_>) -> Result<Self, ContentError> {
        RawValue::from_string(object.to_text()).map(Self).map_err(|error| JsonError::Syntax(error.to_string()))
    }
}
