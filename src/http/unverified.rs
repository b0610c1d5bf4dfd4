//! The memory that bodies may take whose signature is not verified yet.
//!
//! A signature covers the body, so the body is read before it is known who sent it. What comes in is counted against a
//! budget, and one address has a quarter of it: whoever sends in the name of another cannot fill the memory, nor keep
//! everybody else from sending. The first bytes of every body are counted apart, so that large bodies do not keep small
//! requests out.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::http::{address::Source, error::ApiError};

/// What a body is small up to, in bytes: nearly all of them.
const SMALL_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all bodies beyond that, and again as many of small ones.
const BYTES_MAX: usize = 128 * 1024 * 1024;
/// How many addresses it takes to fill a budget.
const ADDRESSES: usize = 4;
/// When somebody who came too much may come again.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// Who sends how much. It holds as many addresses as have bodies here.
#[derive(Debug, Clone, Default)]
pub struct Unverified(Arc<Mutex<Budgets>>);

#[derive(Debug, Default)]
struct Budgets {
    small: Budget,
    large: Budget,
}

#[derive(Debug, Default)]
struct Budget {
    bytes: usize,
    by_source: HashMap<Source, usize>,
}

/// The bytes of one body; given back when it is dropped.
#[derive(Debug)]
pub struct UnverifiedBody {
    budgets: Unverified,
    source: Source,
    small: usize,
    large: usize,
}

impl Unverified {
    /// A body from this address, of which nothing has come yet.
    pub fn body_from(&self, address: IpAddr) -> UnverifiedBody {
        UnverifiedBody { budgets: self.clone(), source: Source::of(address), small: 0, large: 0 }
    }
}

impl UnverifiedBody {
    /// More of it has come.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` when that is more than may be held, of this address or of all.
    pub fn add(&mut self, bytes: usize) -> Result<(), ApiError> {
        let small = bytes.min(SMALL_BYTES_MAX - self.small);
        let large = bytes - small;
        let mut budgets = self.budgets.0.lock();
        let taken = budgets.small.take(self.source, small).then(|| self.small += small).is_some()
            && budgets.large.take(self.source, large).then(|| self.large += large).is_some();
        if taken { Ok(()) } else { Err(ApiError::limit_exceeded(BUSY_WAIT)) }
    }
}

impl Drop for UnverifiedBody {
    fn drop(&mut self) {
        let mut budgets = self.budgets.0.lock();
        budgets.small.give_back(self.source, self.small);
        budgets.large.give_back(self.source, self.large);
    }
}

impl Budget {
    fn take(&mut self, source: Source, bytes: usize) -> bool {
        if bytes == 0 {
            return true;
        }
        let own = self.by_source.get(&source).copied().unwrap_or_default();
        if self.bytes.saturating_add(bytes) > BYTES_MAX || own.saturating_add(bytes) > BYTES_MAX / ADDRESSES {
            return false;
        }
        self.bytes += bytes;
        self.by_source.insert(source, own + bytes);
        true
    }

    fn give_back(&mut self, source: Source, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(own) = self.by_source.get_mut(&source) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Bodies of 8 MiB, until no more is let in.
    fn fill(budgets: &Unverified, from: IpAddr) -> Vec<UnverifiedBody> {
        std::iter::from_fn(|| {
            let mut body = budgets.body_from(from);
            (0..8).try_for_each(|_| body.add(MIB)).ok().map(|()| body)
        })
        .collect()
    }

    #[test]
    fn one_address_has_a_quarter_and_all_have_a_bound() {
        let budgets = Unverified::default();
        let first = fill(&budgets, address("192.0.2.1"));
        assert_eq!(first.len(), 4, "32 MiB");
        let mut all = first;
        for last in 2..=9 {
            all.extend(fill(&budgets, address(&format!("192.0.2.{last}"))));
        }
        let held = budgets.0.lock().large.bytes;
        assert!(held <= BYTES_MAX && held > BYTES_MAX - 9 * MIB, "{held}");
        // Small ones come in all the same.
        budgets.body_from(address("192.0.2.1")).add(SMALL_BYTES_MAX).unwrap();
        assert!(budgets.body_from(address("192.0.2.99")).add(2 * MIB).is_err());
        drop(all);
        let left = budgets.0.lock();
        assert!(left.small.bytes == 0 && left.large.bytes == 0);
        assert!(left.small.by_source.is_empty() && left.large.by_source.is_empty());
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let budgets = Unverified::default();
        let _first = fill(&budgets, address("2001:db8::1"));
        assert!(fill(&budgets, address("2001:db8::ffff:1")).is_empty());
        assert!(!fill(&budgets, address("2001:db8:0:1::1")).is_empty());
    }

    #[test]
    fn small_bodies_have_a_bound_too() {
        let budgets = Unverified::default();
        let mut bodies = Vec::new();
        loop {
            let mut body = budgets.body_from(address("192.0.2.1"));
            if body.add(SMALL_BYTES_MAX).is_err() {
                break;
            }
            bodies.push(body);
        }
        assert_eq!(bodies.len(), BYTES_MAX / ADDRESSES / SMALL_BYTES_MAX);
        budgets.body_from(address("192.0.2.2")).add(SMALL_BYTES_MAX).unwrap();
    }
}
