//! Invites to people of whom only an e-mail address or the like is known (spec v1.19, Client-Server API
//! `m.room.third_party_invite`, `m.room.member`; Server-Server API "Third-party invites").

use ruma::OwnedUserId;
use serde_json::value::RawValue;

use super::{Field, fields, items, open, text, value};
use crate::event::canonical::{Numbers, Object, Value};

/// The most keys of one invite that are looked at. Identity servers write two.
const KEYS_MAX: usize = 10;

/// The longest key or address, in bytes. Anything longer reads as absent.
const TEXT_BYTES_MAX: usize = 1_024;

/// The longest object of an identity server that is put into an event, in bytes.
const SIGNED_BYTES_MAX: usize = 8_192;

/// The most keys of such an object, of its signatures, and of the signatures of one server.
const SIGNED_KEYS_MAX: usize = 16;

/// Such an object holds the signatures of servers by key, and nothing that is nested deeper.
const SIGNED_DEPTH_MAX: usize = 3;

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

fields!(KeyFields: public_key, key_validity_url);

impl KeyFields<'_> {
    fn read(&self) -> Option<InviteKey> {
        Some(InviteKey { public_key: bounded(self.public_key)?, key_validity_url: bounded(self.key_validity_url) })
    }
}

impl ThirdPartyInvite {
    /// Reads the content of an `m.room.third_party_invite` event. A used up invite has an empty content and no keys.
    pub fn read(content: &RawValue) -> Self {
        fields!(Fields: display_name, public_keys);
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
    /// Reads a signed object that is to become part of an event made here; `None` for anything but short strings and
    /// signatures. What is kept is its canonical text.
    pub fn parse(signed: &RawValue) -> Option<Self> {
        let text = signed.get();
        if text.len() > SIGNED_BYTES_MAX {
            return None;
        }
        let object = Object::parse(text.as_bytes(), Numbers::Strict, SIGNED_DEPTH_MAX).ok()?;
        let short = |value: &Value<'_>| value.as_str().is_some_and(|text| text.len() <= TEXT_BYTES_MAX);
        let few = |object: &Object<'_>| object.iter().count() <= SIGNED_KEYS_MAX;
        let by_key = |value: &Value<'_>| {
            value.as_object().is_some_and(|keys| few(keys) && keys.iter().all(|(_, signature)| short(signature)))
        };
        let signatures = object.get("signatures")?.as_object()?;
        let others = object.iter().filter(|(key, _)| *key != "signatures");
        let plain = few(&object) && few(signatures) && signatures.iter().all(|(_, keys)| by_key(keys));
        if !plain || !others.into_iter().all(|(_, value)| short(value)) {
            return None;
        }
        let token = object.get_str("token").filter(|token| !token.is_empty() && token.len() <= 255)?;
        Some(Self {
            display_name: None,
            mxid: object.get_str("mxid")?.try_into().ok()?,
            token: token.into(),
            signed: RawValue::from_string(object.to_text()).ok()?,
        })
    }

    /// The servers that are said to have signed it.
    pub fn signers(&self) -> Vec<String> {
        let signed = Object::parse(self.signed.get().as_bytes(), Numbers::Strict, SIGNED_DEPTH_MAX).unwrap_or_default();
        let signatures = signed.get("signatures").and_then(Value::as_object);
        signatures.into_iter().flat_map(Object::iter).map(|(server, _)| server.to_owned()).collect()
    }

    /// Reads it from the content of an `m.room.member` event; `None` where there is none or a part is missing.
    pub fn read(content: &RawValue) -> Option<Self> {
        fields!(Fields: third_party_invite);
        fields!(Invite: display_name, signed);
        fields!(Signed: mxid, token);
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
