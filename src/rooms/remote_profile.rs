//! Profiles of users of other servers: asked for, and remembered for a moment.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::Method;
use ruma::UserId;
use serde_json::value::RawValue;

use super::{Rooms, reading::Fields};
use crate::{
    remote::{RemoteError, Terms},
    store::StoreError,
};

/// How long somebody waits for another server.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest profile, in bytes, by the specification, and some air.
const PROFILE_BYTES_MAX: usize = 128 << 10;
/// How long a profile is kept.
const KEPT: Duration = Duration::from_mins(1);

impl Rooms {
    /// The profile of a user of another server; `None` when there is none, or the server does not say.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remote_profile(
        &self,
        user: &UserId,
    ) -> Result<Option<Arc<BTreeMap<String, Box<RawValue>>>>, StoreError> {
        let now = self.parts.clock.now_ms();
        let kept_ms = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
        if let Some((at, fields)) = self.reading.profiles.get(user)
            && now.saturating_sub(at) < kept_ms
        {
            return Ok(fields);
        }
        let fields = match self.ask_for_profile(user).await {
            Ok(fields) => Some(fields),
            Err(RemoteError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::debug!(%user, %error, "a profile cannot be had");
                // That somebody has no profile is an answer; that their server does not answer is none.
                if error.is_down() {
                    return Ok(None);
                }
                None
            }
        };
        self.reading.profiles.insert(user.to_owned(), (now, fields.clone()));
        Ok(fields)
    }

    async fn ask_for_profile(&self, user: &UserId) -> Result<Fields, RemoteError> {
        let query: String = form_urlencoded(user.as_str());
        let uri = format!("/_matrix/federation/v1/query/profile?user_id={query}");
        let request = http::Request::builder().method(Method::GET).uri(uri).body(Vec::new());
        let request = request.map_err(|error| RemoteError::Request(error.to_string()))?;
        let terms = Terms::anyway().within(PATIENCE).at_most(PROFILE_BYTES_MAX);
        let answer = self.parts.remote.send_raw(user.server_name(), request, terms).await?;
        let malformed = |error: serde_json::Error| RemoteError::Malformed(error.to_string());
        let fields: BTreeMap<String, Option<Box<RawValue>>> =
            serde_json::from_slice(answer.body()).map_err(malformed)?;
        let present = fields.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Ok(Arc::new(present.collect()))
    }
}

/// Percent-encoding of everything that is not plain.
fn form_urlencoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
