//! Addresses, in the one form in which identity servers know them (spec v1.19, Appendices "3PID Types").

use crate::rooms::RoomsError;

/// The longest e-mail address, in bytes.
const EMAIL_BYTES_MAX: usize = 320;
/// The most digits of a telephone number with its country (ITU-T E.164).
const DIGITS_MAX: usize = 15;

/// The kind of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    Email,
    Telephone,
}

impl Medium {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Telephone => "msisdn",
        }
    }
}

/// An address of somebody. It is written into no log and no event.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) medium: Medium,
    pub(super) text: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Address").field("medium", &self.medium).finish_non_exhaustive()
    }
}

impl Address {
    /// Reads what a client sent.
    ///
    /// # Errors
    /// [`RoomsError::AddressDenied`] for a kind that is not known, [`RoomsError::Invalid`] for what is no address.
    pub(super) fn read(medium: &str, text: &str) -> Result<Self, RoomsError> {
        let text = text.trim();
        match medium {
            "email" => {
                let text = fold(text);
                let parts = text.rsplit_once('@').filter(|(name, domain)| !name.is_empty() && !domain.is_empty());
                let plain = !text.chars().any(|character| character.is_whitespace() || character.is_control());
                if parts.is_none() || !plain || text.len() > EMAIL_BYTES_MAX || text.contains(['<', '>']) {
                    return Err(RoomsError::Invalid("this is not an e-mail address".to_owned()));
                }
                Ok(Self { medium: Medium::Email, text })
            }
            "msisdn" => {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                if text.is_empty() || text.len() > DIGITS_MAX || !digits {
                    return Err(RoomsError::Invalid("this is not a telephone number in digits".to_owned()));
                }
                Ok(Self { medium: Medium::Telephone, text: text.to_owned() })
            }
            _ => Err(RoomsError::AddressDenied("people are invited by e-mail or telephone only".to_owned())),
        }
    }
}

/// Without the difference of capital letters: "ß" is "ss". By capitals, as the standard's full folding does it.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        for (medium, text, expected) in [
            ("email", " Strauß@Example.com ", "strauss@example.com"),
            ("email", "a.b+c@school.example", "a.b+c@school.example"),
            ("msisdn", "18005552067", "18005552067"),
        ] {
            assert_eq!(Address::read(medium, text).unwrap().text, expected);
        }
        for (medium, text) in [
            ("email", "nobody"),
            ("email", "@school.example"),
            ("email", "ada@"),
            ("email", "ada lovelace@school.example"),
            ("email", "Ada <ada@school.example>"),
            ("email", "a\u{0}@school.example"),
            ("msisdn", "+18005552067"),
            ("msisdn", ""),
            ("msisdn", "1234567890123456"),
            ("pigeon", "ada"),
        ] {
            assert!(Address::read(medium, text).is_err(), "{medium} {text}");
        }
        let long = format!("{}@school.example", "a".repeat(320));
        assert!(Address::read("email", &long).is_err());
        assert!(!format!("{:?}", Address::read("email", "ada@school.example").unwrap()).contains("ada"));
    }
}
