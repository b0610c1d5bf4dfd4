#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use ruma::push::NewSimplePushRule;

use super::*;
use crate::users::test::Fixture;

fn sender(name: &str) -> NewPushRule {
    let id = ruma::UserId::parse(format!("@{name}:school.example")).unwrap();
    NewPushRule::Sender(NewSimplePushRule::new(id, vec![Action::Notify]))
}

fn id(name: &str) -> String {
    format!("@{name}:school.example")
}

async fn order(fixture: &Fixture, user: UserNo) -> Vec<String> {
    let rules = fixture.users.push_rules.ruleset(user).await.unwrap();
    rules.sender.iter().map(|rule| rule.rule_id.localpart().to_owned()).collect()
}

#[tokio::test]
async fn the_default_rules_are_those_of_the_specification() {
    let rules = effective(None, ruma::user_id!("@anna:school.example"));
    let of = |rules: Vec<&str>| {
        rules.into_iter().filter(|id| !id.contains("msc3930")).map(str::to_owned).collect::<Vec<_>>()
    };
    let overrides = of(rules.override_.iter().map(|rule| rule.rule_id.as_str()).collect());
    assert_eq!(
        overrides,
        [
            ".m.rule.master",
            ".m.rule.suppress_notices",
            ".m.rule.invite_for_me",
            ".m.rule.member_event",
            ".m.rule.is_user_mention",
            ".m.rule.is_room_mention",
            ".m.rule.tombstone",
            ".m.rule.reaction",
            ".m.rule.room.server_acl",
            ".m.rule.suppress_edits",
        ]
    );
    let underrides = of(rules.underride.iter().map(|rule| rule.rule_id.as_str()).collect());
    assert_eq!(
        underrides,
        [
            ".m.rule.call",
            ".m.rule.encrypted_room_one_to_one",
            ".m.rule.room_one_to_one",
            ".m.rule.message",
            ".m.rule.encrypted",
        ]
    );
    assert!(rules.content.is_empty() && rules.room.is_empty() && rules.sender.is_empty());
}

#[tokio::test]
async fn rules_go_to_every_position() {
    let fixture = Fixture::new();
    let (anna, _) = fixture.register("anna").await;
    let rules = &fixture.users.push_rules;
    for name in ["c", "b", "a"] {
        rules.insert(anna.user, sender(name), None, None).await.unwrap();
    }
    assert_eq!(order(&fixture, anna.user).await, ["a", "b", "c"]);
    // Behind the last one: a rule that exists already must not fall off the end.
    rules.insert(anna.user, sender("a"), Some(&id("c")), None).await.unwrap();
    assert_eq!(order(&fixture, anna.user).await, ["b", "c", "a"]);
    rules.insert(anna.user, sender("a"), None, Some(&id("b"))).await.unwrap();
    rules.insert(anna.user, sender("d"), Some(&id("a")), Some(&id("b"))).await.unwrap();
    rules.insert(anna.user, sender("e"), Some(&id("c")), None).await.unwrap();
    assert_eq!(order(&fixture, anna.user).await, ["a", "d", "b", "c", "e"]);
    // A change without a position keeps the place, and whether the rule is on.
    rules.set_enabled(anna.user, RuleKind::Sender, &id("b"), false).await.unwrap();
    rules.insert(anna.user, sender("b"), None, None).await.unwrap();
    rules.insert(anna.user, sender("b"), Some(&id("d")), None).await.unwrap();
    assert_eq!(order(&fixture, anna.user).await, ["a", "d", "b", "c", "e"]);
    let ruleset = rules.ruleset(anna.user).await.unwrap();
    assert!(!ruleset.get(RuleKind::Sender, id("b")).unwrap().enabled());
}

#[tokio::test]
async fn impossible_changes_change_nothing() {
    let fixture = Fixture::new();
    let (anna, _) = fixture.register("anna").await;
    let rules = &fixture.users.push_rules;
    rules.insert(anna.user, sender("a"), None, None).await.unwrap();
    let start = fixture.store.position();
    let insert = |after, before| rules.insert(anna.user, sender("a"), after, before);
    let own = id("a");
    assert!(matches!(insert(Some(&own), None).await, Err(PushRulesError::Invalid(_))));
    assert!(matches!(insert(Some("@x:y"), None).await, Err(PushRulesError::NotFound)));
    assert!(matches!(insert(None, Some(".m.rule.master")).await, Err(PushRulesError::Invalid(_))));
    let removed = rules.remove(anna.user, RuleKind::Override, ".m.rule.master").await;
    assert!(matches!(removed, Err(PushRulesError::Invalid(_))));
    let missing = rules.set_enabled(anna.user, RuleKind::Room, "!x:y", true).await;
    assert!(matches!(missing, Err(PushRulesError::NotFound)));
    assert_eq!(fixture.store.position(), start);
    assert_eq!(order(&fixture, anna.user).await, ["a"]);
}

#[tokio::test]
async fn default_rules_are_switched_and_kept() {
    let fixture = Fixture::new();
    let (anna, _) = fixture.register("anna").await;
    let rules = &fixture.users.push_rules;
    rules.set_enabled(anna.user, RuleKind::Override, ".m.rule.master", true).await.unwrap();
    rules.set_actions(anna.user, RuleKind::Underride, ".m.rule.message", vec![]).await.unwrap();
    let ruleset = rules.ruleset(anna.user).await.unwrap();
    assert!(ruleset.get(RuleKind::Override, ".m.rule.master").unwrap().enabled());
    assert!(ruleset.get(RuleKind::Underride, ".m.rule.message").unwrap().actions().is_empty());
    let stored = fixture.users.account_data.get(anna.user, None, PUSH_RULES).await.unwrap().unwrap();
    assert!(stored.get().starts_with("{\"global\":{"));
}
