//! The walk: every door, by everybody towards everybody.

use futures_util::future::join_all;
use homeroom::{rooms::policy::Verb, school::policy::Outcome};
use reqwest::Method;
use serde_json::{Value, json};

use super::{NOBODY, V3, Walk, in_room, like_nobody, refused_by};
use crate::harness::{Answer, Client, escape};

/// The account of the school itself, which nobody can write to.
const SERVICE: &str = "@school:school.example";

/// A way in which one person meets another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Profile,
    DisplayName,
    Presence,
    KeysQuery,
    KeysClaim,
    Signature,
    Dm,
    EncryptedDm,
    RoomOfTwo,
    Group,
    Invite,
    InviteByState,
    Ban,
    BanByState,
    Kick,
    Contact,
    Why,
    Chat,
    Knock,
}

const DOORS: [Door; 19] = [
    Door::Profile,
    Door::DisplayName,
    Door::Presence,
    Door::KeysQuery,
    Door::KeysClaim,
    Door::Signature,
    Door::Dm,
    Door::EncryptedDm,
    Door::RoomOfTwo,
    Door::Group,
    Door::Invite,
    Door::InviteByState,
    Door::Ban,
    Door::BanByState,
    Door::Kick,
    Door::Contact,
    Door::Why,
    Door::Chat,
    Door::Knock,
];

/// Whom a door is opened for. `room` is one that only the actor is in.
struct Way<'a> {
    actor: &'a Client,
    room: &'a str,
    /// A device of the target.
    device: &'a str,
}

impl Way<'_> {
    async fn ask(&self, door: Door, target: &str) -> Answer {
        let actor = self.actor;
        let id = escape(target);
        let create = async |body: Value| actor.post(&format!("{V3}/createRoom"), body).await;
        match door {
            Door::Profile => actor.get(&format!("{V3}/profile/{id}")).await,
            Door::DisplayName => actor.get(&format!("{V3}/profile/{id}/displayname")).await,
            Door::Presence => actor.get(&format!("{V3}/presence/{id}/status")).await,
            Door::KeysQuery => actor.post(&format!("{V3}/keys/query"), json!({ "device_keys": { target: [] } })).await,
            Door::KeysClaim => {
                let wanted = json!({ "one_time_keys": { target: { self.device: "signed_curve25519" } } });
                actor.post(&format!("{V3}/keys/claim"), wanted).await
            }
            Door::Signature => {
                let key = json!({ "user_id": target, "usage": ["master"], "keys": { "ed25519:MMMM": "MMMM" } });
                actor.post(&format!("{V3}/keys/signatures/upload"), json!({ target: { "MMMM": key } })).await
            }
            Door::Dm => create(json!({ "is_direct": true, "invite": [target] })).await,
            // What a stock client sends when somebody presses "start chat".
            Door::EncryptedDm => {
                create(json!({
                    "preset": "trusted_private_chat",
                    "is_direct": true,
                    "invite": [target],
                    "initial_state": [
                        { "type": "m.room.guest_access", "state_key": "", "content": { "guest_access": "can_join" } },
                        {
                            "type": "m.room.encryption",
                            "state_key": "",
                            "content": { "algorithm": "m.megolm.v1.aes-sha2" },
                        },
                    ],
                }))
                .await
            }
            Door::RoomOfTwo => create(json!({ "name": "two", "invite": [target] })).await,
            Door::Group => create(json!({ "name": "group", "invite": [target, SERVICE] })).await,
            Door::Invite => actor.invite(self.room, target).await,
            Door::InviteByState => {
                actor.set_state(self.room, "m.room.member", target, json!({ "membership": "invite" })).await
            }
            Door::Ban => {
                let body = json!({ "user_id": target, "reason": "a message" });
                in_room(actor, Method::POST, self.room, "ban", body).await
            }
            Door::BanByState => {
                let body = json!({ "membership": "ban", "reason": "a message" });
                actor.set_state(self.room, "m.room.member", target, body).await
            }
            Door::Kick => in_room(actor, Method::POST, self.room, "kick", json!({ "user_id": target })).await,
            Door::Contact => actor.get(&format!("/_homeroom/v1/contacts/{id}")).await,
            Door::Why => actor.get(&format!("/_homeroom/v1/contacts/{id}/why")).await,
            Door::Chat => actor.post("/_homeroom/v1/chats", json!({ "with": [target] })).await,
            Door::Knock => actor.post("/_homeroom/v1/knocks", json!({ "to": target, "text": "please" })).await,
        }
    }

    /// Leaves the actor's own room as it was.
    async fn undo(&self, door: Door, target: &str) {
        let undo = match door {
            Door::Invite | Door::InviteByState => "kick",
            Door::Ban | Door::BanByState => "unban",
            _ => return,
        };
        in_room(self.actor, Method::POST, self.room, undo, json!({ "user_id": target })).await.ok();
    }
}

/// What a door does for a pair.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    /// The answer for nobody.
    Nobody,
    /// 403 with this rule.
    Refused(String),
    /// It works.
    Open,
    /// Other tests know.
    Something,
}

impl Walk {
    /// What the policy wants of a door; `company` says that the two share a room.
    fn expected(&self, door: Door, actor: &str, target: &str, company: bool) -> Expected {
        let see = self.ruling(actor, target, Verb::See);
        let known = see.is_allowed() || company;
        let open_to = |open: bool| if open { Expected::Open } else { Expected::Nobody };
        let by = |verb| {
            let ruling = self.ruling(actor, target, verb);
            match ruling.outcome {
                _ if ruling.hidden => Expected::Nobody,
                Outcome::Allow => Expected::Open,
                _ => Expected::Refused(ruling.rule.into()),
            }
        };
        match door {
            Door::Profile | Door::DisplayName | Door::KeysQuery | Door::KeysClaim | Door::Signature => open_to(known),
            Door::Presence => open_to(company && self.ruling(actor, target, Verb::Presence).is_allowed()),
            Door::Dm | Door::EncryptedDm | Door::RoomOfTwo => {
                let ruling = self.ruling(actor, target, Verb::Dm);
                match ruling.outcome {
                    // The school makes the room.
                    Outcome::Supervised { .. } | Outcome::FamilyThread => Expected::Open,
                    Outcome::Knock => Expected::Refused(format!("knock.{}", ruling.rule)),
                    _ => by(Verb::Dm),
                }
            }
            Door::Group => match by(Verb::Add) {
                // Then the second one is asked about.
                Expected::Open => Expected::Refused("service".into()),
                other => other,
            },
            Door::Invite | Door::InviteByState => match by(Verb::Dm) {
                Expected::Open if !self.is_family(actor) && self.is_family(target) => {
                    Expected::Refused("rooms.families".into())
                }
                other => other,
            },
            Door::Ban | Door::BanByState => by(Verb::See),
            Door::Contact | Door::Why | Door::Chat | Door::Knock if known => Expected::Something,
            // Nobody is in the room to be kicked.
            Door::Kick | Door::Contact | Door::Why | Door::Chat | Door::Knock => Expected::Nobody,
        }
    }

    fn is_family(&self, name: &str) -> bool {
        let people = self.small.school().people();
        let id = ruma::UserId::parse(self.id(name)).unwrap();
        people.find(&id).is_some_and(|person| people.roles(person).is_family())
    }

    /// Everything one person tries towards everybody.
    async fn walk(&self, actor: &str) -> usize {
        let client = self.small.client(actor);
        let mut asked = 0;
        for (target, id) in self.ids.iter().filter(|(target, _)| *target != actor) {
            let device = self.small.clients().find(|(name, _)| name == target);
            let device = device.map_or("NONE", |(_, client)| client.device_id.as_str());
            let way = Way { actor: client, room: &self.own_rooms[actor], device };
            for door in DOORS {
                let case = format!("{actor} → {target} at {door:?}");
                let before = self.company(actor, target).await;
                let nobody = way.ask(door, NOBODY).await;
                let answer = way.ask(door, id).await;
                let chats = [Door::Dm, Door::EncryptedDm, Door::RoomOfTwo, Door::Chat];
                if self.company(actor, target).await != before && !chats.contains(&door) {
                    // Somebody else has brought the two together meanwhile.
                    continue;
                }
                match self.expected(door, actor, target, before) {
                    Expected::Nobody => like_nobody(&case, &answer, id, &nobody),
                    Expected::Refused(rule) => refused_by(&case, &answer, &rule),
                    Expected::Open => {
                        assert_eq!(answer.status, 200, "{case}: {}", answer.body);
                        self.opened(&case, door, (actor, target), &answer);
                        way.undo(door, id).await;
                    }
                    Expected::Something => assert!(!answer.status.is_server_error(), "{case}: {}", answer.body),
                }
                asked += 1;
            }
        }
        asked
    }

    /// What an opened door tells.
    fn opened(&self, case: &str, door: Door, (actor, target): (&str, &str), answer: &Answer) {
        let (id, body) = (self.id(target), &answer.body);
        let signed_in = self.own_rooms.contains_key(target);
        match door {
            Door::Profile if signed_in => {
                let photo = self.ruling(actor, target, Verb::Photo).is_allowed();
                assert_eq!(body["avatar_url"].is_string(), photo, "{case}: {body}");
            }
            Door::DisplayName => assert!(body["displayname"].is_string(), "{case}: {body}"),
            Door::KeysQuery if signed_in => {
                assert!(
                    body["device_keys"][id].as_object().is_some_and(|devices| !devices.is_empty()),
                    "{case}: {body}"
                );
            }
            Door::KeysClaim if signed_in => assert!(body["one_time_keys"][id].is_object(), "{case}: {body}"),
            Door::Signature if signed_in => {
                assert_eq!(body["failures"][id]["MMMM"]["errcode"], "M_INVALID_SIGNATURE", "{case}: {body}");
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_at_every_door_of_everybody() {
    let walk = Walk::start().await;
    let actors: Vec<_> = walk.own_rooms.keys().collect();
    let mut asked = 0;
    // Some at a time: a supervised chat that one of them starts brings others together.
    for group in actors.chunks(4) {
        asked += join_all(group.iter().map(|actor| walk.walk(actor))).await.into_iter().sum::<usize>();
    }
    let all = walk.pairs().len() * DOORS.len();
    assert!(asked * 10 > all * 9, "{asked} of {all} ways were walked");
}

/// Messages to devices are taken from everybody, and reach whom the sender may know of. Calls reach whom they may call.
#[tokio::test]
async fn messages_to_devices_reach_whom_their_senders_may_know_of() {
    let walk = Walk::start().await;
    let send = async |client: &Client, kind: &str, targets: Value| {
        let path = format!("{V3}/sendToDevice/{kind}/{}", escape(&format!("{kind}{}", client.user_id)));
        assert_eq!(client.put(&path, json!({ "messages": targets })).await.ok(), json!({}));
    };
    for (_, client) in walk.small.clients() {
        let everybody = walk.ids.values().map(String::as_str).chain([NOBODY]);
        let messages: Value = everybody.map(|id| (id.to_owned(), json!({ "*": { "hello": "you" } }))).collect();
        send(client, "org.example.hello", messages.clone()).await;
        send(client, "m.call.invite", messages).await;
    }
    for (target, client) in walk.small.clients() {
        let mut found = Vec::new();
        let mut since = None;
        loop {
            let answer = client.sync(since.as_deref()).await;
            let events = answer["to_device"]["events"].as_array().cloned().unwrap_or_default();
            if events.is_empty() {
                break;
            }
            found.extend(events);
            since = answer["next_batch"].as_str().map(str::to_owned);
        }
        for (actor, sender) in walk.small.clients() {
            let came = |kind: &str| {
                found.iter().any(|event| event["type"] == kind && event["sender"] == sender.user_id.as_str())
            };
            let known = actor == target
                || walk.ruling(actor, target, Verb::See).is_allowed()
                || walk.company(actor, target).await;
            assert_eq!(came("org.example.hello"), known, "{actor} → {target}");
            let calls = actor == target || (known && walk.ruling(actor, target, Verb::Call).is_allowed());
            assert_eq!(came("m.call.invite"), calls, "{actor} calls {target}");
        }
    }
}

/// The search of stock clients finds nobody whom the searcher may not know of.
#[tokio::test]
async fn the_search_finds_whom_one_may_know_of() {
    let walk = Walk::start().await;
    for (actor, target) in walk.pairs() {
        let Some(person) = walk.small.roster.people.get(&target) else { continue };
        let body = json!({ "search_term": format!("{} {}", person.given, person.family), "limit": 50 });
        let answer = walk.small.client(&actor).post(&format!("{V3}/user_directory/search"), body).await.ok();
        let results = answer["results"].as_array().unwrap();
        let found = results.iter().any(|result| result["user_id"] == walk.id(&target));
        assert_eq!(found, walk.ruling(&actor, &target, Verb::See).is_allowed(), "{actor} looks for {target}: {answer}");
    }
}
