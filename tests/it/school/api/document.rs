//! The `OpenAPI` document and the routes; who may call what.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::Server,
    school::{api::v1, small::Small},
};

async fn document(server: &Server) -> Value {
    server.anonymous().get(&v1("/openapi.json")).await.ok()
}

/// Every operation: method, path, tag, and whether it needs a token.
fn operations(document: &Value) -> Vec<(Method, String, String, bool)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let open = operation["security"] == json!([{}]);
            found.push((method, path.clone(), operation["tags"][0].as_str().unwrap().to_owned(), !open));
        }
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

/// A path with something in the place of each argument.
fn filled(template: &str) -> String {
    let part = |part: &str| match part {
        "{user_id}" | "{student}" | "{adult}" => "@nobody:school.example".to_owned(),
        "{room_id}" => "!nowhere".to_owned(),
        "{role}" => "staff".to_owned(),
        part if part.starts_with('{') => "1".to_owned(),
        part => part.to_owned(),
    };
    template.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_document_names_every_route_and_no_other() {
    let server = Server::start().await;
    let blank = |path: &str| {
        path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
    };
    let documented: BTreeSet<String> = operations(&document(&server).await)
        .into_iter()
        .map(|(method, path, ..)| format!("{method} {}", blank(&path)))
        .collect();
    let routes = homeroom::routes::client().lines().into_iter().filter(|line| line.contains(" /_homeroom"));
    let routes: BTreeSet<String> = routes.map(|line| blank(&line)).collect();
    assert_eq!(documented, routes);
}

#[tokio::test]
async fn everything_but_the_first_sign_in_needs_a_token() {
    let server = Server::start().await;
    for (method, path, _, needs_token) in operations(&document(&server).await) {
        let answer = server.anonymous().call(method.clone(), &filled(&path), Value::Null).await;
        if needs_token {
            answer.refused(401, "M_MISSING_TOKEN");
        } else {
            assert_ne!(answer.status, 401, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_is_for_administrators_is_refused_to_everybody_else() {
    let small = Small::start().await;
    for (method, path, tag, _) in operations(&document(&small.server).await) {
        if tag != "administration" {
            continue;
        }
        // Also before it is known whether what the path names is there.
        for name in ["head", "tutor", "pupil", "guardian"] {
            let answer = small.client(name).call(method.clone(), &filled(&path), Value::Null).await;
            answer.refused(403, "M_FORBIDDEN");
        }
        let lead = small.client("lead").call(method.clone(), &filled(&path), Value::Null).await;
        let reads = path.ends_with("/audit") || path.ends_with("/why");
        assert_eq!(lead.status == 403, !reads, "{method} {path}: {}", lead.status);
    }
}
