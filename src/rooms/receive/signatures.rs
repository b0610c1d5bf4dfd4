//! Check 2: is it signed by every server that has to sign it, with keys that were valid then?

use ruma::{room_version_rules::RoomVersionRules, signatures::Verified as Hashes};

use super::Refusal;
use crate::{event::Pdu, remote::KeyRing};

/// Checks many events at once; what each answer says besides is whether the content hash fits. Without `fetching` nobody
/// is asked for keys.
pub(super) async fn check(
    keys: &KeyRing,
    pdus: &[Pdu],
    rules: &RoomVersionRules,
    fetching: bool,
) -> Vec<Result<Hashes, Refusal>> {
    let verified =
        if fetching { keys.verify_pdus(pdus, rules).await } else { keys.verify_pdus_at_hand(pdus, rules).await };
    verified.into_iter().map(|checked| checked.map_err(Refusal::Signature)).collect()
}
