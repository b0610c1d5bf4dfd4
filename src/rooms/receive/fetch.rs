//! The questions to other servers about a room's events. Every answer is bounded, and what is in it is verified before
//! it is used.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt as _, stream};
use ruma::{
    EventId, OwnedEventId, RoomId, ServerName,
    api::federation::{
        authorization::get_event_authorization,
        event::{get_event, get_missing_events, get_room_state, get_room_state_ids},
    },
    uint,
};
use serde_json::value::RawValue;

use super::{ReceiveError, Verified};
use crate::{
    remote::Terms,
    rooms::{Room, Rooms},
};

/// How long one question may take.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Events that are asked for one by one, rather than as a whole state.
const SINGLE_MAX: usize = 100;
/// Such questions under way at once.
const SINGLE_AT_ONCE: usize = 8;
/// Events of a state, or of an auth chain.
const STATE_MAX: usize = 200_000;

/// A state as another server has it.
pub(super) struct RemoteState {
    /// Its events.
    pub(super) state: Vec<OwnedEventId>,
    /// And those that allow them.
    pub(super) auth_chain: Vec<OwnedEventId>,
}

impl Rooms {
    /// Events between those that are known and `latest`, verified; bad ones are left out.
    pub(super) async fn fetch_missing(
        &self,
        room: &Room,
        server: &ServerName,
        earliest: Vec<OwnedEventId>,
        latest: Vec<OwnedEventId>,
    ) -> Result<Vec<Verified>, ReceiveError> {
        let mut request = get_missing_events::v1::Request::new(room.id.clone(), earliest, latest);
        request.limit = uint!(50);
        let answer = self.parts.remote.send_with(server, request, Terms::large().within(TIME_MAX)).await?;
        Ok(self.verified(room, answer.events.iter().take(200).map(|event| &**event)).await)
    }

    /// The state before an event, as ids.
    pub(super) async fn fetch_state_ids(
        &self,
        room: &Room,
        server: &ServerName,
        event: &EventId,
    ) -> Result<RemoteState, ReceiveError> {
        let request = get_room_state_ids::v1::Request::new(event.to_owned(), room.id.clone());
        let answer = self.parts.remote.send_with(server, request, Terms::large().within(TIME_MAX)).await?;
        if answer.pdu_ids.len() > STATE_MAX || answer.auth_chain_ids.len() > STATE_MAX {
            return Err(ReceiveError::Answer("a state of too many events"));
        }
        Ok(RemoteState { state: answer.pdu_ids, auth_chain: answer.auth_chain_ids })
    }

    /// Events by id, verified; those that cannot be had are left out. Many of them are asked for as the state before
    /// `at`.
    pub(super) async fn fetch_events(
        &self,
        room: &Room,
        server: &ServerName,
        ids: Vec<OwnedEventId>,
        at: Option<&EventId>,
    ) -> Result<Vec<Verified>, ReceiveError> {
        if let Some(at) = at.filter(|_| ids.len() > SINGLE_MAX) {
            let wanted: HashSet<&EventId> = ids.iter().map(AsRef::as_ref).collect();
            let request = get_room_state::v1::Request::new(at.to_owned(), room.id.clone());
            let answer = self.parts.remote.send_with(server, request, Terms::large().within(TIME_MAX)).await?;
            if answer.pdus.len() > STATE_MAX || answer.auth_chain.len() > STATE_MAX {
                return Err(ReceiveError::Answer("a state of too many events"));
            }
            let all = answer.auth_chain.iter().chain(&answer.pdus).map(|event| &**event);
            let mut verified = self.verified(room, all).await;
            verified.retain(|event| wanted.contains(&*event.pdu().event_id));
            return Ok(verified);
        }
        let mut answers = stream::iter(ids.into_iter().take(10 * SINGLE_MAX))
            .map(|id| async move { self.fetch_event(room, server, &id).await })
            .buffer_unordered(SINGLE_AT_ONCE)
            .boxed();
        let mut events = Vec::new();
        let mut failure = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(event) => events.push(event),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if events.is_empty() => Err(error),
            _ => Ok(events),
        }
    }

    /// One event by id, verified.
    pub(super) async fn fetch_event(
        &self,
        room: &Room,
        server: &ServerName,
        id: &EventId,
    ) -> Result<Verified, ReceiveError> {
        let request = get_event::v1::Request::new(id.to_owned());
        let answer = self.parts.remote.send_with(server, request, Terms::large().within(TIME_MAX)).await?;
        let verified = self.verify_one(&room.id, &room.rules, answer.pdu.get()).await.map_err(ReceiveError::Refused)?;
        if verified.pdu().event_id != id {
            return Err(ReceiveError::Answer("another event than the one asked for"));
        }
        Ok(verified)
    }

    /// The auth chain of an event, verified; bad ones are left out.
    pub(super) async fn fetch_auth_chain(
        &self,
        room: &Room,
        server: &ServerName,
        event: &EventId,
    ) -> Result<Vec<Verified>, ReceiveError> {
        let request = get_event_authorization::v1::Request::new(room.id.clone(), event.to_owned());
        let answer = self.parts.remote.send_with(server, request, Terms::large().within(TIME_MAX)).await?;
        if answer.auth_chain.len() > STATE_MAX {
            return Err(ReceiveError::Answer("an auth chain of too many events"));
        }
        Ok(self.verified(room, answer.auth_chain.iter().map(|event| &**event)).await)
    }

    async fn verified<'a>(&self, room: &Room, texts: impl Iterator<Item = &'a RawValue>) -> Vec<Verified> {
        let checked = self.verify(&room.id, &room.rules, texts.map(RawValue::get)).await;
        let room: &RoomId = &room.id;
        let passed = checked.into_iter().filter_map(|checked| {
            checked.inspect_err(|refusal| tracing::debug!(%room, %refusal, "an event is dropped")).ok()
        });
        passed.collect()
    }
}
