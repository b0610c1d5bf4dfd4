//! User-interactive authentication (specification v1.19, client-server API, section of that name).
//!
//! A session is bound to the operation and the account from its start, and to the body of the request from its first
//! completed stage on: until then it is worth nothing. Its flows never change. Sessions live in memory only.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use ruma::api::{
    client::uiaa::{AuthFlow, AuthType, UiaaInfo},
    error::{ErrorKind, StandardErrorBody},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use self::pending::{Pending, PendingSessions};
use super::{Accounts, Passwords, RegistrationTokens, UsersError};
use crate::{clock::Clock, ids::Ids, secret::Secret, store::UserNo};

mod pending;

/// A step of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `m.login.dummy`: always passes.
    Dummy,
    /// `m.login.password`: the account's own password.
    Password,
    /// `m.login.registration_token`: one of the configured tokens.
    RegistrationToken,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Dummy, Self::Password, Self::RegistrationToken];

    /// The stage of a name of the specification.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.auth_type().as_str() == name)
    }

    /// Its name.
    pub fn auth_type(self) -> AuthType {
        match self {
            Self::Dummy => AuthType::Dummy,
            Self::Password => AuthType::Password,
            Self::RegistrationToken => AuthType::RegistrationToken,
        }
    }
}

/// Any one of these flows is enough; all stages of it are needed.
pub type Flows = &'static [&'static [Stage]];

/// The flows of what a signed-in person confirms.
pub const PASSWORD_FLOWS: Flows = &[&[Stage::Password]];

/// The `auth` object of a request. Every field is optional: what is missing fails its stage.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuthDict {
    /// The stage; without it, `session` asks whether all is done (after a fallback page).
    #[serde(rename = "type")]
    pub stage: Option<String>,
    /// The session to go on with; a new one is made when missing.
    pub session: Option<String>,
    /// Whose password it is.
    pub identifier: Option<Identifier>,
    /// The same in requests of old clients.
    pub user: Option<String>,
    /// For [`Stage::Password`].
    pub password: Option<Secret>,
    /// For [`Stage::RegistrationToken`].
    pub token: Option<Secret>,
}

/// A user identifier. Only `m.id.user` is known here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Identifier {
    /// `m.id.user`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A user id or its part before the colon.
    pub user: String,
}

/// The request that is being authorised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Method and path, with what the path names, such as `DELETE /devices/ABC`.
    pub endpoint: String,
    /// Who asks, where a session is needed.
    pub user: Option<UserNo>,
    /// The body without `auth`; see [`Operation::new`].
    body: [u8; 32],
}

impl Operation {
    /// An operation with the JSON body of its request, as it came.
    pub fn new(endpoint: impl Into<String>, user: Option<UserNo>, body: &[u8]) -> Self {
        // A body that does not parse was refused before; here it would only be bound as it is.
        let body = match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body) {
            Ok(mut object) => {
                object.remove("auth");
                serde_json::to_vec(&object).unwrap_or_default()
            }
            Err(_) => body.to_vec(),
        };
        Self { endpoint: endpoint.into(), user, body: Sha256::digest(body).into() }
    }
}

/// How far an operation is.
#[derive(Debug)]
pub enum Outcome {
    /// All stages of one flow are completed. The session has ended.
    Passed,
    /// 401 with this body: stages are missing, or the last one failed (`auth_error` says so).
    Incomplete(Box<UiaaInfo>),
    /// The session belongs to another request.
    OtherRequest,
    /// The password is offered for another account than the one that asks.
    OtherAccount,
}

/// What came of a stage.
enum Attempt {
    Passed,
    Failed,
    OtherAccount,
}

/// Keeps the sessions and checks the stages. Cheap to clone.
#[derive(Clone)]
pub struct Uia {
    accounts: Accounts,
    passwords: Passwords,
    registration_tokens: RegistrationTokens,
    sessions: Arc<Mutex<PendingSessions>>,
    clock: Clock,
    ids: Ids,
}

impl Uia {
    pub(super) fn new(
        accounts: Accounts,
        passwords: Passwords,
        registration_tokens: RegistrationTokens,
        lifetime: Duration,
        (clock, ids): (Clock, Ids),
    ) -> Self {
        let sessions = Arc::new(Mutex::new(PendingSessions::new(lifetime)));
        Self { accounts, passwords, registration_tokens, sessions, clock, ids }
    }

    /// Goes on with, or begins, the authorisation of an operation.
    ///
    /// # Errors
    /// [`UsersError::Busy`], or the store failed.
    pub async fn check(
        &self,
        operation: Operation,
        flows: Flows,
        auth: Option<AuthDict>,
    ) -> Result<Outcome, UsersError> {
        let Some(auth) = auth else { return Ok(incomplete(&self.begin(operation, flows), None)) };
        let pending = match &auth.session {
            None => self.begin(operation, flows),
            Some(id) => {
                let known = self.sessions.lock().get(id, self.clock.elapsed());
                match known {
                    Some(pending) if !pending.is_for(&operation) => return Ok(Outcome::OtherRequest),
                    Some(pending) => Pending { operation, ..pending },
                    None => {
                        let failure = failure(ErrorKind::Unknown, "This session has ended, or never was");
                        return Ok(incomplete(&self.begin(operation, flows), Some(failure)));
                    }
                }
            }
        };
        let Some((pending, failed)) = self.attempt(pending, &auth).await? else { return Ok(Outcome::OtherAccount) };
        if pending.is_complete() {
            self.sessions.lock().remove(&pending.id);
            return Ok(Outcome::Passed);
        }
        Ok(incomplete(&pending, failed))
    }

    /// Completes a stage of a session outside of its request, as the fallback pages do. `None` when there is no such
    /// session; whether the stage passed otherwise.
    ///
    /// # Errors
    /// [`UsersError::Busy`], or the store failed.
    pub async fn complete(&self, session: &str, auth: &AuthDict) -> Result<Option<bool>, UsersError> {
        let pending = self.sessions.lock().get(session, self.clock.elapsed());
        let Some(pending) = pending else { return Ok(None) };
        let attempted = self.attempt(pending, auth).await?;
        Ok(Some(attempted.is_some_and(|(_, failed)| failed.is_none())))
    }

    /// Whether a session waits for a stage: whether its fallback page makes sense.
    pub fn awaits(&self, session: &str, stage: Stage) -> bool {
        let pending = self.sessions.lock().get(session, self.clock.elapsed());
        pending.is_some_and(|pending| pending.has(stage))
    }

    fn begin(&self, operation: Operation, flows: Flows) -> Pending {
        let pending = Pending { id: self.ids.session(), operation, flows, completed: Vec::new() };
        self.sessions.lock().insert(pending.clone(), self.clock.elapsed());
        pending
    }

    /// Tries the stage that `auth` names, if it names one. A failure leaves the session as it was; `None` when the
    /// stage was about another account.
    async fn attempt(
        &self,
        pending: Pending,
        auth: &AuthDict,
    ) -> Result<Option<(Pending, Option<StandardErrorBody>)>, UsersError> {
        let Some(name) = &auth.stage else { return Ok(Some((pending, None))) };
        let Some(stage) = Stage::from_name(name).filter(|stage| pending.has(*stage)) else {
            let unknown = failure(ErrorKind::Unrecognized, "This stage is in none of the flows");
            return Ok(Some((pending, Some(unknown))));
        };
        let attempt = match stage {
            Stage::Dummy => Attempt::Passed,
            Stage::RegistrationToken => self.registration_token(auth),
            Stage::Password => self.password(auth, pending.operation.user).await?,
        };
        match attempt {
            Attempt::OtherAccount => return Ok(None),
            Attempt::Failed => {
                let message = match stage {
                    Stage::Dummy => "This stage failed",
                    Stage::Password => "Wrong user name or password",
                    Stage::RegistrationToken => "This registration token is not valid",
                };
                return Ok(Some((pending, Some(failure(ErrorKind::Forbidden, message)))));
            }
            Attempt::Passed => {}
        }
        // The session may have gone on, or ended, while a password was being checked.
        let updated = self.sessions.lock().complete(&pending, stage, self.clock.elapsed());
        Ok(Some(match updated {
            Some(updated) => (updated, None),
            None => (pending, Some(failure(ErrorKind::Unknown, "This session has ended"))),
        }))
    }

    fn registration_token(&self, auth: &AuthDict) -> Attempt {
        let valid = auth.token.as_ref().is_some_and(|token| self.registration_tokens.is_valid(token));
        if valid { Attempt::Passed } else { Attempt::Failed }
    }

    async fn password(&self, auth: &AuthDict, user: Option<UserNo>) -> Result<Attempt, UsersError> {
        let (Some(user), Some(password)) = (user, auth.password.clone()) else { return Ok(Attempt::Failed) };
        let named = match (&auth.identifier, &auth.user) {
            (Some(identifier), _) if identifier.kind != "m.id.user" => return Ok(Attempt::Failed),
            (Some(identifier), _) => Some(identifier.user.as_str()),
            (None, named) => named.as_deref(),
        };
        // Somebody else's password proves nothing about the person who asks.
        if let Some(named) = named
            && self.accounts.meant(named).await?.is_none_or(|(_, meant, _)| meant != user)
        {
            return Ok(Attempt::OtherAccount);
        }
        let account = self.accounts.by_number(user).await?.filter(|account| !account.deactivated);
        let fits = self.passwords.verify(password, account.and_then(|account| account.password)).await?;
        Ok(if fits { Attempt::Passed } else { Attempt::Failed })
    }
}

fn failure(kind: ErrorKind, message: &str) -> StandardErrorBody {
    StandardErrorBody::new(kind, message.to_owned())
}

fn incomplete(pending: &Pending, failed: Option<StandardErrorBody>) -> Outcome {
    let stages = |flow: &&[Stage]| AuthFlow::new(flow.iter().map(|stage| stage.auth_type()).collect());
    let mut info = UiaaInfo::new(pending.flows.iter().map(stages).collect());
    info.completed = pending.completed.iter().map(|stage| stage.auth_type()).collect();
    info.session = Some(pending.id.clone());
    info.params = serde_json::value::to_raw_value(&serde_json::Map::new()).ok();
    info.auth_error = failed.map(Box::new);
    Outcome::Incomplete(Box::new(info))
}

#[cfg(test)]
mod tests;
