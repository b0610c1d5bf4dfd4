//! Profiles of people on other servers.

use serde_json::json;

use super::{Fake, Pair, server};
use crate::harness::escape;

#[tokio::test]
async fn the_profile_of_somebody_elsewhere_is_asked_for() {
    let Pair { a, b } = Pair::start().await;
    let (ada, bert) = (a.register("ada").await, b.register("bert").await);
    let own = format!("/_matrix/client/v3/profile/{}/displayname", escape(&ada.user_id));
    ada.put(&own, json!({ "displayname": "Ada" })).await.ok();
    assert_eq!(bert.get(&own).await.ok(), json!({ "displayname": "Ada" }));
    let whole = format!("/_matrix/client/v3/profile/{}", escape(&ada.user_id));
    assert_eq!(bert.get(&whole).await.ok()["displayname"], "Ada");
    let nobody = format!("/_matrix/client/v3/profile/{}", escape(&format!("@nobody:{}", a.name())));
    bert.get(&nobody).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_server_is_told_one_field_or_all() {
    let (home, fake) = (server(|_| {}).await, Fake::start().await);
    let ada = home.register("ada").await;
    let own = format!("/_matrix/client/v3/profile/{}/displayname", escape(&ada.user_id));
    ada.put(&own, json!({ "displayname": "Ada" })).await.ok();
    let ask = async |user: &str, rest: &str| {
        let path = format!("/_matrix/federation/v1/query/profile?user_id={}{rest}", escape(user));
        fake.get(&home, &path).await
    };
    assert_eq!(ask(&ada.user_id, "&field=displayname").await.ok(), json!({ "displayname": "Ada" }));
    assert_eq!(ask(&ada.user_id, "&field=avatar_url").await.ok(), json!({}));
    ask(&format!("@nobody:{}", home.name()), "").await.refused(404, "M_NOT_FOUND");
    fake.get(&home, "/_matrix/federation/v1/query/anything").await.refused(404, "M_UNRECOGNIZED");
}
