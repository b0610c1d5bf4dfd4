//! What an administrator at the command line can ask of the federation. The same code serves the admin socket of a running
//! server and a command that has opened the data folder of a stopped one.

use std::collections::{BTreeSet, HashSet};

use ruma::{OwnedServerName, ServerName};
use serde::{Deserialize, Serialize};

use super::service::{Inner, Outbound, SERVERS_MAX};
use crate::{
    remote::keys::OwnKeys,
    store::{Order, Position, RoomNo, ServerNo, StoreError, schema::federation::OUTGOING},
    users::Answers,
};

/// What the names of all of these orders begin with.
pub const PREFIX: &str = "federation_";

/// Events that are counted for somebody who asks; items of the outbox likewise.
const COUNTED_MAX: usize = 10_000;

/// An order. On the socket it is a JSON object in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum FederationOrder {
    /// Tell how it is with the other servers.
    FederationStatus {
        /// This one; all if not given.
        server: Option<String>,
    },
    /// Try a server again at once.
    FederationRetry {
        /// Its name.
        server: String,
    },
    /// Sign with a new key from the next start on.
    FederationRotateKey {},
}

impl FederationOrder {
    /// The order as a line for the socket, with its line break.
    pub fn to_line(&self) -> String {
        // An order is made of texts only.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// An answer to an order, in one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FederationAnswer {
    /// A server.
    Server(Box<ServerLine>),
    /// It is done. The last answer.
    Done(String),
    /// It is not done, and why. The last answer.
    Failed(String),
}

/// How it is with another server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerLine {
    /// Its name.
    pub server: String,
    /// Whether `[federation] allow` names it.
    pub allowed: bool,
    /// When it last answered, Unix milliseconds; 0 for never.
    pub last_success_ms: u64,
    /// Since when it does not, Unix milliseconds; 0 while it does.
    pub failing_since_ms: u64,
    /// Requests that have failed one after the other.
    pub failures: u32,
    /// Not before this time is it tried again, Unix milliseconds; 0 if it is not left alone.
    pub retry_at_ms: u64,
    /// Rooms in which it has members.
    pub rooms: u64,
    /// Rooms of which it has missed something.
    pub rooms_behind: u64,
    /// Events that it is still to have, at most 10,000 are counted.
    pub events_behind: u64,
    /// Messages and device lists that wait for it, at most 10,000 are counted.
    pub edus_waiting: u64,
}

impl Outbound {
    /// Carries out an order of an administrator at the command line.
    pub async fn carry_out(&self, order: FederationOrder, answers: &Answers) {
        let done = match order {
            FederationOrder::FederationStatus { server } => self.order_status(server, answers).await,
            FederationOrder::FederationRetry { server } => self.order_retry(&server).await,
            FederationOrder::FederationRotateKey {} => self.order_rotation().await,
        };
        let last = done.unwrap_or_else(|error| FederationAnswer::Failed(error.to_string()));
        answers.send(&last).await;
    }

    async fn order_status(&self, server: Option<String>, answers: &Answers) -> Result<FederationAnswer, StoreError> {
        let inner = &self.0;
        let numbers = match server {
            Some(name) => match inner.meant(&name).await? {
                Some((_, number)) => vec![number],
                None => return Ok(unknown(&name)),
            },
            None => inner.all_servers().await?,
        };
        for number in numbers {
            answers.send(&FederationAnswer::Server(Box::new(inner.line(number).await?))).await;
        }
        Ok(FederationAnswer::Done(String::new()))
    }

    async fn order_retry(&self, name: &str) -> Result<FederationAnswer, StoreError> {
        let Some((name, number)) = self.0.meant(name).await? else { return Ok(unknown(name)) };
        // For a stopped server: its next start tries at once.
        self.0.parts.remote.destinations().heard_from(&name).await?;
        self.0.board.release(number, true);
        Ok(FederationAnswer::Done(format!("{name} is tried again at once")))
    }

    async fn order_rotation(&self) -> Result<FederationAnswer, StoreError> {
        OwnKeys::order_rotation(&self.0.parts.store).await?;
        Ok(FederationAnswer::Done("the next start of the server makes a new signing key".to_owned()))
    }
}

fn unknown(name: &str) -> FederationAnswer {
    FederationAnswer::Failed(format!("this server has not met {name:?}"))
}

impl Inner {
    async fn meant(&self, name: &str) -> Result<Option<(OwnedServerName, ServerNo)>, StoreError> {
        let Ok(name) = ServerName::parse(name) else { return Ok(None) };
        Ok(self.parts.store.server(&name).await?.map(|number| (name, number)))
    }

    /// Every server that shares or shared a room, was asked something, or for which something waits, by name.
    async fn all_servers(&self) -> Result<Vec<ServerNo>, StoreError> {
        let store = &self.parts.store;
        let mut numbers: BTreeSet<ServerNo> = self.servers_with_rooms(SERVERS_MAX).await?.into_iter().collect();
        numbers.extend(self.parts.outbox.servers_waiting().await?);
        for (name, _) in self.parts.remote.destinations().list(SERVERS_MAX).await? {
            numbers.extend(store.server(&name).await?);
        }
        let mut named = Vec::with_capacity(numbers.len());
        for number in numbers {
            named.push((store.server_name(number).await?, number));
        }
        named.sort_unstable();
        Ok(named.into_iter().map(|(_, number)| number).collect())
    }

    async fn line(&self, server: ServerNo) -> Result<ServerLine, StoreError> {
        let name = self.parts.store.server_name(server).await?;
        let record = self.parts.remote.destinations().get(&name).await?;
        let known = self.board.look(server);
        let sent = known.map_or(record.sent, |(sent, _)| sent.max(record.sent));
        let now_ms = self.parts.clock.now_ms();
        let waits = known.and_then(|(_, waits)| waits).unwrap_or_default().max(record.retry_at_ms);
        let behind = self.rooms_behind(server, sent).await?;
        Ok(ServerLine {
            allowed: self.parts.outbox.allows(&name),
            server: name.to_string(),
            last_success_ms: record.last_success_ms,
            failing_since_ms: record.failing_since_ms,
            failures: record.failures,
            retry_at_ms: if waits > now_ms { waits } else { 0 },
            rooms: self.count_rooms(server).await?,
            rooms_behind: behind.len() as u64,
            events_behind: self.count_events(&behind, sent).await?,
            edus_waiting: self.parts.outbox.durable(server, COUNTED_MAX).await?.len() as u64,
        })
    }

    async fn count_events(&self, rooms: &[RoomNo], sent: Position) -> Result<u64, StoreError> {
        if rooms.is_empty() {
            return Ok(0);
        }
        let rooms: HashSet<RoomNo> = rooms.iter().copied().collect();
        let (from, to) = (Position(sent.0 + 1), Position(u64::MAX));
        let rows = self.parts.store.range(&OUTGOING, &from, &to, Order::Descending, COUNTED_MAX).await?;
        Ok(rows.iter().filter(|(_, room)| rooms.contains(room)).count() as u64)
    }
}
