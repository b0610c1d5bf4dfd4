#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use super::*;
use crate::users::test::Fixture;

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn seen(items: &[AccountDataItem]) -> Vec<(Option<u64>, &str, &str)> {
    items.iter().map(|item| (item.room.map(|room| room.0), item.kind.as_str(), item.content.get())).collect()
}

#[tokio::test]
async fn a_change_is_told_once_with_its_last_content() {
    let fixture = Fixture::new();
    let (anna, _) = fixture.register("anna").await;
    let data = &fixture.users.account_data;
    let room = Some(RoomNo(7));
    let start = fixture.store.position();
    data.set(anna.user, None, "a", &json("{\"n\":1}")).await.unwrap();
    let middle = data.set(anna.user, room, "a", &json("{\"n\":2}")).await.unwrap();
    let end = data.set(anna.user, None, "a", &json("{\"n\":3}")).await.unwrap();
    let all = data.changes(anna.user, start, end).await.unwrap();
    assert_eq!(seen(&all), [(Some(7), "a", "{\"n\":2}"), (None, "a", "{\"n\":3}")]);
    assert_eq!(data.changes(anna.user, middle, end).await.unwrap().len(), 1);
    assert!(data.changes(anna.user, end, end).await.unwrap().is_empty());
    assert!(data.changes(anna.user, end, start).await.unwrap().is_empty());
    assert!(data.changes(UserNo(anna.user.0 + 1), start, end).await.unwrap().is_empty());
    assert_eq!(data.of_room(anna.user, RoomNo(7)).await.unwrap().len(), 1);
    // Each row has one row in the log.
    let mut logged = 0;
    fixture
        .store
        .walk_blocking(&ACCOUNT_DATA_LOG, |_, _| {
            logged += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(logged, 2);
}

#[tokio::test]
async fn everybody_has_push_rules() {
    let fixture = Fixture::new();
    let (anna, _) = fixture.register("anna").await;
    let all = fixture.users.account_data.all(anna.user).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].kind, PUSH_RULES);
    assert!(all[0].content.get().contains("@anna:school.example"));
}

#[tokio::test]
async fn sizes_are_bounded() {
    let fixture = Fixture::new();
    let (anna, _) = fixture.register("anna").await;
    let data = &fixture.users.account_data;
    let huge = json(&format!("{{\"a\":\"{}\"}}", "x".repeat(CONTENT_BYTES_MAX)));
    assert!(matches!(data.set(anna.user, None, "a", &huge).await, Err(UsersError::TooLarge(_))));
    assert!(matches!(data.set(anna.user, None, "", &json("{}")).await, Err(UsersError::Invalid(_))));
    let long = "k".repeat(256);
    assert!(matches!(data.set(anna.user, None, &long, &json("{}")).await, Err(UsersError::Invalid(_))));
}

#[tokio::test]
async fn tags_change_one_by_one() {
    let fixture = Fixture::new();
    let (anna, _) = fixture.register("anna").await;
    let data = &fixture.users.account_data;
    let room = RoomNo(3);
    for tag in ["m.favourite", "u.work"] {
        let change = |tags: &mut serde_json::Map<_, _>| {
            tags.insert(tag.to_owned(), serde_json::json!({"order": 0.5}));
            Ok(())
        };
        data.change_tags(anna.user, room, change).await.unwrap();
    }
    data.change_tags(anna.user, room, |tags| {
        tags.remove("u.work");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(data.tags(anna.user, room).await.unwrap().keys().collect::<Vec<_>>(), ["m.favourite"]);
    let stored = data.get(anna.user, Some(room), TAG).await.unwrap().unwrap();
    assert_eq!(stored.get(), r#"{"tags":{"m.favourite":{"order":0.5}}}"#);
    // A client may have written anything there.
    data.set(anna.user, Some(room), TAG, &json("{\"tags\":7}")).await.unwrap();
    assert!(data.tags(anna.user, room).await.unwrap().is_empty());
}
