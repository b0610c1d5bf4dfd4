//! Sessions of user-interactive authentication that are not completed: bounded in number and age.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{Flows, Operation, Stage};

/// Sessions at once; the oldest makes room for a new one.
const SESSIONS_MAX: usize = 10_000;

/// A session under way.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) operation: Operation,
    pub(super) flows: Flows,
    pub(super) completed: Vec<Stage>,
}

impl Pending {
    /// Whether the session may go on with a request.
    pub(super) fn is_for(&self, operation: &Operation) -> bool {
        let Operation { endpoint, user, body } = operation;
        let same_body = self.completed.is_empty() || self.operation.body == *body;
        self.operation.endpoint == *endpoint && self.operation.user == *user && same_body
    }

    /// Whether a stage belongs to one of the flows.
    pub(super) fn has(&self, stage: Stage) -> bool {
        self.flows.iter().any(|flow| flow.contains(&stage))
    }

    /// Whether all stages of one flow are completed.
    pub(super) fn is_complete(&self) -> bool {
        self.flows.iter().any(|flow| flow.iter().all(|stage| self.completed.contains(stage)))
    }
}

/// All sessions under way.
pub(super) struct PendingSessions {
    lifetime: Duration,
    by_id: HashMap<String, Pending>,
    /// When each was begun, oldest first; also of sessions that have ended.
    begun: VecDeque<(Duration, String)>,
}

impl PendingSessions {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self { lifetime, by_id: HashMap::new(), begun: VecDeque::new() }
    }

    /// Keeps a new session. `now` is the time since the clock was made.
    pub(super) fn insert(&mut self, pending: Pending, now: Duration) {
        self.begun.push_back((now, pending.id.clone()));
        self.by_id.insert(pending.id.clone(), pending);
        self.drop_old(now);
    }

    /// A session that is not too old.
    pub(super) fn get(&mut self, id: &str, now: Duration) -> Option<Pending> {
        self.drop_old(now);
        self.by_id.get(id).cloned()
    }

    /// Notes a completed stage, and with the first one what request the session is for. `None` when the session has
    /// ended, or has been bound to another request, meanwhile.
    pub(super) fn complete(&mut self, attempted: &Pending, stage: Stage, now: Duration) -> Option<Pending> {
        self.drop_old(now);
        let pending = self.by_id.get_mut(&attempted.id).filter(|pending| pending.is_for(&attempted.operation))?;
        pending.operation = attempted.operation.clone();
        if !pending.completed.contains(&stage) {
            pending.completed.push(stage);
        }
        Some(pending.clone())
    }

    /// Ends a session.
    pub(super) fn remove(&mut self, id: &str) {
        self.by_id.remove(id);
    }

    fn drop_old(&mut self, now: Duration) {
        while let Some((begun, id)) = self.begun.front() {
            let expired = now.saturating_sub(*begun) >= self.lifetime;
            if !expired && self.begun.len() <= SESSIONS_MAX {
                break;
            }
            self.by_id.remove(id);
            self.begun.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_bounded_in_number_and_age() {
        let mut sessions = PendingSessions::new(Duration::from_secs(10));
        let pending = |id: usize| Pending {
            id: id.to_string(),
            operation: Operation::new("POST /x", None, b"{}"),
            flows: &[&[Stage::Dummy]],
            completed: Vec::new(),
        };
        for id in 0..SESSIONS_MAX + 5 {
            sessions.insert(pending(id), Duration::ZERO);
        }
        assert_eq!(sessions.by_id.len(), SESSIONS_MAX);
        assert!(sessions.get("4", Duration::ZERO).is_none());
        assert!(sessions.get("5", Duration::from_secs(9)).is_some());
        assert!(sessions.get("5", Duration::from_secs(10)).is_none());
        assert!(sessions.begun.is_empty());
    }
}
