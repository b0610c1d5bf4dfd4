//! What runs beside the requests. Every task ends when it is told to; none holds anything that must be written then.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::desk::ServerDesk;
use crate::{
    http::{Acme, CertificateFiles, services::Services},
    users::{AdminSocket, Desk, UsersError},
};

/// How often idle rate limits are forgotten.
const LIMITS_SWEPT: Duration = Duration::from_mins(1);

/// How long a task waits after the store has failed it.
const RETRY: Duration = Duration::from_secs(30);

/// The certificates that are kept current.
pub(super) struct Certificates {
    pub(super) files: Option<Arc<CertificateFiles>>,
    pub(super) acme: Option<Acme>,
}

/// Starts every task.
pub(super) fn spawn(
    services: &Arc<Services>,
    socket: AdminSocket,
    certificates: Certificates,
    tasks: &TaskTracker,
    end: &CancellationToken,
) {
    let start = Spawner { services, tasks, end };
    start.task(sweep_limits);
    start.task(watch_store);
    start.task(|services| async move { services.users.housekeeping().await });
    start.task(|services| async move { services.sync.wake_neighbours().await });
    start.task(|services| services.rooms.clone().keep_transactions_swept());
    start.task(|services| services.receipts.clone().keep_taking_up());
    start.task(|services| services.rooms.clone().keep_whole());
    start.task(|services| async move { services.school.keep_day().await });
    start.task(|services| async move { services.school.rooms.keep().await });
    start.task(|services| async move { services.school.rooms.send_on().await });
    start.task(|services| async move { services.school.keep_accounts().await });
    start.task(|services| async move { services.school.imports.keep_working().await });
    start.task(|services| services.federation.outbound.clone().run());
    start.task(|services| services.federation.inbound.clone().run());
    start.task(|services| services.federation.devices.clone().run());
    start.task(leave_rooms_of_closed_accounts);
    if let Some(files) = certificates.files {
        start.task(|services| files.keep_current(services.clock.clone()));
    }
    if let Some(acme) = certificates.acme {
        start.task(|_| acme.keep_current());
    }
    start.task(|services| async move {
        let desk: Arc<dyn Desk> = Arc::new(ServerDesk(services.clone()));
        socket.serve(&desk, &services.clock).await;
    });
}

struct Spawner<'a> {
    services: &'a Arc<Services>,
    tasks: &'a TaskTracker,
    end: &'a CancellationToken,
}

impl Spawner<'_> {
    /// Runs a task until it ends or is told to.
    fn task<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce(Arc<Services>) -> F) {
        let (task, end) = (task(self.services.clone()), self.end.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = task => {}
            }
        });
    }
}

async fn sweep_limits(services: Arc<Services>) {
    loop {
        services.clock.sleep(LIMITS_SWEPT).await;
        services.limiter.sweep();
    }
}

/// A store that refused a write stays that way until the restart, so one report is all there is to say.
async fn watch_store(services: Arc<Services>) {
    let reason = services.store.health().failed().await;
    services.health.fail("store", reason);
}

/// Closed accounts leave their rooms, also those that a crash has kept from it.
async fn leave_rooms_of_closed_accounts(services: Arc<Services>) {
    loop {
        if let Err(error) = leave_rooms_of_next(&services).await {
            tracing::warn!(%error, "a closed account could not leave its rooms");
            services.clock.sleep(RETRY).await;
        }
    }
}

async fn leave_rooms_of_next(services: &Services) -> Result<(), UsersError> {
    let queue = &services.users.deactivations;
    let (user, _) = queue.next().await?;
    let user_id = services.store.user_id(user).await?;
    services.rooms.leave_all(user, &user_id).await?;
    queue.done(user).await
}
