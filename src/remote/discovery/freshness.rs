//! How long an answer may be kept: `Cache-Control` and `Expires`.

use std::time::Duration;

use chrono::DateTime;
use http::{HeaderMap, header};

/// What is never kept shorter, so that nobody makes this server ask all the time.
const SHORTEST: Duration = Duration::from_mins(5);
/// What is never kept longer (the specification's bound).
const LONGEST: Duration = Duration::from_hours(48);
/// Where the headers say nothing.
const USUAL: Duration = Duration::from_hours(24);

/// How long "there is no document" is kept; the specification allows an hour.
pub(super) const ABSENT: Duration = Duration::from_hours(1);
/// How long it is kept that the document could not be had.
pub(super) const FAILED: Duration = Duration::from_mins(10);

/// How long a document with these headers is kept; `now_ms` is the time, Unix milliseconds.
pub(super) fn lifetime(headers: &HeaderMap, now_ms: u64) -> Duration {
    let said = cache_control(headers).or_else(|| expires(headers, now_ms));
    said.unwrap_or(USUAL).clamp(SHORTEST, LONGEST)
}

fn cache_control(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::CACHE_CONTROL)?.to_str().ok()?.to_ascii_lowercase();
    let mut age = None;
    for directive in value.split(',').map(str::trim) {
        if matches!(directive, "no-store" | "no-cache") {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    age
}

fn expires(headers: &HeaderMap, now_ms: u64) -> Option<Duration> {
    let value = headers.get(header::EXPIRES)?.to_str().ok()?;
    // "0" and the like mean that it has expired.
    let at = DateTime::parse_from_rfc2822(value).map_or(0, |at| at.timestamp_millis());
    Some(Duration::from_millis(u64::try_from(at).unwrap_or(0).saturating_sub(now_ms)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    fn kept(headers: &[(&'static str, &str)]) -> u64 {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        // Sun, 01 Jan 2023 00:00:00 GMT.
        lifetime(&headers, 1_672_531_200_000).as_secs()
    }

    #[test]
    fn headers_are_followed_within_bounds() {
        assert_eq!(kept(&[]), 86_400);
        assert_eq!(kept(&[("cache-control", "public, max-age=7200")]), 7_200);
        assert_eq!(kept(&[("cache-control", "max-age=1")]), 300);
        assert_eq!(kept(&[("cache-control", "max-age=99999999")]), 172_800);
        assert_eq!(kept(&[("cache-control", "no-store, max-age=7200")]), 300);
        assert_eq!(kept(&[("expires", "Sun, 01 Jan 2023 01:00:00 GMT")]), 3_600);
        assert_eq!(kept(&[("expires", "0")]), 300);
        assert_eq!(kept(&[("expires", "0"), ("cache-control", "max-age=600")]), 600);
    }
}
