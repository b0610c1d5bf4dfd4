//! Identity servers: whose e-mail address is whose, and invitations for addresses that nobody has proved yet.
//!
//! Spec v1.19, Identity Service API. The administrator names the servers; a user brings a token of their own. What a
//! server answers is bounded and of no more use than what it says: a user id, or a token with the keys for its answer.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, Method, header};
use reqwest::Url;
use ruma::{
    OwnedMxcUri, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName,
    third_party_invite::IdentityServerBase64PublicKey,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Client, RemoteError, Terms};
use crate::secret::Secret;

/// How long one answer may take: somebody waits for three.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const BYTES_MAX: usize = 64 << 10;
/// The longest name, address of the web or token of an answer, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// The longest state key, in bytes: the token becomes one.
const TOKEN_BYTES_MAX: usize = 255;
/// The longest access token that a user may bring, in bytes.
const ACCESS_TOKEN_BYTES_MAX: usize = 4_096;
/// The most keys of one invitation. Servers name two.
const KEYS_MAX: usize = 10;
/// Bytes of an Ed25519 key.
const KEY_BYTES: usize = 32;
/// The only way in which addresses are told in a look-up.
const SHA256: &str = "sha256";

/// Why an identity server is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityRefusal {
    /// The administrator has named none.
    Off,
    /// The administrator has not named this one.
    NotNamed,
}

/// An identity server that the administrator has named, as one user asks it.
#[derive(Clone)]
pub struct IdentityServer {
    client: Client,
    name: OwnedServerName,
    access_token: Secret,
}

impl std::fmt::Debug for IdentityServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IdentityServer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An invitation to be kept for whoever proves an address. Spec v1.19, Identity Service API, `POST /store-invite`.
#[derive(Debug, Clone, Serialize)]
pub struct NewInvite {
    /// The kind of address.
    pub medium: &'static str,
    /// The address.
    pub address: String,
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who invites.
    pub sender: OwnedUserId,
    /// The rest is for the letter that is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_alias: Option<OwnedRoomAliasId>,
    /// The room's picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_avatar_url: Option<OwnedMxcUri>,
    /// How the room is joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_join_rules: Option<String>,
    /// The room's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_name: Option<String>,
    /// What kind of room it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
    /// The name of who invites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_display_name: Option<String>,
    /// Their picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_avatar_url: Option<String>,
}

/// What an identity server answers to it, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInvite {
    /// The state key of the `m.room.third_party_invite` event.
    pub token: String,
    /// What others see in place of the address.
    pub display_name: String,
    /// The keys for the answer, each with the address to ask whether it is still valid.
    pub public_keys: Vec<(String, String)>,
}

impl Client {
    /// Whether the administrator has named any identity server.
    pub fn has_identity_servers(&self) -> bool {
        !self.federation().identity_servers.is_empty()
    }

    /// Whether the administrator has named this one.
    pub fn names_identity_server(&self, name: &str) -> bool {
        <&ServerName>::try_from(name).is_ok_and(|name| self.federation().names_identity_server(name))
    }

    /// An identity server by its name and port, as a user asks it with a token of their own.
    ///
    /// # Errors
    /// [`IdentityRefusal`].
    pub fn identity_server(&self, name: &str, access_token: Secret) -> Result<IdentityServer, IdentityRefusal> {
        if !self.has_identity_servers() {
            return Err(IdentityRefusal::Off);
        }
        let name = OwnedServerName::try_from(name).map_err(|_| IdentityRefusal::NotNamed)?;
        if !self.federation().names_identity_server(&name) {
            return Err(IdentityRefusal::NotNamed);
        }
        Ok(IdentityServer { client: self.clone(), name, access_token })
    }

    /// Whether a key that answered an invitation is still valid, as the place says that the invitation names (spec
    /// v1.19, Identity Service API, `GET /pubkey/isvalid`).
    ///
    /// # Errors
    /// [`RemoteError`]; nothing is known of the key then.
    pub async fn is_key_valid(&self, address: &str, public_key: &str) -> Result<bool, RemoteError> {
        #[derive(Deserialize)]
        struct Answer {
            valid: bool,
        }
        let mut url = Url::parse(address).map_err(|error| RemoteError::Request(error.to_string()))?;
        url.query_pairs_mut().append_pair("public_key", public_key);
        match self.fetch(url.as_str(), BYTES_MAX, WITHIN).await {
            Ok(answer) => read(answer.body()).map(|Answer { valid }| valid),
            Err(error) if error.status() == Some(http::StatusCode::NOT_FOUND) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl IdentityServer {
    /// Whose an address is. The server learns its hash only, if it has not known it before.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn look_up(&self, medium: &str, address: &str) -> Result<Option<OwnedUserId>, RemoteError> {
        match self.look_up_once(medium, address).await {
            // The pepper has changed in between.
            Err(error) if error.errcode() == Some("M_INVALID_PEPPER") => self.look_up_once(medium, address).await,
            other => other,
        }
    }

    async fn look_up_once(&self, medium: &str, address: &str) -> Result<Option<OwnedUserId>, RemoteError> {
        #[derive(Deserialize)]
        struct Details {
            lookup_pepper: String,
            algorithms: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Found {
            mappings: BTreeMap<String, String>,
        }
        let details: Details = self.ask(Method::GET, "hash_details", &Value::Null).await?;
        if !details.algorithms.iter().any(|algorithm| algorithm == SHA256) {
            return Err(malformed("it does not know SHA-256"));
        }
        let pepper = details.lookup_pepper;
        let hash = hashed(medium, address, &pepper);
        let body = json!({ "algorithm": SHA256, "pepper": pepper, "addresses": [hash] });
        let mut found: Found = self.ask(Method::POST, "lookup", &body).await?;
        match found.mappings.remove(&hash) {
            None => Ok(None),
            Some(user) => OwnedUserId::try_from(user).map(Some).map_err(|_| malformed("an address is nobody's")),
        }
    }

    /// Has an invitation kept, and a letter sent to the address.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn store_invite(&self, invite: &NewInvite) -> Result<StoredInvite, RemoteError> {
        let body = serde_json::to_value(invite).map_err(|error| RemoteError::Request(error.to_string()))?;
        let answer: StoredAnswer = self.ask(Method::POST, "store-invite", &body).await?;
        answer.check(&invite.address)
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: &Value) -> Result<T, RemoteError> {
        let url = Url::parse(&format!("https://{}/_matrix/identity/v2/{path}", self.name));
        let mut request = reqwest::Request::new(method, url.map_err(|error| RemoteError::Request(error.to_string()))?);
        if self.access_token.expose().len() > ACCESS_TOKEN_BYTES_MAX {
            return Err(RemoteError::Request("the access token is too long".to_owned()));
        }
        let bearer = HeaderValue::try_from(format!("Bearer {}", self.access_token.expose()));
        let mut bearer = bearer.map_err(|_| RemoteError::Request("the access token fits no header".to_owned()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        if !body.is_null() {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.to_string().into());
        }
        let terms = Terms::default().within(WITHIN).at_most(BYTES_MAX);
        read(self.client.ask_directly(request, terms).await?.body())
    }
}

/// An answer to `POST /store-invite` as it comes.
#[derive(Deserialize)]
struct StoredAnswer {
    token: String,
    display_name: String,
    public_keys: Vec<StoredKey>,
}

#[derive(Deserialize)]
struct StoredKey {
    public_key: String,
    key_validity_url: String,
}

impl StoredAnswer {
    /// What becomes part of an event is short and of the form that it should have.
    fn check(self, address: &str) -> Result<StoredInvite, RemoteError> {
        let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b".=_-~".contains(&byte);
        if self.token.is_empty() || self.token.len() > TOKEN_BYTES_MAX || !self.token.bytes().all(in_token) {
            return Err(malformed("the token of an invitation"));
        }
        if self.display_name.len() > TEXT_BYTES_MAX || self.display_name.to_lowercase().contains(address) {
            return Err(malformed("what is shown of an invitation is too long, or tells the address"));
        }
        let is_key = |key: &str| {
            IdentityServerBase64PublicKey(key.to_owned()).decode().is_ok_and(|bytes| bytes.len() == KEY_BYTES)
        };
        let is_place = |place: &str| place.len() <= TEXT_BYTES_MAX && place.starts_with("https://");
        let fits = |key: &StoredKey| is_key(&key.public_key) && is_place(&key.key_validity_url);
        let count = self.public_keys.len();
        if count == 0 || count > KEYS_MAX || !self.public_keys.iter().all(fits) {
            return Err(malformed("the keys of an invitation"));
        }
        let public_keys = self.public_keys.into_iter().map(|key| (key.public_key, key.key_validity_url)).collect();
        Ok(StoredInvite { token: self.token, display_name: self.display_name, public_keys })
    }
}

/// An address as it is told in a look-up (spec v1.19, Identity Service API, "sha256").
fn hashed(medium: &str, address: &str, pepper: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{address} {medium} {pepper}")))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, RemoteError> {
    serde_json::from_slice(body).map_err(|error| RemoteError::Malformed(error.to_string()))
}

fn malformed(what: &str) -> RemoteError {
    RemoteError::Malformed(what.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    const KEY: &str = "VXuGitF39UH5iRfvbIknlvlAVKgD1BsLDMvBf0pmp7c";

    #[test]
    fn addresses_are_hashed_as_the_specification_says() {
        for (medium, address, hash) in [
            ("email", "alice@example.com", "4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc"),
            ("email", "bob@example.com", "LJwSazmv46n0hlMlsb_iYxI0_HXEqy_yj6Jm636cdT8"),
            ("msisdn", "18005552067", "nlo35_T5fzSGZzJApqu8lgIudJvmOQtDaHtr-I4rU7I"),
        ] {
            assert_eq!(hashed(medium, address, "matrixrocks"), hash);
        }
    }

    #[test]
    fn only_what_fits_into_an_event_is_taken() {
        let answer = |change: fn(&mut Value)| {
            let mut answer = json!({
                "token": "a.b_c-d=e", "display_name": "a...@s...",
                "public_keys": [{ "public_key": KEY, "key_validity_url": "https://id.example/isvalid" }],
            });
            change(&mut answer);
            let answer: StoredAnswer = serde_json::from_value(answer).unwrap();
            answer.check("ada@school.example")
        };
        assert_eq!(answer(|_| {}).unwrap().token, "a.b_c-d=e");
        let changes: [fn(&mut Value); 10] = [
            |answer| answer["token"] = json!(""),
            |answer| answer["token"] = json!("a b"),
            |answer| answer["token"] = json!("a".repeat(256)),
            |answer| answer["display_name"] = json!("Ada@School.example"),
            |answer| answer["display_name"] = json!("x".repeat(2_000)),
            |answer| answer["public_keys"] = json!([]),
            |answer| answer["public_keys"] = vec![answer["public_keys"][0].clone(); 11].into(),
            |answer| answer["public_keys"][0]["public_key"] = json!("AAAA"),
            |answer| answer["public_keys"][0]["key_validity_url"] = json!("http://id.example/isvalid"),
            |answer| answer["public_keys"][0]["key_validity_url"] = json!(format!("https://{}", "x".repeat(2_000))),
        ];
        for change in changes {
            assert!(answer(change).is_err());
        }
    }
}
