//! `m.room.server_acl`: the servers that may take part in a room (spec v1.19, Client-Server API `m.room.server_acl`).

mod matcher;

use std::collections::HashSet;

use ruma::ServerName;
use serde_json::value::RawValue;

use self::matcher::Name;
use super::{Field, fields, items, open, value};

/// The longest server name that anything can match, in bytes. User ids are no longer, so no server with users has a
/// longer name.
const NAME_BYTES_MAX: usize = 255;

/// Which servers may take part. Read once per event; a question costs time in proportion to the event's size at worst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAcl {
    allow: Patterns,
    deny: Patterns,
    allow_ip_literals: bool,
}

impl ServerAcl {
    /// Reads the content of an `m.room.server_acl` event with an empty state key. Where the room has no such event,
    /// everybody may take part; where it has one without `allow`, nobody.
    pub fn read(content: &RawValue) -> Self {
        fields!(Fields: allow, deny, allow_ip_literals);
        let fields: Fields<'_> = open(content);
        Self {
            allow: Patterns::read(fields.allow),
            deny: Patterns::read(fields.deny),
            allow_ip_literals: value(fields.allow_ip_literals).unwrap_or(true),
        }
    }

    /// Whether this server may take part. Its port does not matter, nor does the case of letters.
    pub fn allows(&self, server: &ServerName) -> bool {
        if server.is_ip_literal() && !self.allow_ip_literals {
            return false;
        }
        let host = server.host().to_ascii_lowercase();
        let Some(name) = Name::new(&host) else { return false };
        !self.deny.matches(&host, &name) && self.allow.matches(&host, &name)
    }
}

/// One of the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Patterns {
    /// Those without wildcards, which are most.
    literal: HashSet<Box<str>>,
    /// Those with them, in lower case.
    globs: Vec<Box<str>>,
}

impl Patterns {
    fn read(field: Field<'_>) -> Self {
        let mut patterns = Self::default();
        for pattern in items::<String>(field) {
            let pattern = pattern.to_ascii_lowercase();
            if !pattern.contains(['*', '?']) {
                patterns.literal.insert(pattern.into());
            } else if pattern.bytes().all(|byte| byte == b'*') {
                // One star matches everything: the others need no look.
                return Self { literal: HashSet::new(), globs: vec!["*".into()] };
            } else {
                patterns.globs.push(pattern.into());
            }
        }
        patterns
    }

    fn matches(&self, host: &str, name: &Name) -> bool {
        self.literal.contains(host) || self.globs.iter().any(|glob| name.matches(glob))
    }
}
