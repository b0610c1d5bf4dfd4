//! The names of accounts.

use ruma::{OwnedUserId, ServerName, UserId};

use super::UsersError;

/// The longest user id, in bytes, with its `@`, `:` and server name (specification v1.19, appendices, "User
/// identifiers").
const USER_ID_BYTES_MAX: usize = 255;

/// The name of the account through which the server itself acts in rooms. Nobody else gets it.
pub const RESERVED_LOCALPART: &str = "school";

/// The user id of a new account.
///
/// # Errors
/// [`UsersError::InvalidName`] for names outside the specification's grammar for new user ids. Ids that others made
/// under older rules are not judged here.
pub fn new_user_id(localpart: &str, server: &ServerName) -> Result<OwnedUserId, UsersError> {
    if localpart.is_empty() {
        return Err(UsersError::InvalidName("A user name cannot be empty"));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=/+-".contains(&byte);
    if !localpart.bytes().all(allowed) {
        return Err(UsersError::InvalidName("A user name may have only the characters a-z 0-9 . _ = / + -"));
    }
    let id = format!("@{localpart}:{server}");
    if id.len() > USER_ID_BYTES_MAX {
        return Err(UsersError::InvalidName("This user name is too long"));
    }
    UserId::parse(id).map_err(|_| UsersError::InvalidName("This is not a user name"))
}

/// The user id that somebody means who signs in, or an administrator at the command line: a whole id, or its part
/// before the colon. `None` when it cannot be an account here.
pub fn meant_user_id(text: &str, server: &ServerName) -> Option<OwnedUserId> {
    if text.len() > USER_ID_BYTES_MAX {
        return None;
    }
    // Names are lower case here; people and their phones' keyboards are not.
    let text = text.strip_prefix('@').unwrap_or(text);
    let (localpart, of) = text.split_once(':').unwrap_or((text, server.as_str()));
    let whole = UserId::parse(format!("@{}:{of}", localpart.to_lowercase()));
    whole.ok().filter(|id| id.server_name() == server)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use ruma::server_name;

    use super::*;

    #[test]
    fn new_names_keep_to_the_grammar() {
        let server = server_name!("school.example");
        for name in ["anna", "a.b_c=d/e+f-1", "0"] {
            assert_eq!(new_user_id(name, server).unwrap(), format!("@{name}:school.example"));
        }
        for name in ["", "Anna", "an na", "änna", "a:b", "@anna", "a\0", "a!"] {
            assert!(new_user_id(name, server).is_err(), "{name}");
        }
        let longest = 255 - "@:school.example".len();
        assert!(new_user_id(&"a".repeat(longest), server).is_ok());
        assert!(new_user_id(&"a".repeat(longest + 1), server).is_err());
    }

    #[test]
    fn a_person_is_meant_by_name_or_id() {
        let server = server_name!("school.example");
        for text in ["anna", "Anna", "@anna:school.example", "@ANNA:school.example", "@anna"] {
            assert_eq!(meant_user_id(text, server).unwrap(), "@anna:school.example");
        }
        for text in ["@anna:other.example", "a\0", ""] {
            assert!(meant_user_id(text, server).is_none_or(|id| id.localpart().is_empty()), "{text:?}");
        }
    }
}
