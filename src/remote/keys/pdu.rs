//! Signatures and hashes of events, many at a time.
//!
//! An event is read once: what is signed, by whom, and whether its content hash holds come out of that reading; then the
//! keys are gathered, one fetch for each server; then the signatures are checked. The first and the last step run on as
//! many threads as there are cores, however many callers there are.

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use ruma::{
    OwnedServerName,
    room_version_rules::RoomVersionRules,
    signatures::{VerificationError, Verified},
};

use super::{
    error::VerifyError,
    known::{Known, Purpose},
    ring::KeyRing,
};
use crate::event::{
    Pdu,
    sign::{SignedEvent, Signer},
};

/// Up to so many events are checked at once on the caller's thread.
const INLINE_MAX: usize = 4;
/// Events of one piece of work: some milliseconds.
const PIECE: usize = 64;

/// What was read from an event, and what its keys must be good for.
struct Prepared {
    event: SignedEvent,
    purpose: Purpose,
}

/// The keys of the servers that a batch needs.
type KeysByServer = HashMap<OwnedServerName, Arc<Known>>;

impl KeyRing {
    /// Checks the signatures an event must carry in its room version, and its content hash. Missing keys are fetched.
    ///
    /// [`Verified::Signatures`] means that the content hash is wrong, and the event must be redacted before use.
    pub async fn verify_pdu(&self, pdu: &Pdu, rules: &RoomVersionRules) -> Result<Verified, VerifyError> {
        self.verify_pdus(std::slice::from_ref(pdu), rules).await.pop().unwrap_or(Err(VerifyError::Unavailable))
    }

    /// The same for many events of a room, in their order. One fetch for each server whose keys are missing, some
    /// servers at a time, and a minute for all of them.
    pub async fn verify_pdus<P: Borrow<Pdu> + Sync>(
        &self,
        pdus: &[P],
        rules: &RoomVersionRules,
    ) -> Vec<Result<Verified, VerifyError>> {
        self.verify_with(pdus, rules, true).await
    }

    /// The same with the keys that are here: nobody is asked, nothing is waited for. An event for which they do not do
    /// is [`VerifyError::Unavailable`].
    pub async fn verify_pdus_at_hand<P: Borrow<Pdu> + Sync>(
        &self,
        pdus: &[P],
        rules: &RoomVersionRules,
    ) -> Vec<Result<Verified, VerifyError>> {
        self.verify_with(pdus, rules, false).await
    }

    async fn verify_with<P: Borrow<Pdu> + Sync>(
        &self,
        pdus: &[P],
        rules: &RoomVersionRules,
        fetching: bool,
    ) -> Vec<Result<Verified, VerifyError>> {
        let shared = Arc::new(rules.clone());
        let texts: Vec<Box<str>> = pdus.iter().map(|pdu| pdu.borrow().json.clone()).collect();
        let mut prepared = self.in_pieces(texts, move |text| Prepared::read(&text, &shared)).await;
        let keys = match self.keys_of(&mut prepared, fetching).await {
            Ok(keys) => Arc::new(keys),
            Err(error) => return pdus.iter().map(|_| Err(error.clone())).collect(),
        };
        self.in_pieces(prepared, move |event| event.and_then(|event| event.check(&keys))).await
    }

    /// The keys of every server that must have signed one of these. Where what is known does not do they are fetched,
    /// or else the event counts as [`VerifyError::Unavailable`].
    async fn keys_of(
        &self,
        prepared: &mut [Result<Prepared, VerifyError>],
        fetching: bool,
    ) -> Result<KeysByServer, VerifyError> {
        let mut keys = KeysByServer::new();
        let mut to_fetch = HashSet::new();
        for place in prepared.iter_mut() {
            let Ok(event) = place else { continue };
            let mut lacks = false;
            for signer in &event.event.required {
                let known = if let Some(known) = keys.get(&signer.server) {
                    known
                } else {
                    let known = self.known(&signer.server).await?;
                    keys.entry(signer.server.clone()).or_insert(known)
                };
                if !suffices(known, signer, event.purpose) {
                    lacks = true;
                    to_fetch.insert(signer.server.clone());
                }
            }
            if lacks && !fetching {
                *place = Err(VerifyError::Unavailable);
            }
        }
        if !fetching {
            return Ok(keys);
        }
        let fetched: Vec<_> = to_fetch.iter().cloned().collect();
        self.fetch_all(to_fetch).await;
        for server in fetched {
            let known = self.known(&server).await?;
            keys.insert(server, known);
        }
        Ok(keys)
    }

    /// Does the same to many items, in pieces, on the threads for such work; the answers keep the order.
    async fn in_pieces<I: Send + 'static, O: Send + 'static>(
        &self,
        items: Vec<I>,
        work: impl Fn(I) -> Result<O, VerifyError> + Send + Sync + 'static,
    ) -> Vec<Result<O, VerifyError>> {
        if items.len() <= INLINE_MAX {
            return items.into_iter().map(work).collect();
        }
        let work = Arc::new(work);
        let mut items = items.into_iter();
        let mut pieces = Vec::new();
        loop {
            let piece: Vec<I> = items.by_ref().take(PIECE).collect();
            if piece.is_empty() {
                break;
            }
            let (ring, work, count) = (self.clone(), work.clone(), piece.len());
            let piece = async move {
                let done = ring.on_checker(move || Ok(piece.into_iter().map(&*work).collect::<Vec<_>>())).await;
                done.unwrap_or_else(|error| (0..count).map(|_| Err(error.clone())).collect())
            };
            pieces.push(piece.boxed());
        }
        let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let done: Vec<Vec<_>> = stream::iter(pieces).buffered(at_once).collect().await;
        done.into_iter().flatten().collect()
    }
}

impl Prepared {
    /// Reads what the check needs.
    fn read(json: &str, rules: &RoomVersionRules) -> Result<Self, VerifyError> {
        let malformed = |error: VerificationError| VerifyError::Malformed(error.to_string());
        let event = SignedEvent::read(json, rules).map_err(malformed)?;
        let purpose = if rules.enforce_key_validity {
            let sent_ms = event.sent_ms.ok_or_else(|| VerifyError::Malformed("no `origin_server_ts`".to_owned()))?;
            Purpose::EventAt(sent_ms)
        } else {
            Purpose::AnyEvent
        };
        Ok(Self { event, purpose })
    }

    fn check(&self, keys: &KeysByServer) -> Result<Verified, VerifyError> {
        for signer in &self.event.required {
            check(signer, keys, &self.event.text, self.purpose)?;
        }
        Ok(if self.event.hash_holds { Verified::All } else { Verified::Signatures })
    }
}

/// Whether nothing more is to be fetched for the check of a server's signatures.
fn suffices(known: &Known, signer: &Signer, purpose: Purpose) -> bool {
    // Without a signature no key helps.
    signer.signatures.is_empty() || known.serves(signer.signatures.iter().map(|(key_id, _)| &**key_id), purpose)
}

/// Whether one of a server's signatures is by a key that served then.
fn check(signer: &Signer, keys: &KeysByServer, text: &str, purpose: Purpose) -> Result<(), VerifyError> {
    let mut refusal = VerifyError::NoSignature(signer.server.clone());
    for (key_id, signature) in &signer.signatures {
        refusal = match keys.get(&signer.server).and_then(|known| known.keys.get(key_id)) {
            None => VerifyError::UnknownKey(signer.server.clone()),
            Some(key) if !key.serves(purpose) => VerifyError::KeyNotValid(signer.server.clone()),
            Some(key) => match key.verifying.verify_strict(text.as_bytes(), signature) {
                Ok(()) => return Ok(()),
                Err(_) => return Err(VerifyError::BadSignature(signer.server.clone())),
            },
        };
    }
    Err(refusal)
}
