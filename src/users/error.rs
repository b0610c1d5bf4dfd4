//! What can go wrong with accounts.

use crate::store::StoreError;

/// Why something about an account was refused. What does not exist is `None`, not an error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UsersError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The name belongs to an account, or belonged to one (`M_USER_IN_USE`).
    #[error("the user name is taken")]
    NameTaken,
    /// The name is not one that this server gives out (`M_INVALID_USERNAME`).
    #[error("{0}")]
    InvalidName(&'static str),
    /// The password is too short (`M_WEAK_PASSWORD`).
    #[error("a password needs at least {length_min} characters")]
    WeakPassword {
        /// The fewest characters.
        length_min: u32,
    },
    /// Wrong name or password; which of them is not said (`M_FORBIDDEN`).
    #[error("wrong user name or password")]
    WrongCredentials,
    /// There is no such account, or it is closed, in an order of an administrator.
    #[error("there is no open account of that name")]
    NoAccount,
    /// The account is the server's own, in an order of an administrator.
    #[error("this is the account of the school itself, to which nobody signs in")]
    Reserved,
    /// The account is closed (`M_USER_DEACTIVATED`).
    #[error("the account has been deactivated")]
    Deactivated,
    /// The account is locked (`M_USER_LOCKED`).
    #[error("the account has been locked")]
    Locked,
    /// A refresh token that is not in use (`M_UNKNOWN_TOKEN`).
    #[error("unknown refresh token")]
    UnknownRefreshToken,
    /// Too many passwords wait to be hashed (503, or `M_LIMIT_EXCEEDED`).
    #[error("too many sign-ins at once")]
    Busy,
    /// Something is longer or larger than allowed (`M_TOO_LARGE`).
    #[error("{0}")]
    TooLarge(&'static str),
    /// A profile key is longer than 255 bytes (`M_KEY_TOO_LARGE`).
    #[error("a profile field's name may have at most 255 bytes")]
    ProfileKeyTooLarge,
    /// The whole profile would be larger than 64 KiB (`M_PROFILE_TOO_LARGE`).
    #[error("a profile may have at most 64 KiB")]
    ProfileTooLarge,
    /// A value is not what the specification allows there (`M_INVALID_PARAM`).
    #[error("{0}")]
    Invalid(&'static str),
    /// The thing to change does not exist (`M_NOT_FOUND`).
    #[error("{0}")]
    NotFound(&'static str),
    /// Something inside failed that is no rule of the protocol.
    #[error("internal: {0}")]
    Internal(&'static str),
}
