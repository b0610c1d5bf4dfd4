//! Registration with a shared secret: how tools make accounts (`/_synapse/admin/v1/register`).
//!
//! The interface is Synapse's, because the tools that use it are everywhere: a nonce is fetched, and comes back with an
//! HMAC-SHA1 over nonce, name, password, whether an administrator is made and, if sent, the user type, joined by NUL.

use std::{collections::HashMap, fmt::Write as _, sync::Arc, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use sha1::Sha1;

use crate::{clock::Clock, ids::Ids, secret::Secret};

/// How long a nonce is valid.
const NONCE_LIFETIME: Duration = Duration::from_mins(1);

/// Nonces at once. Beyond this none is given out until the old ones have ended.
const NONCES_MAX: usize = 10_000;

/// What a tool asks for.
#[derive(Debug)]
pub struct SharedSecretRequest<'a> {
    /// From [`SharedSecret::nonce`].
    pub nonce: &'a str,
    /// The part of the user id before the colon.
    pub username: &'a str,
    /// The password.
    pub password: &'a Secret,
    /// Whether an administrator is made.
    pub admin: bool,
    /// Synapse's kind of account; part of the code when sent.
    pub user_type: Option<&'a str>,
    /// The code, in hexadecimal.
    pub mac: &'a str,
}

/// Gives out nonces and checks codes. Cheap to clone.
#[derive(Clone)]
pub struct SharedSecret {
    secret: Option<Secret>,
    nonces: Arc<Mutex<HashMap<String, Duration>>>,
    clock: Clock,
    ids: Ids,
}

impl SharedSecret {
    pub(super) fn new(secret: Option<Secret>, clock: Clock, ids: Ids) -> Self {
        Self { secret, nonces: Arc::default(), clock, ids }
    }

    /// Whether a secret is configured; without one the endpoint does not exist.
    pub fn is_enabled(&self) -> bool {
        self.secret.is_some()
    }

    /// A nonce, valid once and for a minute; `None` when too many are waiting, or there is no secret.
    pub fn nonce(&self) -> Option<String> {
        self.secret.as_ref()?;
        let now = self.clock.elapsed();
        let mut nonces = self.nonces.lock();
        if nonces.len() >= NONCES_MAX {
            nonces.retain(|_, end| *end > now);
        }
        if nonces.len() >= NONCES_MAX {
            return None;
        }
        let nonce = self.ids.opaque(64);
        nonces.insert(nonce.clone(), now + NONCE_LIFETIME);
        Some(nonce)
    }

    /// Uses a nonce up; whether it was valid.
    pub fn use_nonce(&self, nonce: &str) -> bool {
        self.nonces.lock().remove(nonce).is_some_and(|end| end > self.clock.elapsed())
    }

    /// Whether the code of a request is right.
    pub fn is_authentic(&self, request: &SharedSecretRequest<'_>) -> bool {
        let (Some(secret), Some(given)) = (&self.secret, from_hex(request.mac)) else { return false };
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()) else { return false };
        let admin = if request.admin { "admin" } else { "notadmin" };
        let parts = [request.nonce, request.username, request.password.expose(), admin];
        for (position, part) in parts.into_iter().chain(request.user_type).enumerate() {
            if position > 0 {
                mac.update(&[0]);
            }
            mac.update(part.as_bytes());
        }
        mac.verify_slice(&given).is_ok()
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| if let [high, low] = pair { Some(digit(*high)? << 4 | digit(*low)?) } else { None }).collect()
}

/// Bytes in hexadecimal, lower case.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    fn mac(secret: &str, message: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(message.as_bytes());
        to_hex(&mac.finalize().into_bytes())
    }

    #[test]
    fn the_code_covers_every_field() {
        // RFC 2202, test case 2.
        assert_eq!(mac("Jefe", "what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let service = SharedSecret::new(Some("secret".into()), Clock::test(0), Ids::system());
        let password = Secret::from("pass word");
        let code = mac("secret", "n\0anna\0pass word\0notadmin");
        let request = |username, admin, user_type, mac| SharedSecretRequest {
            nonce: "n",
            username,
            password: &password,
            admin,
            user_type,
            mac,
        };
        assert!(service.is_authentic(&request("anna", false, None, &code)));
        let upper = code.to_uppercase();
        assert!(service.is_authentic(&request("anna", false, None, &upper)));
        assert!(!service.is_authentic(&request("anna", true, None, &code)));
        assert!(!service.is_authentic(&request("annb", false, None, &code)));
        assert!(!service.is_authentic(&request("anna", false, Some("bot"), &code)));
        let code = mac("secret", "n\0anna\0pass word\0notadmin\0bot");
        assert!(service.is_authentic(&request("anna", false, Some("bot"), &code)));
        for broken in ["", "zz", "0", "00ff"] {
            assert!(!service.is_authentic(&request("anna", false, None, broken)));
        }
        let without = SharedSecret::new(None, Clock::test(0), Ids::system());
        assert!(without.nonce().is_none() && !without.is_authentic(&request("anna", false, Some("bot"), &code)));
    }

    #[test]
    fn a_nonce_works_once_and_for_a_minute() {
        let clock = Clock::test(0);
        let service = SharedSecret::new(Some("secret".into()), clock.clone(), Ids::system());
        let (first, second) = (service.nonce().unwrap(), service.nonce().unwrap());
        assert!(service.use_nonce(&first));
        assert!(!service.use_nonce(&first));
        clock.advance(NONCE_LIFETIME);
        assert!(!service.use_nonce(&second));
        assert!(!service.use_nonce("made up"));
        for _ in 0..NONCES_MAX {
            service.nonce().unwrap();
        }
        assert!(service.nonce().is_none());
        clock.advance(NONCE_LIFETIME);
        assert!(service.nonce().is_some());
    }
}
