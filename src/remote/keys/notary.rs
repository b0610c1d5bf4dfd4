//! This server's key document, and documents of others, signed again.
//!
//! Spec v1.19, Server-Server API, "Publishing Keys" and "Querying Keys Through Another Server".

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use ruma::{OwnedServerName, ServerName};
use serde_json::json;

use super::{document::is_plain, fetch::Asker, own::OwnKeys, ring::KeyRing};
use crate::{
    event::{
        SigningKey,
        canonical::{JsonError, Numbers, Object, Value},
    },
    store::StoreError,
};

/// The most servers that one question to this notary may name.
pub const NOTARY_SERVERS_MAX: usize = 100;
/// Servers asked at once for one question.
const ASKED_AT_ONCE: usize = 8;

/// How long this server's document is valid, in milliseconds.
const VALID_MS: u64 = 24 * 3600 * 1000;
/// It is signed anew when so much of that has passed, in milliseconds.
const RENEWED_MS: u64 = VALID_MS / 4;

/// This server's document as it was last signed.
pub(super) struct OwnDocument {
    made_ms: u64,
    json: Arc<str>,
}

impl KeyRing {
    /// The document of this server: the key in use, and those before it. Signed once in six hours, valid for a day.
    ///
    /// # Errors
    /// None that a caller could do anything about: the document is not JSON.
    pub fn own_document(&self) -> Result<Arc<str>, JsonError> {
        let now_ms = self.0.clock.now_ms();
        let mut held = self.0.own_document.lock();
        if let Some(document) = &*held
            && (document.made_ms..document.made_ms + RENEWED_MS).contains(&now_ms)
        {
            return Ok(document.json.clone());
        }
        let json: Arc<str> = sign_own(&self.0.own, now_ms + VALID_MS)?.into();
        *held = Some(OwnDocument { made_ms: now_ms, json: json.clone() });
        Ok(json)
    }

    /// Documents of other servers with this server's signature added, for those who cannot reach them; each with the
    /// time, in Unix milliseconds, until when it has to be valid to be of use.
    ///
    /// What is not known, or not valid for so long, is fetched. A server that does not answer is answered for with what
    /// was known, even stale; one of which nothing is known, or which is not talked to, is left out. Names beyond
    /// [`NOTARY_SERVERS_MAX`] are left out too.
    pub async fn notarise(&self, wanted: Vec<(OwnedServerName, u64)>) -> Result<Vec<String>, StoreError> {
        let answers = wanted.into_iter().take(NOTARY_SERVERS_MAX).map(|(server, valid_until_ms_min)| {
            let ring = self.clone();
            async move { ring.notarise_one(&server, valid_until_ms_min).await }.boxed()
        });
        let answers = stream::iter(answers.collect::<Vec<_>>()).buffered(ASKED_AT_ONCE).collect::<Vec<_>>();
        answers.await.into_iter().filter_map(Result::transpose).collect()
    }

    async fn notarise_one(&self, server: &ServerName, valid_until_ms_min: u64) -> Result<Option<String>, StoreError> {
        if server == self.server_name() {
            return Ok(self.own_document().ok().map(|json| json.as_ref().into()));
        }
        if !self.0.config.federation.allows(server) {
            return Ok(None);
        }
        let now_ms = self.0.clock.now_ms();
        let mut document = self.0.document(server).await?;
        let enough = document.as_ref().is_some_and(|document| {
            document.valid_until_ms >= valid_until_ms_min
                && now_ms < document.fetched_ms.midpoint(document.valid_until_ms)
        });
        if !enough {
            self.fetch(server, Asker::Stranger).await;
            document = self.0.document(server).await?;
        }
        Ok(document.and_then(|document| sign_again(&document.json, self.signing_key())))
    }
}

/// The document of these keys.
fn sign_own(keys: &OwnKeys, valid_until_ms: u64) -> Result<String, JsonError> {
    let key = &keys.current;
    let old = keys.old.iter().map(|old| (old.key_id.clone(), json!({ "expired_ts": old.expired_ms, "key": old.key })));
    let document = json!({
        "old_verify_keys": old.collect::<serde_json::Map<_, _>>(),
        "server_name": key.server_name(),
        "valid_until_ts": valid_until_ms,
        "verify_keys": { key.key_id(): { "key": key.verify_key() } },
    });
    let text = document.to_string();
    let mut object = Object::parse(text.as_bytes(), Numbers::Strict, 10)?;
    add_signature(&mut object, key);
    Ok(object.to_text())
}

/// The document with this server's signature beside the others; `None` where it is not one to sign.
fn sign_again(json: &str, key: &SigningKey) -> Option<String> {
    let mut object = Object::parse(json.as_bytes(), Numbers::Strict, 10).ok()?;
    if !is_plain(&object) {
        return None;
    }
    add_signature(&mut object, key);
    Some(object.to_text())
}

fn add_signature(object: &mut Object<'_>, key: &SigningKey) {
    let mut signatures = match object.remove("signatures") {
        Some(Value::Object(signatures)) => signatures,
        _ => Object::default(),
    };
    object.remove("unsigned");
    let signature = key.sign_base64(object.to_text().as_bytes());
    let mut own = Object::default();
    own.insert(key.key_id().to_owned(), Value::String(signature.into()));
    signatures.insert(key.server_name().to_string(), Value::Object(own));
    object.insert("signatures", Value::Object(signatures));
}
