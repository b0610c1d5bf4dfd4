//! Messages that other servers bring.

use std::collections::BTreeMap;

use ruma::{ServerName, UserId};

use super::{MESSAGES_MAX, Messages, NAME_BYTES_MAX, ToDevice, ToDeviceError, event};
use crate::{
    places::Holder,
    store::{Batch, Order, ServerNo, StoreError, schema::federation::INBOUND_MESSAGES},
};

/// How long it is remembered what another server brought, in milliseconds: it may have been without an answer for days.
const RECEIVED_MS: u64 = 14 * 24 * 3_600_000;
/// Rows that a sweep looks at in one go.
const SWEEP_PAGE: usize = 1_000;

/// What another server brings.
#[derive(Debug)]
pub struct Brought<'a> {
    /// The sender, a user of that server.
    pub sender: &'a UserId,
    /// The type of all messages.
    pub event_type: &'a str,
    /// Chosen by that server; the same one is not taken twice.
    pub message_id: &'a str,
    /// The messages.
    pub messages: Messages,
}

impl ToDevice {
    /// Takes in messages that another server brought for devices of this one. What it brought before is passed over, and
    /// so are messages that are too long. The caller has made sure that the sender is one of that server's users and may
    /// reach the receivers.
    ///
    /// # Errors
    /// The store failed, or too many or too long things at once.
    pub async fn receive(&self, origin: &ServerName, brought: Brought<'_>) -> Result<(), ToDeviceError> {
        if brought.event_type.len() > NAME_BYTES_MAX || brought.message_id.len() > NAME_BYTES_MAX {
            return Err(ToDeviceError::NameTooLong);
        }
        let mut batch = Batch::new();
        let server = self.store.mint_server(origin, &mut batch).await?;
        let id = (server, brought.message_id.to_owned());
        // What comes twice at the same time is looked at one after the other.
        let _guard = self.locks.name(&format!("{origin} {}", brought.message_id)).await;
        if self.store.get(&INBOUND_MESSAGES, &id).await?.is_some() {
            return Ok(());
        }
        let mut rows = BTreeMap::new();
        for (user_id, messages) in &brought.messages {
            if user_id.server_name() != self.server {
                continue;
            }
            let Some(user) = self.store.user(user_id).await? else { continue };
            for (device, content) in messages {
                let Ok(event) = event((brought.sender, brought.event_type), content) else { continue };
                rows.extend(self.devices(user, device).await?.into_iter().map(|id| ((user, id), event.clone())));
                if rows.len() > MESSAGES_MAX {
                    return Err(ToDeviceError::TooLarge);
                }
            }
        }
        // What reaches nobody does nothing when it comes again.
        if rows.is_empty() {
            return Ok(());
        }
        // Its share is its host's, whatever name it has today.
        let holder = Holder::of(origin);
        let share = <&ServerName>::try_from(holder.as_str()).unwrap_or(origin);
        let share = self.store.mint_server(share, &mut batch).await?;
        self.stage(&mut batch, Some(share), rows).await?;
        batch.put(&INBOUND_MESSAGES, &id, &self.clock.now_ms());
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Forgets which messages other servers have brought long ago.
    ///
    /// # Errors
    /// The store failed.
    pub async fn tidy_received(&self) -> Result<(), StoreError> {
        let before = self.clock.now_ms().saturating_sub(RECEIVED_MS);
        let (mut from, end) = ((ServerNo(0), String::new()), (ServerNo(u64::MAX), String::new()));
        loop {
            let rows = self.store.range(&INBOUND_MESSAGES, &from, &end, Order::Ascending, SWEEP_PAGE).await?;
            let Some(((server, id), _)) = rows.last() else { return Ok(()) };
            // The next possible key.
            from = (*server, format!("{id}\0"));
            let mut batch = Batch::new();
            for (key, _) in rows.iter().filter(|(_, at_ms)| *at_ms < before) {
                batch.delete(&INBOUND_MESSAGES, key);
            }
            if !batch.is_empty() {
                self.store.commit(batch).await?;
            }
        }
    }
}
