"""One device of one person, on either server."""

import itertools
import json
import time
import urllib.error
import urllib.parse
import urllib.request

from servers import Failed

# How long something may take to reach the other server.
WAIT_SECONDS = 30

numbers = itertools.count(1)


def escape(text):
    return urllib.parse.quote(text, safe="")


class Refused(Failed):
    """An answer that is no success."""

    def __init__(self, asked, status, body):
        super().__init__(f"{asked}: {status} {body[:300]!r}")
        self.status = status


class Room:
    """What syncs told of a room."""

    def __init__(self):
        self.timeline, self.state, self.typing, self.receipts = [], {}, [], {}

    def take(self, answer):
        for event in answer.get("state", {}).get("events", []) + answer.get("timeline", {}).get("events", []):
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event
        self.timeline += answer.get("timeline", {}).get("events", [])
        for event in answer.get("ephemeral", {}).get("events", []):
            if event["type"] == "m.typing":
                self.typing = event["content"]["user_ids"]
            elif event["type"] == "m.receipt":
                for event_id, kinds in event["content"].items():
                    for user_id in kinds.get("m.read", {}):
                        self.receipts[user_id] = event_id

    def texts(self):
        return [event["content"].get("body") for event in self.timeline if event["type"] == "m.room.message"]

    def content(self, kind, key=""):
        return self.state.get((kind, key), {}).get("content", {})

    def membership(self, user_id):
        return self.content("m.room.member", user_id).get("membership")


class Person:
    def __init__(self, server, name):
        self.server, self.token, self.since = server, None, None
        self.rooms, self.invited, self.knocked, self.left = {}, {}, set(), set()
        self.presence, self.to_device, self.changed = {}, [], set()
        body = {"username": name, "password": "correct horse battery staple", "auth": {"type": "m.login.dummy"}}
        answer = self.post("/_matrix/client/v3/register", body)
        self.user_id, self.device_id, self.token = answer["user_id"], answer["device_id"], answer["access_token"]

    # Requests.

    def raw(self, method, path, body=None, kind="application/json", seconds=60):
        headers = {"Content-Type": kind} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.server.base + path, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}", error.code, error.read()) from None
        except OSError as error:
            raise Failed(f"{method} {path}: {error}") from None

    def get(self, path, **arguments):
        query = "?" + urllib.parse.urlencode(arguments) if arguments else ""
        return json.loads(self.raw("GET", path + query))

    def post(self, path, body):
        return json.loads(self.raw("POST", path, json.dumps(body).encode()))

    def put(self, path, body):
        return json.loads(self.raw("PUT", path, json.dumps(body).encode()))

    def at(self, room, rest):
        return f"/_matrix/client/v3/rooms/{escape(room)}/{rest}"

    # What people do.

    def create(self, **body):
        return self.post("/_matrix/client/v3/createRoom", body)["room_id"]

    def join(self, room, via=None):
        query = f"?server_name={escape(via.name)}&via={escape(via.name)}" if via else ""
        return self.post(f"/_matrix/client/v3/join/{escape(room)}{query}", {})["room_id"]

    def knock(self, room, via):
        query = f"?server_name={escape(via.name)}&via={escape(via.name)}"
        return self.post(f"/_matrix/client/v3/knock/{escape(room)}{query}", {})["room_id"]

    def invite(self, room, other):
        self.post(self.at(room, "invite"), {"user_id": other.user_id})

    def leave(self, room):
        self.post(self.at(room, "leave"), {})

    def ban(self, room, other):
        self.post(self.at(room, "ban"), {"user_id": other.user_id})

    def send_event(self, room, kind, content):
        return self.put(self.at(room, f"send/{kind}/{next(numbers)}"), content)["event_id"]

    def send(self, room, text):
        return self.send_event(room, "m.room.message", {"msgtype": "m.text", "body": text})

    def set_state(self, room, kind, content, key=""):
        return self.put(self.at(room, f"state/{kind}/{escape(key)}"), content)["event_id"]

    def redact(self, room, event_id):
        self.put(self.at(room, f"redact/{escape(event_id)}/{next(numbers)}"), {})

    def read(self, room, event_id):
        self.post(self.at(room, f"receipt/m.read/{escape(event_id)}"), {})

    def set_typing(self, room, typing):
        body = {"typing": True, "timeout": 20000} if typing else {"typing": False}
        self.put(self.at(room, f"typing/{escape(self.user_id)}"), body)

    def state(self, room, kind, key=""):
        return self.get(self.at(room, f"state/{kind}/{escape(key)}"))

    def history(self, room, count=100):
        """Texts from the newest to the oldest, as far as the server can get them."""
        texts, start = [], None
        while len(texts) < count:
            arguments = {"dir": "b", "limit": 50, **({"from": start} if start else {})}
            answer = self.get(self.at(room, "messages"), **arguments)
            texts += [e["content"].get("body") for e in answer["chunk"] if e["type"] == "m.room.message"]
            start = answer.get("end")
            if not start or not answer["chunk"]:
                break
        return texts

    # What they hear.

    def sync(self, timeout_ms=0):
        arguments = {"timeout": timeout_ms, **({"since": self.since} if self.since else {})}
        answer = self.get("/_matrix/client/v3/sync", **arguments)
        self.since = answer["next_batch"]
        rooms = answer.get("rooms", {})
        for room, part in rooms.get("invite", {}).items():
            self.invited[room] = part["invite_state"]["events"]
        self.knocked |= set(rooms.get("knock", {}))
        for room, part in rooms.get("leave", {}).items():
            self.invited.pop(room, None)
            self.left.add(room)
            self.room(room).take(part)
        for room, part in rooms.get("join", {}).items():
            self.invited.pop(room, None)
            self.left.discard(room)
            self.room(room).take(part)
        for event in answer.get("presence", {}).get("events", []):
            self.presence[event["sender"]] = event["content"]
        self.to_device += answer.get("to_device", {}).get("events", [])
        self.changed |= set(answer.get("device_lists", {}).get("changed", []))

    def room(self, room):
        return self.rooms.setdefault(room, Room())

    def until(self, what, found, seconds=WAIT_SECONDS):
        """Syncs until `found` finds something."""
        deadline = time.monotonic() + seconds
        while True:
            self.sync(0 if self.since is None else 1000)
            if answer := found(self):
                return answer
            if time.monotonic() > deadline:
                raise Failed(f"{self.user_id} waited {seconds} s for {what}")

    def until_text(self, room, text, seconds=WAIT_SECONDS):
        return self.until(f"{text!r}", lambda me: text in me.room(room).texts(), seconds)

    def until_membership(self, room, other, membership):
        found = lambda me: me.room(room).membership(other.user_id) == membership
        return self.until(f"{membership} of {other.user_id}", found)

    def until_invited(self, room):
        return self.until(f"an invitation to {room}", lambda me: me.invited.get(room))
