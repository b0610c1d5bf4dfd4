use proptest::prelude::*;
use ruma::CanonicalJsonValue;
use serde_json::{Value as Json, json};

use crate::event::canonical::{CONTENT_DEPTH_MAX, Content, JsonError, Numbers, Object};

fn parse(text: &str) -> Result<String, JsonError> {
    Content::parse(text.as_bytes()).map(|content| content.as_str().to_owned())
}

#[test]
fn keys_are_sorted_by_code_point_and_space_is_removed() {
    // UTF-16 order would put the emoji before U+FFFD.
    let text = "{ \"\u{fffd}\" : 1 , \"\u{1f600}\":2,\"b\": [ 1 , {\"z\":null,\"a\":true} ], \"aa\":3, \"a\":4 }";
    assert_eq!(
        parse(text).unwrap(),
        "{\"a\":4,\"aa\":3,\"b\":[1,{\"a\":true,\"z\":null}],\"\u{fffd}\":1,\"\u{1f600}\":2}"
    );
}

#[test]
fn strings_take_the_shortest_form() {
    let text = r#"{"s":"\u0000\u0001\u001F\b\f\n\r\t\"\\\/\u007f\u65e5\ud83d\ude00é"}"#;
    assert_eq!(parse(text).unwrap(), "{\"s\":\"\\u0000\\u0001\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\u{7f}日😀é\"}");
}

#[test]
fn only_safe_integers_are_taken() {
    for (text, taken) in [
        ("9007199254740991", true),
        ("-9007199254740991", true),
        ("0", true),
        ("9007199254740992", false),
        ("-9007199254740992", false),
        ("18446744073709551616", false),
        ("1.0", false),
        ("1e3", false),
        ("1E-3", false),
        ("-0", false),
        ("-0.0", false),
    ] {
        let result = parse(&format!("{{\"n\":[{text}]}}"));
        if taken {
            assert_eq!(result.unwrap(), format!("{{\"n\":[{text}]}}"));
        } else {
            assert_eq!(result, Err(JsonError::Number), "{text}");
        }
    }
}

#[test]
fn old_rooms_keep_their_numbers() {
    let object = Object::parse(b"{\"f\":1.5,\"i\":9007199254740993,\"w\":1.0}", Numbers::Lenient, 10).unwrap();
    assert_eq!(object.to_text(), "{\"f\":1.5,\"i\":9007199254740993,\"w\":1}");
}

#[test]
fn fractions_are_read_to_the_last_bit() {
    let texts = ["1.3726780156669842e-55", "0.1", "5e-324", "1.7976931348623157e+308", "123456789.12345679"];
    for (place, number) in texts.into_iter().enumerate() {
        let before = ["7,\"-1.5\\\"2\",", "", "[1,-2,{\"3\":4}],0.25,"][place % 3];
        let text = format!("{{\"a\":[{before}{number},1e-07]}}");
        let object = Object::parse(text.as_bytes(), Numbers::Lenient, 10).unwrap();
        assert_eq!(object.to_text(), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_fraction_keeps_its_text(numbers in prop::collection::vec(any::<f64>(), 1..6), text in any::<String>()) {
        let once = serde_json::json!({ "n": numbers, "s": [text, 1] }).to_string();
        let once = Object::parse(once.as_bytes(), Numbers::Lenient, 10).unwrap().to_text();
        let twice = Object::parse(once.as_bytes(), Numbers::Lenient, 10).unwrap().to_text();
        prop_assert_eq!(once, twice);
    }
}

#[test]
fn damaged_text_is_refused() {
    for text in [
        "",
        "{",
        "{}x",
        "{\"a\":1,}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":NaN}",
        "{\"a\":\"\u{1}\"}",
        "\u{feff}{}",
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":"\ud800\ud800"}"#,
        r#"{"\ud800":1}"#,
        r#"{"a":"\u00g0"}"#,
    ] {
        assert!(matches!(parse(text), Err(JsonError::Syntax(_))), "{text}: {:?}", parse(text));
    }
    assert!(matches!(Content::parse(b"{\"a\":\"\xff\"}"), Err(JsonError::Syntax(_))));
    assert!(matches!(Content::parse(b"{\"a\":\"\xed\xa0\x80\"}"), Err(JsonError::Syntax(_))));
    for text in ["[]", "\"{}\"", "1", "null"] {
        assert_eq!(parse(text), Err(JsonError::NotAnObject), "{text}");
    }
}

#[test]
fn duplicate_keys_are_refused_however_they_are_written() {
    assert_eq!(parse(r#"{"a":1,"a":1}"#), Err(JsonError::DuplicateKey));
    assert_eq!(parse(r#"{"a":1,"\u0061":2}"#), Err(JsonError::DuplicateKey));
    assert_eq!(parse(r#"{"x":[{"b":1,"a":1,"b":2}]}"#), Err(JsonError::DuplicateKey));
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert!(parse(&nested(CONTENT_DEPTH_MAX)).is_ok());
    assert_eq!(parse(&nested(CONTENT_DEPTH_MAX + 1)), Err(JsonError::TooDeep));
    assert!(parse(&nested(100_000)).is_err());
}

#[test]
fn a_string_can_be_set() {
    let content = Content::parse(b"{\"a\":1,\"z\":2}").unwrap();
    assert_eq!(content.with_string("redacts", "$x").unwrap().as_str(), "{\"a\":1,\"redacts\":\"$x\",\"z\":2}");
    assert_eq!(content.with_string("z", "$x").unwrap().as_str(), "{\"a\":1,\"z\":\"$x\"}");
    assert_eq!(Content::empty().as_str(), "{}");
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Prints with keys in reverse order and space everywhere.
fn print_badly(value: &Json, out: &mut String) {
    match value {
        Json::Object(map) => {
            out.push_str("{ ");
            for (index, (key, value)) in map.iter().rev().enumerate() {
                out.push_str(if index > 0 { "\n, " } else { "" });
                out.push_str(&json!(key).to_string());
                out.push_str("\t: ");
                print_badly(value, out);
            }
            out.push('}');
        }
        Json::Array(items) => {
            out.push_str("[ ");
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { " ,\r" } else { "" });
                print_badly(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parse_and_print_is_the_identity_on_canonical_text(value in any_json()) {
        let value = json!({ "v": value });
        let text = parse(&value.to_string()).unwrap();
        prop_assert_eq!(&parse(&text).unwrap(), &text);
        prop_assert_eq!(&serde_json::from_str::<Json>(&text).unwrap(), &value);
        prop_assert_eq!(CanonicalJsonValue::try_from(value).unwrap().to_string(), text);
    }

    #[test]
    fn the_written_order_does_not_matter(value in any_json()) {
        let value = json!({ "v": value });
        let mut badly = String::new();
        print_badly(&value, &mut badly);
        prop_assert_eq!(parse(&badly).unwrap(), parse(&value.to_string()).unwrap());
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        // Must not panic; whatever is taken is stable.
        if let Ok(content) = Content::parse(&bytes) {
            prop_assert_eq!(parse(content.as_str()).unwrap(), content.as_str());
        }
    }
}
