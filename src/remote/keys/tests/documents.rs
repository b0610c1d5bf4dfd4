//! Which documents are believed.

use ruma::server_name;
use serde_json::{Value, json};

use super::network::{DAY_MS, NOW_MS, document, key, signed};
use crate::remote::keys::document::KeyDocument;

/// The document without its signatures, changed, and signed again.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let key = key(server_name!("a.example"), 1);
    let mut value: Value = serde_json::from_str(&document(&[&key], &[], NOW_MS + DAY_MS)).unwrap();
    value.as_object_mut().unwrap().remove("signatures");
    change(&mut value);
    signed(&value.to_string(), &key)
}

#[track_caller]
fn read(text: &str) -> Result<KeyDocument, String> {
    KeyDocument::read_fresh(text, server_name!("a.example"), NOW_MS).map_err(|error| error.to_string())
}

#[test]
fn a_document_of_its_server_is_believed() {
    let document = read(&changed(|_| {})).unwrap();
    assert_eq!(document.valid_until_ms, NOW_MS + DAY_MS);
    assert_eq!(document.keys.keys().map(|id| &**id).collect::<Vec<_>>(), ["ed25519:k1"]);
}

#[test]
fn a_damaged_or_foreign_document_is_not() {
    let other = key(server_name!("a.example"), 2);
    let good = changed(|_| {});
    let cases = [
        ("of another server", changed(|value| value["server_name"] = json!("b.example"))),
        ("expired", changed(|value| value["valid_until_ts"] = json!(NOW_MS))),
        ("no time", changed(|value| value["valid_until_ts"] = json!("soon"))),
        ("negative time", changed(|value| value["valid_until_ts"] = json!(-5))),
        ("no keys", changed(|value| value["verify_keys"] = json!({}))),
        ("keys of no use", changed(|value| value["verify_keys"]["ed25519:x"] = json!({ "key": "AAAA" }))),
        ("a key of small order", {
            let zero = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
            changed(|value| value["verify_keys"]["ed25519:x"] = json!({ "key": zero }))
        }),
        (
            "changed after it was signed",
            good.replace(&(NOW_MS + DAY_MS).to_string(), &(NOW_MS + DAY_MS + 1).to_string()),
        ),
        ("signed by a key that is not in it", {
            let mut value: Value = serde_json::from_str(&good).unwrap();
            value.as_object_mut().unwrap().remove("signatures");
            signed(&value.to_string(), &other)
        }),
        ("too many keys", {
            let many = |value: &mut Value| {
                for number in 0..100 {
                    let key = key(server_name!("a.example"), number);
                    value["verify_keys"][key.key_id()] = json!({ "key": key.verify_key() });
                }
            };
            changed(many)
        }),
        ("too large", changed(|value| value["pad"] = json!("x".repeat(70_000)))),
        ("not JSON", "{".to_owned()),
    ];
    for (what, text) in cases {
        assert!(read(&text).is_err(), "{what}");
    }
}

#[test]
fn a_key_that_only_signed_as_an_old_one_makes_nothing_valid() {
    let (new, old) = (key(server_name!("a.example"), 1), key(server_name!("a.example"), 2));
    let text = document(&[&new], &[(&old, NOW_MS)], NOW_MS + DAY_MS);
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value.as_object_mut().unwrap().remove("signatures");
    assert!(read(&signed(&value.to_string(), &old)).is_err());
    let read = read(&text).unwrap();
    assert!(read.keys["ed25519:k2"].old && !read.keys["ed25519:k1"].old);
}

#[test]
fn nothing_is_relied_upon_for_longer_than_a_week() {
    let document = read(&changed(|value| value["valid_until_ts"] = json!(NOW_MS + 400 * DAY_MS))).unwrap();
    assert_eq!(document.keys["ed25519:k1"].valid_until_ms, NOW_MS + 7 * DAY_MS);
}
