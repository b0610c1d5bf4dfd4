//! The reader behind [`Object::parse`]: serde's JSON grammar, with the refusals that canonical JSON adds.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::{INTEGER_MAX, JsonError, Numbers, Object, Value};

/// Reads one value; `depth_left` counts down with each level.
#[derive(Clone, Copy)]
pub(super) struct ValueSeed<'c> {
    pub(super) numbers: Numbers,
    pub(super) depth_left: usize,
    pub(super) refusal: &'c Cell<Option<JsonError>>,
    pub(super) written: &'c WrittenNumbers<'c>,
}

/// The numbers of a text as they are written.
///
/// `serde_json` reads fractions fast but not always to the last bit, and the next writing must give the same text again.
/// So the text is asked, which costs nothing where all numbers are integers.
pub(super) struct WrittenNumbers<'t> {
    text: &'t [u8],
    at: Cell<usize>,
    /// Numbers that the reader has met, and those that were looked for in the text.
    met: Cell<usize>,
    found: Cell<usize>,
}

impl<'t> WrittenNumbers<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, at: Cell::new(0), met: Cell::new(0), found: Cell::new(0) }
    }

    fn meet(&self) {
        self.met.set(self.met.get() + 1);
    }

    /// The number met last.
    fn last_met(&self) -> Option<f64> {
        let mut last = None;
        while self.found.get() < self.met.get() {
            last = Some(self.next()?);
            self.found.set(self.found.get() + 1);
        }
        std::str::from_utf8(last?).ok()?.parse().ok()
    }

    fn next(&self) -> Option<&'t [u8]> {
        let (mut at, mut in_string) = (self.at.get(), false);
        while let Some(byte) = self.text.get(at) {
            match byte {
                b'\\' if in_string => at += 1,
                b'"' => in_string = !in_string,
                b'-' | b'0'..=b'9' if !in_string => {
                    let rest = self.text.get(at..)?;
                    let length =
                        rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
                    let length = length.count();
                    self.at.set(at + length);
                    return rest.get(..length);
                }
                _ => {}
            }
            at += 1;
        }
        None
    }
}

impl ValueSeed<'_> {
    fn refuse<E: serde::de::Error>(self, error: JsonError) -> E {
        self.refusal.set(Some(error));
        E::custom("refused")
    }

    fn integer<'de, E: serde::de::Error>(self, value: i64) -> Result<Value<'de>, E> {
        if self.numbers == Numbers::Strict && !(-INTEGER_MAX..=INTEGER_MAX).contains(&value) {
            return Err(self.refuse(JsonError::Number));
        }
        Ok(Value::Integer(value))
    }

    fn float<'de, E: serde::de::Error>(self, value: f64) -> Result<Value<'de>, E> {
        match self.numbers {
            Numbers::Strict => Err(self.refuse(JsonError::Number)),
            // The specification's own example turns -0 into 0 and 1e10 into 10000000000.
            #[expect(clippy::cast_possible_truncation, reason = "a whole number within 53 bits")]
            Numbers::Lenient if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
                Ok(Value::Integer(value as i64))
            }
            Numbers::Lenient => Ok(Value::Float(value)),
        }
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.refuse(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.written.meet();
        self.integer(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.written.meet();
        match i64::try_from(value) {
            Ok(value) => self.integer(value),
            #[expect(
                clippy::cast_precision_loss,
                reason = "beyond i64 only old rooms get here, where precision is not promised"
            )]
            Err(_) => self.float(value as f64),
        }
    }

    // Fractions, exponents, -0 and integers beyond 64 bits all arrive here.
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.written.meet();
        let exact = if self.numbers == Numbers::Lenient { self.written.last_met() } else { None };
        self.float(exact.unwrap_or(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        let mut entries = Vec::new();
        while let Some(key) = access.next_key_seed(KeySeed)? {
            entries.push((key, access.next_value_seed(inner)?));
        }
        if !entries.is_sorted_by(|(left, _), (right, _)| left < right) {
            entries.sort_by(|(left, _): &(Cow<'_, str>, _), (right, _)| left.cmp(right));
            if entries.windows(2).any(|pair| matches!(pair, [(left, _), (right, _)] if left == right)) {
                return Err(self.refuse(JsonError::DuplicateKey));
            }
        }
        Ok(Value::Object(Object(entries)))
    }
}

/// Reads a key, borrowed where it can be.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}
