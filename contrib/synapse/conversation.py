"""People on Homeroom and on Synapse talk; each step is one function below, in their order. See `run` beside it."""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

import servers
from person import Person, escape
from servers import Failed

steps = []


def step(function):
    """A step; its name is the function's, its first line of documentation is printed."""
    steps.append(function)
    return function


def expect(found, wanted, what):
    if found != wanted:
        raise Failed(f"{what}: {found!r}, not {wanted!r}")


class Stage:
    """The servers, the people, and the rooms they share."""

    def __init__(self, folder):
        authority = servers.Authority(folder)
        self.homeroom = servers.Homeroom(authority, folder)
        self.synapse = servers.Synapse(authority, folder)
        self.both = [self.homeroom, self.synapse]
        self.shared = {}

    def start(self):
        for server in self.both:
            server.start()
        self.hana, self.hugo = Person(self.homeroom, "hana"), Person(self.homeroom, "hugo")
        self.sven, self.sara = Person(self.synapse, "sven"), Person(self.synapse, "sara")
        # Here and there: each step that is told both ways is told of these.
        self.ways = [("from Homeroom", self.hana, self.sven), ("from Synapse", self.sven, self.hana)]

    def stop(self):
        for server in self.both:
            server.stop()

    def room(self, host):
        """The room that this person made and the other one joined; made when it is first needed."""
        if host not in self.shared:
            guest = self.sven if host is self.hana else self.hana
            room = host.create(preset="public_chat", name="a room of " + host.user_id)
            guest.join(room, host.server)
            guest.until("the room", lambda me: me.room(room).membership(me.user_id) == "join")
            host.until_membership(room, guest, "join")
            self.shared[host] = room
        return self.shared[host]

    def cut(self):
        for server in self.both:
            server.link.cut()

    def mend(self):
        for server in self.both:
            server.link.mend()


def texts(prefix, count):
    return [f"{prefix} {number}" for number in range(count)]


def public_room(host, *guests):
    """A new room of this person's that the others have joined."""
    room = host.create(preset="public_chat")
    for guest in guests:
        guest.join(room, host.server)
        host.until_membership(room, guest, "join")
    return room


def let_moderate(room, host, guest):
    """Gives somebody the power to change the room's state."""
    levels = host.state(room, "m.room.power_levels")
    levels.setdefault("users", {})[guest.user_id] = 50
    host.set_state(room, "m.room.power_levels", levels)
    guest.until("the levels", lambda me: me.room(room).content("m.room.power_levels").get("users", {}).get(me.user_id) == 50)


@step
def keys_and_versions(on):
    """both answer with their versions and keys, over TLS"""
    for server in on.both:
        json.loads(server.ask("/_matrix/federation/v1/version"))["server"]["name"]
        expect(json.loads(server.ask("/_matrix/key/v2/server"))["server_name"], server.name, "the name in the keys")


@step
def join(on):
    """each joins a public room of the other server"""
    for _, host, _ in on.ways:
        on.room(host)


@step
def join_by_alias(on):
    """each joins by an alias of the other server"""
    for way, host, guest in on.ways:
        localpart = f"corner{len(way)}"
        room = host.create(preset="public_chat", room_alias_name=localpart)
        expect(guest.join(f"#{localpart}:{host.server.name}", host.server), room, way)
        host.until_membership(room, guest, "join")


@step
def join_every_version(on):
    """Synapse's rooms of every version can be joined, and talked in"""
    versions = on.sven.get("/_matrix/client/v3/capabilities")["capabilities"]["m.room_versions"]["available"]
    known = on.hana.get("/_matrix/client/v3/capabilities")["capabilities"]["m.room_versions"]["available"]
    for version in sorted(set(versions) & {str(number) for number in range(1, 13)}, key=int):
        room = on.sven.create(preset="public_chat", room_version=version)
        on.hana.join(room, on.synapse)
        on.hana.send(room, f"a word in version {version}")
        on.sven.until_text(room, f"a word in version {version}")
        if version in known and int(version) > 2:
            room = on.hana.create(preset="public_chat", room_version=version)
            on.sven.join(room, on.homeroom)
            on.sven.send(room, f"a word in version {version}")
            on.hana.until_text(room, f"a word in version {version}")


@step
def messages(on):
    """messages go both ways, in rooms of both, in their order"""
    for _, host, _ in on.ways:
        room = on.room(host)
        for way, speaker, listener in on.ways:
            said = texts(f"{way}, room of {host.user_id}:", 10)
            for text in said:
                speaker.send(room, text)
            listener.until_text(room, said[-1])
            expect([text for text in listener.room(room).texts() if text in said], said, "the order")


@step
def redactions(on):
    """redactions go both ways"""
    room = on.room(on.hana)
    for way, speaker, listener in on.ways:
        event_id = speaker.send(room, f"slip {way}")
        listener.until_text(room, f"slip {way}")
        speaker.redact(room, event_id)
        gone = lambda me: any(
            event["type"] == "m.room.redaction"
            and event_id in (event.get("redacts"), event["content"].get("redacts"))
            for event in me.room(room).timeline
        )
        listener.until("the redaction", gone)
        found = listener.get(listener.at(room, f"event/{event_id}"))
        expect(found["content"], {}, "what remains of the message")


@step
def state(on):
    """changes of state go both ways"""
    for _, host, guest in on.ways:
        room = on.room(host)
        let_moderate(room, host, guest)
        for speaker, listener in [(host, guest), (guest, host)]:
            topic = f"a topic of {speaker.user_id}"
            speaker.set_state(room, "m.room.topic", {"topic": topic})
            listener.until("the topic", lambda me: me.room(room).content("m.room.topic").get("topic") == topic)


@step
def invites(on):
    """invitations go both ways: accepted, declined, taken back"""
    for way, host, guest in on.ways:
        room = host.create(preset="private_chat", name=f"private {way}")
        host.invite(room, guest)
        stripped = guest.until_invited(room)
        names = [event["content"].get("name") for event in stripped if event["type"] == "m.room.name"]
        expect(names, [f"private {way}"], "the name in the invitation")
        guest.join(room)
        host.until_membership(room, guest, "join")

        room = host.create(preset="private_chat")
        host.invite(room, guest)
        guest.until_invited(room)
        guest.leave(room)
        host.until_membership(room, guest, "leave")

        room = host.create(preset="private_chat")
        host.invite(room, guest)
        guest.until_invited(room)
        host.post(host.at(room, "kick"), {"user_id": guest.user_id})
        guest.until("the end of the invitation", lambda me: room not in me.invited)


@step
def direct_chat(on):
    """a room with an invitation in its making"""
    for _, host, guest in on.ways:
        room = host.create(preset="trusted_private_chat", is_direct=True, invite=[guest.user_id])
        guest.until_invited(room)
        guest.join(room)
        guest.send(room, "here I am")
        host.until_text(room, "here I am")


@step
def leave_and_return(on):
    """leaving and coming back"""
    for _, host, guest in on.ways:
        room = public_room(host, guest)
        guest.leave(room)
        host.until_membership(room, guest, "leave")
        host.send(room, "while you were away")
        guest.join(room, host.server)
        host.until_membership(room, guest, "join")
        host.send(room, "welcome back")
        guest.until_text(room, "welcome back")


@step
def bans(on):
    """who is banned hears no more and cannot come back"""
    for _, host, guest in on.ways:
        room = public_room(host, guest)
        host.ban(room, guest)
        guest.until("the ban", lambda me: room in me.left)
        host.send(room, "among us")
        try:
            guest.join(room, host.server)
        except Failed:
            continue
        raise Failed(f"{guest.user_id} came back")


@step
def knocks(on):
    """knocks both ways, let in by an invitation"""
    for way, host, guest in on.ways:
        rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
        room = host.create(preset="private_chat", room_version="10", initial_state=[rules])
        guest.knock(room, host.server)
        host.until_membership(room, guest, "knock")
        guest.until("the knock", lambda me: room in me.knocked)
        host.invite(room, guest)
        guest.until_invited(room)
        guest.join(room, host.server)
        host.until_membership(room, guest, "join")


@step
def restricted_joins(on):
    """rooms for the members of another room"""
    for way, host, guest in on.ways:
        door = on.room(host)
        allow = [{"type": "m.room_membership", "room_id": door}]
        rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "restricted", "allow": allow}}
        room = host.create(preset="private_chat", room_version="10", initial_state=[rules])
        guest.join(room, host.server)
        host.until_membership(room, guest, "join")
        host.until("who let them in", lambda me: me.room(room).content("m.room.member", guest.user_id)
                   .get("join_authorised_via_users_server") == host.user_id)


@step
def history(on):
    """what was said before the other server came is fetched"""
    for way, host, guest in on.ways:
        room = host.create(preset="public_chat")
        said = texts("before you came", 60)
        for text in said:
            host.send(room, text)
        guest.join(room, host.server)
        guest.send(room, "what did I miss?")
        found = guest.history(room)
        expect([text for text in reversed(found) if text in said], said, "the history")


@step
def receipts(on):
    """receipts go both ways"""
    room = on.room(on.hana)
    for way, speaker, listener in on.ways:
        event_id = speaker.send(room, f"read this {way}")
        listener.until_text(room, f"read this {way}")
        listener.read(room, event_id)
        speaker.until("the receipt", lambda me: me.room(room).receipts.get(listener.user_id) == event_id)


@step
def typing(on):
    """who is typing is told both ways"""
    room = on.room(on.hana)
    for _, speaker, listener in on.ways:
        speaker.set_typing(room, True)
        listener.until("the typing", lambda me: speaker.user_id in me.room(room).typing)
        speaker.set_typing(room, False)
        listener.until("the end of it", lambda me: speaker.user_id not in me.room(room).typing)


@step
def presence(on):
    """who is online is told both ways"""
    on.room(on.hana)
    for way, speaker, listener in on.ways:
        path = f"/_matrix/client/v3/presence/{escape(speaker.user_id)}/status"
        message = f"here {way}"
        speaker.put(path, {"presence": "online", "status_msg": message})
        listener.until("the presence", lambda me: me.presence.get(speaker.user_id, {}).get("status_msg") == message)


@step
def profiles(on):
    """names of the other server's people, asked for and in rooms"""
    room = on.room(on.hana)
    for way, speaker, listener in on.ways:
        path = f"/_matrix/client/v3/profile/{escape(speaker.user_id)}"
        name = f"{speaker.user_id} {way}"
        speaker.put(path + "/displayname", {"displayname": name})
        found = lambda me: me.room(room).content("m.room.member", speaker.user_id).get("displayname") == name
        listener.until("the name", found)
        # Either server may answer from what it knew for a while.
        listener.get(path)["displayname"]


def device_keys(person):
    """Keys of a device, signed as a client would."""
    import signedjson.key
    import signedjson.sign

    key = signedjson.key.generate_signing_key(person.device_id)
    curve = signedjson.key.encode_verify_key_base64(signedjson.key.generate_signing_key("x").verify_key)
    keys = {
        "user_id": person.user_id,
        "device_id": person.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {
            f"ed25519:{person.device_id}": signedjson.key.encode_verify_key_base64(key.verify_key),
            f"curve25519:{person.device_id}": curve,
        },
    }
    one_time = {
        f"signed_curve25519:AAAA{number}": signedjson.sign.sign_json({"key": curve}, person.user_id, key)
        for number in range(3)
    }
    return signedjson.sign.sign_json(keys, person.user_id, key), one_time


@step
def encryption_keys(on):
    """keys of devices are told of, asked for and claimed both ways"""
    room = on.room(on.hana)
    for _, speaker, listener in on.ways:
        listener.sync()
        listener.changed.discard(speaker.user_id)
        keys, one_time = device_keys(speaker)
        speaker.post("/_matrix/client/v3/keys/upload", {"device_keys": keys, "one_time_keys": one_time})
        listener.until("the change of keys", lambda me: speaker.user_id in me.changed)
        found = listener.post("/_matrix/client/v3/keys/query", {"device_keys": {speaker.user_id: []}})
        device = found["device_keys"].get(speaker.user_id, {}).get(speaker.device_id, {})
        expect(device.get("keys"), keys["keys"], f"the keys ({found.get('failures')})")
        wanted = {speaker.user_id: {speaker.device_id: "signed_curve25519"}}
        claimed = listener.post("/_matrix/client/v3/keys/claim", {"one_time_keys": wanted})
        given = claimed["one_time_keys"].get(speaker.user_id, {}).get(speaker.device_id, {})
        expect(len(given), 1, f"the keys claimed ({claimed.get('failures')})")
        if not set(given) <= set(one_time):
            raise Failed(f"{given} are no keys of that device")


@step
def to_device(on):
    """messages between devices"""
    on.room(on.hana)
    for way, speaker, listener in on.ways:
        body = {"messages": {listener.user_id: {listener.device_id: {"said": way}}}}
        number = random.randrange(10**9)
        speaker.put(f"/_matrix/client/v3/sendToDevice/org.example.word/{number}", body)
        found = lambda me: [e for e in me.to_device if e["content"].get("said") == way and e["sender"] == speaker.user_id]
        expect(len(listener.until("the message", found)), 1, "how often it came")


@step
def media(on):
    """files and thumbnails of the other server"""
    for way, speaker, listener in on.ways:
        data = f"a file {way}".encode() * 10000
        answer = json.loads(speaker.raw("POST", "/_matrix/media/v3/upload?filename=a.txt", data, "text/plain"))
        path = answer["content_uri"].removeprefix("mxc://")
        expect(listener.raw("GET", f"/_matrix/client/v1/media/download/{path}"), data, "the file")
        answer = json.loads(speaker.raw("POST", "/_matrix/media/v3/upload", picture(), "image/png"))
        path = answer["content_uri"].removeprefix("mxc://")
        small = listener.raw("GET", f"/_matrix/client/v1/media/thumbnail/{path}?width=16&height=16&method=scale")
        if not small.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF")):
            raise Failed(f"no picture: {small[:20]!r}")


def picture():
    """A PNG of 64 × 64 grey points."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x80" * 64) * 64)
    head = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@step
def public_rooms(on):
    """the other server's list of public rooms"""
    for way, host, guest in on.ways:
        name = f"listed {way}"
        room = host.create(preset="public_chat", visibility="public", name=name)
        answer = guest.post(f"/_matrix/client/v3/publicRooms?server={host.server.name}", {"limit": 100})
        names = {entry["room_id"]: entry.get("name") for entry in answer["chunk"]}
        expect(names.get(room), name, "the room in the list")
        answer = guest.post(f"/_matrix/client/v3/publicRooms?server={host.server.name}",
                            {"filter": {"generic_search_term": name}})
        expect([entry["room_id"] for entry in answer["chunk"]], [room], "what is found")


@step
def spaces(on):
    """a space of the other server, with a room inside that only it knows"""
    for way, host, guest in on.ways:
        space = host.create(preset="public_chat", name=f"space {way}", creation_content={"type": "m.space"})
        room = host.create(preset="public_chat", name=f"inside {way}")
        host.set_state(space, "m.space.child", {"via": [host.server.name]}, room)
        guest.join(space, host.server)
        answer = guest.get(f"/_matrix/client/v1/rooms/{escape(space)}/hierarchy")
        names = {entry["room_id"]: entry.get("name") for entry in answer["rooms"]}
        expect(names.get(room), f"inside {way}", "the room in the space")


@step
def timestamps(on):
    """the event nearest to a time before the other server came"""
    for way, host, guest in on.ways:
        room = host.create(preset="public_chat")
        first = host.send(room, "the first")
        at = host.get(host.at(room, f"event/{first}"))["origin_server_ts"]
        for text in texts("later", 30):
            host.send(room, text)
        guest.join(room, host.server)
        path = f"/_matrix/client/v1/rooms/{escape(room)}/timestamp_to_event"
        expect(guest.get(path, ts=at, dir="f")["event_id"], first, "the event")


@step
def forks(on):
    """both sides go on while the link is cut, and come to the same state"""
    for _, host, guest in on.ways:
        room = public_room(host, guest)
        let_moderate(room, host, guest)
        for round in range(3):
            on.cut()
            for speaker in (host, guest):
                for text in texts(f"round {round} of {speaker.user_id}", 5):
                    speaker.send(room, text)
                speaker.set_state(room, "m.room.topic", {"topic": f"round {round} of {speaker.user_id}"})
                speaker.set_state(room, "m.room.name", {"name": f"round {round} of {speaker.user_id}"})
            on.mend()
            for speaker, listener in [(host, guest), (guest, host)]:
                speaker.send(room, f"round {round} is over for {speaker.user_id}")
                listener.until_text(room, f"round {round} of {speaker.user_id} 4")
                listener.until_text(room, f"round {round} is over for {speaker.user_id}")
            same_state(room, host, guest)


@step
def forked_ban(on):
    """somebody is banned on one side of a cut link while they speak on the other"""
    for way, host, guest, other in [("here", on.hana, on.sven, on.sara), ("there", on.sven, on.hana, on.hugo)]:
        room = public_room(host, guest, other)
        on.cut()
        host.ban(room, other)
        other.send(room, f"not banned yet {way}")
        on.mend()
        guest.send(room, "I saw it all")
        host.until_text(room, "I saw it all")
        guest.until_membership(room, other, "ban")
        if f"not banned yet {way}" in host.room(room).texts():
            raise Failed("the message of the banned was shown")
        same_state(room, host, guest)


def same_state(room, *people):
    """Whether both servers have the same state, by event ids; they may need a moment."""
    deadline = time.monotonic() + 30
    while True:
        states = []
        for person in people:
            events = person.get(person.at(room, "state"))
            states.append({(event["type"], event["state_key"]): event["event_id"] for event in events})
        if all(state == states[0] for state in states):
            return
        if time.monotonic() > deadline:
            differing = {key for state in states for key in state if any(o.get(key) != state[key] for o in states)}
            raise Failed(f"the states differ in {sorted(differing)}")
        time.sleep(0.5)


@step
def outage_of_synapse(on):
    """Synapse is away while a hundred messages are sent"""
    outage(on, on.hana, on.sven)


@step
def outage_of_homeroom(on):
    """Homeroom is away while a hundred messages are sent"""
    outage(on, on.sven, on.hana)


@step
def crash_of_homeroom(on):
    """Homeroom is killed while a hundred messages arrive"""
    room = on.room(on.sven)
    said = texts("before and after the crash", 100)
    for number, text in enumerate(said):
        on.sven.send(room, text)
        if number == 50:
            on.homeroom.stop(signal.SIGKILL)
    on.homeroom.start()
    all_arrive(on.hana, on.sven, room, said)


def outage(on, speaker, listener):
    rooms = [on.room(speaker), on.room(listener)]
    listener.server.stop()
    said = texts(f"while {listener.server.kind} was away", 100)
    for room in rooms:
        for text in said:
            speaker.send(room, text)
    listener.server.start()
    for room in rooms:
        all_arrive(listener, speaker, room, said)
        listener.send(room, "back again")
        speaker.until_text(room, "back again")


def all_arrive(listener, speaker, room, said):
    """A word after the outage arrives, and all that was said before can be read, each once."""
    last = f"{said[-1]}, and all"
    speaker.send(room, last)
    listener.until_text(room, last, seconds=120)
    deadline = time.monotonic() + 60
    while True:
        found = [text for text in reversed(listener.history(room, 300)) if text in said]
        if found == said:
            return
        if time.monotonic() > deadline:
            missing = [text for text in said if text not in found]
            raise Failed(f"{len(missing)} of {len(said)} are missing, {len(found) - len(set(found))} came twice, "
                         f"in order: {found == sorted(found, key=said.index)}")
        time.sleep(1)


@step
def restart_of_both(on):
    """both start again and go on"""
    room = on.room(on.hana)
    for server in on.both:
        server.stop()
    for server in on.both:
        server.start()
    for way, speaker, listener in on.ways:
        speaker.send(room, f"after the restart {way}")
        listener.until_text(room, f"after the restart {way}", seconds=60)


def play(chosen, folder):
    """Runs the steps; the names of those that failed."""
    on, failed = Stage(folder), []
    try:
        on.start()
        for each in chosen:
            begun, reason = time.monotonic(), None
            try:
                each(on)
            except Failed as error:
                reason = str(error)
            except Exception:
                reason = traceback.format_exc()
            took = time.monotonic() - begun
            print(f"{'ok    ' if reason is None else 'FAILED'} {each.__name__:20} {each.__doc__} ({took:.1f} s)", flush=True)
            if reason is not None:
                print("       " + reason.replace("\n", "\n       "), flush=True)
                failed.append(each.__name__)
                recover(on)
    finally:
        on.stop()
    return failed


def recover(on):
    """What a failed step may have left behind."""
    for server in on.both:
        if server.link.listener is None:
            server.link.mend()
        if server.process is None or server.process.poll() is not None:
            server.start()


def main(words):
    if words == ["--list"]:
        for each in steps:
            print(f"{each.__name__:20} {each.__doc__}")
        return 0
    chosen = [each for each in steps if not words or any(word in each.__name__ for word in words)]
    given = os.environ.get("CONVERSATION")
    folder = servers.folder_of(given or tempfile.mkdtemp(prefix="conversation-"))
    for old in folder.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    failed = play(chosen, folder)
    if failed:
        print(f"\n{len(failed)} of {len(chosen)} steps failed: {', '.join(failed)}. Logs and databases: {folder}")
        return 1
    print(f"\nall {len(chosen)} steps are ok")
    if not given:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
