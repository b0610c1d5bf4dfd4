"""Two people talk through matrix-nio: rooms, messages, reading, media, and what belongs to an account."""

import io
import secrets

import pytest_asyncio
from nio import (
    AsyncClient,
    DeleteDevicesAuthResponse,
    MessageDirection,
    PushNotify,
    PushRuleKind,
    PushSetTweak,
    ReceiptType,
    RoomPreset,
    RoomVisibility,
)
from nio.api import RelationshipType

from person import URL, Person, ok, png, refused, room_of


@pytest_asyncio.fixture(scope="session")
async def alice():
    person = await Person.of("alice", "HOMEROOM_ALICE")
    yield person
    await person.close()


@pytest_asyncio.fixture(scope="session")
async def bob():
    person = await Person.of("bob", "HOMEROOM_BOB")
    yield person
    await person.close()


@pytest_asyncio.fixture(scope="session")
async def room(alice, bob):
    return await room_of(alice, bob)


# Rooms


async def test_a_direct_room(alice, bob):
    room_id = await room_of(alice, bob, is_direct=True, preset=RoomPreset.trusted_private_chat, name=None)
    event = await bob.seen(room_id, await alice.say(room_id, "Good morning"))
    assert (event.sender, event.body) == (alice.user_id, "Good morning")
    assert bob.client.rooms[room_id].join_rule == "invite"


async def test_name_topic_and_avatar(alice, bob):
    room_id = await room_of(alice, bob, topic="Homework")
    seen = bob.client.rooms[room_id]
    assert (seen.name, seen.topic) == ("Class 7b", "Homework")
    ok(await alice.client.room_put_state(room_id, "m.room.name", {"name": "Class 8b"}))
    ok(await alice.client.update_room_topic(room_id, "Holidays"))
    ok(await alice.client.room_put_state(room_id, "m.room.avatar", {"url": "mxc://localhost/picture"}))
    await bob.until("the new name", lambda: seen.name == "Class 8b")
    await bob.until("the new topic", lambda: seen.topic == "Holidays")
    await bob.until("the avatar", lambda: seen.room_avatar_url == "mxc://localhost/picture")
    refused(await bob.client.room_put_state(room_id, "m.room.name", {"name": "Class 0"}), "M_FORBIDDEN", 403)


async def test_a_public_room_by_alias_and_directory(alice, bob):
    alias = f"library-{secrets.token_hex(4)}"
    room_id = ok(
        await alice.client.room_create(
            visibility=RoomVisibility.public, preset=RoomPreset.public_chat, alias=alias, name=alias
        )
    ).room_id
    full = f"#{alias}:{alice.user_id.partition(':')[2]}"
    assert ok(await bob.client.room_resolve_alias(full)).room_id == room_id
    listed = ok(await bob.client.list_public_rooms(limit=500)).public_rooms
    assert room_id in [each.room_id for each in listed]
    assert ok(await bob.client.join(full)).room_id == room_id
    await bob.until("joined", lambda: room_id in bob.client.rooms)


async def test_kick_ban_unban_leave_forget(alice, bob):
    room_id = await room_of(alice, bob, preset=RoomPreset.public_chat)
    ok(await alice.client.room_kick(room_id, bob.user_id, "too loud"))
    await bob.until("kicked", lambda: room_id in bob.left)
    ok(await alice.client.room_ban(room_id, bob.user_id, "again"))
    assert (await bob.client.join(room_id)).transport_response.status == 403
    ok(await alice.client.room_unban(room_id, bob.user_id))
    ok(await bob.client.join(room_id))
    await bob.until("back", lambda: room_id not in bob.left)
    ok(await bob.client.room_leave(room_id))
    await alice.until("the leave", lambda: bob.user_id not in alice.client.rooms[room_id].users)
    ok(await bob.client.room_forget(room_id))
    refused(await bob.client.room_messages(room_id, limit=10), "M_FORBIDDEN", 403)
    members = ok(await alice.client.joined_members(room_id)).members
    assert [each.user_id for each in members] == [alice.user_id]


async def test_a_private_room_is_closed(alice, bob):
    room_id = ok(await alice.client.room_create(preset=RoomPreset.private_chat)).room_id
    refused(await bob.client.join(room_id), "M_FORBIDDEN", 403)
    state = await bob.client.room_get_state(room_id)
    assert state.transport_response.status == 403, f"{state}"


# Messages


async def test_text_both_ways(alice, bob, room):
    assert (await bob.seen(room, await alice.say(room, "Hello Bob"))).body == "Hello Bob"
    assert (await alice.seen(room, await bob.say(room, "Hello Alice ✎ 你好"))).body == "Hello Alice ✎ 你好"


async def test_reaction_reply_and_edit(alice, bob, room):
    event_id = await alice.say(room, "Cake?")
    reaction = await bob.send(
        room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": event_id, "key": "👍"}}, "m.reaction"
    )
    seen = await alice.seen(room, reaction)
    assert (seen.reacts_to, seen.key) == (event_id, "👍")
    reply = await bob.say(room, "Yes", **{"m.relates_to": {"m.in_reply_to": {"event_id": event_id}}})
    relation = (await alice.seen(room, reply)).source["content"]["m.relates_to"]
    assert relation["m.in_reply_to"]["event_id"] == event_id
    edit = await alice.say(
        room,
        "* Cake or biscuits?",
        **{
            "m.new_content": {"msgtype": "m.text", "body": "Cake or biscuits?"},
            "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
        },
    )
    await bob.seen(room, edit)
    bundled = ok(await bob.client.room_get_event(room, event_id)).event.source["unsigned"]["m.relations"]
    assert bundled["m.replace"]["content"]["m.new_content"]["body"] == "Cake or biscuits?"


async def test_a_thread_and_its_relations(alice, bob, room):
    root = await alice.say(room, "Trip to the zoo")
    thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    replies = [await bob.say(room, body, **thread) for body in ("camera", "sandwiches", "map")]
    found = alice.client.room_get_event_relations(room, root, RelationshipType.thread, "m.room.message", limit=2)
    assert [each.event_id async for each in found] == replies[::-1]
    listed = [each.event_id async for each in alice.client.room_get_threads(room)]
    assert root in listed
    summary = ok(await alice.client.room_get_event(room, root)).event.source["unsigned"]["m.relations"]["m.thread"]
    assert (summary["count"], summary["latest_event"]["event_id"]) == (3, replies[-1])


async def test_a_deleted_message_is_empty(alice, bob, room):
    event_id = await alice.say(room, "a secret")
    await bob.seen(room, event_id)
    redaction = ok(await alice.client.room_redact(room, event_id, "not for school")).event_id
    seen = await bob.seen(room, redaction)
    assert (seen.redacts, seen.reason) == (event_id, "not for school")
    after = ok(await bob.client.room_get_event(room, event_id)).event
    assert type(after).__name__ == "RedactedEvent"
    assert after.reason == "not for school"
    refused(await bob.client.room_redact(room, await alice.say(room, "mine")), "M_FORBIDDEN", 403)


async def test_typing(alice, bob, room):
    seen = alice.client.rooms[room]
    ok(await bob.client.room_typing(room, True, timeout=30_000))
    await alice.until("Bob types", lambda: bob.user_id in seen.typing_users)
    ok(await bob.client.room_typing(room, False))
    await alice.until("Bob stopped", lambda: bob.user_id not in seen.typing_users)


async def test_scrolling_back_and_context(alice, bob):
    room_id = await room_of(alice, bob)
    sent = [await alice.say(room_id, f"line {n}") for n in range(30)]
    found, token = [], ok(await bob.client.sync(timeout=0)).next_batch
    while token:
        page = ok(await bob.client.room_messages(room_id, token, direction=MessageDirection.back, limit=7))
        found += [each.event_id for each in page.chunk]
        token = page.end
    assert [each for each in reversed(found) if each in sent] == sent
    assert len(found) == len(set(found))
    around = ok(await bob.client.room_context(room_id, sent[10], limit=4))
    assert around.event.event_id == sent[10]
    assert [each.event_id for each in around.events_before] == [sent[9], sent[8]]
    assert [each.event_id for each in around.events_after] == [sent[11], sent[12]]


# Reading


async def test_unread_and_highlight_counts(alice, bob):
    room_id = await room_of(alice, bob)
    seen = bob.client.rooms[room_id]

    async def counted(unread, highlighted):
        await bob.until(
            f"{unread} unread, {highlighted} highlighted",
            lambda: (seen.unread_notifications, seen.unread_highlights) == (unread, highlighted),
        )

    first = await alice.say(room_id, "first")
    await bob.seen(room_id, first)
    ok(await bob.client.update_receipt_marker(room_id, first))
    await counted(0, 0)
    await alice.say(room_id, "second")
    await counted(1, 0)
    last = await alice.say(room_id, "Bob, look", **{"m.mentions": {"user_ids": [bob.user_id]}})
    await counted(2, 1)
    ok(await bob.client.update_receipt_marker(room_id, last))
    await counted(0, 0)
    await alice.until(
        "the receipt",
        lambda: any(r.event_id == last and r.user_id == bob.user_id for e in alice.receipts[room_id] for r in e.receipts),
    )
    private = await alice.say(room_id, "third")
    await counted(1, 0)
    ok(await bob.client.update_receipt_marker(room_id, private, ReceiptType.read_private))
    await counted(0, 0)
    await alice.seen(room_id, await bob.say(room_id, "a fence"))
    assert not any(r.event_id == private and r.user_id == bob.user_id for e in alice.receipts[room_id] for r in e.receipts)
    ok(await bob.client.room_read_markers(room_id, private, private))
    await bob.until("the marker", lambda: seen.fully_read_marker == private)


async def test_a_push_rule_of_ones_own(alice, bob):
    room_id = await room_of(alice, bob)
    seen = bob.client.rooms[room_id]
    rule = {"actions": [PushNotify(), PushSetTweak("highlight")], "pattern": "football"}
    ok(await bob.client.set_pushrule("global", PushRuleKind.content, "org.homeroom.football", **rule))
    await alice.say(room_id, "Who plays football?")
    await bob.until("a highlight", lambda: seen.unread_highlights == 1)
    ok(await bob.client.enable_pushrule("global", PushRuleKind.content, "org.homeroom.football", False))
    ok(await bob.client.delete_pushrule("global", PushRuleKind.content, "org.homeroom.football"))


# Media


async def test_pictures_and_files(alice, bob, room):
    for bytes_, kind, name, msgtype in (
        (png(640, 400), "image/png", "zoo.png", "m.image"),
        (secrets.token_bytes(200_000), "application/pdf", "page 7.pdf", "m.file"),
    ):
        uploaded, _ = await alice.client.upload(io.BytesIO(bytes_), kind, name, filesize=len(bytes_))
        content = {"msgtype": msgtype, "body": name, "url": ok(uploaded).content_uri, "info": {"mimetype": kind}}
        event = await bob.seen(room, await alice.send(room, content))
        assert (event.body, event.url) == (name, uploaded.content_uri)
        got = ok(await bob.client.download(event.url))
        assert (got.body, got.content_type, got.filename) == (bytes_, kind, name)
        if msgtype == "m.image":
            server, media_id = event.url.removeprefix("mxc://").split("/")
            small = ok(await bob.client.thumbnail(server, media_id, 96, 96))
            assert small.content_type.startswith("image/")
            assert 0 < len(small.body) < len(bytes_)
    assert ok(await bob.client.content_repository_config()).upload_size > 0
    server = bob.user_id.partition(":")[2]
    refused(await bob.client.download(f"mxc://{server}/nothinghere"), "M_NOT_FOUND", 404)


# Account


async def test_profile_and_presence(alice, bob, room):
    name = f"Bob {secrets.token_hex(3)}"
    ok(await bob.client.set_displayname(name))
    ok(await bob.client.set_avatar("mxc://localhost/bob"))
    users = alice.client.rooms[room].users
    await alice.until("the new name", lambda: users[bob.user_id].display_name == name)
    await alice.until("the new picture", lambda: users[bob.user_id].avatar_url == "mxc://localhost/bob")
    profile = ok(await alice.client.get_profile(bob.user_id))
    assert (profile.displayname, profile.avatar_url) == (name, "mxc://localhost/bob")
    ok(await bob.client.set_presence("unavailable", "in class"))
    await alice.until(
        "the presence", lambda: getattr(alice.presence.get(bob.user_id), "status_msg", None) == "in class"
    )


async def test_devices(bob):
    phone = Person(bob.name, bob.password)
    ok(await phone.client.login(phone.password, device_name="phone"))
    device_id = phone.client.device_id
    ok(await bob.client.update_device(device_id, {"display_name": "Bob's phone"}))
    names = {each.id: each.display_name for each in ok(await bob.client.devices()).devices}
    assert names[device_id] == "Bob's phone"
    asked = await bob.client.delete_devices([device_id])
    assert isinstance(asked, DeleteDevicesAuthResponse), f"{asked}"
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": bob.name},
        "password": bob.password,
        "session": asked.session,
    }
    ok(await bob.client.delete_devices([device_id], auth))
    refused(await phone.client.whoami(), "M_UNKNOWN_TOKEN", 401)
    await phone.close()


async def test_a_stored_token_continues(alice, bob):
    room_id = await room_of(alice, bob)
    await bob.seen(room_id, await alice.say(room_id, "before"))
    old = bob.client
    away = [await alice.say(room_id, f"while away {n}") for n in range(5)]
    again = AsyncClient(URL, bob.user_id)
    again.restore_login(old.user_id, old.device_id, old.access_token)
    response = ok(await again.sync(timeout=0, since=old.next_batch, sync_filter={"room": {"timeline": {"limit": 50}}}))
    events = [each.event_id for each in response.rooms.join[room_id].timeline.events]
    assert events == away
    assert not response.rooms.join[room_id].timeline.limited
    await again.close()


async def test_wrong_password_and_token():
    stranger = AsyncClient(URL, f"nobody-{secrets.token_hex(4)}")
    refused(await stranger.login("wrong"), "M_FORBIDDEN", 403)
    stranger.restore_login("@nobody:localhost", "DEVICE", "nonsense")
    refused(await stranger.whoami(), "M_UNKNOWN_TOKEN", 401)
    await stranger.close()
