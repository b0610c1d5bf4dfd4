// Two people talk: rooms, messages and everything that hangs on a message, through matrix-js-sdk.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { NotificationCountType, ReceiptType } from "matrix-js-sdk";
import { Person, newName, rawSync, refused, roomOf, seen, startClient, stopAll, until } from "./harness.mjs";

let alicePerson, bobPerson, alice, bob;

before(async () => {
    alicePerson = await Person.of("alice", "HOMEROOM_ALICE");
    bobPerson = await Person.of("bob", "HOMEROOM_BOB");
    alice = await alicePerson.start();
    bob = await bobPerson.start();
});
after(stopAll);

const say = async (client, roomId, body, more = {}) =>
    (await client.sendMessage(roomId, { msgtype: "m.text", body, ...more })).event_id;
const timeline = (client, roomId) => client.getRoom(roomId).getLiveTimeline().getEvents();
const stateOf = (client, roomId, type, key = "") => client.getRoom(roomId)?.currentState.getStateEvents(type, key);

describe("rooms", () => {
    test("a direct room carries is_direct to the invited and m.direct to every device", async () => {
        const { room_id: roomId } = await alice.createRoom({
            preset: "trusted_private_chat",
            is_direct: true,
            invite: [bob.getUserId()],
        });
        await alice.setAccountData("m.direct", { [bob.getUserId()]: [roomId] });
        const invited = await until(bob, "the invitation", () => bob.getRoom(roomId));
        assert.equal(invited.getMyMembership(), "invite");
        assert.equal(invited.getDMInviter(), alice.getUserId());
        await bob.joinRoom(roomId);
        await seen(bob, roomId, await say(alice, roomId, "Good morning"));
        const levels = stateOf(bob, roomId, "m.room.power_levels").getContent();
        const version = stateOf(bob, roomId, "m.room.create").getContent().room_version;
        if (Number(version) < 12) assert.equal(levels.users[bob.getUserId()], 100, "trusted: as strong as the creator");
        const other = await alicePerson.start();
        assert.deepEqual(other.getAccountData("m.direct").getContent()[bob.getUserId()], [roomId]);
        other.stopClient();
    });

    test("a group room has a name, a topic and an avatar that members may change", async () => {
        const roomId = await roomOf(alice, [bob], { topic: "Homework" });
        assert.equal(bob.getRoom(roomId).name, "Class 7b");
        assert.equal(stateOf(bob, roomId, "m.room.topic").getContent().topic, "Homework");
        await alice.setRoomName(roomId, "Class 8b");
        await alice.setRoomTopic(roomId, "Holidays");
        await alice.sendStateEvent(roomId, "m.room.avatar", { url: "mxc://localhost/picture" });
        await until(bob, "the new name", () => bob.getRoom(roomId).name === "Class 8b");
        await until(bob, "the new topic", () => stateOf(bob, roomId, "m.room.topic").getContent().topic === "Holidays");
        await until(bob, "the avatar", () => bob.getRoom(roomId).getMxcAvatarUrl() === "mxc://localhost/picture");
        await refused(bob.setRoomName(roomId, "Class 0"), 403, "M_FORBIDDEN");
    });

    test("a public room is found by its alias and in the directory, and joined", async () => {
        const alias = newName("library");
        const name = newName("Library");
        const { room_id: roomId } = await alice.createRoom({
            preset: "public_chat",
            visibility: "public",
            room_alias_name: alias,
            name,
        });
        const full = `#${alias}:${alice.getDomain()}`;
        assert.equal((await bob.getRoomIdForAlias(full)).room_id, roomId);
        const found = await bob.publicRooms({ filter: { generic_search_term: name }, limit: 10 });
        assert.deepEqual(found.chunk.map((entry) => entry.room_id), [roomId]);
        await bob.joinRoom(full);
        await until(bob, "joined", () => bob.getRoom(roomId)?.getMyMembership() === "join");
        assert.equal(bob.getRoom(roomId).getCanonicalAlias(), full);
        await refused(alice.createRoom({ room_alias_name: alias }), 400, "M_ROOM_IN_USE");
    });

    test("an invitation can be declined, and a private room is closed to strangers", async () => {
        const { room_id: roomId } = await alice.createRoom({ preset: "private_chat", invite: [bob.getUserId()] });
        await until(bob, "the invitation", () => bob.getRoom(roomId)?.getMyMembership() === "invite");
        await bob.leave(roomId);
        await until(alice, "the refusal", () => alice.getRoom(roomId)?.getMember(bob.getUserId())?.membership === "leave");
        await refused(bob.joinRoom(roomId), 403, "M_FORBIDDEN");
    });

    test("kick, ban and unban reach the person, with their reasons", async () => {
        const roomId = await roomOf(alice, [bob], { preset: "public_chat" });
        const mine = () => bob.getRoom(roomId)?.getMyMembership();
        await alice.kick(roomId, bob.getUserId(), "too loud");
        await until(bob, "kicked", () => mine() === "leave");
        await bob.joinRoom(roomId);
        await until(bob, "back", () => mine() === "join");
        await alice.ban(roomId, bob.getUserId(), "again");
        await until(bob, "banned", () => mine() === "ban");
        assert.equal(stateOf(bob, roomId, "m.room.member", bob.getUserId()).getContent().reason, "again");
        await refused(bob.joinRoom(roomId), 403, "M_FORBIDDEN");
        await alice.unban(roomId, bob.getUserId());
        await bob.joinRoom(roomId);
        await until(bob, "back again", () => mine() === "join");
    });

    test("who left reads no further, and a forgotten room is gone", async () => {
        const roomId = await roomOf(alice, [bob]);
        await bob.leave(roomId);
        await until(bob, "left", () => bob.getRoom(roomId)?.getMyMembership() === "leave");
        await until(alice, "the leave", () => alice.getRoom(roomId).getMember(bob.getUserId()).membership === "leave");
        const secret = await say(alice, roomId, "now that he is gone");
        await refused(bob.fetchRoomEvent(roomId, secret), 404, "M_NOT_FOUND").catch(() =>
            refused(bob.fetchRoomEvent(roomId, secret), 403, "M_FORBIDDEN"),
        );
        await bob.forget(roomId, true);
        const filter = JSON.stringify({ room: { include_leave: true } });
        const everything = await rawSync(bob, { filter, full_state: "true" });
        assert.equal(everything.rooms?.leave?.[roomId], undefined);
        await refused(bob.createMessagesRequest(roomId, null, 10, "b"), 403, "M_FORBIDDEN");
    });
});

describe("messages", () => {
    let roomId;
    before(async () => {
        roomId = await roomOf(alice, [bob]);
    });

    test("text goes both ways, and its sender sees it once", async () => {
        const hello = await say(alice, roomId, "Hello Bob");
        assert.equal((await seen(bob, roomId, hello)).getContent().body, "Hello Bob");
        const answer = await say(bob, roomId, "Hello Alice ✎ 你好");
        const event = await seen(alice, roomId, answer);
        assert.equal(event.getContent().body, "Hello Alice ✎ 你好");
        assert.equal(event.getSender(), bob.getUserId());
        await until(alice, "no more echo", () => !timeline(alice, roomId).some((each) => each.isSending()));
        assert.equal(timeline(alice, roomId).filter((each) => each.getContent().body === "Hello Bob").length, 1);
    });

    test("one transaction id is one event", async () => {
        const send = () => alice.http.authedRequest(
            "PUT", `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/once`, undefined,
            { msgtype: "m.text", body: "once" },
        );
        const [first, second] = await Promise.all([send(), send()]);
        assert.equal(first.event_id, second.event_id);
    });

    test("a reaction is counted, is refused twice, and can be taken back", async () => {
        const eventId = await say(alice, roomId, "Cake?");
        await seen(bob, roomId, eventId);
        const content = { "m.relates_to": { rel_type: "m.annotation", event_id: eventId, key: "👍" } };
        const { event_id: reactionId } = await bob.sendEvent(roomId, "m.reaction", content);
        const counted = () => {
            const relations = alice.getRoom(roomId).relations.getChildEventsForEvent(eventId, "m.annotation", "m.reaction");
            return relations?.getSortedAnnotationsByKey()?.map(([key, events]) => [key, events.size]) ?? [];
        };
        await until(alice, "one thumb", () => JSON.stringify(counted()) === '[["👍",1]]');
        await refused(bob.http.authedRequest(
            "PUT", `/rooms/${encodeURIComponent(roomId)}/send/m.reaction/${newName("t")}`, undefined, content,
        ), 400, "M_DUPLICATE_ANNOTATION");
        await bob.redactEvent(roomId, reactionId);
        await until(alice, "no thumb", () => counted().every(([, size]) => size === 0));
    });

    test("a reply names the message it answers", async () => {
        const question = await say(alice, roomId, "Which page?");
        const reply = await say(bob, roomId, "Page 12", { "m.relates_to": { "m.in_reply_to": { event_id: question } } });
        assert.equal((await seen(alice, roomId, reply)).replyEventId, question);
    });

    test("an edit replaces the text everywhere, and comes bundled to a new device", async () => {
        const eventId = await say(alice, roomId, "Tset on Monday");
        await seen(bob, roomId, eventId);
        await say(alice, roomId, "* Test on Monday", {
            "m.new_content": { msgtype: "m.text", body: "Test on Monday" },
            "m.relates_to": { rel_type: "m.replace", event_id: eventId },
        });
        await until(bob, "the edit", () =>
            bob.getRoom(roomId).findEventById(eventId).getContent().body === "Test on Monday");
        const raw = await bob.fetchRoomEvent(roomId, eventId);
        assert.equal(raw.content.body, "Tset on Monday", "the event itself is never rewritten");
        assert.equal(raw.unsigned["m.relations"]["m.replace"].content["m.new_content"].body, "Test on Monday");
    });

    test("a deleted message loses its content, with the reason kept", async () => {
        const eventId = await say(alice, roomId, "a secret");
        await seen(bob, roomId, eventId);
        await alice.redactEvent(roomId, eventId, undefined, { reason: "not for school" });
        const event = await until(bob, "the deletion", () => {
            const found = bob.getRoom(roomId).findEventById(eventId);
            return found?.isRedacted() && found;
        });
        assert.equal(event.getContent().body, undefined);
        const raw = await bob.fetchRoomEvent(roomId, eventId);
        assert.deepEqual(raw.content, {});
        assert.equal(raw.unsigned.redacted_because.content.reason, "not for school");
        const alices = await say(alice, roomId, "mine");
        await refused(bob.redactEvent(roomId, alices), 403, "M_FORBIDDEN");
    });

    test("a thread is its own conversation, with a summary on its root", async () => {
        const root = await say(alice, roomId, "Trip to the zoo");
        await seen(bob, roomId, root);
        const inThread = (client, body) => say(client, roomId, body, {
            "m.relates_to": { rel_type: "m.thread", event_id: root, is_falling_back: true, "m.in_reply_to": { event_id: root } },
        });
        await inThread(bob, "I bring a camera");
        const last = await inThread(alice, "I bring sandwiches");
        const thread = await until(bob, "two replies in the thread", () => {
            const found = bob.getRoom(roomId).getThread(root);
            return found?.length === 2 && found.replyToEvent?.getId() === last && found;
        });
        assert.equal(thread.rootEvent.getId(), root);
        const raw = await bob.fetchRoomEvent(roomId, root);
        const summary = raw.unsigned["m.relations"]["m.thread"];
        assert.equal(summary.count, 2);
        assert.equal(summary.current_user_participated, true);
        assert.equal(summary.latest_event.event_id, last);
        const threads = await bob.createThreadListMessagesRequest(roomId, null, 20, "b", null);
        assert.ok(threads.chunk.some((each) => each.event_id === root));
    });

    test("relations are listed by type, newest first, in pages", async () => {
        const root = await say(alice, roomId, "Counting");
        const children = [];
        for (const body of ["one", "two", "three"]) {
            children.push(await say(bob, roomId, body, { "m.relates_to": { rel_type: "m.thread", event_id: root } }));
        }
        const first = await alice.fetchRelations(roomId, root, "m.thread", "m.room.message", { limit: 2, dir: "b" });
        assert.deepEqual(first.chunk.map((each) => each.event_id), [children[2], children[1]]);
        const from = first.next_batch;
        const next = await alice.fetchRelations(roomId, root, "m.thread", "m.room.message", { limit: 2, dir: "b", from });
        assert.deepEqual(next.chunk.map((each) => each.event_id), [children[0]]);
        const none = await alice.fetchRelations(roomId, root, "m.annotation", null, { dir: "b" });
        assert.deepEqual(none.chunk, []);
    });

    test("typing is seen, and seen to end", async () => {
        const typing = () => alice.getRoom(roomId).getMember(bob.getUserId()).typing;
        await bob.sendTyping(roomId, true, 30_000);
        await until(alice, "Bob types", typing);
        await bob.sendTyping(roomId, false, 0);
        await until(alice, "Bob stopped", () => !typing());
    });
});

describe("reading", () => {
    const countOf = (roomId, kind) => bob.getRoom(roomId).getRoomUnreadNotificationCount(kind);
    const counts = (roomId) => [countOf(roomId, NotificationCountType.Total), countOf(roomId, NotificationCountType.Highlight)];
    const counted = (roomId, total, highlight) => until(
        bob, `${total} unread, ${highlight} highlighted`,
        () => counts(roomId)[0] === total && counts(roomId)[1] === highlight,
    ).catch((error) => assert.fail(`${error.message}; it is ${counts(roomId)}`));
    const read = async (roomId, eventId, kind) => bob.sendReadReceipt(await seen(bob, roomId, eventId), kind);
    const mention = (client) => ({ "m.mentions": { user_ids: [client.getUserId()] } });

    test("counts go up with messages and mentions, and a receipt clears them", async () => {
        const roomId = await roomOf(alice, [bob]);
        await read(roomId, await say(alice, roomId, "first"));
        await counted(roomId, 0, 0);
        await say(alice, roomId, "second");
        await counted(roomId, 1, 0);
        await say(alice, roomId, "Bob, look", mention(bob));
        await counted(roomId, 2, 1);
        await alice.sendNotice(roomId, "a notice says nothing");
        await say(alice, roomId, "everybody", { "m.mentions": { room: true } });
        await counted(roomId, 3, 2);
        const last = await say(alice, roomId, "last");
        await counted(roomId, 4, 2);
        await read(roomId, last);
        await counted(roomId, 0, 0);
        const raw = (await rawSync(bob)).rooms.join[roomId].unread_notifications;
        assert.deepEqual([raw.notification_count, raw.highlight_count], [0, 0]);
    });

    test("one's own message is never unread, and answering reads the room", async () => {
        const roomId = await roomOf(alice, [bob]);
        await say(alice, roomId, "hello?");
        await until(bob, "something unread", () => countOf(roomId, NotificationCountType.Total) > 0);
        await say(bob, roomId, "here I am");
        await counted(roomId, 0, 0);
    });

    test("a room set to mentions only counts those, a muted room nothing", async () => {
        const roomId = await roomOf(alice, [bob]);
        await read(roomId, await say(alice, roomId, "first"));
        await bob.setRoomMutePushRule("global", roomId, true);
        await seen(bob, roomId, await say(alice, roomId, "you will not hear this"));
        await counted(roomId, 0, 0);
        const called = await say(alice, roomId, "but you hear this", mention(bob));
        await counted(roomId, 1, 1);
        await read(roomId, called);
        await counted(roomId, 0, 0);
        await bob.addPushRule("global", "override", roomId, {
            conditions: [{ kind: "event_match", key: "room_id", pattern: roomId }],
            actions: [],
        });
        await seen(bob, roomId, await say(alice, roomId, "nor this", mention(bob)));
        await counted(roomId, 0, 0);
        await bob.deletePushRule("global", "override", roomId);
        await bob.setRoomMutePushRule("global", roomId, false);
    });

    test("a thread counts on its own, and is read on its own", async () => {
        const roomId = await roomOf(alice, [bob]);
        const root = await say(bob, roomId, "a question");
        await seen(alice, roomId, root);
        const threaded = { "m.relates_to": { rel_type: "m.thread", event_id: root } };
        const reply = await say(alice, roomId, "an answer", { ...threaded, ...mention(bob) });
        const inThread = (kind) => bob.getRoom(roomId).getThreadUnreadNotificationCount(root, kind);
        await until(bob, "one unread in the thread", () => inThread(NotificationCountType.Total) === 1);
        assert.equal(inThread(NotificationCountType.Highlight), 1);
        await counted(roomId, 0, 0);
        const event = await until(bob, "the answer", () => bob.getRoom(roomId).getThread(root)?.findEventById(reply));
        await bob.sendReadReceipt(event);
        await until(bob, "the thread is read", () => inThread(NotificationCountType.Total) === 0);
    });

    test("a public receipt is seen by others, a private one by nobody else, and both clear", async () => {
        const roomId = await roomOf(alice, [bob]);
        const readBy = () => alice.getRoom(roomId).getEventReadUpTo(bob.getUserId(), true);
        const first = await say(alice, roomId, "first");
        await read(roomId, first);
        await until(alice, "the public receipt", () => readBy() === first);
        const second = await say(alice, roomId, "second");
        await counted(roomId, 1, 0);
        await read(roomId, second, ReceiptType.ReadPrivate);
        await counted(roomId, 0, 0);
        const fence = await say(bob, roomId, "afterwards");
        await seen(alice, roomId, fence);
        const ephemeral = JSON.stringify((await rawSync(alice)).rooms.join[roomId].ephemeral ?? {});
        assert.ok(!ephemeral.includes("m.read.private"), "a private receipt stays with its owner");
        assert.ok((await rawSync(bob)).rooms.join[roomId].ephemeral.events
            .some((each) => each.content[second]?.["m.read.private"]?.[bob.getUserId()]));
    });

    test("the fully-read marker is kept in the room's account data", async () => {
        const roomId = await roomOf(alice, [bob]);
        const eventId = await say(alice, roomId, "so far");
        await bob.setRoomReadMarkers(roomId, eventId, await seen(bob, roomId, eventId));
        await until(bob, "the marker", () =>
            bob.getRoom(roomId).getAccountData("m.fully_read")?.getContent().event_id === eventId);
        await counted(roomId, 0, 0);
    });
});

describe("history", () => {
    test("scrolling back gives every message once and in order", async () => {
        const roomId = await roomOf(alice, [bob]);
        const sent = [];
        for (let n = 0; n < 40; n++) sent.push(await say(alice, roomId, `line ${n}`));
        const late = await bobPerson.login();
        await startClient(late, { initialSyncLimit: 5 });
        const room = late.getRoom(roomId);
        assert.ok(timeline(late, roomId).length <= 5, "the first sync keeps to the filter's limit");
        for (let page = 0; page < 20 && room.oldState.paginationToken; page++) await late.scrollback(room, 10);
        const messages = timeline(late, roomId).filter((each) => each.getType() === "m.room.message");
        assert.deepEqual(messages.map((each) => sent.indexOf(each.getId())), [...sent.keys()]);
        assert.equal(timeline(late, roomId)[0].getType(), "m.room.create");
        const context = await late.getEventTimeline(room.getUnfilteredTimelineSet(), sent[3]);
        assert.ok(context.getEvents().some((each) => each.getId() === sent[3]));
        late.stopClient();
    });
});
