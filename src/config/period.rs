//! Durations as text: `"30s"`.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    problem::Refusal,
    value::{Value, amount, in_words},
};

/// Largest first; the longest name is tried before the shorter ones it ends with.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A length of time in whole milliseconds, written with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    ms: u64,
}

impl Period {
    /// A period of that many milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    /// A period of that many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self { ms: seconds.saturating_mul(1_000) }
    }

    /// Its milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.ms
    }

    /// The same as the standard library's type.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

/// The largest unit that divides it: `90s`, `2h`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = UNITS.iter().find(|(_, unit)| self.ms != 0 && self.ms.is_multiple_of(*unit));
        let (name, unit) = fitting.copied().unwrap_or(("s", 1_000));
        write!(f, "{}{name}", self.ms / unit)
    }
}

impl FromStr for Period {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let factor = |unit: &str| UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        amount(text, factor).map(Self::from_ms)
    }
}

impl Value for Period {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let hint = "write a whole number and its unit, such as \"30s\"; the units are ms, s, m, h, d";
        in_words(value, "duration", hint)
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
    fn periods_are_read_with_their_units() {
        for (text, ms) in
            [("30s", 30_000), ("250ms", 250), ("5 m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000), ("0s", 0)]
        {
            assert_eq!(text.parse::<Period>().unwrap().as_ms(), ms, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "30", "s", "1.5h", "-1s", "1h30m", "5 fortnights", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(text.parse::<Period>(), Err(()), "{text}");
        }
        assert_eq!(
            Period::read(&toml::Value::Integer(5)).unwrap_err().message,
            "expected a duration as text, found an integer"
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(ms: u64) {
            let period = Period::from_ms(ms);
            prop_assert_eq!(period.to_string().parse::<Period>(), Ok(period));
        }
    }
}
