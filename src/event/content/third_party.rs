//! Invites to people of whom only an e-mail address or the like is known (spec v1.19, Client-Server API
//! `m.room.third_party_invite`, `m.room.member`; Server-Server API "Third-party invites").

use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Field, items, open, text, value};

/// The most keys of one invite that are looked at. Identity servers write two.
const KEYS_MAX: usize = 10;

/// The longest key or address, in bytes. Anything longer reads as absent.
const TEXT_BYTES_MAX: usize = 1_024;

/// `m.room.third_party_invite`; the state key is the token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThirdPartyInvite {
    /// What others see instead of the address.
    pub display_name: Option<Box<str>>,
    /// The keys that may have signed the answer, each with the address to ask whether it is still valid. The event's
    /// own `public_key` comes first.
    pub public_keys: Vec<InviteKey>,
}

/// A key that may answer an invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteKey {
    /// The Ed25519 key in base64.
    pub public_key: Box<str>,
    /// Where to ask whether it is still valid.
    pub key_validity_url: Option<Box<str>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyFields<'a> {
    #[serde(borrow)]
    public_key: Field<'a>,
    #[serde(borrow)]
    key_validity_url: Field<'a>,
}

impl KeyFields<'_> {
    fn read(&self) -> Option<InviteKey> {
        Some(InviteKey { public_key: bounded(self.public_key)?, key_validity_url: bounded(self.key_validity_url) })
    }
}

impl ThirdPartyInvite {
    /// Reads the content of an `m.room.third_party_invite` event. A used up invite has an empty content and no keys.
    pub fn read(content: &RawValue) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Fields<'a> {
            #[serde(borrow)]
            display_name: Field<'a>,
            #[serde(borrow)]
            public_keys: Field<'a>,
        }
        let fields: Fields<'_> = open(content);
        let first: KeyFields<'_> = open(content);
        let others: Vec<Box<RawValue>> = items(fields.public_keys);
        let others = others.iter().filter_map(|raw| open::<KeyFields<'_>>(raw).read());
        Self {
            display_name: bounded(fields.display_name),
            public_keys: first.read().into_iter().chain(others).take(KEYS_MAX).collect(),
        }
    }
}

/// The `third_party_invite` of an `m.room.member` invite: the identity server's word that an address is a user's.
#[derive(Debug, Clone)]
pub struct SignedInvite {
    /// What others saw instead of the address.
    pub display_name: Option<Box<str>>,
    /// Whose address it is.
    pub mxid: OwnedUserId,
    /// The state key of the `m.room.third_party_invite` event.
    pub token: Box<str>,
    /// The whole signed object, signatures included.
    pub signed: Box<RawValue>,
}

impl SignedInvite {
    /// Reads it from the content of an `m.room.member` event; `None` where there is none or a part is missing.
    pub fn read(content: &RawValue) -> Option<Self> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Fields<'a> {
            #[serde(borrow)]
            third_party_invite: Field<'a>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Invite<'a> {
            #[serde(borrow)]
            display_name: Field<'a>,
            #[serde(borrow)]
            signed: Field<'a>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Signed<'a> {
            #[serde(borrow)]
            mxid: Field<'a>,
            #[serde(borrow)]
            token: Field<'a>,
        }
        let invite: Invite<'_> = open(open::<Fields<'_>>(content).third_party_invite?);
        let signed: Signed<'_> = open(invite.signed?);
        Some(Self {
            display_name: bounded(invite.display_name),
            mxid: value(signed.mxid)?,
            // A state key of 255 bytes is the longest there is.
            token: text(signed.token).filter(|token| token.len() <= 255)?,
            signed: invite.signed?.to_owned(),
        })
    }
}

fn bounded(field: Field<'_>) -> Option<Box<str>> {
    text(field).filter(|text| text.len() <= TEXT_BYTES_MAX)
}
