//! Trying again until something is done: after a refusal, a failure of the store, and a fault of our own alike.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use ruma::RoomId;

use crate::store::{StoreError, schema::rooms::PartialRecord};

/// The first pause, doubled with each failure.
pub(super) const PAUSE: Duration = Duration::from_secs(5);
/// The longest pause.
pub(super) const PAUSE_MAX: Duration = Duration::from_mins(30);

/// What one attempt came to.
pub(super) enum Attempt {
    /// Nothing is to be fetched.
    Done,
    /// What was to be fetched is here, or not wanted any more; there may be something else.
    Overtaken,
    /// Nobody has given them.
    Failed(PartialRecord),
}

/// Makes attempts at a room's members until nothing is to be fetched any more. An attempt is told how many failed since
/// something else was to be fetched; `wait` what could not be fetched, if that is known, and how long to wait.
pub(super) async fn persist<A, W>(
    room: &RoomId,
    mut attempt: impl FnMut(usize) -> A,
    mut wait: impl FnMut(Option<PartialRecord>, Duration) -> W,
) where
    A: Future<Output = Result<Attempt, StoreError>>,
    W: Future<Output = ()>,
{
    let (mut pause, mut failures) = (PAUSE, 0);
    loop {
        // A panic must not end the task of all rooms. It leaves nothing half done: a commit is all or nothing.
        let record = match AssertUnwindSafe(attempt(failures)).catch_unwind().await {
            Ok(Ok(Attempt::Done)) => return,
            // Another join began meanwhile.
            Ok(Ok(Attempt::Overtaken)) => {
                (pause, failures) = (PAUSE, 0);
                continue;
            }
            Ok(Ok(Attempt::Failed(record))) => {
                tracing::info!(%room, ?pause, "nobody gives the members of a room");
                Some(record)
            }
            Ok(Err(error)) => {
                tracing::error!(%room, %error, ?pause, "fetching the members of a room has failed");
                None
            }
            Err(_) => {
                tracing::error!(%room, ?pause, "fetching the members of a room has panicked");
                None
            }
        };
        wait(record, pause).await;
        (pause, failures) = ((pause * 2).min(PAUSE_MAX), failures + 1);
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use std::cell::RefCell;

    use ruma::room_id;

    use super::*;
    use crate::store::EventNo;

    #[tokio::test]
    async fn what_fails_for_whatever_reason_is_tried_again_after_a_longer_pause() {
        let record = || PartialRecord { event: EventNo(1), servers: Vec::new(), whole_since: None };
        let (attempts, pauses) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let attempt = |failures: usize| {
            attempts.borrow_mut().push(failures);
            let nth = attempts.borrow().len();
            async move {
                match nth {
                    1 => Err(StoreError::Corrupt { table: "partial", what: "a test" }),
                    2 => panic!("a test"),
                    13 => Ok(Attempt::Overtaken),
                    15 => Ok(Attempt::Done),
                    _ => Ok(Attempt::Failed(record())),
                }
            }
        };
        persist(room_id!("!r:b.example"), attempt, |record, pause| {
            pauses.borrow_mut().push((record.is_some(), pause.as_secs()));
            async {}
        })
        .await;
        assert_eq!(*attempts.borrow(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 1]);
        let lengths: Vec<_> = pauses.borrow().iter().map(|(_, pause)| *pause).collect();
        assert_eq!(lengths, [5, 10, 20, 40, 80, 160, 320, 640, 1_280, 1_800, 1_800, 1_800, 5]);
        let known: Vec<_> = pauses.borrow().iter().map(|(known, _)| *known).collect();
        assert_eq!(known.iter().filter(|known| !**known).count(), 2);
        assert!(!known[..2].contains(&true), "a store that fails and a panic say nothing of what is to be fetched");
    }
}
