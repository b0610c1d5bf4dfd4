//! The contact policy: read, changed, tried out, explained.

use std::sync::Arc;

use axum::extract::State;
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{
    administrator::{Administrator, Reader},
    errors::ErrorReply,
    overrides::verb,
    paging,
};
use crate::{
    http::{ApiError, JsonBody, JsonBytes, Query, services::Services},
    rooms::policy::Verb,
    school::{
        Explained,
        policy::{Ruling, SWITCHES, Settings},
    },
};

/// Examples of a preview when the request does not say, and at most.
const EXAMPLES_DEFAULT: usize = 20;
const EXAMPLES_MAX: usize = 200;

/// The policy's settings in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyReply {
    /// Their version; 0 is what the configuration says.
    pub version: u64,
    /// `preset`, `switches`, `scoped` and `published`.
    #[schema(value_type = Object)]
    pub settings: Settings,
    /// Who set them; null for the configuration.
    pub by: Option<String>,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// The switches there are, with their levels, the narrowest first.
    #[schema(value_type = Vec<Object>)]
    pub switches: Vec<Value>,
}

/// New settings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPolicy {
    /// The version they were made from.
    pub version: u64,
    /// The settings.
    #[schema(value_type = Object)]
    pub settings: Settings,
}

/// The version of new settings.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyVersionReply {
    /// The version.
    pub version: u64,
}

/// `GET /_homeroom/v1/policy`: the settings in force.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/policy",
    tag = "administration",
    responses((status = 200, description = "The settings", body = PolicyReply))
)]
pub async fn get_policy(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
) -> Result<JsonBytes, ApiError> {
    let policy = services.school.decisions.policy();
    let version = policy.version.clone();
    let switches = SWITCHES.iter().map(|switch| json!({ "name": switch.name, "levels": switch.levels })).collect();
    JsonBytes::of(&PolicyReply {
        version: version.number,
        settings: version.settings,
        by: version.by,
        at_ms: version.at_ms,
        switches,
    })
}

/// `PUT /_homeroom/v1/policy`: sets new settings.
#[utoipa::path(
    put,
    path = "/_homeroom/v1/policy",
    tag = "administration",
    request_body = PutPolicy,
    responses(
        (status = 200, description = "They are in force", body = PolicyVersionReply),
        (status = 400, description = "Everything that is wrong with them", body = ErrorReply),
        (status = 409, description = "Another version is in force by now", body = ErrorReply),
    )
)]
pub async fn put_policy(
    State(services): State<Arc<Services>>,
    administrator: Administrator,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: PutPolicy = body.parse()?;
    let decisions = &services.school.decisions;
    let version = decisions.set_policy(&wanted.settings, wanted.version, &administrator.author()).await?;
    JsonBytes::of(&PolicyVersionReply { version })
}

/// The query of the earlier versions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct VersionsQuery {
    /// Versions at most (1 to 200, 50 if not given).
    pub limit: Option<u32>,
    /// `next_batch` of the page before.
    pub from: Option<String>,
}

/// A page of versions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionsPage {
    /// The versions.
    pub versions: Vec<VersionEntry>,
    /// `from` of the next page, unless this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// A version of the settings.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionEntry {
    /// Its number.
    pub version: u64,
    /// The settings.
    #[schema(value_type = Object)]
    pub settings: Value,
    /// Who set them.
    pub by: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
}

/// `GET /_homeroom/v1/policy/versions`: every version that was ever set.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/policy/versions",
    tag = "administration",
    params(VersionsQuery),
    responses((status = 200, description = "A page, newest first", body = VersionsPage))
)]
pub async fn get_versions(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    Query(query): Query<VersionsQuery>,
) -> Result<JsonBytes, ApiError> {
    let limit = paging::limit(query.limit)?;
    let rows = services.school.decisions.policy_versions(paging::number(query.from.as_deref())?, limit).await?;
    let next_batch = paging::next(rows.len(), limit, rows.last().map(|(number, _)| *number));
    let versions = rows.into_iter().map(|(version, row)| VersionEntry {
        version,
        settings: serde_json::from_str(&row.settings).unwrap_or_else(|_| json!({})),
        by: row.by,
        at_ms: row.at_ms,
    });
    JsonBytes::of(&VersionsPage { versions: versions.collect(), next_batch })
}

/// A pair of people, and settings that are not in force.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatePolicy {
    /// The settings; those in force if not given.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Settings>,
    /// Who acts.
    #[schema(value_type = String)]
    pub actor: OwnedUserId,
    /// On whom.
    #[schema(value_type = String)]
    pub target: OwnedUserId,
}

/// What the policy would say of a pair.
#[derive(Debug, Serialize, ToSchema)]
pub struct SimulationReply {
    /// A line for each verb.
    pub rulings: Vec<RulingReply>,
}

/// What the policy says of a pair and a verb.
#[derive(Debug, Serialize, ToSchema)]
pub struct RulingReply {
    /// The verb.
    pub verb: String,
    /// `allow`, `supervised`, `family`, `knock` or `deny`.
    pub outcome: String,
    /// The rule it follows from.
    pub rule: String,
    /// Whether the actor may not know of the target at all.
    pub hidden: bool,
}

impl RulingReply {
    fn new(verb: Verb, ruling: &Ruling) -> Self {
        let (outcome, rule) = (ruling.outcome.name().to_owned(), ruling.rule.to_owned());
        Self { verb: verb.name().to_owned(), outcome, rule, hidden: ruling.hidden }
    }
}

/// `POST /_homeroom/v1/policy/simulate`: what settings would say of a pair of the school's people.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/policy/simulate",
    tag = "administration",
    request_body = SimulatePolicy,
    responses(
        (status = 200, description = "The rulings", body = SimulationReply),
        (status = 400, description = "Everything that is wrong with the settings", body = ErrorReply),
        (status = 404, description = "Somebody the school does not know", body = ErrorReply),
    )
)]
pub async fn simulate(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: SimulatePolicy = body.parse()?;
    let (school, people) = (&services.school, services.school.people());
    let settings = wanted.settings.unwrap_or_else(|| school.decisions.policy().version.settings.clone());
    let compiled = settings.compile().map_err(|problems| {
        let texts: Vec<_> =
            problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
        ApiError::invalid_param(texts.join("; "))
    })?;
    let person = |user: &UserId| {
        let local = user.server_name() == services.config.server.name;
        let found = local.then(|| people.find(user)).flatten();
        found.ok_or_else(|| ApiError::not_found("The school does not know this person"))
    };
    let (actor, target) = (person(&wanted.actor)?, person(&wanted.target)?);
    let ruling = |verb| RulingReply::new(verb, &school.rules.ruling_under(&compiled, &people, actor, target, verb));
    JsonBytes::of(&SimulationReply { rulings: Verb::ALL.into_iter().map(ruling).collect() })
}

/// Settings that might be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewPolicy {
    /// The settings.
    #[schema(value_type = Object)]
    pub settings: Settings,
    /// Examples at most (20 if not given, up to 200).
    #[serde(default)]
    pub examples: Option<usize>,
}

/// What would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewReply {
    /// Pairs that were looked at, each in one direction.
    pub pairs: usize,
    /// Whether these are all there are.
    pub exact: bool,
    /// How many would change, by roles and verb.
    pub counts: Vec<PreviewCount>,
    /// Some of them.
    pub examples: Vec<PreviewExample>,
}

/// How many pairs of two roles would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewCount {
    /// The widest role of who acts.
    pub from: String,
    /// The widest role of the other.
    pub to: String,
    /// `see` or `dm`.
    pub verb: String,
    /// Pairs that would be allowed less: what exists between them becomes read-only at once.
    pub tightened: usize,
    /// Pairs that would be allowed more: nothing opens by itself.
    pub loosened: usize,
}

/// A pair that would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewExample {
    /// Who acts.
    pub actor: String,
    /// On whom.
    pub target: String,
    /// `see` or `dm`.
    pub verb: String,
    /// What holds now.
    pub before: String,
    /// What would hold.
    pub after: String,
}

/// `POST /_homeroom/v1/policy/preview`: what would change with other settings.
#[utoipa::path(
    post,
    path = "/_homeroom/v1/policy/preview",
    tag = "administration",
    request_body = PreviewPolicy,
    responses(
        (status = 200, description = "What would change", body = PreviewReply),
        (status = 400, description = "Everything that is wrong with the settings", body = ErrorReply),
    )
)]
pub async fn preview(
    State(services): State<Arc<Services>>,
    _administrator: Administrator,
    body: JsonBody,
) -> Result<JsonBytes, ApiError> {
    let wanted: PreviewPolicy = body.parse()?;
    let examples = wanted.examples.unwrap_or(EXAMPLES_DEFAULT).min(EXAMPLES_MAX);
    let preview = services.school.decisions.preview_policy(&wanted.settings, examples).await?;
    let counts = preview.counts.into_iter().map(|count| PreviewCount {
        from: count.from.name().to_owned(),
        to: count.to.name().to_owned(),
        verb: count.verb.name().to_owned(),
        tightened: count.tightened,
        loosened: count.loosened,
    });
    let examples = preview.examples.into_iter().map(|example| PreviewExample {
        actor: example.actor.into(),
        target: example.target.into(),
        verb: example.verb.name().to_owned(),
        before: example.before.name().to_owned(),
        after: example.after.name().to_owned(),
    });
    let (counts, examples) = (counts.collect(), examples.collect());
    JsonBytes::of(&PreviewReply { pairs: preview.pairs, exact: preview.exact, counts, examples })
}

/// A pair and a verb.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WhyQuery {
    /// Who acts: a user id.
    pub actor: String,
    /// On whom: a user id.
    pub target: String,
    /// The verb (`dm` if not given).
    pub verb: Option<String>,
}

/// `GET /_homeroom/v1/why`: what the policy says of two people, with everything that led to it. For administrators and
/// safeguarding leads.
#[utoipa::path(
    get,
    path = "/_homeroom/v1/why",
    tag = "administration",
    params(WhyQuery),
    responses(
        (status = 200, description = "The decision, explained", body = Explained),
        (status = 403, description = "Neither an administrator nor a safeguarding lead", body = ErrorReply),
    )
)]
pub async fn get_why(
    State(services): State<Arc<Services>>,
    _reader: Reader,
    Query(query): Query<WhyQuery>,
) -> Result<JsonBytes, ApiError> {
    let user = |text: &str| UserId::parse(text).map_err(|_| ApiError::invalid_param("This is not a user id"));
    let (actor, target) = (user(&query.actor)?, user(&query.target)?);
    let verb = query.verb.as_deref().map_or(Ok(Verb::Dm), verb)?;
    JsonBytes::of(&Explained::of(&services.school.rules, &actor, &target, verb))
}
