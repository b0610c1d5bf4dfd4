//! Rules about a room go along to the room that replaces it (spec v1.19, Client-Server API "Room upgrades").

use ruma::{
    RoomId,
    push::{NewConditionalPushRule, NewPushRule, NewSimplePushRule, PushCondition, RuleKind, Ruleset},
};

use super::{PushRules, PushRulesError};
use crate::store::UserNo;

/// A rule for the new room, and whether it is switched on.
type Copied = (NewPushRule, bool);

impl PushRules {
    /// Gives a user the rules for a new room that they have for the one it replaces. Rules that they have for the new
    /// room already stay as they are.
    ///
    /// # Errors
    /// The store failed, or the rules would be too many.
    pub async fn follow_room(&self, user: UserNo, old: &RoomId, new: &RoomId) -> Result<(), PushRulesError> {
        if copies(&*self.ruleset(user).await?, old, new).is_empty() {
            return Ok(());
        }
        self.change(user, |rules| {
            for (rule, enabled) in copies(rules, old, new) {
                let (kind, id) = (rule.kind(), rule.rule_id().to_owned());
                rules.insert(rule, None, None)?;
                rules.set_enabled(kind, &id, enabled)?;
            }
            Ok(())
        })
        .await
    }
}

/// The rules to be added: those of the old room, and those that ask for its id.
fn copies(rules: &Ruleset, old: &RoomId, new: &RoomId) -> Vec<Copied> {
    let mut copies: Vec<Copied> = Vec::new();
    if let Some(rule) = rules.room.get(old.as_str())
        && rules.get(RuleKind::Room, new).is_none()
    {
        let copy = NewSimplePushRule::new(new.to_owned(), rule.actions.clone());
        copies.push((NewPushRule::Room(copy), rule.enabled));
    }
    // The first is inserted last, so that they keep their order.
    for (kind, list) in [(RuleKind::Override, &rules.override_), (RuleKind::Underride, &rules.underride)] {
        for rule in list.iter().rev().filter(|rule| rule.rule_id.contains(old.as_str())) {
            let id = rule.rule_id.replace(old.as_str(), new.as_str());
            let mut conditions = rule.conditions.clone();
            let mut about_old = false;
            for condition in &mut conditions {
                if let PushCondition::EventMatch(wanted) = condition
                    && wanted.key == "room_id"
                    && wanted.pattern == old.as_str()
                {
                    new.as_str().clone_into(&mut wanted.pattern);
                    about_old = true;
                }
            }
            if about_old && rules.get(kind.clone(), &id).is_none() {
                let copy = NewConditionalPushRule::new(id, conditions, rule.actions.clone());
                let copy = match kind {
                    RuleKind::Override => NewPushRule::Override(copy),
                    _ => NewPushRule::Underride(copy),
                };
                copies.push((copy, rule.enabled));
            }
        }
    }
    copies
}
