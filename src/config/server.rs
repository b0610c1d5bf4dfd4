//! `[server]`: who this server is.

use ruma::{OwnedServerName, owned_server_name};

use super::{
    problem::Refusal,
    section::section,
    value::{Value, quoted, string},
};

section! {
    /// Who this server is.
    pub struct Server in "server" {
        /// The domain that user ids end with: `@anna:school.example`. It is part of every id for good: once there
        /// are accounts, it cannot be changed.
        pub name: OwnedServerName = owned_server_name!("school.example"), required "school.example";

        /// Where clients reach this server, if that is not https:// and the name: answered at
        /// `/.well-known/matrix/client`, and used in links.
        pub public_url: Option<PublicUrl> = None, example "https://matrix.school.example";

        /// Where other servers reach this server, if that is not the name at port 8448: answered at
        /// `/.well-known/matrix/server`, which other servers ask for at https:// and the name.
        pub federation_address: Option<OwnedServerName> = None, example "matrix.school.example:443";
    }
}

/// An `http` or `https` address without query, kept without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The directory of Let's Encrypt.
    pub(super) fn lets_encrypt() -> Self {
        Self("https://acme-v02.api.letsencrypt.org/directory".to_owned())
    }

    /// The address, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for PublicUrl {
    fn read(value: &toml::Value) -> Result<Self, Refusal> {
        let text = string(value, "an address")?;
        let valid = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
        });
        if valid && !text.contains(['#', '@']) {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            let refusal = Refusal::new(format!("{text:?} is not a web address"));
            Err(refusal.hint("write it with its scheme, such as \"https://matrix.school.example\""))
        }
    }

    fn write(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_public_urls() {
        let read = |text: &str| PublicUrl::read(&toml::Value::from(text));
        assert_eq!(read("https://a.example/").unwrap().as_str(), "https://a.example");
        assert_eq!(read("http://127.0.0.1:8008").unwrap().as_str(), "http://127.0.0.1:8008");
        for text in ["a.example", "ftp://a.example", "https://", "https://a.example/?x", "https://u@a.example", "/x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
