//! What sorting has to know of an event.

use std::{collections::BTreeMap, sync::Arc};

use roaring::RoaringBitmap;
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedUserId,
    events::{TimelineEventType, room::member::MembershipState},
    room_version_rules::RoomVersionRules,
};

use super::{graph::Graph, load::Source, resolver::apart};
use crate::{
    event::{Pdu, PowerLevels, content, power::UserLevel},
    store::{Event, EventNo, RoomNo, StoreError},
};

/// Events read in one go.
const READ_MAX: usize = 256;
/// Power levels events read in one go: they are large.
const LEVELS_MAX: usize = 32;

/// What sorting has to know of an event.
pub(super) struct Facts {
    pub id: OwnedEventId,
    pub ts: MilliSecondsSinceUnixEpoch,
    pub sender: OwnedUserId,
    /// Whether it may take somebody's ability to do something away.
    pub power: bool,
    /// The power of its sender, according to its auth events; not worked out before it is needed.
    pub level: Option<UserLevel>,
}

impl Facts {
    fn of(pdu: &Pdu) -> Self {
        Self {
            id: pdu.event_id.clone(),
            ts: pdu.origin_server_ts,
            sender: pdu.sender.clone(),
            power: is_power_event(pdu),
            level: None,
        }
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.id.as_str().len() + self.sender.as_str().len() + 64
    }
}

fn is_power_event(pdu: &Pdu) -> bool {
    match pdu.kind {
        TimelineEventType::RoomPowerLevels | TimelineEventType::RoomJoinRules | TimelineEventType::RoomCreate => {
            pdu.state_key.as_deref() == Some("")
        }
        TimelineEventType::RoomMember => {
            let removal =
                matches!(content::membership(&pdu.content), Some(MembershipState::Leave | MembershipState::Ban));
            removal && pdu.state_key.as_deref() != Some(pdu.sender.as_str())
        }
        _ => false,
    }
}

impl Source {
    /// Brings the facts of these events into the graph.
    pub(super) async fn load_facts(
        &self,
        graph: &mut Graph,
        room: RoomNo,
        wanted: &RoaringBitmap,
    ) -> Result<(), StoreError> {
        let unknown: Vec<(u32, EventNo)> = wanted
            .iter()
            .filter(|dense| graph.facts(*dense).is_none())
            .filter_map(|dense| Some((dense, graph.event(dense)?)))
            .collect();
        for page in unknown.chunks(READ_MAX) {
            let numbers: Vec<EventNo> = page.iter().map(|(_, event)| *event).collect();
            for ((dense, _), event) in page.iter().zip(self.events.require_many(room, &numbers).await?) {
                graph.keep_facts(*dense, Facts::of(&event.pdu));
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Completes the facts of these events with the power of their senders.
    pub(super) async fn load_levels(
        &self,
        graph: &mut Graph,
        room: RoomNo,
        rules: &Arc<RoomVersionRules>,
        create: &Arc<Event>,
        wanted: &RoaringBitmap,
    ) -> Result<(), StoreError> {
        // By the power levels they name: each of those is read once, and not kept.
        let mut groups: BTreeMap<Option<EventNo>, Vec<(u32, OwnedUserId)>> = BTreeMap::new();
        for dense in wanted {
            if let Some(facts) = graph.facts(dense).filter(|facts| facts.level.is_none()) {
                let levels = graph.levels_of(dense).and_then(|levels| graph.event(levels));
                groups.entry(levels).or_default().push((dense, facts.sender.clone()));
            }
        }
        let groups: Vec<_> = groups.into_iter().collect();
        for page in groups.chunks(LEVELS_MAX) {
            let mut work = Vec::with_capacity(page.len());
            for (levels, senders) in page {
                let levels = match levels {
                    Some(levels) => Some(self.events.require(room, *levels).await?),
                    None => None,
                };
                work.push((levels, senders.clone()));
            }
            let (rules, create) = (rules.clone(), create.clone());
            let done = apart(move || {
                let of_group = |(levels, senders): (Option<Arc<Event>>, Vec<(u32, OwnedUserId)>)| {
                    let levels = PowerLevels::read(&rules, &create.pdu, levels.as_ref().map(|event| &*event.pdu));
                    senders.into_iter().map(|(dense, sender)| (dense, levels.user_level(&sender))).collect::<Vec<_>>()
                };
                work.into_iter().flat_map(of_group).collect::<Vec<_>>()
            });
            for (dense, level) in done.await? {
                if let Some(facts) = graph.facts_mut(dense) {
                    facts.level = Some(level);
                }
            }
        }
        Ok(())
    }
}
