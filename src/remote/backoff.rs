//! When a server that does not work is tried again.

use std::time::Duration;

/// The first pause; each failure in a row doubles it. Short, because most servers that fail are being restarted.
const FIRST: Duration = Duration::from_secs(2);
/// The longest pause of the first day. After that it grows with the outage, up to [`LAST`].
const USUAL_MAX: Duration = Duration::from_hours(1);
/// The longest pause.
const LAST: Duration = Duration::from_hours(24);
/// An outage is waited out in pauses of this part of its length.
const SHARE: u32 = 24;
/// The longest pause that a server can ask for by `Retry-After`.
const ASKED_MAX: Duration = Duration::from_hours(1);

/// The pause after `failures` in a row, the first of them `failing` ago. `chance` (any number) spreads the pauses of
/// many servers that failed together by a fifth to either side.
pub(super) fn pause(failures: u32, failing: Duration, asked: Option<Duration>, chance: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let longest = (failing / SHARE).clamp(USUAL_MAX, LAST);
    let spread = 80 + chance % 41;
    let pause = doubled.min(longest) * spread / 100;
    pause.max(asked.unwrap_or_default().min(ASKED_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without spread.
    fn seconds(failures: u32, failing_hours: u64) -> u64 {
        pause(failures, Duration::from_hours(failing_hours), None, 20).as_secs()
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_grow_with_long_outages() {
        let first: Vec<u64> = (1..=12).map(|failures| seconds(failures, 0)).collect();
        assert_eq!(first, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600]);
        assert_eq!(seconds(40, 23), 3_600);
        assert_eq!(seconds(60, 72), 3 * 3_600);
        assert_eq!(seconds(u32::MAX, 10_000), 24 * 3_600);
    }

    #[test]
    fn pauses_are_spread() {
        let pauses: std::collections::HashSet<_> = (0..100).map(|n| pause(9, Duration::ZERO, None, n)).collect();
        assert_eq!(pauses.len(), 41);
        assert!(pauses.iter().all(|pause| (409..=615).contains(&pause.as_secs())));
    }

    #[test]
    fn a_server_may_ask_for_more_within_bounds() {
        let asked = |s| Some(Duration::from_secs(s));
        assert_eq!(pause(1, Duration::ZERO, asked(100), 20).as_secs(), 100);
        assert_eq!(pause(1, Duration::ZERO, asked(1), 20).as_secs(), 2);
        assert_eq!(pause(1, Duration::ZERO, asked(1 << 40), 20).as_secs(), 3_600);
    }
}
