//! An identity server, played by a fake server (specification v1.19, Identity Service API).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Fake, Reply};
use crate::harness::{Answer, Client, Server, escape};

pub(crate) const IDENTITY: &str = "/_matrix/identity/v2";

/// Has the fake server know whose these addresses are, and keep invitations for all others under the tokens `token0`,
/// `token1`, …
pub(crate) fn identify(fake: &Fake, known: &[(&str, &str)]) {
    let details = json!({ "lookup_pepper": "pepper", "algorithms": ["none", "sha256"] });
    fake.answer(Method::GET, &format!("{IDENTITY}/hash_details"), move |_| Reply::ok(details.clone()));
    let hashed = |address: &str| URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{address} email pepper")));
    let known: Vec<(String, String)> = known.iter().map(|(address, user)| (hashed(address), (*user).into())).collect();
    fake.answer(Method::POST, &format!("{IDENTITY}/lookup"), move |received| {
        assert_eq!((&received.body["algorithm"], &received.body["pepper"]), (&json!("sha256"), &json!("pepper")));
        let asked = received.body["addresses"].as_array().unwrap();
        let found = known.iter().filter(|(hash, _)| asked.contains(&json!(hash)));
        Reply::ok(json!({ "mappings": found.cloned().collect::<BTreeMap<_, _>>() }))
    });
    let place = format!("https://{}{IDENTITY}/pubkey/isvalid", fake.name());
    let (key, stored) = (fake.key.verify_key(), Arc::new(AtomicUsize::new(0)));
    fake.answer(Method::POST, &format!("{IDENTITY}/store-invite"), move |_| {
        let token = format!("token{}", stored.fetch_add(1, Ordering::Relaxed));
        let keys = json!([{ "public_key": key, "key_validity_url": place }]);
        Reply::ok(json!({ "token": token, "display_name": "b...@s...", "public_keys": keys }))
    });
    valid(fake, true);
}

/// Has the identity server say whether its key is valid.
pub(crate) fn valid(fake: &Fake, valid: bool) {
    let path = format!("{IDENTITY}/pubkey/isvalid");
    fake.answer(Method::GET, &path, move |_| Reply::ok(json!({ "valid": valid })));
}

/// Somebody to be invited through the fake server.
pub(crate) fn by_address(fake: &Fake, address: &str) -> Value {
    json!({ "id_server": fake.name(), "id_access_token": "secret", "medium": "email", "address": address })
}

/// Has somebody invite by an address.
pub(crate) async fn invite(client: &Client, room: &str, wanted: Value) -> Answer {
    client.post(&format!("/_matrix/client/v3/rooms/{}/invite", escape(room)), wanted).await
}

/// Has the identity server tell of an address that was proved.
pub(crate) async fn tell(fake: &Fake, to: &Server, user: &str, invites: &[(&str, &str, Value)]) -> Answer {
    tell_by(Method::PUT, fake, to, user, invites).await
}

/// The same by another method.
pub(crate) async fn tell_by(
    method: Method,
    fake: &Fake,
    to: &Server,
    user: &str,
    invites: &[(&str, &str, Value)],
) -> Answer {
    let invite = |(room, sender, signed): &(&str, &str, Value)| {
        json!({
            "medium": "email", "address": "bert@school.example", "mxid": user, "room_id": room, "sender": sender,
            "signed": signed,
        })
    };
    let invites: Vec<Value> = invites.iter().map(invite).collect();
    let body = json!({ "medium": "email", "address": "bert@school.example", "mxid": user, "invites": invites });
    fake.call_with(to, method, "/_matrix/federation/v1/3pid/onbind", body, None).await
}

/// What the identity server signs.
pub(crate) fn proof(fake: &Fake, user: &str, token: &str) -> Value {
    fake.sign_json(json!({ "mxid": user, "token": token, "sender": "@anybody:school.example" }))
}
