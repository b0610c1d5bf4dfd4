//! Events that lack what came before them: fetched for, one after the other for each server and room. Servers of one host
//! are one here, as wherever they share something.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use ruma::ServerName;

use super::inbox::{Inbox, Waiting, dropped};
use crate::{
    places::Holder,
    rooms::{
        Room,
        receive::{Outcome, ReceiveError},
    },
    store::{Position, StoreError},
};

/// How long to wait before an event is tried again whose predecessors could not be had.
const PAUSES: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(15), Duration::from_mins(1)];

/// The parked events of one server in one room, or of those of one host.
#[derive(Default)]
pub(super) struct Lane {
    rows: VecDeque<Position>,
    running: bool,
}

impl Lane {
    /// Adds a row; whether a task has to be started for the lane.
    pub(super) fn push(&mut self, row: Position) -> bool {
        self.rows.push_back(row);
        !std::mem::replace(&mut self.running, true)
    }

    /// Rows in it.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The next row; without one the lane rests.
    pub(super) fn next(&mut self) -> Option<Position> {
        let next = self.rows.pop_front();
        self.running = next.is_some();
        next
    }
}

impl Inbox {
    /// Receives the parked events of a server, until there are none.
    pub(super) async fn work_lane(&self, room: &Arc<Room>, holder: &Holder) {
        while let Some(at) = self.next_parked(room.number, holder) {
            let received = tokio::select! {
                () = self.inner().stopping.cancelled() => return,
                received = self.work_parked(room, at) => received,
            };
            if let Err(error) = received {
                tracing::error!(room = %room.id, %error, "a room's inbox cannot be worked off");
                return;
            }
            self.unpark(room.number, at);
        }
    }

    async fn work_parked(&self, room: &Arc<Room>, at: Position) -> Result<(), StoreError> {
        if let Some(row) = self.parked(room.number, at).await? {
            if let Ok(origin) = <&ServerName>::try_from(row.record.origin.as_str()) {
                self.receive_parked(room, origin, &row).await?;
            }
            self.delete(room.number, std::iter::once(at)).await?;
        }
        Ok(())
    }

    /// Receives an event, asking servers for what it lacks. What cannot be had now is tried again a few times.
    async fn receive_parked(&self, room: &Arc<Room>, origin: &ServerName, row: &Waiting) -> Result<(), StoreError> {
        let mut pauses = PAUSES.iter();
        loop {
            match self.try_parked(room, origin, row).await {
                Ok(_) => return Ok(()),
                Err(ReceiveError::Store(error @ StoreError::Corrupt { .. })) => {
                    tracing::error!(room = %room.id, %origin, %error, "an event is given up");
                    return Ok(());
                }
                Err(ReceiveError::Store(error)) => return Err(error),
                Err(error) => {
                    let Some(pause) = pauses.next().filter(|_| may_pass_later(&error)) else {
                        tracing::warn!(room = %room.id, %origin, %error, "an event is given up");
                        return Ok(());
                    };
                    self.inner().clock.sleep(*pause).await;
                }
            }
        }
    }

    async fn try_parked(&self, room: &Arc<Room>, origin: &ServerName, row: &Waiting) -> Result<Outcome, ReceiveError> {
        let rooms = &self.inner().rooms;
        let _places = self.may_fetch(&Holder::of(origin)).await;
        let event = match rooms.verify_one(&room.id, &room.rules, &row.record.json).await {
            Ok(event) => event,
            Err(refusal) => {
                dropped(room, &row.record.origin, &refusal);
                return Err(ReceiveError::Refused(refusal));
            }
        };
        match self.receive_alone(room, event.clone()).await? {
            Err(ReceiveError::Incomplete) => rooms.receive_fetching(room, origin, event).await,
            other => other,
        }
    }
}

/// Whether the same may succeed when it is tried again: what was needed could not be had just then.
fn may_pass_later(error: &ReceiveError) -> bool {
    match error {
        ReceiveError::Remote(error) => error.is_down(),
        ReceiveError::Refused(refusal) => refusal.is_temporary(),
        _ => false,
    }
}
