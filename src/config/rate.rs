//! Rates as text: `"30 per 1m"`.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use super::{
    period::Period,
    problem::Refusal,
    value::{Value, in_words},
};

/// How often something may be done: `count` times at once, and as often again in each period, spread evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    period: Period,
}

impl Rate {
    /// `count` in `seconds`; at least one in one second.
    pub const fn new(count: u32, seconds: u64) -> Self {
        let count = match NonZeroU32::new(count) {
            Some(count) => count,
            None => NonZeroU32::MIN,
        };
        Self { count, period: Period::from_secs(if seconds == 0 { 1 } else { seconds }) }
    }

    /// How many may come at once.
    pub const fn burst(self) -> NonZeroU32 {
        self.count
    }

    /// The time after which one more may come; never zero.
    pub fn interval(self) -> Duration {
        (self.period.duration() / self.count.get()).max(Duration::from_nanos(1))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.count, self.period)
    }
}

impl FromStr for Rate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (count, period) = text.split_once(" per ").ok_or(())?;
        let count = count.trim().parse().map_err(drop)?;
        let period: Period = period.parse()?;
        if period.as_ms() == 0 { Err(()) } else { Ok(Self { count, period }) }
    }
}

impl Value for Rate {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let hint = "write how many in what time, such as \"30 per 1m\"";
        in_words(value, "rate", hint)
    }

    fn write(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_shown() {
        let rate: Rate = "30 per 1m".parse().unwrap();
        assert_eq!(rate, Rate::new(30, 60));
        assert_eq!(rate.burst().get(), 30);
        assert_eq!(rate.interval(), Duration::from_secs(2));
        assert_eq!(rate.to_string(), "30 per 1m");
        assert_eq!("1 per 500ms".parse::<Rate>().unwrap().interval(), Duration::from_millis(500));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "30", "30 per", "0 per 1m", "30 per 0s", "many per 1m", "30/1m", "-1 per 1m"] {
            assert_eq!(text.parse::<Rate>(), Err(()), "{text}");
        }
    }
}
