//! People and decisions as administrators read them, in the API and on the command line.

use ruma::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Rules, School, SchoolError,
    people::{People, PersonNo},
    policy::Outcome,
    roster::{EnrollmentRole, SchoolRole},
};
use crate::{
    rooms::policy::Verb,
    store::{
        Order, UserNo,
        schema::school::{ACCOUNT_PEOPLE, LOCAL_ROLES},
    },
};

/// Records of one person that are listed.
const RECORDS_MAX: usize = 50;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonLine {
    /// Their id in the first source that tells of them; null for somebody only this server gave a role.
    pub source_id: Option<String>,
    /// That source.
    pub source: Option<String>,
    /// Their account.
    pub user_id: String,
    /// How they are called.
    pub name: String,
    /// The given name.
    pub given: String,
    /// The family name.
    pub family: String,
    /// The roles in force, narrowest first: none for who has left or is locked.
    pub roles: Vec<String>,
    /// The classes they are in today.
    pub classes: Vec<ClassLine>,
    /// Whether they have left, or are locked.
    pub gone: bool,
    /// All records of this person, when there are several: source and id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordLine>,
}

/// A class somebody is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClassLine {
    /// Its id in its source.
    pub id: String,
    /// Its title.
    pub title: String,
    /// As what: `student`, `teacher` or `aide`.
    pub role: String,
}

/// A record of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordLine {
    /// The source.
    pub source: String,
    /// The id there.
    pub source_id: String,
}

/// Which people to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeopleQuery {
    /// A part of a name, or of a user id.
    pub q: Option<String>,
    /// Only those with this role.
    pub role: Option<SchoolRole>,
    /// From after this account.
    pub after: Option<u64>,
}

impl School {
    /// At most `limit` people by the numbers of their accounts; and where to go on, unless these were the last.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list_people(
        &self,
        query: &PeopleQuery,
        limit: usize,
    ) -> Result<(Vec<PersonLine>, Option<u64>), SchoolError> {
        let people = self.people();
        let part = query.q.as_deref().map(str::to_lowercase);
        let wanted = |who: &PersonNo| {
            query.after.is_none_or(|after| people.user(*who).0 > after)
                && query.role.is_none_or(|role| people.roles(*who).has(role))
                && part.as_deref().is_none_or(|part| is_called(&people, *who, part))
        };
        let (mut lines, mut next) = (Vec::new(), None);
        for who in people.iter().filter(|who| !people.standing(*who).service).filter(wanted) {
            if lines.len() >= limit {
                return Ok((lines, next));
            }
            let line = self.person_line(&people, who).await?;
            next = Some(people.user(who).0);
            // An administrator of the server whom neither a source nor anybody here gave a part in the school.
            if line.source.is_some() || self.has_local_role(people.user(who)).await? {
                lines.push(line);
            }
        }
        Ok((lines, None))
    }

    async fn person_line(&self, people: &People, who: PersonNo) -> Result<PersonLine, SchoolError> {
        let records = self.records(people.user(who)).await?;
        let classes = people.enrolled(who).filter_map(|member| {
            let class = people.class(member.class)?;
            let role = match member.role {
                EnrollmentRole::Student => "student",
                EnrollmentRole::Teacher => "teacher",
                EnrollmentRole::Aide => "aide",
            };
            Some(ClassLine { id: class.id.to_string(), title: class.title.to_string(), role: role.to_owned() })
        });
        let first = records.first().cloned();
        Ok(PersonLine {
            source_id: first.as_ref().map(|record| record.source_id.clone()),
            source: first.map(|record| record.source),
            user_id: format!("@{}:{}", people.localpart(who), self.rules.server()),
            name: people.display_name(who),
            given: people.given(who).to_owned(),
            family: people.family(who).to_owned(),
            roles: people.roles(who).iter().map(|role| role.name().to_owned()).collect(),
            classes: classes.collect(),
            gone: people.standing(who).gone,
            records: if records.len() > 1 { records } else { Vec::new() },
        })
    }

    async fn has_local_role(&self, user: UserNo) -> Result<bool, SchoolError> {
        Ok(!self.exchange.store().prefix(&LOCAL_ROLES, &user, Order::Ascending, 1).await?.is_empty())
    }

    async fn records(&self, user: UserNo) -> Result<Vec<RecordLine>, SchoolError> {
        let rows = self.exchange.store().prefix(&ACCOUNT_PEOPLE, &user, Order::Ascending, RECORDS_MAX).await?;
        Ok(rows.into_iter().map(|((_, source, source_id), ())| RecordLine { source, source_id }).collect())
    }
}

fn is_called(people: &People, who: PersonNo, part: &str) -> bool {
    people.display_name(who).to_lowercase().contains(part)
        || format!("{} {}", people.given(who), people.family(who)).to_lowercase().contains(part)
        || people.localpart(who).contains(part.trim_start_matches('@'))
}

/// A decision of the contact policy with everything that led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explained {
    /// Who acts.
    pub actor: String,
    /// On whom.
    pub target: String,
    /// The verb.
    pub verb: String,
    /// `allow`, `supervised`, `family`, `knock` or `deny`.
    pub outcome: String,
    /// Of a supervised chat: adults at least, the actor included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adults: Option<u8>,
    /// The rule it follows from.
    pub rule: String,
    /// What the actor is told.
    pub message: String,
    /// Whether the actor may not know of the target at all.
    pub hidden: bool,
    /// What the two are to each other.
    pub relations: Vec<String>,
    /// The roles of who acts.
    pub actor_roles: Vec<String>,
    /// The roles of the other.
    pub target_roles: Vec<String>,
    /// Every rule that was looked at, in order.
    pub steps: Vec<ExplainedStep>,
    /// When it ends, if it follows from an override that does: Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// The version of the settings.
    pub policy_version: u64,
}

/// A rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedStep {
    /// Its id.
    pub rule: String,
    /// The verb it was asked about.
    pub verb: String,
    /// What it says; null when it says nothing about this pair.
    pub outcome: Option<String>,
}

impl Explained {
    /// The decision about two people.
    pub fn of(rules: &Rules, actor: &UserId, target: &UserId, verb: Verb) -> Self {
        let why = rules.why(actor, target, verb);
        let named = |roles: &[SchoolRole]| roles.iter().map(|role| role.name().to_owned()).collect();
        let steps = why.steps.iter().map(|step| ExplainedStep {
            rule: step.rule.to_owned(),
            verb: step.verb.name().to_owned(),
            outcome: step.outcome.map(|outcome| outcome.name().to_owned()),
        });
        Self {
            actor: actor.to_string(),
            target: target.to_string(),
            verb: verb.name().to_owned(),
            outcome: why.ruling.outcome.name().to_owned(),
            adults: match why.ruling.outcome {
                Outcome::Supervised { adults } => Some(adults),
                _ => None,
            },
            rule: why.ruling.rule.to_owned(),
            message: why.ruling.message.to_owned(),
            hidden: why.ruling.hidden,
            relations: why.relations.iter().map(|relation| (*relation).to_owned()).collect(),
            actor_roles: named(&why.actor_roles),
            target_roles: named(&why.target_roles),
            steps: steps.collect(),
            expires_ms: why.expires_ms,
            policy_version: why.policy_version,
        }
    }
}
