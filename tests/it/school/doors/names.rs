//! By what names pupils and guardians go.

use serde_json::{Value, json};

use super::{V3, Walk, in_room, like_nobody, refused_by};
use crate::harness::{Client, escape};

const FALSE: &str = "Head Teacher";

fn path(client: &Client) -> String {
    format!("{V3}/profile/{}/displayname", escape(&client.user_id))
}

async fn member(client: &Client, room: &str) -> Value {
    client.room(room, &format!("state/m.room.member/{}", escape(&client.user_id))).await.ok()
}

async fn room_named(client: &Client, name: &str) -> String {
    let joined = client.get(&format!("{V3}/joined_rooms")).await.ok();
    for room in joined["joined_rooms"].as_array().unwrap() {
        let room = room.as_str().unwrap();
        let create = client.room(room, "state/m.room.create/").await.ok();
        let named = client.room(room, "state/m.room.name/").await;
        if create["type"].is_null() && named.body["name"] == name {
            return room.to_owned();
        }
    }
    panic!("{} is in no room {name}", client.user_id);
}

#[tokio::test]
async fn pupils_and_guardians_keep_the_name_of_the_roster() {
    let mut walk = Walk::start().await;
    for (name, called) in [("pupil", "Pia Apfel"), ("guardian", "Gerda Apfel")] {
        let client = walk.small.client(name);
        let refused = client.put(&path(client), json!({ "displayname": FALSE })).await;
        refused_by(name, &refused, "profile.name");
        refused_by(name, &client.delete(&path(client)).await, "profile.name");
        assert_eq!(client.get(&path(client)).await.ok()["displayname"], called);
        let said = client.get(&format!("{V3}/capabilities")).await.ok()["capabilities"].clone();
        assert_eq!(said["m.set_displayname"], json!({ "enabled": false }));
        assert_eq!(said["m.profile_fields"], json!({ "enabled": true, "disallowed": ["displayname"] }));
        assert_eq!(said["m.set_avatar_url"], json!({ "enabled": true }));
        // Their picture is theirs.
        let avatar = format!("{V3}/profile/{}/avatar_url", escape(&client.user_id));
        client.put(&avatar, json!({ "avatar_url": "mxc://school.example/other" })).await.ok();
    }
    for name in ["tutor", "admin", "parent_teacher"] {
        let client = walk.small.client(name);
        client.put(&path(client), json!({ "displayname": "As I like it" })).await.ok();
        let said = client.get(&format!("{V3}/capabilities")).await.ok()["capabilities"].clone();
        assert_eq!(said["m.set_displayname"], json!({ "enabled": true }), "{name}");
        assert_eq!(said["m.profile_fields"], json!({ "enabled": true }), "{name}");
    }
    // The roster names them anew, in their rooms too.
    let room = walk.own_rooms["pupil"].clone();
    let since = walk.small.client("pupil").sync(None).await["next_batch"].as_str().unwrap().to_owned();
    walk.small.reimport(|roster| roster.people.get_mut("pupil").unwrap().family = "Birne".into()).await;
    let pupil = walk.small.client("pupil");
    if member(pupil, &room).await["displayname"] != "Pia Birne" {
        let renamed = |answer: &Value| {
            let events = answer["rooms"]["join"][&room]["timeline"]["events"].as_array()?;
            events.iter().any(|event| event["content"]["displayname"] == "Pia Birne").then_some(())
        };
        pupil.sync_until(&since, renamed).await;
    }
}

#[tokio::test]
async fn no_room_knows_pupils_and_guardians_by_another_name() {
    let walk = Walk::start().await;
    let (pupil, tutor) = (walk.small.client("pupil"), walk.small.client("tutor"));
    for room in [walk.own_rooms["pupil"].clone(), room_named(pupil, "8a").await] {
        let before = member(pupil, &room).await;
        for name in [json!(FALSE), json!(""), json!(7), Value::Null] {
            let mut content = before.clone();
            content["displayname"] = name;
            let refused = pupil.set_state(&room, "m.room.member", &pupil.user_id, content).await;
            refused_by(&room, &refused, "profile.name");
        }
        let mut without = before.clone();
        without.as_object_mut().unwrap().remove("displayname");
        refused_by(&room, &pupil.set_state(&room, "m.room.member", &pupil.user_id, without).await, "profile.name");
        // Clients send the whole content again, with what they change.
        let mut content = before.clone();
        content["org.example.own"] = 1.into();
        pupil.set_state(&room, "m.room.member", &pupil.user_id, content.clone()).await.ok();
        assert_eq!(member(pupil, &room).await, content);
    }
    // Who works here may be called otherwise, there too.
    let room = room_named(tutor, "8a").await;
    let mut content = member(tutor, &room).await;
    content["displayname"] = "Frau Tafel".into();
    tutor.set_state(&room, "m.room.member", &tutor.user_id, content).await.ok();
}

#[tokio::test]
async fn nobody_comes_in_under_another_name_or_is_asked_in_under_one() {
    let walk = Walk::start().await;
    let (tutor, pupil, guardian) =
        (walk.small.client("tutor"), walk.small.client("pupil"), walk.small.client("guardian"));
    let room = tutor.create_room(json!({ "invite": [&guardian.user_id] })).await;
    let join = json!({ "membership": "join", "displayname": FALSE });
    // Who is not in a room joins by their profile, however they ask for it.
    guardian.set_state(&room, "m.room.member", &guardian.user_id, join.clone()).await.ok();
    assert_eq!(member(guardian, &room).await["displayname"], "Gerda Apfel");
    refused_by("again", &guardian.set_state(&room, "m.room.member", &guardian.user_id, join).await, "profile.name");
    assert_eq!(member(guardian, &room).await["displayname"], "Gerda Apfel");
    // Nobody gives them another when asking them in, and they give nobody another.
    let invite = |name: &str| json!({ "membership": "invite", "displayname": name });
    guardian.leave(&room).await.ok();
    let refused = tutor.set_state(&room, "m.room.member", &guardian.user_id, invite(FALSE)).await;
    refused_by("invite", &refused, "profile.name");
    let room = guardian.create_room(json!({})).await;
    let refused = guardian.set_state(&room, "m.room.member", &tutor.user_id, invite(FALSE)).await;
    refused_by("invite", &refused, "profile.name");
    guardian.set_state(&room, "m.room.member", &tutor.user_id, invite("Tilda Tafel")).await.ok();
    let room = pupil.create_room(json!({ "name": "Homework" })).await;
    // Whom they may not know of is nobody, by whatever name.
    let hidden = walk.id("isolated");
    let answer = pupil.set_state(&room, "m.room.member", hidden, invite(FALSE)).await;
    let nobody = pupil.set_state(&room, "m.room.member", super::NOBODY, invite(FALSE)).await;
    like_nobody("invite", &answer, hidden, &nobody);
    // Nor do they go under one.
    let leave = json!({ "membership": "leave", "displayname": FALSE });
    refused_by("leave", &pupil.set_state(&room, "m.room.member", &pupil.user_id, leave).await, "profile.name");
    in_room(pupil, reqwest::Method::POST, &room, "leave", json!({})).await.ok();
}
