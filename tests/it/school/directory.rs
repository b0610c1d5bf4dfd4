//! Whom people of the school find, over HTTP.

use std::collections::{BTreeMap, BTreeSet};

use homeroom::{rooms::policy::Verb, school::roster::EnrollmentRole, school::roster::SchoolRole};
use ruma::UserId;
use serde_json::{Value, json};

use super::small::{Small, enroll, give_role, person};
use crate::harness::{Answer, Client, escape};

const SEARCH: &str = "/_matrix/client/v3/user_directory/search";

async fn search(client: &Client, term: &str, limit: u32) -> Value {
    client.post(SEARCH, json!({ "search_term": term, "limit": limit })).await.ok()
}

async fn contacts(client: &Client, query: &str) -> Answer {
    client.get(&format!("/_homeroom/v1/contacts?{query}")).await
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["user_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn everybody_finds_exactly_whom_the_policy_shows() {
    let small = Small::start().await;
    let rules = &small.school().rules;
    let people = rules.people();
    let mut views = BTreeMap::new();
    for (name, client) in small.clients() {
        let own = <&UserId>::try_from(client.user_id.as_str()).unwrap();
        let others = people.iter().filter(|person| !people.standing(*person).service);
        let others = others.filter_map(|person| people.user_id(person, rules.server()));
        let seen = others.filter(|id| id != own && rules.ruling(own, id, Verb::See).is_allowed());
        let expected: BTreeSet<String> = seen.map(|id| id.to_string()).collect();

        let answer = search(client, "", 100).await;
        let found: BTreeSet<String> = ids(&answer["results"]).into_iter().map(str::to_owned).collect();
        assert_eq!(found, expected, "{name} searches");
        assert_eq!(answer["limited"], false);

        let (mut listed, mut from) = (Vec::new(), String::new());
        loop {
            let page = contacts(client, &format!("limit=3{from}")).await.ok();
            listed.extend(ids(&page["contacts"]).into_iter().map(str::to_owned));
            match page["next_batch"].as_str() {
                Some(token) => from = format!("&from={token}"),
                None => break,
            }
        }
        assert_eq!(listed.len(), expected.len(), "{name}: each once");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected, "{name} lists");
        views.insert(name.to_owned(), expected);
    }
    // The rules have something to say: otherwise this test compares nothing with nothing.
    let sees = |who: &str, whom: &str| views[who].contains(small.id(whom));
    assert!(sees("pupil", "classmate") && !sees("pupil", "stranger") && sees("head", "stranger"));
    assert!(sees("guardian", "tutor") && !sees("guardian", "other_teacher") && !sees("stranger_guardian", "pupil"));
    assert!(!sees("isolated", "pupil") && !sees("relative", "pupil"));
}

#[tokio::test]
async fn an_allowed_one_is_found_behind_five_hundred_hidden_ones() {
    let mut small = Small::start().await;
    small
        .reimport(|roster| {
            for number in 0..500 {
                let id = format!("hidden{number:03}");
                roster.people.insert(id.clone(), person("Anna", "Müller", Some("09")));
                give_role(roster, &id, SchoolRole::Student, None);
                enroll(roster, "9c", &id, EnrollmentRole::Student, false);
            }
            roster.people.insert("friend".into(), person("Zoe", "Müllerin", Some("08")));
            give_role(roster, "friend", SchoolRole::Student, None);
            enroll(roster, "8a", "friend", EnrollmentRole::Student, false);
        })
        .await;
    let pupil = small.client("pupil");
    for term in ["Müller", "mueller", "muller", "MÜL"] {
        let answer = search(pupil, term, 1).await;
        let names: Vec<_> = answer["results"].as_array().unwrap().iter().map(|one| &one["display_name"]).collect();
        assert_eq!(names, ["Zoe Müllerin"], "{term}");
        assert_eq!(answer["limited"], false, "{term}: nothing tells of the hidden ones");
    }
    let page = contacts(pupil, "q=m%C3%BCller").await.ok();
    assert_eq!(page["facets"]["roles"], json!({ "student": 1 }));
    let teacher = small.client("other_teacher");
    let answer = search(teacher, "anna müller", 10).await;
    assert_eq!((answer["results"].as_array().unwrap().len(), &answer["limited"]), (10, &json!(true)));
    let answer = search(teacher, "anna müller", 1_000_000).await;
    assert_eq!((answer["results"].as_array().unwrap().len(), &answer["limited"]), (100, &json!(true)));
}

#[tokio::test]
async fn who_is_hidden_is_answered_like_who_does_not_exist() {
    let small = Small::start().await;
    let pupil = small.client("pupil");
    let nobody = "@nobody-of-that-name:school.example";
    for rest in ["", "/why", "/why?verb=see"] {
        let path = |id: &str| format!("/_homeroom/v1/contacts/{}{rest}", escape(id));
        let missing = pupil.get(&path(nobody)).await.refused(404, "M_NOT_FOUND");
        for hidden in ["stranger", "stranger_guardian", "isolated", "other_teacher"] {
            let answer = pupil.get(&path(small.id(hidden))).await.refused(404, "M_NOT_FOUND");
            assert_eq!(answer, missing, "{hidden}{rest}");
        }
        let elsewhere = pupil.get(&path("@a:elsewhere.example")).await.refused(404, "M_NOT_FOUND");
        assert_eq!(elsewhere, missing);
    }
    let missing = pupil.get("/_homeroom/v1/classes/small:none").await.refused(404, "M_NOT_FOUND");
    let hidden = pupil.get("/_homeroom/v1/classes/small:9c").await.refused(404, "M_NOT_FOUND");
    assert_eq!(hidden, missing);
    assert_eq!(contacts(pupil, "class=small:9c").await.refused(404, "M_NOT_FOUND"), missing);
}

#[tokio::test]
async fn a_contact_tells_relation_classes_and_what_may_be_done() {
    let small = Small::start().await;
    let path = |name: &str| format!("/_homeroom/v1/contacts/{}", escape(small.id(name)));
    let tutor = small.client("tutor");
    let pupil = tutor.get(&path("pupil")).await.ok();
    assert_eq!(pupil["name"], "Pia Apfel");
    assert_eq!(pupil["roles"], json!(["student"]));
    assert_eq!(pupil["classes"][0]["title"], "8a");
    assert_eq!(pupil["classes"][0]["id"], "small:8a");
    assert!(pupil["relations"].as_array().unwrap().contains(&json!("tutor")));
    assert_eq!(pupil["can"]["dm"]["outcome"], "supervised");
    let junior = tutor.get(&path("junior")).await.ok();
    assert_eq!(junior["can"]["dm"]["outcome"], "family");
    let head = small.client("pupil").get(&path("head")).await.ok();
    assert_eq!(head["can"]["dm"]["outcome"], "knock");
    assert!(head["can"]["dm"]["reason"].is_string());
    let why = small.client("pupil").get(&format!("{}/why?verb=dm", path("head"))).await.ok();
    assert_eq!((&why["outcome"], &why["rule"]), (&json!("knock"), &head["can"]["dm"]["rule"]));
    let page = contacts(tutor, "relation=tutor").await.ok();
    assert!(ids(&page["contacts"]).contains(&small.id("pupil")));
    let page = contacts(tutor, "role=guardian&can=dm&q=apfel").await.ok();
    assert_eq!(ids(&page["contacts"]), [small.id("guardian"), small.id("coguardian")]);
    // Own classes and their families stand before the rest of the school.
    let page = contacts(tutor, "limit=100").await.ok();
    let order = ids(&page["contacts"]);
    let place = |name: &str| order.iter().position(|id| *id == small.id(name)).unwrap();
    assert!(place("pupil") < place("aide") && place("guardian") < place("office"));
}

#[tokio::test]
async fn a_chat_of_two_is_told_as_their_room() {
    let small = Small::start().await;
    let (tutor, head) = (small.client("tutor"), small.client("head"));
    let room = tutor.create_room(json!({ "is_direct": true, "invite": [head.user_id] })).await;
    let direct = json!({ (head.user_id.as_str()): [room] });
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.direct", escape(&tutor.user_id));
    tutor.put(&path, direct).await.ok();
    let contact = format!("/_homeroom/v1/contacts/{}", escape(&head.user_id));
    assert_eq!(tutor.get(&contact).await.ok()["room_id"], Value::Null, "the head has not joined yet");
    head.join(&room).await.ok();
    assert_eq!(tutor.get(&contact).await.ok()["room_id"], room.as_str());
}

#[tokio::test]
async fn a_picture_is_shown_to_whom_the_policy_shows_it() {
    let small = Small::start().await;
    let rules = &small.school().rules;
    for name in ["pupil", "tutor"] {
        let client = small.client(name);
        let path = format!("/_matrix/client/v3/profile/{}/avatar_url", escape(&client.user_id));
        client.put(&path, json!({ "avatar_url": "mxc://school.example/picture" })).await.ok();
    }
    let mut answers = BTreeSet::new();
    for (name, client) in small.clients() {
        let own = <&UserId>::try_from(client.user_id.as_str()).unwrap();
        let answer = search(client, "", 100).await;
        for whom in ["pupil", "tutor"] {
            let id = <&UserId>::try_from(small.id(whom)).unwrap();
            let results = answer["results"].as_array().unwrap();
            let Some(found) = results.iter().find(|one| one["user_id"] == id.as_str()) else { continue };
            let allowed = rules.ruling(own, id, Verb::Photo).is_allowed();
            assert_eq!(found["avatar_url"].is_string(), allowed, "{name} looks at {whom}");
            answers.insert(allowed);
        }
    }
    assert_eq!(answers.len(), 2, "some see pictures, some do not");
}

#[tokio::test]
async fn guardians_have_children_and_everybody_has_classes() {
    let small = Small::start().await;
    let children = small.client("guardian").get("/_homeroom/v1/children").await.ok();
    let children = children["children"].as_array().unwrap();
    let names: Vec<_> = children.iter().map(|child| child["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Juna Apfel", "Pia Apfel"]);
    assert_eq!(children[1]["classes"][0]["title"], "8a");
    assert_eq!(children[1]["tutors"][0]["name"], "Tilda Tafel");
    assert_eq!(children[0]["teachers"].as_array().unwrap().len(), 2);
    for (name, count) in [("isolated", 0), ("relative", 0), ("pupil", 0), ("parent_teacher", 1)] {
        let children = small.client(name).get("/_homeroom/v1/children").await.ok();
        assert_eq!(children["children"].as_array().unwrap().len(), count, "{name}");
    }

    let tutor = small.client("tutor");
    let classes = tutor.get("/_homeroom/v1/classes").await.ok();
    let titles: Vec<_> = classes["classes"].as_array().unwrap().iter().map(|class| &class["title"]).collect();
    assert_eq!(titles, ["5b", "8a"]);
    let page = tutor.get("/_homeroom/v1/classes?limit=1").await.ok();
    let next = page["next_batch"].as_str().unwrap();
    let page = tutor.get(&format!("/_homeroom/v1/classes?limit=1&from={}", escape(next))).await.ok();
    assert_eq!((&page["classes"][0]["title"], &page["next_batch"]), (&json!("8a"), &Value::Null));
    let class = tutor.get("/_homeroom/v1/classes/small:8a").await.ok();
    assert_eq!(ids(&class["members"]).len(), 3, "the tutor, and two pupils: one has left");
    assert_eq!(class["role"], "teacher");
    let class = small.client("head").get("/_homeroom/v1/classes/small:9c").await.ok();
    assert_eq!(class["role"], Value::Null);

    let me = small.client("lead").get("/_homeroom/v1/me").await.ok();
    assert_eq!(me["roles"], json!(["staff", "safeguarding_lead"]));
    assert_eq!((&me["permissions"]["can_import"], &me["permissions"]["can_read_audit"]), (&json!(false), &json!(true)));
    assert_eq!((&me["orgs"][0]["name"], &me["quiet_hours"]), (&json!("Small School"), &Value::Null));
    let admin = small.client("admin").get("/_homeroom/v1/me").await.ok();
    assert_eq!((&admin["roles"], &admin["permissions"]["can_import"]), (&json!([]), &json!(true)));
}

#[tokio::test]
async fn requests_are_bounded() {
    let small = Small::start().await;
    let head = small.client("head");
    let term = "a".repeat(257);
    head.post(SEARCH, json!({ "search_term": term })).await.refused(400, "M_INVALID_PARAM");
    for query in [
        format!("q={term}"),
        "limit=0".into(),
        "role=king".into(),
        "relation=friend".into(),
        "can=fly".into(),
        "from=somewhere".into(),
    ] {
        contacts(head, &query).await.refused(400, "M_INVALID_PARAM");
    }
    head.get("/_homeroom/v1/classes?from=x").await.refused(400, "M_INVALID_PARAM");
    let answer = search(head, "", 2).await;
    assert_eq!((answer["results"].as_array().unwrap().len(), &answer["limited"]), (2, &json!(true)));
    let default = head.post(SEARCH, json!({ "search_term": "" })).await.ok();
    assert_eq!(default["results"].as_array().unwrap().len(), 10);
    let anonymous = small.server.anonymous();
    anonymous.post(SEARCH, json!({ "search_term": "a" })).await.refused(401, "M_MISSING_TOKEN");
    for path in ["contacts", "classes", "children", "me"] {
        anonymous.get(&format!("/_homeroom/v1/{path}")).await.refused(401, "M_MISSING_TOKEN");
    }
}
