//! The doors to and from other servers: what is hidden from a neighbour does not exist, by any endpoint; pupils and
//! guardians reach nobody there, and nobody there hears of them.

use std::collections::{BTreeMap, BTreeSet};

use homeroom::{clock::Clock, config::ServerPattern, rooms::policy::Verb, school::policy::Ruling};
use reqwest::Method;
use ruma::UserId;
use serde_json::{Value, json};

use super::{V3, shape, upload_keys};
use crate::{
    federation::{
        Fake, Reply,
        guest::{Guest, id_of, invitation, rules, until_there},
        server_at,
    },
    harness::{Answer, Client, Server, escape},
    school::small::{NOON_MS, Small},
};

const FED: &str = "/_matrix/federation/v1";

/// A school that federates with one neighbour, played by the test.
pub(super) struct Border {
    pub(super) small: Small,
    pub(super) fake: Fake,
    /// By name: user ids, also of those who are not signed in.
    pub(super) ids: BTreeMap<String, String>,
    nobody: String,
}

impl Border {
    pub(super) async fn start() -> Self {
        let fake = Fake::start().await;
        let neighbour = ServerPattern::parse(fake.name().as_str()).unwrap();
        let server = server_at(Clock::test(NOON_MS), |config| config.federation.allow = vec![neighbour]).await;
        let small = Box::pin(Small::on(server)).await;
        small.school().rooms.settled().await;
        let mut ids = BTreeMap::new();
        for (name, client) in small.clients() {
            ids.insert(name.to_owned(), client.user_id.clone());
            upload_keys(client).await;
            let picture = json!({ "avatar_url": format!("mxc://{}/picture", small.server.name()) });
            client.put(&format!("{V3}/profile/{}/avatar_url", escape(&client.user_id)), picture).await.ok();
        }
        let name = small.server.name().to_owned();
        ids.insert("gone".into(), format!("@{}:{name}", small.account("gone").await.1));
        Self { small, fake, ids, nobody: format!("@nobody-7f3a:{name}") }
    }

    pub(super) fn home(&self) -> &Server {
        &self.small.server
    }

    /// What the policy says of somebody of the neighbour's and somebody here.
    fn inward(&self, target: &str, verb: Verb) -> Ruling {
        let eve = UserId::parse(self.fake.user("eve")).unwrap();
        self.small.school().rules.ruling(&eve, &UserId::parse(&self.ids[target]).unwrap(), verb)
    }

    fn outward(&self, actor: &str, verb: Verb) -> Ruling {
        let eve = UserId::parse(self.fake.user("eve")).unwrap();
        self.small.school().rules.ruling(&UserId::parse(&self.ids[actor]).unwrap(), &eve, verb)
    }

    async fn ask(&self, (method, path, body): (Method, String, Value)) -> Answer {
        self.fake.call(self.home(), method, &path, body).await
    }

    /// Somebody whom the neighbour sees, in a room of theirs into which `eve` was invited.
    async fn shared(&self, name: &str) -> (Guest<'_>, &Client) {
        let client = self.small.client(name);
        let room = client.create_room(json!({ "preset": "private_chat", "room_version": "11" })).await;
        crate::federation::guest::oblige(&self.fake);
        client.invite(&room, &self.fake.user("eve")).await.ok();
        let mut levels = client.room(&room, "state/m.room.power_levels").await.ok();
        levels["users"][self.fake.user("eve")] = json!(100);
        client.set_state(&room, "m.room.power_levels", "", levels).await.ok();
        (Guest::enter(&self.fake, self.home(), &room, "eve").await, client)
    }
}

/// Every question about a person that another server may ask.
fn questions(fake: &Fake, target: &str, device: &str, place: usize) -> Vec<(Method, String, Value)> {
    let id = escape(target);
    let get = |rest: String| (Method::GET, format!("{FED}/{rest}"), Value::Null);
    let post = |rest: &str, body: Value| (Method::POST, format!("{FED}/{rest}"), body);
    let (path, invite) = invitation(fake, target, &format!("!room{place}:{}", fake.name()));
    vec![
        get(format!("query/profile?user_id={id}")),
        get(format!("query/profile?user_id={id}&field=displayname")),
        get(format!("query/profile?user_id={id}&field=avatar_url")),
        get(format!("user/devices/{id}")),
        post("user/keys/query", json!({ "device_keys": { target: [] } })),
        post("user/keys/claim", json!({ "one_time_keys": { target: { device: "signed_curve25519" } } })),
        (Method::PUT, path, invite),
    ]
}

/// Everybody of the school through every door for other servers, like somebody who does not exist, or found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_finds_whom_the_policy_publishes_and_nobody_else() {
    let border = Border::start().await;
    let (mut shown, mut hidden) = (BTreeSet::new(), BTreeSet::new());
    for (place, (name, id)) in border.ids.iter().enumerate() {
        let device = border.small.clients().find(|(known, _)| known == name).map(|(_, client)| &*client.device_id);
        let device = device.unwrap_or("NONE");
        let known = border.inward(name, Verb::See).is_allowed();
        if known { &mut shown } else { &mut hidden }.insert(name.as_str());
        let asked = questions(&border.fake, id, device, place);
        let absent = questions(&border.fake, &border.nobody, device, place);
        for (question, absent) in asked.into_iter().zip(absent) {
            let case = format!("{name} at {} {}", question.0, question.1);
            let answer = border.ask(question).await;
            if known {
                assert_eq!(answer.status, 200, "{case}: {}", answer.body);
                assert!(!answer.body.as_object().unwrap().is_empty(), "{case}: {}", answer.body);
            } else {
                let absent = border.ask(absent).await;
                assert_eq!(shape(&answer, id), shape(&absent, &border.nobody), "{case}");
            }
        }
    }
    for name in ["pupil", "guardian", "junior", "separated", "gone", "admin", "aide"] {
        assert!(hidden.contains(name), "{name}");
    }
    for name in ["head", "counsellor"] {
        assert!(shown.contains(name), "{name}");
    }

    // Messages to devices reach whom the neighbour may know of. They are taken in before the answer.
    let to: Value = border.ids.values().map(|id| (id.clone(), json!({ "*": { "hello": "you" } }))).collect();
    let content = json!({
        "sender": border.fake.user("eve"), "type": "org.example.hello", "message_id": "m1", "messages": to,
    });
    let edu = json!({ "edu_type": "m.direct_to_device", "content": content });
    border.fake.send(border.home(), vec![], vec![edu]).await.ok();
    for (name, client) in border.small.clients() {
        let sync = client.sync(None).await;
        let came = sync["to_device"]["events"].as_array().is_some_and(|events| !events.is_empty());
        assert_eq!(came, shown.contains(name), "{name}: {}", sync["to_device"]);
        let invited = sync["rooms"]["invite"].as_object().is_some_and(|rooms| !rooms.is_empty());
        assert_eq!(invited, shown.contains(name), "{name}: {}", sync["rooms"]["invite"]);
    }
}

/// Every question about a room that another server may ask.
fn about(fake: &Fake, room: &str) -> Vec<(Method, String, Value)> {
    let (id, eve) = (escape(room), escape(&fake.user("eve")));
    let get = |rest: String| (Method::GET, format!("{FED}/{rest}"), Value::Null);
    let member = |membership: &str| {
        let user = fake.user("eve");
        let event = json!({
            "type": "m.room.member", "room_id": room, "sender": user, "state_key": user,
            "content": { "membership": membership }, "prev_events": ["$a"], "auth_events": ["$b"], "depth": 3,
            "origin_server_ts": 1,
        });
        let event = fake.sign_event(event, &rules());
        (escape(&id_of(&event)), event)
    };
    let (join, joined) = member("join");
    let (knock, knocked) = member("knock");
    let put = |path: String, event: Value| (Method::PUT, path, event);
    let exchange = json!({
        "type": "m.room.member", "room_id": room, "sender": "@head:school.example", "state_key": fake.user("eve"),
        "content": { "membership": "invite", "third_party_invite": {
            "display_name": "e...",
            "signed": { "mxid": fake.user("eve"), "token": "t", "signatures": {} },
        } },
    });
    vec![
        get(format!("make_join/{id}/{eve}?ver=11&ver=12")),
        get(format!("make_knock/{id}/{eve}?ver=11&ver=12")),
        get(format!("make_leave/{id}/{eve}")),
        put(format!("/_matrix/federation/v2/send_join/{id}/{join}"), joined.clone()),
        put(format!("{FED}/send_join/{id}/{join}"), joined),
        put(format!("{FED}/send_knock/{id}/{knock}"), knocked),
        put(format!("{FED}/exchange_third_party_invite/{id}"), exchange),
        get(format!("state/{id}?event_id=%24x")),
        get(format!("state_ids/{id}?event_id=%24x")),
        get(format!("event_auth/{id}/%24x")),
        get(format!("backfill/{id}?v=%24x&limit=10")),
        get(format!("timestamp_to_event/{id}?ts=1&dir=f")),
        get(format!("hierarchy/{id}")),
        (
            Method::POST,
            format!("{FED}/get_missing_events/{id}"),
            json!({ "earliest_events": [], "latest_events": ["$x"], "limit": 10 }),
        ),
    ]
}

/// No room of the school, and none that people here have opened to each other, exists for a neighbour who is not in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_is_shown_no_room() {
    let border = Border::start().await;
    let tutor = border.small.client("tutor");
    let public =
        json!({ "preset": "public_chat", "visibility": "public", "room_alias_name": "staff", "name": "Staff" });
    tutor.create_room(public).await;
    let mut rooms = BTreeSet::new();
    for (_, client) in border.small.clients() {
        let joined = client.get(&format!("{V3}/joined_rooms")).await.ok();
        rooms.extend(joined["joined_rooms"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
    }
    assert!(rooms.len() > 10, "{rooms:?}");
    let nowhere = format!("!nowhere:{}", border.home().name());
    for room in &rooms {
        for (here, there) in about(&border.fake, room).into_iter().zip(about(&border.fake, &nowhere)) {
            let case = format!("{} {}", here.0, here.1);
            let (answer, absent) = (border.ask(here).await, border.ask(there).await);
            assert_eq!(shape(&answer, room), shape(&absent, &nowhere), "{case}");
        }
    }
    let list = border.fake.get(border.home(), &format!("{FED}/publicRooms")).await.ok();
    assert_eq!(list["chunk"], json!([]));
    let alias = |name: &str| {
        format!("{FED}/query/directory?room_alias={}", escape(&format!("#{name}:{}", border.home().name())))
    };
    let here = border.fake.get(border.home(), &alias("staff")).await.refused(404, "M_NOT_FOUND");
    assert_eq!(here, border.fake.get(border.home(), &alias("nothing")).await.refused(404, "M_NOT_FOUND"));

    // Nor what hidden people have uploaded.
    let pupil = border.small.client("pupil");
    let upload = format!("{}/upload", "/_matrix/media/v3");
    let uri = pupil.call_raw(Method::POST, &upload, "{}").await.ok()["content_uri"].as_str().unwrap().to_owned();
    let media = |id: &str| format!("{FED}/media/download/{id}");
    let here = border.fake.get(border.home(), &media(uri.rsplit('/').next().unwrap())).await;
    let absent = border.fake.get(border.home(), &media("nothing")).await;
    assert_eq!((here.status.as_u16(), here.body), (404, absent.body));
}

/// What the people of a neighbour do in a room that they share with staff brings no pupil or guardian into it, and tells
/// them nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_shared_room_a_neighbour_reaches_those_who_are_in_it() {
    let border = Border::start().await;
    let (guest, head) = border.shared("head").await;
    head.send(&guest.room, "welcome").await;
    guest.say(head, "good morning").await;
    let targets = ["pupil", "guardian", "junior", "admin", "aide"];
    for name in targets {
        for membership in ["invite", "ban", "leave"] {
            let event = guest.sign(guest.member(&border.ids[name], membership));
            guest.send(vec![event]).await.ok();
        }
    }
    guest.say(head, "and now").await;
    for name in targets {
        let sync = border.small.client(name).sync(None).await;
        for section in ["invite", "leave", "join", "knock"] {
            assert!(sync["rooms"][section].get(&guest.room).is_none(), "{name}: {sync}");
        }
        let path = format!("state/m.room.member/{}", escape(&border.ids[name]));
        assert_eq!(head.room(&guest.room, &path).await.status, 404, "{name}");
    }
    // Those who may be written to are invited that way.
    let counsellor = border.small.client("counsellor");
    let event = guest.sign(guest.member(&counsellor.user_id, "invite"));
    guest.send(vec![event]).await.ok();
    guest.say(head, "come in").await;
    counsellor.join(&guest.room).await.ok();
    head.send(&guest.room, "hello").await;

    // Nobody hidden comes in from here either, and those who share the room are known by it.
    for name in ["pupil", "guardian"] {
        assert_eq!(head.invite(&guest.room, &border.ids[name]).await.status, 403, "{name}");
        assert!(border.small.client(name).join(&guest.room).await.status.is_client_error(), "{name}");
    }
    let devices = format!("{FED}/user/devices/{}", escape(&head.user_id));
    border.fake.get(border.home(), &devices).await.ok();
    until_there(counsellor, &guest.room, &head.send(&guest.room, "the last one").await).await;
    border.fake.until(|received| received.body.to_string().contains("the last one").then_some(())).await;
    let told: String = border.fake.received("/").iter().map(|one| format!("{} {}", one.path, one.body)).collect();
    for (name, id) in border.ids.iter().filter(|(name, _)| !border.inward(name, Verb::See).is_allowed()) {
        assert!(!told.contains(id.as_str()), "the neighbour was told of {name}");
    }
}

/// What somebody may try towards a person and the rooms of another server.
fn tries(eve: &str, own_room: &str, fake: &Fake) -> Vec<(Method, String, Value, bool)> {
    let (id, server, own) = (escape(eve), fake.name(), escape(own_room));
    let room = escape(&format!("!there:{server}"));
    let via = escape(server.as_str());
    let get = |path: String| (Method::GET, path, Value::Null, false);
    let post = |path: String, body: Value| (Method::POST, path, body, false);
    let still = |path: &str, body: Value| (Method::POST, format!("{V3}/{path}"), body, true);
    vec![
        get(format!("{V3}/profile/{id}")),
        get(format!("{V3}/profile/{id}/displayname")),
        get(format!("{V3}/presence/{id}/status")),
        get(format!("{V3}/directory/room/{}", escape(&format!("#alias:{server}")))),
        get(format!("/_matrix/client/v1/media/download/{server}/picture")),
        get(format!("/_matrix/client/v1/media/thumbnail/{server}/picture?width=32&height=32")),
        get(format!("/_matrix/client/v1/room_summary/{room}?via={via}")),
        get(format!("/_matrix/client/v1/rooms/{room}/hierarchy")),
        get(format!("/_homeroom/v1/contacts/{id}")),
        post(format!("{V3}/join/{room}?via={via}"), json!({})),
        post(format!("{V3}/rooms/{room}/join"), json!({})),
        post(format!("{V3}/knock/{room}?via={via}"), json!({})),
        post(format!("{V3}/createRoom"), json!({ "is_direct": true, "invite": [eve] })),
        post(format!("{V3}/createRoom"), json!({ "invite": [eve], "creation_content": { "m.federate": true } })),
        post(format!("{V3}/rooms/{own}/invite"), json!({ "user_id": eve })),
        post(format!("{V3}/rooms/{own}/ban"), json!({ "user_id": eve })),
        (Method::PUT, format!("{V3}/rooms/{own}/state/m.room.member/{id}"), json!({ "membership": "invite" }), false),
        post("/_homeroom/v1/knocks".into(), json!({ "to": eve, "text": "please" })),
        still("keys/query", json!({ "device_keys": { eve: [] } })),
        still("keys/claim", json!({ "one_time_keys": { eve: { "PHONE": "signed_curve25519" } } })),
        (Method::PUT, format!("{V3}/sendToDevice/org.example.x/1"), json!({ "messages": { eve: { "*": {} } } }), true),
    ]
}

/// Pupils and guardians get the answer for nobody about people of other servers, who hear nothing of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn families_reach_nobody_on_another_server() {
    let border = Border::start().await;
    let fake = &border.fake;
    fake.answer(Method::GET, "/_matrix/federation/v1/query/profile", |_| Reply::ok(json!({ "displayname": "Eve" })));
    let mut kept = 0;
    for (name, client) in border.small.clients() {
        if border.outward(name, Verb::See).is_allowed() {
            continue;
        }
        kept += 1;
        let own = client.create_room(json!({})).await;
        for (method, path, body, taken) in tries(&fake.user("eve"), &own, fake) {
            let answer = client.call(method, &path, body).await;
            let case = format!("{name} at {path}: {}", answer.body);
            if taken {
                assert_eq!(answer.status, 200, "{case}");
                assert!(!answer.body.to_string().contains("failures"), "{case}");
            } else {
                assert!(answer.status.is_client_error(), "{case}");
            }
        }
        let list = client.get(&format!("{V3}/publicRooms?server={}", escape(fake.name().as_str()))).await;
        assert!(list.status != 200 || list.body["chunk"] == json!([]), "{name}: {}", list.body);
    }
    assert!(kept >= 10, "{kept}");
    let told: Vec<_> = fake.received("/_matrix/").into_iter().map(|received| received.path).collect();
    let told: Vec<_> = told.iter().filter(|path| !path.starts_with("/_matrix/key/")).collect();
    assert!(told.is_empty(), "{told:?}");

    // Those who work here are let through.
    let path = format!("{V3}/profile/{}", escape(&fake.user("eve")));
    assert_eq!(border.small.client("tutor").get(&path).await.ok()["displayname"], "Eve");
}
