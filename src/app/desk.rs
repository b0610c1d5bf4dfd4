//! Where orders of the command line are carried out, in the running server and without one.

use std::{borrow::Cow, sync::Arc};

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::{StartError, build};
use crate::{
    clock::Clock,
    config::Config,
    federation::outbound::{self, FederationAnswer},
    http::services::Services,
    ids::Ids,
    school::orders::{self, SchoolAnswer},
    users::{Answers, Desk},
};

/// The desk of a server: each order goes to the part that knows it.
pub(super) struct ServerDesk(pub(super) Arc<Services>);

/// An order, of which only the name is looked at.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    order: Cow<'a, str>,
}

impl Desk for ServerDesk {
    fn attend<'a>(&'a self, order: &'a [u8], answers: Answers) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            match serde_json::from_slice::<Named<'_>>(order) {
                Ok(named) if named.order.starts_with(orders::PREFIX) => match serde_json::from_slice(order) {
                    Ok(order) => self.0.school.carry_out(order, &answers).await,
                    Err(error) => answers.send(&SchoolAnswer::Failed(error.to_string())).await,
                },
                Ok(named) if named.order.starts_with(outbound::PREFIX) => match serde_json::from_slice(order) {
                    Ok(order) => self.0.federation.outbound.carry_out(order, &answers).await,
                    Err(error) => answers.send(&FederationAnswer::Failed(error.to_string())).await,
                },
                _ => self.0.users.attend(order, answers).await,
            }
        })
    }
}

/// A server that does not listen: the services on the data folder of a stopped one, for the orders of one command.
pub struct Offline {
    services: Arc<Services>,
}

impl Offline {
    /// Opens the data folder and builds every service.
    ///
    /// # Errors
    /// Whatever keeps the server from starting.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let built = Box::pin(build::build(Arc::new(config), Clock::system(), Ids::system())).await?;
        Ok(Self { services: built.services })
    }

    /// Who carries out orders.
    pub fn desk(&self) -> Arc<dyn Desk> {
        Arc::new(ServerDesk(self.services.clone()))
    }

    /// Closes the store. What was committed is durable before.
    pub async fn close(self) {
        let closed = self.services.store.closed();
        let dropped = tokio::task::spawn_blocking(move || drop(self.services));
        // A panic in there was reported when it happened.
        drop(dropped.await);
        // What an order has left running for a moment may hold the store a little longer; it loses nothing.
        drop(tokio::time::timeout(super::STORE_CLOSES, closed).await);
    }
}
