//! Checks 1 to 3: what has to hold before an event may be looked at.

use std::sync::Arc;

use ruma::{RoomId, room_version_rules::RoomVersionRules};

use super::{format, hash, signatures};
use crate::{
    event::Pdu,
    remote::{KeyRing, keys::VerifyError},
    rooms::Rooms,
};

/// An event that has passed checks 1 to 3: well-formed, signed by whom it has to be, and of the room it was asked for.
/// Nothing else makes one.
#[derive(Debug, Clone)]
pub struct Verified(Arc<Pdu>);

impl Verified {
    /// The event.
    pub fn pdu(&self) -> &Arc<Pdu> {
        &self.0
    }

    /// The event, to be stored.
    pub(super) fn into_pdu(self) -> Pdu {
        Arc::unwrap_or_clone(self.0)
    }
}

/// Why an event is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Check 1.
    #[error("not an event of this room version: {0}")]
    Format(String),
    /// It belongs to another room than the one it came for.
    #[error("an event of another room")]
    OtherRoom,
    /// Check 2.
    #[error(transparent)]
    Signature(VerifyError),
}

impl Refusal {
    /// Whether the same may pass when it is tried again: the key could not be had now.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Signature(error) if error.is_temporary())
    }
}

impl Rooms {
    /// Puts events of a room through checks 1 to 3; the answers stand in the order of the texts.
    pub async fn verify<'a>(
        &self,
        room: &RoomId,
        rules: &RoomVersionRules,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Vec<Result<Verified, Refusal>> {
        self.verify_with(room, rules, texts, true).await
    }

    /// The same with the keys that are here: nobody is asked. Where they do not do, the refusal is temporary.
    pub async fn verify_at_hand<'a>(
        &self,
        room: &RoomId,
        rules: &RoomVersionRules,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Vec<Result<Verified, Refusal>> {
        self.verify_with(room, rules, texts, false).await
    }

    /// `ask` is whether keys that are not here are fetched.
    async fn verify_with<'a>(
        &self,
        room: &RoomId,
        rules: &RoomVersionRules,
        texts: impl IntoIterator<Item = &'a str>,
        ask: bool,
    ) -> Vec<Result<Verified, Refusal>> {
        let parsed: Vec<_> = texts.into_iter().map(|text| format::check(text, room, rules)).collect();
        verify_parsed(self.parts.remote.keys(), parsed, rules, ask).await
    }

    /// The same for one event.
    pub async fn verify_one(&self, room: &RoomId, rules: &RoomVersionRules, text: &str) -> Result<Verified, Refusal> {
        let checked = self.verify(room, rules, [text]).await.pop();
        checked.unwrap_or_else(|| Err(Refusal::Format("nothing".to_owned())))
    }

    /// An event that this server has just made and signed, to go the way of those received.
    pub(in crate::rooms) fn own_verified(&self, pdu: Pdu) -> Option<Verified> {
        (pdu.sender.server_name() == self.parts.server_name).then(|| Verified(Arc::new(pdu)))
    }
}

async fn verify_parsed(
    keys: &KeyRing,
    parsed: Vec<Result<Pdu, Refusal>>,
    rules: &RoomVersionRules,
    fetching: bool,
) -> Vec<Result<Verified, Refusal>> {
    let mut well_formed = Vec::with_capacity(parsed.len());
    let places: Vec<Result<(), Refusal>> = parsed.into_iter().map(|pdu| pdu.map(|pdu| well_formed.push(pdu))).collect();
    let signed = signatures::check(keys, &well_formed, rules, fetching).await;
    let mut checked = well_formed.into_iter().zip(signed);
    places
        .into_iter()
        .map(|place| {
            place?;
            let (pdu, hashes) = checked.next().ok_or(Refusal::Signature(VerifyError::Unavailable))?;
            hash::check(pdu, &hashes?, rules).map(|pdu| Verified(Arc::new(pdu)))
        })
        .collect()
}
