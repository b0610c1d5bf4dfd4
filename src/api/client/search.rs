//! Searching messages.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, api::client::search::search_events::v3 as search_v3, events::TimelineEventType,
};
use serde::Serialize;
use serde_json::{json, value::RawValue};

use super::reading;
use crate::{
    event::content::Member,
    http::{ApiError, JsonBytes, Ruma, services::Services},
    rooms::{
        Form, Reader,
        event_filter::EventFilter,
        search::{Found, Hit, SearchQuery},
    },
};

/// Results of a page when the client does not say.
const LIMIT_DEFAULT: usize = 10;
/// Most results of a page.
const LIMIT_MAX: usize = 50;
/// Most events before and after a result.
const AROUND_MAX: usize = 10;
/// The longest request, in bytes: its filter is asked for every event looked at.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The longest term, in bytes.
const TERM_BYTES_MAX: usize = 1024;

/// `POST /_matrix/client/v3/search`
///
/// Finds messages, names and topics in the caller's rooms.
/// [Specification v1.19](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3search)
///
/// # Errors
/// `M_INVALID_PARAM` for a foreign `next_batch` or an overlong term.
pub async fn search_events(
    State(services): State<Arc<Services>>,
    request: Ruma<search_v3::Request>,
) -> Result<JsonBytes, ApiError> {
    let Some(criteria) = &request.body.search_categories.room_events else {
        return JsonBytes::of(&json!({ "search_categories": {} }));
    };
    if request.raw_body.len() > BODY_BYTES_MAX {
        return Err(ApiError::too_large("The search is too long"));
    }
    if criteria.search_term.len() > TERM_BYTES_MAX {
        return Err(ApiError::invalid_param("The search term is too long"));
    }
    let skip = match request.body.next_batch.as_deref().filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => {
            read_token(token).ok_or_else(|| ApiError::invalid_param("`next_batch` is not a token of ours"))?
        }
    };
    let filter = EventFilter::new(&criteria.filter);
    let limit = filter.limit(LIMIT_DEFAULT, LIMIT_MAX);
    let ignored = services.users.ignored(request.session.user).await?;
    let device = request.session.device_id.clone();
    let caller = (request.session.user, &*request.session.user_id);
    let complete = |reader: Reader| reader.on_device(&device).ignoring(ignored.clone());
    let found = services.rooms.search(caller, &query(criteria), &filter, complete).await?;

    let mut page = ResultPage { count: found.hits.len(), ..ResultPage::default() };
    let mut groups = Groups::new(&criteria.groupings);
    for hit in found.hits.iter().skip(skip).take(limit) {
        let Some(reader) = found.readers.get(hit.reader) else { continue };
        page.results.push(result(&services, reader, hit, &criteria.event_context).await?);
        groups.add(&found, hit);
        let room = &reader.room.id;
        if criteria.include_state == Some(true) && !page.state.contains_key(room) {
            let state = services.rooms.readable_state(reader).await?;
            page.state.insert(room.clone(), state.iter().map(|event| event.client.to_json(Some(room), None)).collect());
        }
    }
    page.groups = groups.found;
    page.next_batch = (page.results.len() == limit && limit > 0).then(|| format!("n{}", skip + limit));
    page.highlights = found.words;
    JsonBytes::of(&json!({ "search_categories": { "room_events": page } }))
}

/// A page of results.
#[derive(Default, Serialize)]
struct ResultPage {
    count: usize,
    highlights: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    results: Vec<OneResult>,
    groups: BTreeMap<&'static str, BTreeMap<String, Group>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    state: BTreeMap<OwnedRoomId, Vec<Box<RawValue>>>,
}

/// One result.
#[derive(Serialize)]
struct OneResult {
    rank: usize,
    result: Box<RawValue>,
    context: Box<RawValue>,
}

/// Results that belong together.
#[derive(Default, Serialize)]
struct Group {
    order: usize,
    results: Vec<OwnedEventId>,
}

fn read_token(token: &str) -> Option<usize> {
    token.strip_prefix('n')?.parse().ok()
}

fn query(criteria: &search_v3::Criteria) -> SearchQuery {
    use search_v3::SearchKeys::{ContentBody, ContentName, ContentTopic};
    let kinds = [
        (ContentBody, TimelineEventType::RoomMessage),
        (ContentName, TimelineEventType::RoomName),
        (ContentTopic, TimelineEventType::RoomTopic),
    ];
    let wanted = |key: &search_v3::SearchKeys| criteria.keys.as_deref().is_none_or(|keys| keys.contains(key));
    SearchQuery {
        term: criteria.search_term.clone(),
        kinds: kinds.into_iter().filter(|(key, _)| wanted(key)).map(|(_, kind)| kind).collect(),
        by_rank: criteria.order_by.as_ref().is_none_or(|order| *order == search_v3::OrderBy::Rank),
    }
}

async fn result(
    services: &Services,
    reader: &Reader,
    hit: &Hit,
    context: &search_v3::EventContext,
) -> Result<OneResult, ApiError> {
    let limit = |limit: ruma::UInt| usize::try_from(limit).unwrap_or(AROUND_MAX).min(AROUND_MAX);
    let limits = (limit(context.before_limit), limit(context.after_limit));
    let around = services.rooms.around_hit(reader, hit.event.clone(), limits).await?;
    let mut out = Vec::new();
    out.push(b'{');
    reading::write_token(&mut out, "start", around.start);
    out.push(b',');
    reading::write_token(&mut out, "end", around.end);
    out.push(b',');
    reading::write_list(services, &mut out, reader, "events_before", &around.before).await?;
    out.push(b',');
    reading::write_list(services, &mut out, reader, "events_after", &around.after).await?;
    if context.include_profile {
        let shown: Vec<_> = around.before.iter().chain([&hit.event]).chain(&around.after).cloned().collect();
        let mut profiles = BTreeMap::new();
        for member in services.rooms.profiles_of(reader, &shown).await? {
            let Some(user) = member.pdu.state_key.clone() else { continue };
            let Member { displayname, avatar_url, .. } = Member::read(&member.pdu.content);
            profiles.insert(user, json!({ "displayname": displayname, "avatar_url": avatar_url }));
        }
        out.extend_from_slice(b",\"profile_info\":");
        serde_json::to_writer(&mut out, &profiles).map_err(ApiError::internal)?;
    }
    out.push(b'}');
    let event = services.rooms.event_json(reader, &hit.event, Form::FULL).await?;
    Ok(OneResult { rank: hit.rank, result: raw(&event)?, context: raw(&out)? })
}

fn raw(json: &[u8]) -> Result<Box<RawValue>, ApiError> {
    serde_json::from_slice(json).map_err(ApiError::internal)
}

/// Results by room or sender, when the client wants them grouped.
struct Groups {
    by_room: bool,
    by_sender: bool,
    found: BTreeMap<&'static str, BTreeMap<String, Group>>,
}

impl Groups {
    fn new(wanted: &search_v3::Groupings) -> Self {
        let by = |key: &search_v3::GroupingKey| wanted.group_by.iter().any(|group| group.key.as_ref() == Some(key));
        Self {
            by_room: by(&search_v3::GroupingKey::RoomId),
            by_sender: by(&search_v3::GroupingKey::Sender),
            found: BTreeMap::new(),
        }
    }

    fn add(&mut self, found: &Found, hit: &Hit) {
        let event = &hit.event.pdu;
        if self.by_room
            && let Some(room) = found.room(hit)
        {
            self.push("room_id", room.to_string(), &event.event_id);
        }
        if self.by_sender {
            self.push("sender", event.sender.to_string(), &event.event_id);
        }
    }

    fn push(&mut self, kind: &'static str, key: String, event: &EventId) {
        let groups = self.found.entry(kind).or_default();
        // Groups stand in the order of their first results.
        let order = groups.len();
        groups.entry(key).or_insert_with(|| Group { order, results: Vec::new() }).results.push(event.to_owned());
    }
}
