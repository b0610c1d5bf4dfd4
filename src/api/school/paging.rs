//! Parts of lists: `limit` and `from` of a request, `next_batch` of its answer.

use crate::http::{ApiError, PathArgs};

/// Entries of a page when the request does not say.
pub const LIMIT_DEFAULT: u32 = 50;

/// Entries of a page at most.
pub const LIMIT_MAX: u32 = 200;

/// How many entries to answer. More than [`LIMIT_MAX`] is answered with that many.
///
/// # Errors
/// `M_INVALID_PARAM` for 0.
pub fn limit(asked: Option<u32>) -> Result<usize, ApiError> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        0 => Err(ApiError::invalid_param("limit has to be at least 1")),
        asked => Ok(asked.min(LIMIT_MAX) as usize),
    }
}

/// Where to go on, in lists whose `from` is a number.
///
/// # Errors
/// `M_INVALID_PARAM` for what this server did not answer as `next_batch`.
pub fn number(from: Option<&str>) -> Result<Option<u64>, ApiError> {
    from.map(str::parse).transpose().map_err(|_| ApiError::invalid_param("from is not a next_batch of this list"))
}

/// `next_batch` of a list whose `from` is the number of the last entry that was answered: none after the last page.
pub fn next(entries: usize, limit: usize, last: Option<u64>) -> Option<String> {
    last.filter(|_| entries >= limit).map(|number| number.to_string())
}

/// A number in the path.
///
/// # Errors
/// `M_NOT_FOUND` for what is no number: there is nothing of that name.
pub fn id(path: &PathArgs, position: usize) -> Result<u64, ApiError> {
    path.get(position).parse().map_err(|_| ApiError::not_found("There is no such thing"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bounded() {
        assert_eq!(limit(None).unwrap(), 50);
        assert_eq!(limit(Some(1)).unwrap(), 1);
        assert_eq!(limit(Some(1_000_000)).unwrap(), 200);
        assert!(limit(Some(0)).is_err());
    }

    #[test]
    fn a_token_is_a_number_of_ours() {
        assert_eq!(number(None).unwrap(), None);
        assert_eq!(number(Some("7")).unwrap(), Some(7));
        assert!(number(Some("-7")).is_err());
        assert_eq!(next(2, 2, Some(7)), Some("7".into()));
        assert_eq!(next(1, 2, Some(7)), None);
    }
}
