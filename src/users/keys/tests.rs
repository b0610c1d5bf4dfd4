//! Keys as clients use them: real Ed25519 signatures over the service.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;

use ruma::{
    CanonicalJsonValue, OwnedDeviceId, OwnedUserId, UserId,
    canonical_json::CanonicalJsonObject,
    serde::{Base64, Raw, base64::Standard},
    signatures::{Ed25519KeyPair, sign_json},
};
use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::{store::UserNo, users::test::Fixture};

/// A person with one device, and the secret halves of their keys.
struct Person {
    user: UserNo,
    id: OwnedUserId,
    device: OwnedDeviceId,
    device_key: Ed25519KeyPair,
    cross: [Ed25519KeyPair; 3],
}

fn key_pair(version: &str) -> Ed25519KeyPair {
    Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), version.to_owned()).unwrap()
}

fn public(key: &Ed25519KeyPair) -> String {
    Base64::<Standard, _>::new(key.public_key().to_vec()).encode()
}

/// A key whose id is its own public half.
fn self_named() -> Ed25519KeyPair {
    let der = Ed25519KeyPair::generate();
    let name = public(&Ed25519KeyPair::from_der(&der, String::new()).unwrap());
    Ed25519KeyPair::from_der(&der, name).unwrap()
}

fn raw<T>(value: &Value) -> Raw<T> {
    Raw::from_json(RawValue::from_string(value.to_string()).unwrap())
}

fn signed(value: Value, signer: &UserId, key: &Ed25519KeyPair) -> Value {
    let mut object: CanonicalJsonObject = serde_json::from_value(value).unwrap();
    sign_json(signer.as_str(), key, &mut object).unwrap();
    serde_json::from_str(&CanonicalJsonValue::Object(object).to_string()).unwrap()
}

impl Person {
    async fn new(server: &Fixture, name: &str) -> Self {
        let (registered, grant) = server.register(name).await;
        let device = grant.device_id.clone();
        let device_key = key_pair(device.as_str());
        let id = registered.user_id;
        let user = server.store.user(&id).await.unwrap().unwrap();
        Self { user, id, device, device_key, cross: [self_named(), self_named(), self_named()] }
    }

    fn device_keys(&self) -> Value {
        let keys = json!({
            "user_id": self.id,
            "device_id": self.device,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": {
                format!("ed25519:{}", self.device): public(&self.device_key),
                format!("curve25519:{}", self.device): "3C5BFWi2Y8MaVvjM8M22DBmh24PmgR0nPvJOIArzgyI",
            },
        });
        signed(keys, &self.id, &self.device_key)
    }

    /// A cross-signing key as it is uploaded: 0 master, 1 self-signing, 2 user-signing.
    fn cross_key(&self, which: usize) -> Value {
        let name = public(&self.cross[which]);
        let usage = ["master", "self_signing", "user_signing"][which];
        let key = json!({
            "user_id": self.id,
            "usage": [usage],
            "keys": { format!("ed25519:{name}"): name },
        });
        if which == 0 { key } else { signed(key, &self.id, &self.cross[0]) }
    }

    fn signing_keys(&self) -> SigningKeys {
        SigningKeys {
            master_key: Some(raw(&self.cross_key(0))),
            self_signing_key: Some(raw(&self.cross_key(1))),
            user_signing_key: Some(raw(&self.cross_key(2))),
        }
    }

    async fn upload(&self, server: &Fixture, upload: KeyUpload) -> Result<std::sync::Arc<Counts>, KeysError> {
        server.users.keys.upload(self.user, &self.id, &self.device, upload).await
    }

    async fn set_up(&self, server: &Fixture) {
        self.upload(server, KeyUpload { device_keys: Some(raw(&self.device_keys())), ..KeyUpload::default() })
            .await
            .unwrap();
        server.users.keys.upload_signing_keys(self.user, &self.id, &self.signing_keys()).await.unwrap();
    }

    async fn query(&self, server: &Fixture, other: &Self) -> Queried {
        let wanted = BTreeMap::from([(other.id.clone(), Vec::new())]);
        server.users.keys.query(self.user, &self.id, wanted).await.unwrap()
    }

    async fn claim(&self, server: &Fixture) -> Option<String> {
        let wanted = BTreeMap::from([(self.device.clone(), "signed_curve25519".into())]);
        let claimed = server.users.keys.claim(BTreeMap::from([(self.id.clone(), wanted)])).await.unwrap();
        let keys = claimed.one_time_keys.get(&self.id)?.get(&self.device)?;
        keys.keys().next().map(ToString::to_string)
    }
}

fn one_time_keys(keys: &[(&str, &str)]) -> KeyUpload {
    let keys = keys.iter().map(|(name, key)| {
        let value = json!({ "key": key, "signatures": { "@a:b": { "ed25519:D": "c2ln" } } });
        (format!("signed_curve25519:{name}").as_str().try_into().unwrap(), raw(&value))
    });
    KeyUpload { one_time_keys: keys.collect(), ..KeyUpload::default() }
}

fn fallback_key(name: &str) -> KeyUpload {
    KeyUpload { fallback_keys: one_time_keys(&[(name, "ZmFsbA")]).one_time_keys, ..KeyUpload::default() }
}

fn count(counts: &Counts) -> u64 {
    counts.one_time_keys[&"signed_curve25519".into()]
}

#[tokio::test]
async fn device_keys_are_checked_and_shown_with_their_name() {
    let server = Fixture::new();
    let (anna, ben) = (Person::new(&server, "anna").await, Person::new(&server, "ben").await);
    let upload = |keys: &Value| KeyUpload { device_keys: Some(raw(keys)), ..KeyUpload::default() };
    assert!(matches!(anna.upload(&server, upload(&ben.device_keys())).await, Err(KeysError::Invalid(_))));
    let bare = json!({ "user_id": anna.id, "device_id": anna.device });
    assert!(matches!(anna.upload(&server, upload(&bare)).await, Err(KeysError::Malformed(_))));
    let mut forged = anna.device_keys();
    forged["algorithms"] = json!(["m.other"]);
    assert!(matches!(anna.upload(&server, upload(&forged)).await, Err(KeysError::InvalidSignature(_))));
    assert!(ben.query(&server, &anna).await.device_keys[&anna.id].is_empty());

    anna.upload(&server, upload(&anna.device_keys())).await.unwrap();
    server.users.devices.rename(anna.user, &anna.device, Some("Phone".to_owned())).await.unwrap();
    let shown = ben.query(&server, &anna).await;
    let shown: Value = serde_json::from_str(shown.device_keys[&anna.id][&anna.device].json().get()).unwrap();
    assert_eq!(shown["unsigned"]["device_display_name"], "Phone");
    assert_eq!(shown["signatures"], anna.device_keys()["signatures"]);

    let position = server.store.position();
    anna.upload(&server, upload(&anna.device_keys())).await.unwrap();
    assert_eq!(server.store.position(), position, "nothing changed, so nobody has to ask again");
}

#[tokio::test]
async fn one_time_keys_leave_once_in_the_order_they_came() {
    let server = Fixture::new();
    let anna = Person::new(&server, "anna").await;
    assert_eq!(count(&server.users.keys.counts(anna.user, &anna.device).await.unwrap()), 0);
    assert_eq!(count(&anna.upload(&server, one_time_keys(&[("B", "Mg")])).await.unwrap()), 1);
    assert_eq!(count(&anna.upload(&server, one_time_keys(&[("A", "MQ"), ("B", "Mg")])).await.unwrap()), 2);
    let clash = anna.upload(&server, one_time_keys(&[("B", "OTk"), ("C", "Mw")])).await;
    assert!(matches!(clash, Err(KeysError::OneTimeKeyExists(id)) if id == "signed_curve25519:B"));

    assert_eq!(anna.claim(&server).await.as_deref(), Some("signed_curve25519:B"));
    assert_eq!(count(&server.users.keys.counts(anna.user, &anna.device).await.unwrap()), 1);
    assert_eq!(anna.claim(&server).await.as_deref(), Some("signed_curve25519:A"));
    assert_eq!(anna.claim(&server).await, None);
}

#[tokio::test]
async fn no_two_claims_get_the_same_key() {
    let server = std::sync::Arc::new(Fixture::new());
    let anna = std::sync::Arc::new(Person::new(&server, "anna").await);
    let names: Vec<String> = (0..50).map(|n| format!("K{n:02}")).collect();
    let keys: Vec<_> = names.iter().map(|name| (name.as_str(), "MQ")).collect();
    anna.upload(&server, one_time_keys(&keys)).await.unwrap();
    let claims: Vec<_> = (0..60)
        .map(|_| {
            let (server, anna) = (server.clone(), anna.clone());
            tokio::spawn(async move { anna.claim(&server).await })
        })
        .collect();
    let mut got = Vec::new();
    for claim in claims {
        got.extend(claim.await.unwrap());
    }
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 50);
}

#[tokio::test]
async fn the_fallback_key_serves_when_there_is_no_other() {
    let server = Fixture::new();
    let anna = Person::new(&server, "anna").await;
    let unused = async || server.users.keys.counts(anna.user, &anna.device).await.unwrap().unused_fallback.len();
    anna.upload(&server, one_time_keys(&[("A", "MQ")])).await.unwrap();
    anna.upload(&server, fallback_key("F")).await.unwrap();
    assert_eq!(unused().await, 1);
    assert_eq!(anna.claim(&server).await.as_deref(), Some("signed_curve25519:A"));
    assert_eq!(unused().await, 1);
    for _ in 0..2 {
        assert_eq!(anna.claim(&server).await.as_deref(), Some("signed_curve25519:F"));
        assert_eq!(unused().await, 0);
    }
    anna.upload(&server, fallback_key("F")).await.unwrap();
    assert_eq!(unused().await, 0, "the same key again is still a used one");
    anna.upload(&server, fallback_key("G")).await.unwrap();
    assert_eq!(unused().await, 1);
}

#[tokio::test]
async fn a_removed_device_takes_its_keys_along() {
    let server = Fixture::new();
    let anna = Person::new(&server, "anna").await;
    anna.set_up(&server).await;
    anna.upload(&server, one_time_keys(&[("A", "MQ")])).await.unwrap();
    anna.upload(&server, fallback_key("F")).await.unwrap();
    server.users.devices.remove(anna.user, std::slice::from_ref(&anna.device)).await.unwrap();
    assert_eq!(anna.claim(&server).await, None);
    assert!(anna.query(&server, &anna).await.device_keys[&anna.id].is_empty());
    let counts = server.users.keys.counts(anna.user, &anna.device).await.unwrap();
    assert_eq!((count(&counts), counts.unused_fallback.len()), (0, 0));
}

#[tokio::test]
async fn cross_signing_keys_are_checked() {
    let server = Fixture::new();
    let (anna, ben) = (Person::new(&server, "anna").await, Person::new(&server, "ben").await);
    let keys = &server.users.keys;
    let upload = async |upload: &SigningKeys| keys.upload_signing_keys(anna.user, &anna.id, upload).await;
    let alone = SigningKeys { self_signing_key: Some(raw(&anna.cross_key(1))), ..SigningKeys::default() };
    assert!(matches!(upload(&alone).await, Err(KeysError::NoMasterKey)));
    assert!(matches!(upload(&ben.signing_keys()).await, Err(KeysError::Invalid(_))));
    let mut unsigned = anna.cross_key(1);
    unsigned["signatures"] = json!({});
    let unsigned = SigningKeys { self_signing_key: Some(raw(&unsigned)), ..anna.signing_keys() };
    assert!(matches!(upload(&unsigned).await, Err(KeysError::InvalidSignature(_))));
    let mixed = SigningKeys { user_signing_key: Some(raw(&anna.cross_key(1))), ..anna.signing_keys() };
    assert!(matches!(upload(&mixed).await, Err(KeysError::Invalid(_))));

    assert!(!keys.upload_needs_auth(anna.user, &anna.id, &anna.signing_keys()).await.unwrap(), "the first upload");
    upload(&anna.signing_keys()).await.unwrap();
    assert!(!keys.upload_needs_auth(anna.user, &anna.id, &anna.signing_keys()).await.unwrap(), "nothing new");
    let part = SigningKeys { master_key: None, ..anna.signing_keys() };
    assert!(!keys.upload_needs_auth(anna.user, &anna.id, &part).await.unwrap(), "a part of what is known");
    let other = Person { cross: [self_named(), self_named(), self_named()], ..Person::new(&server, "cora").await };
    let other = Person { id: anna.id.clone(), ..other };
    assert!(keys.upload_needs_auth(anna.user, &anna.id, &other.signing_keys()).await.unwrap());
    let only_new = SigningKeys { master_key: None, ..other.signing_keys() };
    assert!(keys.upload_needs_auth(anna.user, &anna.id, &only_new).await.unwrap());

    let own = anna.query(&server, &anna).await;
    assert!(own.master_keys.contains_key(&anna.id) && own.user_signing_keys.contains_key(&anna.id));
    let bens = ben.query(&server, &anna).await;
    assert!(bens.master_keys.contains_key(&anna.id) && bens.self_signing_keys.contains_key(&anna.id));
    assert!(bens.user_signing_keys.is_empty());

    let new_master = SigningKeys { master_key: Some(raw(&other.cross_key(0))), ..SigningKeys::default() };
    upload(&new_master).await.unwrap();
    assert!(ben.query(&server, &anna).await.self_signing_keys.is_empty(), "the new master key has not signed it");
}

#[tokio::test]
async fn signatures_are_checked_and_shown_to_whom_they_concern() {
    let server = Fixture::new();
    let people =
        (Person::new(&server, "anna").await, Person::new(&server, "ben").await, Person::new(&server, "cora").await);
    let (anna, ben, cora) = &people;
    for person in [anna, ben, cora] {
        person.set_up(&server).await;
    }
    let keys = &server.users.keys;
    let sign = async |signer: &Person, owner: &Person, key_id: &str, object: &Value| {
        let signed = vec![(owner.id.clone(), key_id.to_owned(), object.to_string())];
        let failures = keys.upload_signatures(signer.user, &signer.id, signed).await.unwrap();
        failures.get(&owner.id).and_then(|keys| keys.get(key_id)).copied()
    };
    let master = public(&ben.cross[0]);

    let own_device = signed(anna.device_keys(), &anna.id, &anna.cross[1]);
    assert_eq!(sign(anna, anna, anna.device.as_str(), &own_device).await, None);
    let own_master = signed(anna.cross_key(0), &anna.id, &anna.device_key);
    assert_eq!(sign(anna, anna, &public(&anna.cross[0]), &own_master).await, None);
    let bens_master = signed(ben.cross_key(0), &anna.id, &anna.cross[2]);
    let before = server.store.position();
    assert_eq!(sign(anna, ben, &master, &bens_master).await, None);

    assert_eq!(sign(anna, anna, "NODEVICE", &own_device).await, Some(SignatureFailure::NotFound));
    assert_eq!(sign(anna, ben, ben.device.as_str(), &ben.device_keys()).await, Some(SignatureFailure::NotFound));
    let wrong_key = signed(ben.cross_key(0), &cora.id, &cora.cross[1]);
    assert_eq!(sign(cora, ben, &master, &wrong_key).await, Some(SignatureFailure::Invalid));
    let mut other_content = ben.cross_key(0);
    other_content["extra"] = json!("x");
    let other_content = signed(other_content, &cora.id, &cora.cross[2]);
    assert_eq!(sign(cora, ben, &master, &other_content).await, Some(SignatureFailure::Invalid));

    let signers = async |reader: &Person| {
        let shown: Value =
            serde_json::from_str(reader.query(&server, ben).await.master_keys[&ben.id].json().get()).unwrap();
        shown["signatures"].as_object().map_or(0, serde_json::Map::len)
    };
    assert_eq!((signers(anna).await, signers(ben).await, signers(cora).await), (1, 0, 0));
    let shown: Value =
        serde_json::from_str(cora.query(&server, anna).await.device_keys[&anna.id][&anna.device].json().get()).unwrap();
    assert_eq!(shown["signatures"][anna.id.as_str()].as_object().unwrap().len(), 2);

    let now = server.store.position();
    let lists = &server.users.device_lists;
    assert_eq!(lists.changed(anna.user, before, now).await.unwrap(), [ben.user]);
    assert!(lists.changed(cora.user, before, now).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_better_session_stays_in_the_backup() {
    let server = Fixture::new();
    let anna = Person::new(&server, "anna").await;
    let keys = &server.users.keys;
    let session = |is_verified, first_message_index, forwarded_count| crate::store::schema::keys::BackupSession {
        first_message_index,
        forwarded_count,
        is_verified,
        session_data: "{}".to_owned(),
    };
    assert_eq!(keys.current_backup(anna.user).await.unwrap(), None);
    let version = keys.create_backup(anna.user, "m.x".to_owned(), "{}".to_owned()).await.unwrap();
    let put = async |data| keys.put_sessions(anna.user, version, vec![("!r".to_owned(), "S".to_owned(), data)]).await;
    let first = put(session(false, 10, 5)).await.unwrap();
    assert_eq!((first.count, first.etag), (1, 1));
    for worse in [session(false, 11, 0), session(false, 10, 6), session(false, 10, 5)] {
        assert_eq!(put(worse).await.unwrap(), first);
    }
    assert_eq!(put(session(true, 20, 20)).await.unwrap().etag, 2);
    assert_eq!(put(session(false, 0, 0)).await.unwrap().etag, 2);

    let more = (0..1_500).map(|n| (format!("!{}", n % 3), format!("S{n}"), session(true, n, 0))).collect();
    assert_eq!(keys.put_sessions(anna.user, version, more).await.unwrap().count, 1_501);
    let page = keys.sessions(anna.user, version, Some("!1"), None, 300).await.unwrap();
    let rest = keys.sessions(anna.user, version, Some("!1"), Some(("!1", &page[299].1)), 300).await.unwrap();
    assert_eq!((page.len(), rest.len()), (300, 200));
    assert_eq!(keys.delete_sessions(anna.user, version, Some("!1"), None).await.unwrap().count, 1_001);
    assert_eq!(keys.delete_sessions(anna.user, version, Some("!r"), Some("S")).await.unwrap().count, 1_000);

    let next = keys.create_backup(anna.user, "m.x".to_owned(), "{}".to_owned()).await.unwrap();
    assert!(matches!(put(session(true, 0, 0)).await, Err(KeysError::WrongVersion { current }) if current == next));
    keys.delete_backup(anna.user, next).await.unwrap();
    assert_eq!(keys.current_backup(anna.user).await.unwrap().unwrap().version, version);
    assert!(matches!(keys.put_sessions(anna.user, next, Vec::new()).await, Err(KeysError::NotFound(_))));
    assert_eq!(keys.create_backup(anna.user, "m.x".to_owned(), "{}".to_owned()).await.unwrap(), next + 1);
}
