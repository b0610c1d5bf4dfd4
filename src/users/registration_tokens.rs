//! The tokens that open registration in mode "token".

use std::sync::Arc;

use crate::secret::Secret;

/// The configured registration tokens. Cheap to clone.
#[derive(Clone)]
pub struct RegistrationTokens(Arc<[Secret]>);

impl RegistrationTokens {
    pub(super) fn new(tokens: &[Secret]) -> Self {
        Self(tokens.into())
    }

    /// Whether a token is one of them; how long the answer takes does not tell how nearly.
    pub fn is_valid(&self, token: &Secret) -> bool {
        self.0.iter().fold(false, |found, known| (known == token) | found)
    }
}
