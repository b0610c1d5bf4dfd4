//! What an administrator at the command line can order of the school. The same code serves the admin socket of a running
//! server and a command that has opened the data folder of a stopped one.

use std::{future::Future, path::PathBuf, pin::pin, time::Duration};

use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Explained, PeopleQuery, PersonLine, School, SchoolError, audit::Author, roster::SchoolRole};
use crate::{
    rooms::policy::Verb,
    store::schema::school::{Counts, Import, ImportState},
    users::Answers,
};

/// What the names of all of the school's orders begin with.
pub const PREFIX: &str = "school_";

/// People or problems read at once.
const PAGE: usize = 500;

/// How often somebody who waits hears how far the work is.
const PROGRESS: Duration = Duration::from_secs(2);

/// An order. On the socket it is a JSON object in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum SchoolOrder {
    /// Read a bundle, plan its import, and apply it.
    SchoolImport {
        /// A ZIP, a CSV or a folder that the server can read.
        path: PathBuf,
        /// Whose rows it touches.
        source: String,
        /// Only plan it.
        dry_run: bool,
        /// Apply it also when it is held.
        confirm: bool,
    },
    /// List the newest imports.
    SchoolImports {},
    /// Undo the newest import in force of a source.
    SchoolRollback {
        /// The source.
        source: String,
    },
    /// List people.
    SchoolPeople {
        /// Which.
        query: PeopleQuery,
    },
    /// Explain a decision of the contact policy.
    SchoolWhy {
        /// Who acts: a user id, or its part before the colon.
        actor: String,
        /// On whom.
        target: String,
        /// The verb.
        verb: String,
    },
    /// Write what is stored of a source as a ZIP to where the answer says.
    SchoolExport {
        /// The source; the only one there is if not given.
        source: Option<String>,
        /// Where the ZIP is moved to: a path in the data folder.
        to: PathBuf,
    },
    /// Look at what a new school year does to the rooms, or bring it about.
    SchoolRollover {
        /// A planned import to look at.
        import: Option<u64>,
        /// Bring it about.
        confirm: bool,
    },
    /// Give a role, or take it back.
    SchoolRole {
        /// A user id, or its part before the colon.
        user: String,
        /// The role.
        role: SchoolRole,
        /// Give it.
        give: bool,
    },
}

impl SchoolOrder {
    /// The order as a line for the socket, with its line break.
    pub fn to_line(&self) -> String {
        // An order is made of texts and numbers only.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// An answer to an order, in one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchoolAnswer {
    /// It goes on.
    Progress(String),
    /// Something is wrong with a file: a [`Problem`](super::problem::Problem).
    Problem(Value),
    /// An import.
    Import(ImportLine),
    /// A person.
    Person(Box<PersonLine>),
    /// A decision.
    Why(Box<Explained>),
    /// What would become of the rooms, or became of them.
    Rollover(Value),
    /// It is done. The last answer.
    Done(String),
    /// It is held until somebody confirms it. The last answer.
    Held(Vec<String>),
    /// It is not done, and why. The last answer.
    Failed(String),
}

/// An import in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportLine {
    /// Its number.
    pub id: u64,
    /// Whose rows it touches.
    pub source: String,
    /// What it was read from.
    pub format: String,
    /// How far it is.
    pub state: ImportState,
    /// Its size.
    pub counts: Counts,
    /// Why somebody has to confirm it.
    pub holds: Vec<String>,
    /// The plan in short.
    pub summary: Vec<String>,
    /// Who imports.
    pub by: String,
    /// When it was planned, in Unix milliseconds.
    pub created_ms: u64,
}

impl School {
    /// Carries out an order of an administrator at the command line.
    pub async fn carry_out(&self, order: SchoolOrder, answers: &Answers) {
        let last = match Box::pin(self.try_order(order, answers)).await {
            Ok(last) => last,
            Err(error) => SchoolAnswer::Failed(error.to_string()),
        };
        answers.send(&last).await;
    }

    async fn try_order(&self, order: SchoolOrder, answers: &Answers) -> Result<SchoolAnswer, SchoolError> {
        let by = Author::console();
        match order {
            SchoolOrder::SchoolImport { path, source, dry_run, confirm } => {
                self.order_import((path, source), (dry_run, confirm), answers).await
            }
            SchoolOrder::SchoolImports {} => {
                for (id, import) in self.imports.list(None, PAGE).await? {
                    answers.send(&SchoolAnswer::Import(self.import_line(id, import).await?)).await;
                }
                Ok(SchoolAnswer::Done(String::new()))
            }
            SchoolOrder::SchoolRollback { source } => {
                let newest = self.imports.source(&source).await?.applied.last().copied();
                let id = newest.ok_or(SchoolError::NotFound("import in force of this source"))?;
                self.imports.rollback(id, &by).await?;
                self.watch(id, answers).await?;
                Ok(SchoolAnswer::Done(format!("undone import {id}")))
            }
            SchoolOrder::SchoolPeople { mut query } => loop {
                let (lines, next) = self.list_people(&query, PAGE).await?;
                for line in lines {
                    answers.send(&SchoolAnswer::Person(Box::new(line))).await;
                }
                query.after = next;
                if next.is_none() {
                    break Ok(SchoolAnswer::Done(String::new()));
                }
            },
            SchoolOrder::SchoolWhy { actor, target, verb } => {
                let verb = Verb::from_name(&verb).ok_or_else(|| {
                    let known: Vec<_> = Verb::ALL.into_iter().map(Verb::name).collect();
                    SchoolError::Invalid(format!("there is no verb {verb:?}; there are {}", known.join(", ")))
                })?;
                let (actor, target) = (self.meant(&actor)?, self.meant(&target)?);
                let why = Explained::of(&self.rules, &actor, &target, verb);
                answers.send(&SchoolAnswer::Why(Box::new(why))).await;
                Ok(SchoolAnswer::Done(String::new()))
            }
            SchoolOrder::SchoolExport { source, to } => {
                let writing = self.exchange.export(source.as_deref(), &by);
                let place = Self::with_progress(writing, "writing", answers).await?;
                tokio::fs::rename(place.path(), &to).await?;
                Ok(SchoolAnswer::Done(to.display().to_string()))
            }
            SchoolOrder::SchoolRollover { import, confirm } => {
                let told = if confirm {
                    let work = self.rooms.rollover(true, &by);
                    serde_json::to_value(Self::with_progress(Box::pin(work), "working on the rooms", answers).await?)
                } else {
                    serde_json::to_value(self.rooms.rollover_preview(import).await?)
                };
                let told = told.map_err(|error| SchoolError::Failed(error.to_string()))?;
                answers.send(&SchoolAnswer::Rollover(told)).await;
                Ok(SchoolAnswer::Done(String::new()))
            }
            SchoolOrder::SchoolRole { user, role, give } => {
                let user = self.meant(&user)?;
                let done = if give {
                    self.decisions.grant_role(&user, role, None, &by).await?;
                    "given"
                } else {
                    self.decisions.revoke_role(&user, role, &by).await?;
                    "taken back"
                };
                Ok(SchoolAnswer::Done(format!("{user}: {} {done}", role.name())))
            }
        }
    }

    async fn order_import(
        &self,
        (path, source): (PathBuf, String),
        (dry_run, confirm): (bool, bool),
        answers: &Answers,
    ) -> Result<SchoolAnswer, SchoolError> {
        let by = Author::console();
        let id = Self::with_progress(self.exchange.plan(&source, &path, &by), "reading", answers).await?;
        let mut from = 0;
        loop {
            let problems = self.imports.problems(id, from, PAGE).await?;
            from += problems.len() as u64;
            let is_last = problems.len() < PAGE;
            for problem in problems {
                answers.send(&SchoolAnswer::Problem(problem)).await;
            }
            if is_last {
                break;
            }
        }
        let import = self.imports.get(id).await?.ok_or(SchoolError::NotFound("import"))?;
        let (state, errors) = (import.state, import.counts.errors);
        let line = self.import_line(id, import).await?;
        let holds = line.holds.clone();
        answers.send(&SchoolAnswer::Import(line)).await;
        match state {
            ImportState::Refused => Ok(SchoolAnswer::Failed(format!("nothing is imported: {errors} errors"))),
            _ if dry_run => Ok(SchoolAnswer::Done(format!("planned as import {id}; nothing is applied"))),
            ImportState::Held if !confirm => Ok(SchoolAnswer::Held(holds)),
            _ => {
                self.imports.apply(id, confirm, &by).await?;
                self.watch(id, answers).await?;
                Ok(SchoolAnswer::Done(format!("import {id} is in force; the rooms follow")))
            }
        }
    }

    /// Does the work of an import, or waits for who is at it, and tells how far it is.
    async fn watch(&self, id: u64, answers: &Answers) -> Result<(), SchoolError> {
        let mut work = pin!(self.imports.work_off());
        loop {
            tokio::select! {
                done = &mut work => {
                    done?;
                    let import = self.imports.settled(id).await?;
                    return match import.state {
                        ImportState::Applied | ImportState::RolledBack => Ok(()),
                        state => Err(SchoolError::Failed(format!("the import is {}", state.name()))),
                    };
                }
                () = tokio::time::sleep(PROGRESS) => {
                    if let Some(import) = self.imports.get(id).await? {
                        let counts = import.counts;
                        let total = counts.created + counts.updated + counts.removed;
                        answers.send(&SchoolAnswer::Progress(format!("{} of {total} changes", import.done))).await;
                    }
                }
            }
        }
    }

    /// Waits for work, and tells that it goes on.
    async fn with_progress<T>(work: impl Future<Output = T>, what: &str, answers: &Answers) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(PROGRESS) => answers.send(&SchoolAnswer::Progress(what.to_owned())).await,
            }
        }
    }

    async fn import_line(&self, id: u64, import: Import) -> Result<ImportLine, SchoolError> {
        Ok(ImportLine {
            id,
            source: import.source,
            format: import.format,
            state: import.state,
            counts: import.counts,
            holds: import.holds,
            summary: self.imports.summary(id).await?.lines(),
            by: import.by,
            created_ms: import.created_ms,
        })
    }

    /// The user of a user id, or of its part before the colon.
    fn meant(&self, text: &str) -> Result<OwnedUserId, SchoolError> {
        let text = if text.starts_with('@') { text.to_owned() } else { format!("@{text}:{}", self.rules.server()) };
        UserId::parse(&text).map_err(|_| SchoolError::Invalid(format!("{text} is not a user id")))
    }
}
