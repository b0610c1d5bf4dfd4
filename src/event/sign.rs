//! The server's signing key, and the check of other servers' signatures (spec v1.19, Appendices "Signing JSON").

mod cosign;
pub mod policy;
mod third_party;
mod verify;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ed25519_dalek::{
    Signer as _,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _},
};
use ruma::{
    CanonicalJsonObject, OwnedServerName, ServerName,
    signatures::{JsonError, KeyPair, PublicKeyMap, Signature},
};
use zeroize::Zeroizing;

pub use self::{
    cosign::{cosigned, same_but_signatures},
    policy::{PolicyError, is_for_policy_server, verify_policy, with_policy_signature},
    third_party::answering_keys,
    verify::{KEY_ID_BYTES_MAX, SIGNATURES_MAX, SignedEvent, Signer, read_signature, redact_if_hash_wrong},
};

/// The Ed25519 key with which this server signs, with its name. Never printed.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    key_id: Box<str>,
    server_name: OwnedServerName,
}

/// Why a signing key cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not an Ed25519 key in PKCS#8.
    #[error("not an Ed25519 key in PKCS#8")]
    Document,
    /// The version must be 1 to 64 characters of `A-Z a-z 0-9 _`.
    #[error("`{0}` cannot be the version of a signing key")]
    Version(String),
}

impl SigningKey {
    /// A new key from the system's randomness; its version comes from the public key, so a copy of the key keeps its
    /// name.
    pub fn generate(server_name: OwnedServerName) -> Self {
        let seed = Zeroizing::new(rand::random::<[u8; 32]>());
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let [a, b, c, d, ..] = key.verifying_key().to_bytes();
        Self { key, key_id: format!("ed25519:{a:02x}{b:02x}{c:02x}{d:02x}").into(), server_name }
    }

    /// The key of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32], version: &str, server_name: OwnedServerName) -> Result<Self, KeyError> {
        Self::new(ed25519_dalek::SigningKey::from_bytes(seed), version, server_name)
    }

    /// Reads a PKCS#8 document in DER, as [`SigningKey::to_der`] writes it; `version` is what follows `ed25519:`.
    pub fn from_der(document: &[u8], version: &str, server_name: OwnedServerName) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_der(document).map_err(|_| KeyError::Document)?;
        Self::new(key, version, server_name)
    }

    fn new(key: ed25519_dalek::SigningKey, version: &str, server_name: OwnedServerName) -> Result<Self, KeyError> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if version.is_empty() || version.len() > 64 || !version.bytes().all(known) {
            return Err(KeyError::Version(version.to_owned()));
        }
        Ok(Self { key, key_id: format!("ed25519:{version}").into(), server_name })
    }

    /// The key as a PKCS#8 document in DER. A secret.
    pub fn to_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.key.to_pkcs8_der().map(|document| document.to_bytes()).map_err(|_| KeyError::Document)
    }

    /// `ed25519:` and the version.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What follows `ed25519:`.
    pub fn version(&self) -> &str {
        self.key_id.split_once(':').map_or("", |(_, version)| version)
    }

    /// The server this key speaks for.
    pub fn server_name(&self) -> &ServerName {
        &self.server_name
    }

    /// The public key as unpadded base64, as key documents publish it.
    pub fn verify_key(&self) -> String {
        STANDARD_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }

    /// The signature of these bytes as unpadded base64.
    pub fn sign_base64(&self, message: &[u8]) -> String {
        STANDARD_NO_PAD.encode(self.key.sign(message).to_bytes())
    }

    /// Adds this server's signature to an object other than an event.
    pub fn sign_json(&self, object: &mut CanonicalJsonObject) -> Result<(), JsonError> {
        ruma::signatures::sign_json(self.server_name.as_str(), self, object)
    }

    /// The public half in the shape [`verify`] takes.
    pub fn public_key_map(&self) -> PublicKeyMap {
        let key = ruma::serde::Base64::new(self.key.verifying_key().as_bytes().to_vec());
        [(self.server_name.to_string(), [(self.key_id.to_string(), key)].into())].into()
    }
}

impl KeyPair for SigningKey {
    fn sign(&self, message: &[u8]) -> Signature {
        let id = ruma::SigningKeyId::from_parts(ruma::SigningKeyAlgorithm::Ed25519, self.version().into());
        Signature::new(id, self.key.sign(message).to_bytes().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("key_id", &self.key_id)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
