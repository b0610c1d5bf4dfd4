//! Pictures of pupils in rooms.

use homeroom::school::{audit::Author, policy::Settings};
use ruma::UserId;
use serde_json::{Value, json};

use super::{
    rooms::{room_of, start},
    small::Small,
};
use crate::harness::escape;

const PICTURE: &str = "mxc://school.example/picture";

async fn set(small: &Small, level: &str) {
    let settings: Settings =
        serde_json::from_value(json!({ "preset": "safe", "switches": { "pupil_photos": level } })).unwrap();
    let decisions = &small.school().decisions;
    let now = small.school().rules.in_force().policy().version.number;
    decisions.set_policy(&settings, now, &Author::console()).await.unwrap();
}

async fn renew(small: &Small, name: &str) {
    let (user, _) = small.account(name).await;
    let user_id = UserId::parse(small.id(name)).unwrap();
    small.server.app().services().rooms.rename_everywhere(user, &user_id).await.unwrap();
}

async fn member(small: &Small, room: &str, name: &str) -> Value {
    small.client("tutor").room(room, &format!("state/m.room.member/{}", escape(small.id(name)))).await.ok()
}

#[tokio::test]
async fn pictures_of_pupils_stand_in_no_room_where_nobody_is_to_see_them() {
    let small = start().await;
    let room = room_of(small.client("pupil"), "8a").await.unwrap();
    for name in ["pupil", "tutor"] {
        let path = format!("/_matrix/client/v3/profile/{}/avatar_url", escape(small.id(name)));
        small.client(name).put(&path, json!({ "avatar_url": PICTURE })).await.ok();
        renew(&small, name).await;
        assert_eq!(member(&small, &room, name).await["avatar_url"], PICTURE, "{name}");
    }
    set(&small, "off").await;
    renew(&small, "pupil").await;
    renew(&small, "tutor").await;
    assert!(member(&small, &room, "pupil").await["avatar_url"].is_null());
    assert_eq!(member(&small, &room, "tutor").await["avatar_url"], PICTURE);
    // Neither do clients put it there, and new rooms begin without.
    let own = json!({ "membership": "join", "displayname": "Pia Apfel", "avatar_url": PICTURE });
    let pupil = small.client("pupil");
    let invite = json!({ "invite": [small.id("pupil"), small.id("classmate")] });
    let project = small.client("tutor").create_room(invite).await;
    assert!(member(&small, &project, "pupil").await["avatar_url"].is_null());
    pupil.join(&project).await.ok();
    assert!(member(&small, &project, "pupil").await["avatar_url"].is_null());
    for room in [&room, &project] {
        let refused = pupil.set_state(room, "m.room.member", small.id("pupil"), own.clone()).await;
        assert_eq!(refused.refused(403, "M_FORBIDDEN")["org.homeroom.reason"], "rooms.picture");
        let named = json!({ "membership": "join", "displayname": "Pia Apfel" });
        pupil.set_state(room, "m.room.member", small.id("pupil"), named).await.ok();
    }
}
