//! Compares values with the schemas of the `OpenAPI` document: as much of JSON Schema as it uses. Stricter in one point:
//! what a schema with properties does not name may not be in an answer.

use serde_json::{Map, Value};

/// The document.
pub(super) struct Schemas(pub(super) Value);

impl Schemas {
    /// What is wrong with an answer to an operation, by the template of its path.
    pub(super) fn check_reply(&self, method: &str, template: &str, status: u16, body: &Value) -> Result<(), String> {
        let operation = &self.0["paths"][template][method];
        let reply = &operation["responses"][status.to_string()];
        if reply.is_null() {
            return Err(format!("{method} {template}: status {status} is not documented: {body}"));
        }
        let schema = &reply["content"]["application/json"]["schema"];
        if schema.is_null() {
            return Err(format!("{method} {template}: the body of {status} is not documented"));
        }
        self.check(schema, body, &format!("{method} {template} {status}"))
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.strip_prefix("#/components/schemas/").ok_or(format!("{at}: a foreign reference {name}"))?;
            let target = &self.0["components"]["schemas"][name];
            return if target.is_null() {
                Err(format!("{at}: no schema {name}"))
            } else {
                self.check(target, value, at)
            };
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[key].as_array() {
                let results: Vec<_> = choices.iter().map(|choice| self.check(choice, value, at)).collect();
                return if results.iter().any(Result::is_ok) { Ok(()) } else { Err(format!("{at}: {results:?}")) };
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return parts.iter().try_for_each(|part| self.check(part, value, at));
        }
        check_type(schema, value, at)?;
        if let (Some(choices), false) = (schema["enum"].as_array(), value.is_null())
            && !choices.contains(value)
        {
            return Err(format!("{at}: {value} is none of {choices:?}"));
        }
        match value {
            Value::Array(entries) if !schema["items"].is_null() => {
                let numbered = entries.iter().enumerate();
                numbered
                    .into_iter()
                    .try_for_each(|(n, entry)| self.check(&schema["items"], entry, &format!("{at}[{n}]")))
            }
            Value::Object(fields) => self.check_fields(schema, fields, at),
            _ => Ok(()),
        }
    }

    fn check_fields(&self, schema: &Value, fields: &Map<String, Value>, at: &str) -> Result<(), String> {
        let Some(known) = schema["properties"].as_object() else { return Ok(()) };
        for required in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(required.as_str().unwrap()) {
                return Err(format!("{at}: {required} is missing"));
            }
        }
        for (name, value) in fields {
            match known.get(name) {
                Some(schema) => self.check(schema, value, &format!("{at}.{name}"))?,
                None => return Err(format!("{at}: {name} is not documented")),
            }
        }
        Ok(())
    }
}

fn check_type(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let wanted: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    if wanted.iter().any(|kind| is(kind)) { Ok(()) } else { Err(format!("{at}: {value} is no {wanted:?}")) }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let schemas = Schemas(serde_json::json!({
        "paths": { "/a": { "get": { "responses": { "200": { "content": { "application/json": { "schema":
            { "$ref": "#/components/schemas/A" } } } } } } } },
        "components": { "schemas": { "A": { "type": "object", "required": ["n"],
            "properties": { "n": { "type": "integer" }, "s": { "type": ["string", "null"] } } } } },
    }));
    let check = |body: Value| schemas.check_reply("get", "/a", 200, &body);
    check(serde_json::json!({ "n": 1, "s": null })).unwrap();
    for wrong in [
        serde_json::json!({}),
        serde_json::json!({ "n": "1" }),
        serde_json::json!({ "n": 1, "s": 2 }),
        serde_json::json!({ "n": 1, "x": 2 }),
        serde_json::json!([]),
    ] {
        assert!(check(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(schemas.check_reply("get", "/a", 404, &Value::Null).is_err());
}
