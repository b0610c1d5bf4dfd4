//! Push rules, pushers and the list of notifications.
//!
//! Specification v1.19, client-server API, "Push notifications".

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    api::client::push::{
        PushRule,
        delete_pushrule::v3 as delete_pushrule_v3,
        get_notifications::v3 as get_notifications_v3,
        get_pushers::v3 as get_pushers_v3,
        get_pushrule::v3 as get_pushrule_v3,
        get_pushrule_actions::v3 as get_pushrule_actions_v3,
        get_pushrule_enabled::v3 as get_pushrule_enabled_v3,
        get_pushrules_all::v3 as get_pushrules_all_v3,
        get_pushrules_global_scope::v3 as get_pushrules_global_v3,
        set_pusher::v3::{self as set_pusher_v3, PusherAction},
        set_pushrule::v3 as set_pushrule_v3,
        set_pushrule_actions::v3 as set_pushrule_actions_v3,
        set_pushrule_enabled::v3 as set_pushrule_enabled_v3,
    },
    push::{AnyPushRule, RuleKind},
};

use crate::{
    http::{ApiError, JsonBytes, Reply, Ruma, Session, services::Services},
    users::PushRulesError,
};

/// `GET /_matrix/client/v3/pushrules/`: all push rules.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules)
pub async fn get_pushrules_all(
    State(services): State<Arc<Services>>,
    request: Ruma<get_pushrules_all_v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let content = services.users.push_rules.content(request.session.user).await?;
    Ok(String::from(Box::<str>::from(content)).into())
}

/// `GET /_matrix/client/v3/pushrules/global/`: all push rules, as there is no other scope.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobal)
pub async fn get_pushrules_global_scope(
    State(services): State<Arc<Services>>,
    request: Ruma<get_pushrules_global_v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let content = services.users.push_rules.content(request.session.user).await?;
    let global = crate::event::content::field(&content, "global").ok_or_else(|| ApiError::internal("no rules"))?;
    Ok(global.get().to_owned().into())
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`: one push rule.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleid)
pub async fn get_pushrule(
    State(services): State<Arc<Services>>,
    request: Ruma<get_pushrule_v3::Request>,
) -> Result<Reply<get_pushrule_v3::Response>, ApiError> {
    let body = request.body;
    let rule = rule(&services, &request.session, body.kind, &body.rule_id).await?;
    Ok(Reply(get_pushrule_v3::Response::new(PushRule::from(rule))))
}

/// `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`: adds or changes a push rule.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid)
pub async fn set_pushrule(
    State(services): State<Arc<Services>>,
    request: Ruma<set_pushrule_v3::Request>,
) -> Result<Reply<set_pushrule_v3::Response>, ApiError> {
    let set_pushrule_v3::Request { rule, before, after } = request.body;
    let (after, before) = (after.as_deref(), before.as_deref());
    services.users.push_rules.insert(request.session.user, rule, after, before).await?;
    Ok(Reply(set_pushrule_v3::Response::new()))
}

/// `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`: removes a push rule.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3pushrulesglobalkindruleid)
pub async fn delete_pushrule(
    State(services): State<Arc<Services>>,
    request: Ruma<delete_pushrule_v3::Request>,
) -> Result<Reply<delete_pushrule_v3::Response>, ApiError> {
    let body = request.body;
    services.users.push_rules.remove(request.session.user, body.kind, &body.rule_id).await?;
    Ok(Reply(delete_pushrule_v3::Response::new()))
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`: whether a push rule is on.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidenabled)
pub async fn get_pushrule_enabled(
    State(services): State<Arc<Services>>,
    request: Ruma<get_pushrule_enabled_v3::Request>,
) -> Result<Reply<get_pushrule_enabled_v3::Response>, ApiError> {
    let body = request.body;
    let rule = PushRule::from(rule(&services, &request.session, body.kind, &body.rule_id).await?);
    Ok(Reply(get_pushrule_enabled_v3::Response::new(rule.enabled)))
}

/// `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`: switches a push rule on or off.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidenabled)
pub async fn set_pushrule_enabled(
    State(services): State<Arc<Services>>,
    request: Ruma<set_pushrule_enabled_v3::Request>,
) -> Result<Reply<set_pushrule_enabled_v3::Response>, ApiError> {
    let body = request.body;
    services.users.push_rules.set_enabled(request.session.user, body.kind, &body.rule_id, body.enabled).await?;
    Ok(Reply(set_pushrule_enabled_v3::Response::new()))
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`: what a push rule does.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidactions)
pub async fn get_pushrule_actions(
    State(services): State<Arc<Services>>,
    request: Ruma<get_pushrule_actions_v3::Request>,
) -> Result<Reply<get_pushrule_actions_v3::Response>, ApiError> {
    let body = request.body;
    let rule = PushRule::from(rule(&services, &request.session, body.kind, &body.rule_id).await?);
    Ok(Reply(get_pushrule_actions_v3::Response::new(rule.actions)))
}

/// `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`: sets what a push rule does.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidactions)
pub async fn set_pushrule_actions(
    State(services): State<Arc<Services>>,
    request: Ruma<set_pushrule_actions_v3::Request>,
) -> Result<Reply<set_pushrule_actions_v3::Response>, ApiError> {
    let body = request.body;
    services.users.push_rules.set_actions(request.session.user, body.kind, &body.rule_id, body.actions).await?;
    Ok(Reply(set_pushrule_actions_v3::Response::new()))
}

async fn rule(services: &Services, session: &Session, kind: RuleKind, id: &str) -> Result<AnyPushRule, ApiError> {
    let rules = services.users.push_rules.ruleset(session.user).await?;
    let rule = rules.get(kind, id).ok_or(PushRulesError::NotFound)?;
    Ok(rule.to_owned())
}

/// `GET /_matrix/client/v3/pushers`: the pushers of the account.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushers)
pub async fn get_pushers(
    State(services): State<Arc<Services>>,
    request: Ruma<get_pushers_v3::Request>,
) -> Result<Reply<get_pushers_v3::Response>, ApiError> {
    let pushers = services.users.pushers.list(request.session.user).await?;
    Ok(Reply(get_pushers_v3::Response::new(pushers)))
}

/// `POST /_matrix/client/v3/pushers/set`: sets or ends a pusher.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3pushersset)
pub async fn set_pusher(
    State(services): State<Arc<Services>>,
    request: Ruma<set_pusher_v3::Request>,
) -> Result<Reply<set_pusher_v3::Response>, ApiError> {
    let (session, pushers) = (request.session, &services.users.pushers);
    match request.body.action {
        PusherAction::Post(data) => {
            pushers.set(session.user, session.device_id.as_str(), &data.pusher, data.append).await?;
        }
        PusherAction::Delete(ids) => pushers.delete(session.user, &ids).await?,
    }
    Ok(Reply(set_pusher_v3::Response::new()))
}

/// `GET /_matrix/client/v3/notifications`: the events that notified. None are recorded yet, so the list is empty.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3notifications)
pub async fn get_notifications(
    _request: Ruma<get_notifications_v3::Request>,
) -> Result<Reply<get_notifications_v3::Response>, ApiError> {
    Ok(Reply(get_notifications_v3::Response::new(Vec::new())))
}
