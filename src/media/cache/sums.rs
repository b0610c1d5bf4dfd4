//! How much is kept, in all and of each server.

use std::collections::HashMap;

use parking_lot::Mutex;

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
    servers: HashMap<String, u64>,
    /// One that has more than its share.
    greedy: Option<String>,
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
            let sum = state.servers.entry(server.to_owned()).or_default();
            *sum = sum.saturating_add(bytes);
            if *sum > self.share {
                state.greedy = Some(server.to_owned());
            }
        }
    }

    /// Takes it off again.
    pub(super) fn subtract(&self, server: Option<&str>, bytes: u64) {
        let state = &mut *self.state.lock();
        state.all = state.all.saturating_sub(bytes);
        if let Some(server) = server
            && let Some(sum) = state.servers.get_mut(server)
        {
            *sum = sum.saturating_sub(bytes);
            let left = *sum;
            if left <= self.share && state.greedy.as_deref() == Some(server) {
                state.greedy = None;
            }
            if left == 0 {
                state.servers.remove(server);
            }
        }
    }

    pub(super) fn all(&self) -> u64 {
        self.state.lock().all
    }

    /// A server that has more than its share.
    pub(super) fn greedy(&self) -> Option<String> {
        self.state.lock().greedy.clone()
    }

    #[cfg(test)]
    pub(super) fn of(&self, server: &str) -> u64 {
        self.state.lock().servers.get(server).copied().unwrap_or_default()
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
