"""What the nio suite shares: an account with one syncing device, and waits driven by its syncs.

Environment: HOMEROOM_URL (required); HOMEROOM_ALICE and HOMEROOM_BOB, "name:password" of accounts that exist.
"""

import asyncio
import os
import secrets
import struct
import zlib
from collections import defaultdict

from nio import AsyncClient, AsyncClientConfig, ErrorResponse, SyncResponse

URL = os.environ["HOMEROOM_URL"].rstrip("/")

WAIT_S = 10
"""How long a client may take to see a thing; a healthy server needs a few milliseconds."""

FILTER = {"room": {"timeline": {"limit": 50}}}


def ok(response):
    """The response, if it is none of nio's error types: those also stand for a reply that fails nio's schemas."""
    assert not isinstance(response, ErrorResponse), f"{type(response).__name__}: {response}"
    return response


def refused(response, errcode, status=None):
    """The error, if the request was refused with this errcode (and HTTP status)."""
    assert isinstance(response, ErrorResponse), f"wanted {errcode}, got {response}"
    assert response.status_code == errcode, f"{response}"
    if status is not None:
        assert response.transport_response.status == status, f"{response}"
    return response


class Person:
    """One account, one device; `timeline` holds every event that came through its syncs, in order and by room."""

    def __init__(self, name, password):
        self.name = name
        self.password = password
        config = AsyncClientConfig(max_limit_exceeded=0, max_timeouts=0, encryption_enabled=False)
        self.client = AsyncClient(URL, name, config=config)
        self.timeline = defaultdict(list)
        self.presence = {}
        self.receipts = defaultdict(list)
        self.left = set()

    @classmethod
    async def of(cls, stem, variable=None):
        """Signs in to the account `variable` names, or registers a new one and signs in to that."""
        given = os.environ.get(variable or "")
        if given:
            name, _, password = given.partition(":")
            person = cls(name, password)
        else:
            person = cls(f"{stem}-{secrets.token_hex(5)}", secrets.token_hex(12))
            # nio sends the dummy stage at once, without asking for a session first.
            ok(await person.client.register(person.name, person.password))
            ok(await person.client.logout())
        await person.login()
        return person

    async def login(self):
        """A new device of this account, which has synced once."""
        ok(await self.client.login(self.password, device_name="homeroom client tests"))
        await self.sync(timeout=0)

    @property
    def user_id(self):
        return self.client.user_id

    async def sync(self, timeout=5000):
        """One sync, kept in this object."""
        response = ok(await self.client.sync(timeout=timeout, sync_filter=FILTER))
        assert isinstance(response, SyncResponse)
        for room_id, room in response.rooms.join.items():
            self.timeline[room_id] += room.timeline.events
            self.receipts[room_id] += [each for each in room.ephemeral if type(each).__name__ == "ReceiptEvent"]
        self.left = (self.left | response.rooms.leave.keys()) - response.rooms.join.keys()
        for event in response.presence_events:
            self.presence[event.user_id] = event
        return response

    async def until(self, what, probe):
        """Syncs until `probe` gives something true, and returns that."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not (found := probe()):
                    await self.sync()
                return found
        except TimeoutError:
            raise AssertionError(f"{self.name}: not within {WAIT_S} s: {what}") from None

    def event(self, room_id, event_id):
        return next((each for each in self.timeline[room_id] if getattr(each, "event_id", None) == event_id), None)

    async def seen(self, room_id, event_id):
        """Syncs until this event has arrived, and returns it."""
        return await self.until(f"event {event_id}", lambda: self.event(room_id, event_id))

    async def send(self, room_id, content, kind="m.room.message"):
        """Sends one event and returns its id."""
        return ok(await self.client.room_send(room_id, kind, content)).event_id

    async def say(self, room_id, body, **more):
        """Sends a text message and returns its id."""
        return await self.send(room_id, {"msgtype": "m.text", "body": body, **more})

    async def close(self):
        await self.client.close()


async def room_of(owner, *others, **options):
    """A room that `owner` made and the others joined; everybody has seen that."""
    options.setdefault("name", "Class 7b")
    room_id = ok(await owner.client.room_create(invite=[each.user_id for each in others], **options)).room_id
    for other in others:
        await other.until("the invitation", lambda o=other: room_id in o.client.invited_rooms)
        ok(await other.client.join(room_id))
    everybody = {each.user_id for each in (owner, *others)}
    for each in (owner, *others):
        await each.until(
            "everybody joined",
            lambda e=each: room_id in e.client.rooms
            and everybody <= e.client.rooms[room_id].users.keys() - e.client.rooms[room_id].invited_users.keys(),
        )
    return room_id


def png(width, height):
    """A PNG with a gradient."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(
        b"\0" + b"".join(bytes((x * 255 // width, y * 255 // height, 128)) for x in range(width)) for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
