//! Ephemeral items of transactions: each is dealt with at once, and a bad one disturbs no other.
//!
//! A server speaks for its own users only: what it says of others is not heard (spec v1.19, Server-Server API "EDUs").

use ruma::{
    ServerName,
    api::federation::transactions::edu::{Edu, PresenceContent, ReceiptContent, TypingContent},
    serde::Raw,
};

use super::Inbound;
use crate::store::StoreError;

/// The longest item that is read, in bytes.
const EDU_BYTES_MAX: usize = 512 * 1024;
/// Receipts, or people's presences, that are taken from one item.
const ENTRIES_MAX: usize = 1_000;

impl Inbound {
    /// Deals with the ephemeral items of a transaction.
    pub async fn edus(&self, origin: &ServerName, edus: &[Raw<Edu>]) {
        for edu in edus {
            if edu.json().get().len() > EDU_BYTES_MAX {
                tracing::debug!(%origin, "an ephemeral item is too large");
                continue;
            }
            let done = match edu.deserialize() {
                Ok(edu) => self.edu(origin, edu).await,
                Err(error) => {
                    tracing::debug!(%origin, %error, "an ephemeral item cannot be read");
                    continue;
                }
            };
            if let Err(error) = done {
                tracing::error!(%origin, %error, "an ephemeral item cannot be dealt with");
            }
        }
    }

    async fn edu(&self, origin: &ServerName, edu: Edu) -> Result<(), StoreError> {
        match edu {
            Edu::Typing(typing) => self.typing_edu(origin, &typing).await,
            Edu::Receipt(receipts) => self.receipt_edu(origin, receipts).await,
            Edu::Presence(presence) => self.presence_edu(origin, presence).await,
            Edu::DeviceListUpdate(update) => self.devices.device_list_update(origin, update).await,
            Edu::SigningKeyUpdate(update) => self.devices.signing_key_update(origin, update).await,
            Edu::DirectToDevice(messages) => self.devices.direct_to_device(origin, messages).await,
            _ => Ok(()),
        }
    }

    async fn typing_edu(&self, origin: &ServerName, typing: &TypingContent) -> Result<(), StoreError> {
        self.typing.receive(origin, &typing.room_id, &typing.user_id, typing.typing).await
    }

    async fn receipt_edu(&self, origin: &ServerName, content: ReceiptContent) -> Result<(), StoreError> {
        let rooms = content.receipts.into_iter();
        let receipts = rooms.flat_map(|(room, receipts)| {
            receipts.read.into_iter().map(move |(user, receipt)| (room.clone(), user, receipt))
        });
        for (room, user, receipt) in receipts.take(ENTRIES_MAX) {
            if let Some(event) = receipt.event_ids.last() {
                self.receipts.receive(origin, &room, &user, event, &receipt.data).await?;
            }
        }
        Ok(())
    }

    async fn presence_edu(&self, origin: &ServerName, content: PresenceContent) -> Result<(), StoreError> {
        for update in content.push.into_iter().take(ENTRIES_MAX) {
            self.presence.receive(origin, update).await?;
        }
        Ok(())
    }
}
