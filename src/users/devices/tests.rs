#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use ruma::api::client::push::Pusher;

use super::*;
use crate::users::test::{Fixture, PASSWORD};

#[tokio::test]
async fn devices_are_named_listed_and_removed() {
    let fixture = Fixture::new();
    let device = NewDevice { device_id: Some("D1".into()), display_name: Some("phone".into()), refreshable: false };
    let (anna, _) = fixture.register_on("anna", device).await;
    let (ben, _) = fixture.register("ben").await;
    let devices = &fixture.users.devices;
    assert_eq!(devices.list(anna.user).await.unwrap()[0].display_name.as_deref(), Some("phone"));
    devices.rename(anna.user, "D1".into(), Some("laptop".into())).await.unwrap();
    assert_eq!(devices.get(anna.user, "D1".into()).await.unwrap().unwrap().display_name.unwrap(), "laptop");
    assert!(devices.get(ben.user, "D1".into()).await.unwrap().is_none());
    let other = devices.rename(ben.user, "D1".into(), None).await;
    assert!(matches!(other, Err(UsersError::NotFound(_))));
    let long = devices.rename(anna.user, "D1".into(), Some("x".repeat(256))).await;
    assert!(matches!(long, Err(UsersError::TooLarge(_))));
    // Nobody removes somebody else's device.
    devices.remove(ben.user, &["D1".into()]).await.unwrap();
    assert_eq!(devices.list(anna.user).await.unwrap().len(), 1);
    devices.remove(anna.user, &["D1".into(), "made up".into()]).await.unwrap();
    assert!(devices.list(anna.user).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_pusher_ends_with_its_device_and_with_its_next_owner() {
    let fixture = Fixture::new();
    let (anna, first) = fixture.register("anna").await;
    let (ben, bens) = fixture.register("ben").await;
    let pushers = &fixture.users.pushers;
    let pusher: Pusher = serde_json::from_value(serde_json::json!({
        "app_id": "a", "pushkey": "k", "kind": "http", "app_display_name": "A", "device_display_name": "D", "lang": "de",
        "data": {"url": "https://push.example/_matrix/push/v1/notify", "format": "event_id_only", "x": 1},
    })).unwrap();
    let count = |user| async move { pushers.list(user).await.unwrap().len() };
    pushers.set(anna.user, first.device_id.as_str(), &pusher, false).await.unwrap();
    pushers.set(ben.user, bens.device_id.as_str(), &pusher, true).await.unwrap();
    assert_eq!((count(anna.user).await, count(ben.user).await), (1, 1));
    pushers.set(ben.user, bens.device_id.as_str(), &pusher, false).await.unwrap();
    assert_eq!((count(anna.user).await, count(ben.user).await), (0, 1));
    pushers.set(anna.user, first.device_id.as_str(), &pusher, true).await.unwrap();
    let second = fixture.users.login("anna", PASSWORD.into(), &NewDevice::default()).await.unwrap();
    fixture.users.devices.remove(anna.user, &[second.device_id]).await.unwrap();
    assert_eq!(count(anna.user).await, 1);
    fixture.users.devices.remove(anna.user, &[first.device_id]).await.unwrap();
    assert_eq!((count(anna.user).await, count(ben.user).await), (0, 1));
    pushers.delete(ben.user, &pusher.ids).await.unwrap();
    assert_eq!(count(ben.user).await, 0);
}

#[tokio::test]
async fn the_same_filter_has_one_id() {
    let fixture = Fixture::new();
    let (anna, _) = fixture.register("anna").await;
    let filters = &fixture.users.filters;
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
    let id =
        filters.create(anna.user, &raw(r#"{"room":{"timeline":{"limit":5}},"presence":{"limit":1}}"#)).await.unwrap();
    let same = filters.create(anna.user, &raw(r#"{"presence": {"limit":1}, "room":{"timeline":{"limit":5}}}"#)).await;
    assert_eq!(same.unwrap(), id);
    let definition = filters.definition(anna.user, &id).await.unwrap().unwrap();
    assert_eq!(definition.room.timeline.limit, Some(ruma::uint!(5)));
    assert!(filters.definition(UserNo(anna.user.0 + 1), &id).await.unwrap().is_none());
    assert!(filters.get(anna.user, "made up").await.unwrap().is_none());
    assert!(matches!(filters.create(anna.user, &raw(r#"{"room":7}"#)).await, Err(UsersError::Invalid(_))));
}
