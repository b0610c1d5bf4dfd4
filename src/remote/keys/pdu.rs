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

use base64::Engine as _;
use ed25519_dalek::Signature;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use ruma::{EventId, OwnedServerName, UserId, room_version_rules::RoomVersionRules, signatures::Verified};
use sha2::{Digest as _, Sha256};

use super::{
    document::{KEY_ID_BYTES_MAX, read_signature},
    error::VerifyError,
    known::{BASE64, Known, Purpose},
    request::{SIGNATURES_MAX, unavailable},
    ring::KeyRing,
};
use crate::event::{
    Pdu,
    canonical::{DEPTH_MAX, Numbers, Object, Value},
    redact,
};

/// Up to so many events are checked at once on the caller's thread.
const INLINE_MAX: usize = 4;
/// Events of one piece of work: some milliseconds.
const PIECE: usize = 64;

/// What was read from an event.
#[derive(Debug, Clone)]
struct Prepared {
    needs: Vec<Need>,
    /// What the signatures cover.
    text: String,
    hash_holds: bool,
    purpose: Purpose,
}

/// A server that must have signed, and the signatures it has made.
#[derive(Debug, Clone)]
struct Need {
    server: OwnedServerName,
    signatures: Vec<(Box<str>, Signature)>,
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
        let mut prepared = self.in_pieces(texts, move |text| prepare(&text, &shared)).await;
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
        let (mut to_fetch, mut to_keep) = (HashSet::new(), HashSet::new());
        for place in prepared.iter_mut() {
            let Ok(event) = place else { continue };
            let mut lacks = false;
            for need in &event.needs {
                let known = if let Some(known) = keys.get(&need.server) {
                    known
                } else {
                    let known = self.known(&need.server).await?;
                    keys.entry(need.server.clone()).or_insert(known)
                };
                if !need.is_met_by(known, event.purpose) {
                    lacks = true;
                    to_fetch.insert(need.server.clone());
                } else if !known.kept && !need.signatures.is_empty() {
                    to_keep.insert(need.server.clone());
                }
            }
            if lacks && !fetching {
                *place = Err(VerifyError::Unavailable);
            }
        }
        for server in to_keep {
            self.0.keep_for_good(&server).await.map_err(unavailable)?;
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

impl Need {
    fn is_met_by(&self, known: &Known, purpose: Purpose) -> bool {
        // Without a signature no key helps.
        self.signatures.is_empty() || known.serves(self.signatures.iter().map(|(key_id, _)| &**key_id), purpose)
    }

    /// Whether one of the signatures is by a key that served then.
    fn check(&self, keys: &KeysByServer, text: &str, purpose: Purpose) -> Result<(), VerifyError> {
        let mut refusal = VerifyError::NoSignature(self.server.clone());
        for (key_id, signature) in &self.signatures {
            refusal = match keys.get(&self.server).and_then(|known| known.keys.get(key_id)) {
                None => VerifyError::UnknownKey(self.server.clone()),
                Some(key) if !key.serves(purpose) => VerifyError::KeyNotValid(self.server.clone()),
                Some(key) => match key.verifying.verify_strict(text.as_bytes(), signature) {
                    Ok(()) => return Ok(()),
                    Err(_) => return Err(VerifyError::BadSignature(self.server.clone())),
                },
            };
        }
        Err(refusal)
    }
}

impl Prepared {
    fn check(&self, keys: &KeysByServer) -> Result<Verified, VerifyError> {
        for need in &self.needs {
            need.check(keys, &self.text, self.purpose)?;
        }
        Ok(if self.hash_holds { Verified::All } else { Verified::Signatures })
    }
}

/// Reads from an event what its check needs.
fn prepare(json: &str, rules: &RoomVersionRules) -> Result<Prepared, VerifyError> {
    let numbers = if rules.authorization.strict_canonical_json { Numbers::Strict } else { Numbers::Lenient };
    let object = read(json, numbers)?;
    let signatures = object.get("signatures").and_then(Value::as_object).ok_or_else(|| malformed("signatures"))?;
    let hash = object.get("hashes").and_then(Value::as_object).and_then(|hashes| hashes.get_str("sha256"));
    let hash = hash.ok_or_else(|| malformed("hashes"))?;
    let mut text = String::with_capacity(json.len());
    object.write_filtered(
        &mut text,
        |key| !matches!(key, "hashes" | "signatures" | "unsigned"),
        |value, _, out| value.write(out),
    );
    let digest = Sha256::digest(text.as_bytes());
    let hash_holds = BASE64.decode(hash).is_ok_and(|stated| stated == digest.as_slice());
    text.clear();
    redact::write_redacted(&object, &rules.redaction, true, &mut text);
    let required = if hash_holds {
        required_servers(&object, rules)?
    } else {
        // Only what a redaction leaves will count, so only that can spare anybody a signature.
        required_servers(&read(&text, numbers)?, rules)?
    };
    let needs = required.into_iter().map(|server| {
        let made = signatures.get(server.as_str()).and_then(Value::as_object);
        let made = made.into_iter().flat_map(Object::iter).take(SIGNATURES_MAX).filter_map(|(key_id, value)| {
            let fits = key_id.starts_with("ed25519:") && key_id.len() <= KEY_ID_BYTES_MAX;
            let signature = value.as_str().filter(|_| fits).and_then(read_signature)?;
            Some((key_id.into(), signature))
        });
        Need { signatures: made.collect(), server }
    });
    let needs = needs.collect();
    let purpose = if rules.enforce_key_validity {
        let sent = object.get("origin_server_ts").and_then(Value::as_integer).and_then(|sent| u64::try_from(sent).ok());
        Purpose::EventAt(sent.ok_or_else(|| malformed("origin_server_ts"))?)
    } else {
        Purpose::AnyEvent
    };
    Ok(Prepared { needs, text, hash_holds, purpose })
}

fn read(json: &str, numbers: Numbers) -> Result<Object<'_>, VerifyError> {
    Object::parse(json.as_bytes(), numbers, DEPTH_MAX).map_err(|error| VerifyError::Malformed(error.to_string()))
}

/// The servers that must have signed an event.
///
/// Spec v1.19, Server-Server API, "Validating hashes and signatures on received events".
fn required_servers(object: &Object<'_>, rules: &RoomVersionRules) -> Result<Vec<OwnedServerName>, VerifyError> {
    let content = object.get("content").and_then(Value::as_object).ok_or_else(|| malformed("content"))?;
    let membership = (object.get_str("type") == Some("m.room.member")).then(|| content.get_str("membership")).flatten();
    let mut servers = Vec::with_capacity(1);
    // An invite by third-party id is in the name of somebody whose server cannot sign it: the token in it is proof. What
    // is no object is no such invite for the authorisation rules either, so it must not be one here.
    let by_third_party = content.get("third_party_invite").and_then(Value::as_object).is_some();
    if membership != Some("invite") || !by_third_party {
        servers.push(server_of(object.get_str("sender"), "sender")?);
    }
    if rules.signatures.check_event_id_server {
        let id = object.get_str("event_id").and_then(|id| <&EventId>::try_from(id).ok()).and_then(EventId::server_name);
        servers.push(id.ok_or_else(|| malformed("event_id"))?.to_owned());
    }
    if rules.signatures.check_join_authorised_via_users_server
        && membership == Some("join")
        && let Some(authoriser) = content.get("join_authorised_via_users_server")
    {
        servers.push(server_of(authoriser.as_str(), "join_authorised_via_users_server")?);
    }
    servers.sort_unstable();
    servers.dedup();
    Ok(servers)
}

fn server_of(user_id: Option<&str>, field: &'static str) -> Result<OwnedServerName, VerifyError> {
    let user_id = user_id.and_then(|id| <&UserId>::try_from(id).ok());
    user_id.map(|id| id.server_name().to_owned()).ok_or_else(|| malformed(field))
}

fn malformed(field: &str) -> VerifyError {
    VerifyError::Malformed(format!("`{field}` is missing or has the wrong form"))
}
