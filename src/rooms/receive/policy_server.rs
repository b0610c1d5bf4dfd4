//! Check 7: if the room has a policy server, has it agreed? (spec v1.18, Server-Server API "Policy servers"; MSC4284)

use std::{sync::Arc, time::Duration};

use ruma::api::federation::policy::sign_event;
use serde_json::value::RawValue;

use crate::{
    event::{
        Pdu,
        content::Policy as PolicyServer,
        sign::{self, PolicyError},
    },
    remote::{RemoteError, Terms},
    rooms::{Room, Rooms},
    store::StoreError,
};

/// How long a policy server may think.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Why a policy server's agreement is not to be had.
#[derive(Debug, thiserror::Error)]
pub(in crate::rooms) enum Disagreement {
    /// It refuses, or does not answer.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// What it answers is no signature of the event.
    #[error(transparent)]
    Signature(#[from] PolicyError),
    /// The answer lacks the signature.
    #[error("it did not sign")]
    Unsigned,
    /// The event is not JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Rooms {
    /// The room's policy server, if it has one: the server it names must be in the room. This server is none, and knows
    /// it: a room that names it is one without, rather than one in which nobody can say anything.
    pub(in crate::rooms) async fn policy_server(&self, room: &Room) -> Result<Option<Arc<PolicyServer>>, StoreError> {
        let view = room.view();
        let Some(server) = view.policy_server.as_ref().filter(|server| *server.via != *self.parts.server_name) else {
            return Ok(None);
        };
        let there = self.parts.store.server(&server.via).await?.is_some_and(|number| view.has_server(number));
        Ok(there.then(|| server.clone()))
    }

    /// Whether the room's policy server has to be asked about an event: its signature is not there.
    pub(super) async fn waits_for_policy_server(&self, room: &Room, pdu: &Pdu) -> Result<bool, StoreError> {
        let Some(server) = self.policy_server(room).await? else { return Ok(false) };
        Ok(sign::is_for_policy_server(pdu) && sign::verify_policy(pdu, &server, &room.rules).is_err())
    }

    /// Why the room's policy server does not let an event through; `None` when it does, or there is none.
    pub(super) async fn policy_server_refusal(&self, room: &Room, pdu: &Pdu) -> Result<Option<String>, StoreError> {
        let Some(server) = self.policy_server(room).await? else { return Ok(None) };
        if !self.waits_for_policy_server(room, pdu).await? {
            return Ok(None);
        }
        Ok(match self.ask_policy_server(room, &server, pdu).await {
            Ok(_) => None,
            Err(error) => {
                tracing::info!(room = %room.id, event = %pdu.event_id, %error, "the policy server does not agree");
                Some("the room's policy server does not agree".to_owned())
            }
        })
    }

    /// Asks a policy server for its signature; the answer is the event with it.
    pub(in crate::rooms) async fn ask_policy_server(
        &self,
        room: &Room,
        server: &PolicyServer,
        pdu: &Pdu,
    ) -> Result<Pdu, Disagreement> {
        let request = sign_event::v1::Request::new(RawValue::from_string(pdu.json.to_string())?);
        let answer = self.parts.remote.send_with(&server.via, request, Terms::anyway().within(TIME_MAX)).await?;
        let signature = answer.signatures.get(&server.via).and_then(|of_server| {
            of_server.iter().find(|(key, _)| key.as_str() == "ed25519:policy_server").map(|(_, signature)| signature)
        });
        let signature = signature.ok_or(Disagreement::Unsigned)?;
        Ok(sign::with_policy_signature(pdu, server, signature, &room.rules)?)
    }
}
