//! How much is kept, in all and of each server.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::places::Holder;

/// Bytes that are kept, or about to be.
#[derive(Debug)]
pub(super) struct Sums {
    /// What one server may have.
    share: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: u64,
    /// As many servers as there is content of.
    servers: HashMap<Holder, Sum>,
    /// One that has more than its share.
    greedy: Option<Holder>,
}

#[derive(Debug, Default)]
struct Sum {
    bytes: u64,
    /// The names that it comes under.
    names: HashMap<String, u64>,
}

impl Sums {
    pub(super) fn new(share: u64) -> Self {
        Self { share, state: Mutex::default() }
    }

    /// Adds content of a server; `None` for what is only counted with all, as thumbnails are.
    pub(super) fn add(&self, server: Option<&str>, bytes: u64) {
        let state = &mut *self.state.lock();
        state.all = state.all.saturating_add(bytes);
        if let Some(server) = server {
            let holder = Holder::of(server);
            let sum = state.servers.entry(holder.clone()).or_default();
            sum.bytes = sum.bytes.saturating_add(bytes);
            let of_name = sum.names.entry(server.to_owned()).or_default();
            *of_name = of_name.saturating_add(bytes);
            if sum.bytes > self.share {
                state.greedy = Some(holder);
            }
        }
    }

    /// Takes it off again.
    pub(super) fn subtract(&self, server: Option<&str>, bytes: u64) {
        let state = &mut *self.state.lock();
        state.all = state.all.saturating_sub(bytes);
        let Some(server) = server else { return };
        let holder = Holder::of(server);
        let Some(sum) = state.servers.get_mut(&holder) else { return };
        sum.bytes = sum.bytes.saturating_sub(bytes);
        if let Some(of_name) = sum.names.get_mut(server) {
            *of_name = of_name.saturating_sub(bytes);
            if *of_name == 0 {
                sum.names.remove(server);
            }
        }
        let left = sum.bytes;
        if left <= self.share && state.greedy.as_ref() == Some(&holder) {
            state.greedy = None;
        }
        if left == 0 {
            state.servers.remove(&holder);
        }
    }

    pub(super) fn all(&self) -> u64 {
        self.state.lock().all
    }

    /// The names of a server that has more than its share, at most so many of them.
    pub(super) fn greedy(&self, names_max: usize) -> Vec<String> {
        let state = self.state.lock();
        let sum = state.greedy.as_ref().and_then(|holder| state.servers.get(holder));
        sum.into_iter().flat_map(|sum| sum.names.keys()).take(names_max).cloned().collect()
    }

    #[cfg(test)]
    pub(super) fn of(&self, server: &str) -> u64 {
        self.state.lock().servers.get(&Holder::of(server)).map_or(0, |sum| sum.bytes)
    }

    /// Counts content of a server that is about to be kept.
    pub(super) fn charge<'a>(&'a self, server: &'a str, bytes: u64) -> Charge<'a> {
        self.add(Some(server), bytes);
        Charge { sums: self, server, bytes }
    }
}

/// Bytes that are counted before they are kept; dropping it takes them off again.
pub(super) struct Charge<'a> {
    sums: &'a Sums,
    server: &'a str,
    bytes: u64,
}

impl Charge<'_> {
    pub(super) fn stays(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.sums.subtract(Some(self.server), self.bytes);
        }
    }
}
