//! The `X-Matrix` header of requests that servers sign.

use ruma::api::federation::authentication::{XMatrix, XMatrixParseError};

/// Reads a header. Values with colons need no quotes: older servers leave them out (specification v1.19, Server-Server
/// API, "Request Authentication").
///
/// # Errors
/// It is of another scheme, or lacks something.
pub(super) fn parse(header: &str) -> Result<XMatrix, XMatrixParseError> {
    XMatrix::parse(with_quotes(header))
}

/// The header with quotes around every value that has a colon and no quotes.
fn with_quotes(header: &str) -> String {
    let mut quoted = String::with_capacity(header.len() + 8);
    let mut rest = header;
    while let Some(equals) = rest.find('=') {
        let (name, value) = rest.split_at(equals + 1);
        quoted.push_str(name);
        let (value, after) = value.split_at(value_len(value));
        if value.contains(':') && !value.starts_with('"') {
            quoted.extend(["\"", value, "\""]);
        } else {
            quoted.push_str(value);
        }
        rest = after;
    }
    quoted.push_str(rest);
    quoted
}

/// Where the value at the beginning of a text ends, in bytes.
fn value_len(text: &str) -> usize {
    let end = if text.starts_with('"') {
        let mut escaped = false;
        let closing = text.char_indices().skip(1).find(|(_, c)| {
            let closes = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        });
        closing.map(|(at, _)| at + 1)
    } else {
        text.find([',', ' ', '\t'])
    };
    end.unwrap_or(text.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn values_with_colons_need_no_quotes() {
        let header =
            parse("X-Matrix origin=a.example:8448,destination=\"b.example\",key=ed25519:1,sig=\"c2ln\"").unwrap();
        assert_eq!(header.origin, "a.example:8448");
        assert_eq!(header.destination.unwrap(), "b.example");
        assert_eq!(header.key, "ed25519:1");
        assert_eq!(header.sig.encode(), "c2ln");
    }

    #[test]
    fn what_is_in_quotes_stays_as_it_is() {
        for header in [
            "X-Matrix origin=\"a.example:8448\", key=\"ed25519:1\" ,sig=\"c2ln\"",
            r#"X-Matrix origin="a\"=b:1,c=d:2",sig=token"#,
            "X-Matrix",
            "X-Matrix a=\"never:closed,b=c:1",
        ] {
            assert_eq!(with_quotes(header), header);
        }
        assert_eq!(with_quotes("X-Matrix a=b:1 ,\tc=d:2"), "X-Matrix a=\"b:1\" ,\tc=\"d:2\"");
    }
}
