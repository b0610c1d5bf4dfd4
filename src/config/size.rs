//! Sizes as text: `"50 MiB"`.

use std::{fmt, str::FromStr};

use super::{
    problem::Refusal,
    value::{Value, amount, in_words},
};

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes, written with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// A size of that many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size of that many kibibytes.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// A size of that many mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// A size of that many gibibytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; the largest length where it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// The largest unit that divides it: `50 MiB`, `1500 B`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = UNITS.iter().find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit));
        let (name, unit) = fitting.copied().unwrap_or(("B", 1));
        write!(f, "{} {name}", self.0 / unit)
    }
}

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let named = |unit: &str| UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        amount(text, |unit| named(unit).map(|(_, factor)| *factor)).map(Self)
    }
}

impl Value for Size {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let hint = "write a whole number and its unit (B, KiB, MiB, GiB, TiB, kB, MB, GB, TB), such as \"50 MiB\"";
        in_words(value, "size", hint)
    }

    fn write(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("50 MiB", 52_428_800),
            ("1KiB", 1_024),
            ("3 kB", 3_000),
            ("0 B", 0),
            ("2 gib", 2 << 30),
            (" 7 TB ", 7_000_000_000_000),
        ] {
            assert_eq!(text.parse::<Size>().unwrap().bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "50",
            "MiB",
            "5.5 MiB",
            "-1 B",
            "5 parsecs",
            "5 MiB MiB",
            "99999999999999999999 B",
            "18446744073709551615 KiB",
        ] {
            assert_eq!(text.parse::<Size>(), Err(()), "{text}");
        }
        let refusal = Size::read(&toml::Value::Integer(5)).unwrap_err();
        assert_eq!(refusal.message, "expected a size as text, found an integer");
        assert!(refusal.hint.unwrap().contains("MiB"));
    }

    #[test]
    fn sizes_show_in_their_largest_unit() {
        assert_eq!(Size::mib(50).to_string(), "50 MiB");
        assert_eq!(Size::gib(5).to_string(), "5 GiB");
        assert_eq!(Size::kib(1_023).to_string(), "1023 KiB");
        assert_eq!(Size::from_bytes(1_023).to_string(), "1023 B");
        assert_eq!(Size::from_bytes(0).to_string(), "0 B");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(bytes: u64) {
            let size = Size::from_bytes(bytes);
            prop_assert_eq!(size.to_string().parse::<Size>(), Ok(size));
        }
    }
}
