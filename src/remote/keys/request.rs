//! `X-Matrix` signatures of requests, and signatures of other JSON.
//!
//! Spec v1.19, Server-Server API, "Request Authentication"; Appendices, "Checking for a Signature".

use std::sync::Arc;

use ed25519_dalek::Signature;
use ruma::{ServerName, api::federation::authentication::XMatrix};

use super::{
    error::VerifyError,
    fetch::Asker,
    known::{Known, Purpose},
    ring::KeyRing,
};
use crate::event::{
    canonical::{DEPTH_MAX, Numbers, Object, Value, write_string},
    sign::{SIGNATURES_MAX, read_signature},
};

/// Levels of a request around the events in it.
const ENVELOPE_DEPTH: usize = 8;

/// Bodies above this are read on a thread for such work, in bytes.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// What a request's signature covers, besides who speaks to whom.
#[derive(Debug, Clone)]
pub struct SignedRequest {
    /// `GET`, `PUT` or `POST`.
    pub method: http::Method,
    /// Path and query exactly as they came.
    pub uri: Box<str>,
    /// The JSON body; empty for none.
    pub body: bytes::Bytes,
}

impl KeyRing {
    /// Checks the signature of a request that names this server as its destination, or none.
    ///
    /// The key has to be in use by `origin` now: an old key is good for events only. An unknown key is fetched.
    pub async fn verify_request(&self, header: &XMatrix, request: SignedRequest) -> Result<(), VerifyError> {
        let own = self.server_name().to_owned();
        if header.destination.as_ref().is_some_and(|destination| *destination != own) {
            return Err(VerifyError::Destination);
        }
        let origin = header.origin.clone();
        if origin == own {
            return Err(VerifyError::BadSignature(origin));
        }
        let signature = Signature::from_slice(header.sig.as_bytes());
        let signature = signature.map_err(|_| VerifyError::BadSignature(origin.clone()))?;
        let key_id = header.key.to_string();
        let known = self.keys_in_use(&origin, &key_id).await?;
        let small = request.body.len() <= INLINE_BYTES_MAX;
        let check = move || {
            let text = signed_text(&request, &origin, &own)?;
            let key = known.keys.get(key_id.as_str()).ok_or_else(|| VerifyError::UnknownKey(origin.clone()))?;
            let held = key.verifying.verify_strict(text.as_bytes(), &signature);
            held.map_err(|_| VerifyError::BadSignature(origin))
        };
        if small { check() } else { self.on_checker(check).await }
    }

    /// Checks that `server` has signed this JSON object with a key that it uses now.
    pub async fn verify_json(&self, json: &[u8], server: &ServerName) -> Result<(), VerifyError> {
        let mut object = read(json)?;
        object.remove("unsigned");
        let signatures = object.remove("signatures");
        let signatures = signatures.as_ref().and_then(Value::as_object).and_then(|all| all.get(server.as_str()));
        let missing = || VerifyError::NoSignature(server.to_owned());
        let signatures = signatures.and_then(Value::as_object).ok_or_else(missing)?;
        let text = object.to_text();
        let mut refusal = missing();
        for (key_id, signature) in signatures.iter().take(SIGNATURES_MAX) {
            let Some(signature) = signature.as_str().and_then(read_signature) else { continue };
            refusal = match self.keys_in_use(server, key_id).await {
                Ok(known) => {
                    let held =
                        known.keys.get(key_id).map(|key| key.verifying.verify_strict(text.as_bytes(), &signature));
                    match held {
                        Some(Ok(())) => return Ok(()),
                        _ => VerifyError::BadSignature(server.to_owned()),
                    }
                }
                Err(error) => error,
            };
        }
        Err(refusal)
    }

    /// The keys of a server, among them `key_id`, which it uses now.
    async fn keys_in_use(&self, server: &ServerName, key_id: &str) -> Result<Arc<Known>, VerifyError> {
        let now_ms = self.0.clock.now_ms();
        let purpose = Purpose::Now(now_ms);
        let mut known = self.known(server).await?;
        // Who has never signed an event that came here may be an invention of whoever asks.
        let asker = if known.kept { Asker::Ourselves } else { Asker::Stranger };
        if !known.serves([key_id], purpose) {
            self.fetch(server, asker).await;
            known = self.known(server).await?;
        } else if known.ages(now_ms) {
            self.refresh(server, asker);
        }
        match known.keys.get(key_id) {
            Some(key) if key.serves(purpose) => Ok(known),
            Some(_) => Err(VerifyError::KeyNotValid(server.to_owned())),
            None => Err(VerifyError::UnknownKey(server.to_owned())),
        }
    }

    /// What is known without asking, with a failure of the store told as ours.
    pub(super) async fn known(&self, server: &ServerName) -> Result<Arc<Known>, VerifyError> {
        self.0.known(server).await.map_err(|error| {
            tracing::error!(%error, "keys of another server cannot be read");
            VerifyError::Unavailable
        })
    }

    /// Does a piece of work on one of as many threads as there are cores.
    pub(super) async fn on_checker<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, VerifyError> + Send + 'static,
    ) -> Result<T, VerifyError> {
        let Ok(place) = self.0.checkers.clone().acquire_owned().await else { return Err(VerifyError::Unavailable) };
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        done.await.unwrap_or(Err(VerifyError::Unavailable))
    }
}

/// The canonical text of a request.
fn signed_text(request: &SignedRequest, origin: &ServerName, destination: &ServerName) -> Result<String, VerifyError> {
    let mut text = String::with_capacity(request.body.len() + request.uri.len() + 200);
    text.push('{');
    if !request.body.is_empty() {
        text.push_str("\"content\":");
        read(&request.body)?.write(&mut text);
        text.push(',');
    }
    let rest = [
        ("\"destination\":", destination.as_str()),
        (",\"method\":", request.method.as_str()),
        (",\"origin\":", origin.as_str()),
        (",\"uri\":", &request.uri),
    ];
    for (key, value) in rest {
        text.push_str(key);
        write_string(&mut text, value);
    }
    text.push('}');
    Ok(text)
}

/// Events of old rooms may hold any number, and transactions hold events.
fn read(json: &[u8]) -> Result<Object<'_>, VerifyError> {
    Object::parse(json, Numbers::Lenient, DEPTH_MAX + ENVELOPE_DEPTH)
        .map_err(|error| VerifyError::Malformed(error.to_string()))
}
