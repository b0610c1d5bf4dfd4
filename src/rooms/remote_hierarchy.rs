//! Rooms that this server is not in, as other servers tell of them.

use std::{collections::HashSet, time::Duration};

use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName, api::federation::space::get_hierarchy, serde::Raw};
use serde_json::value::RawValue;

use super::{Caller, Rooms, hierarchy::Learnt, remote_directory::ANSWER_BYTES_MAX, summary::Summary};
use crate::remote::Terms;

/// Questions to other servers for one answer.
const QUESTIONS_MAX: usize = 20;
/// Servers asked about one room.
const SERVERS_MAX: usize = 3;
/// How long all questions for one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long one of them may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Links and children of one answer that are looked at.
const CHILDREN_MAX: usize = 500;

/// What other servers tell, for one answer of ours.
pub(super) struct Elsewhere<'a> {
    rooms: &'a Rooms,
    /// By the clock: after this nobody is asked.
    end: Duration,
    questions: usize,
    /// Rooms that were told of as children of others, and have no children themselves.
    learnt: Learnt,
    /// Rooms that a server that is in them shows to nobody here.
    closed: HashSet<OwnedRoomId>,
}

impl<'a> Elsewhere<'a> {
    pub(super) fn new(rooms: &'a Rooms) -> Self {
        let end = rooms.parts.clock.elapsed() + PATIENCE;
        Self { rooms, end, questions: 0, learnt: Learnt::new(), closed: HashSet::new() }
    }

    /// A room and its links, from the first server that tells of it.
    pub(super) async fn room(
        &mut self,
        id: &RoomId,
        via: &[OwnedServerName],
        viewer: Caller<'_>,
    ) -> Option<(Summary, Vec<Box<RawValue>>)> {
        if self.closed.contains(id) {
            return None;
        }
        if let Some(summary) = self.learnt.get(id) {
            return Some((summary.clone(), Vec::new()));
        }
        for server in via.iter().take(SERVERS_MAX) {
            if !self.rooms.may_look_outside(Some(viewer), server) || *server == self.rooms.parts.server_name {
                continue;
            }
            let left = self.end.saturating_sub(self.rooms.parts.clock.elapsed());
            if self.questions >= QUESTIONS_MAX || left.is_zero() {
                return None;
            }
            self.questions += 1;
            if let Some(found) = self.ask(id, server, left.min(ANSWER_MAX)).await {
                return Some(found);
            }
        }
        None
    }

    async fn ask(
        &mut self,
        id: &RoomId,
        server: &ServerName,
        within: Duration,
    ) -> Option<(Summary, Vec<Box<RawValue>>)> {
        let request = get_hierarchy::v1::Request::new(id.to_owned());
        let terms = Terms::default().within(within).at_most(ANSWER_BYTES_MAX);
        let answer = match self.rooms.parts.remote.send_with(server, request, terms).await {
            Ok(answer) if answer.room.summary.room_id == id => answer,
            Ok(_) => return None,
            Err(error) => {
                tracing::debug!(room = %id, %server, %error, "nothing is told of a room");
                return None;
            }
        };
        for child in answer.children.into_iter().take(CHILDREN_MAX) {
            // Spaces have to be asked for themselves: their links are not told.
            if child.room_type.is_none() {
                self.learnt.insert(child.room_id.clone(), Summary::of_elsewhere(child));
            }
        }
        self.closed.extend(answer.inaccessible_children.into_iter().take(CHILDREN_MAX));
        let links = answer.room.children_state.into_iter().take(CHILDREN_MAX).map(Raw::into_json).collect();
        Some((Summary::of_elsewhere(answer.room.summary), links))
    }
}

impl Rooms {
    /// A room that this server is not in, in few words, from the servers named; `None` when none of them tells of it, or
    /// the viewer could neither join nor read it.
    pub async fn summary_elsewhere(
        &self,
        id: &RoomId,
        via: &[OwnedServerName],
        viewer: Caller<'_>,
    ) -> Result<Option<Summary>, crate::store::StoreError> {
        let mut elsewhere = Elsewhere::new(self);
        let Some((summary, _)) = elsewhere.room(id, via, viewer).await else { return Ok(None) };
        Ok(self.may_preview_elsewhere(&summary, viewer).await?.then_some(summary))
    }
}
