// What belongs to a person: profile, settings, devices, sessions, and coming back after a while, through matrix-js-sdk.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ClientEvent, NotificationCountType, SyncState } from "matrix-js-sdk";
import { Person, RestartableStore, newName, refused, roomOf, seen, startClient, stopAll, until } from "./harness.mjs";

let alicePerson, bobPerson, alice, bob, roomId;

before(async () => {
    alicePerson = await Person.of("alice", "HOMEROOM_ALICE");
    bobPerson = await Person.of("bob", "HOMEROOM_BOB");
    alice = await alicePerson.start();
    bob = await bobPerson.start();
    roomId = await roomOf(alice, [bob]);
});
after(stopAll);

const say = async (client, room, body) => (await client.sendTextMessage(room, body)).event_id;
const passwordAuth = (person, error) => ({
    type: "m.login.password",
    identifier: { type: "m.id.user", user: person.name },
    password: person.password,
    session: error.data.session,
});

describe("settings", () => {
    test("a new display name reaches rooms, the profile and the user directory", async (t) => {
        const name = newName("Bob");
        await bob.setDisplayName(name);
        await until(alice, "the new name", () => alice.getRoom(roomId).getMember(bob.getUserId()).rawDisplayName === name);
        assert.equal((await alice.getProfileInfo(bob.getUserId())).displayname, name);
        await alice.searchUserDirectory({ term: name, limit: 5 }).then(
            (found) => assert.deepEqual(found.results.map((each) => [each.user_id, each.display_name]), [[bob.getUserId(), name]]),
            (error) => {
                assert.equal(error.errcode, "M_UNRECOGNIZED", `${error}`);
                t.diagnostic("this server has no user directory");
            },
        );
    });

    test("account data is shared by the devices, of the account and of a room", async () => {
        const value = newName("dark");
        await bob.setAccountData("org.homeroom.theme", { value });
        await bob.setRoomAccountData(roomId, "org.homeroom.note", { value });
        await bob.setRoomTag(roomId, "m.favourite", { order: 0.25 });
        await until(bob, "the tag", () => bob.getRoom(roomId).tags["m.favourite"]);
        const phone = await bobPerson.start();
        assert.equal(phone.getAccountData("org.homeroom.theme").getContent().value, value);
        assert.equal(phone.getRoom(roomId).getAccountData("org.homeroom.note").getContent().value, value);
        assert.equal(phone.getRoom(roomId).tags["m.favourite"].order, 0.25);
        assert.equal((await phone.getAccountDataFromServer("org.homeroom.theme")).value, value);
        await bob.setAccountData("org.homeroom.theme", { value: "light" });
        await until(phone, "the other device's change", () =>
            phone.getAccountData("org.homeroom.theme").getContent().value === "light");
        await phone.deleteRoomTag(roomId, "m.favourite");
        await until(bob, "no tag", () => !bob.getRoom(roomId).tags["m.favourite"]);
        phone.stopClient();
        const url = `/user/${encodeURIComponent(alice.getUserId())}/account_data/org.homeroom.theme`;
        await refused(bob.http.authedRequest("GET", url), 403, "M_FORBIDDEN");
    });

    test("presence is seen by who shares a room", async () => {
        const text = newName("in class");
        await alice.setPresence({ presence: "unavailable", status_msg: text });
        await until(bob, "the presence", () => bob.getUser(alice.getUserId())?.presenceStatusMsg === text);
        assert.equal((await bob.getPresence(alice.getUserId())).status_msg, text);
    });

    test("ignoring a person hides what they say", async () => {
        const ignored = await Person.of("noise");
        const noise = await ignored.start();
        const room = await roomOf(alice, [bob, noise]);
        await bob.setIgnoredUsers([noise.getUserId()]);
        await until(bob, "ignored", () => bob.isUserIgnored(noise.getUserId()));
        const hidden = await say(noise, room, "look at me");
        await seen(bob, room, await say(alice, room, "a fence"));
        assert.equal(bob.getRoom(room).findEventById(hidden), undefined);
        await bob.setIgnoredUsers([]);
        noise.stopClient();
    });

    test("a word of one's own makes a highlight, until the rule is taken away", async () => {
        const room = await roomOf(alice, [bob]);
        await bob.sendReadReceipt(await seen(bob, room, await say(alice, room, "first")));
        await bob.addPushRule("global", "content", "org.homeroom.football", {
            pattern: "football",
            actions: ["notify", { set_tweak: "highlight", value: true }],
        });
        await say(alice, room, "Who plays football?");
        const highlights = () => bob.getRoom(room).getRoomUnreadNotificationCount(NotificationCountType.Highlight);
        await until(bob, "one highlight", () => highlights() === 1);
        await bob.setPushRuleEnabled("global", "content", "org.homeroom.football", false);
        const rules = (await bob.getPushRules()).global.content;
        assert.equal(rules.find((rule) => rule.rule_id === "org.homeroom.football").enabled, false);
        await bob.deletePushRule("global", "content", "org.homeroom.football");
    });
});

describe("sessions", () => {
    test("a device is listed, renamed, and removed with the password", async () => {
        const phone = await bobPerson.login();
        const id = phone.getDeviceId();
        await bob.setDeviceDetails(id, { display_name: "Bob's phone" });
        const listed = (await bob.getDevices()).devices.find((each) => each.device_id === id);
        assert.equal(listed.display_name, "Bob's phone");
        const asked = await bob.deleteDevice(id).then(() => assert.fail("needs the password"), (error) => error);
        assert.equal(asked.httpStatus, 401, `${asked}`);
        assert.ok(asked.data.flows.some((flow) => flow.stages.includes("m.login.password")));
        const wrong = { ...passwordAuth(bobPerson, asked), password: "wrong" };
        await refused(bob.deleteDevice(id, wrong), 401, "M_FORBIDDEN");
        await bob.deleteDevice(id, passwordAuth(bobPerson, asked));
        await refused(phone.whoami(), 401, "M_UNKNOWN_TOKEN");
    });

    test("a refresh token gives a new session token, and signing out ends it", async () => {
        const tablet = await bobPerson.login({ login: { refresh_token: true } });
        const { refresh_token: refresh, expires_in_ms: lifetime } = tablet.login_;
        assert.ok(refresh && lifetime > 0);
        const renewed = await tablet.refreshToken(refresh);
        tablet.setAccessToken(renewed.access_token);
        assert.equal((await tablet.whoami()).device_id, tablet.getDeviceId());
        await tablet.logout();
        await refused(tablet.whoami(), 401, "M_UNKNOWN_TOKEN");
    });

    test("a wrong password is refused", async () => {
        await refused(new Person(bobPerson.name, "wrong").login(), 403, "M_FORBIDDEN");
        await refused(new Person(newName("nobody"), "wrong").login(), 403, "M_FORBIDDEN");
    });

    test("a new password signs the other devices out, and a deactivated account is gone", async () => {
        const person = await Person.of("carol");
        const [one, two] = [await person.login(), await person.login()];
        const changed = "another long password";
        const asked = await one.setPassword({}, changed, true).then(() => assert.fail("needs the password"), (error) => error);
        assert.equal(asked.httpStatus, 401, `${asked}`);
        await one.setPassword(passwordAuth(person, asked), changed, true);
        await one.whoami();
        await refused(two.whoami(), 401, "M_UNKNOWN_TOKEN");
        await refused(person.login(), 403, "M_FORBIDDEN");
        person.password = changed;
        const three = await person.login();
        const again = await three.deactivateAccount().then(() => assert.fail("needs the password"), (error) => error);
        await three.deactivateAccount(passwordAuth(person, again));
        await refused(three.whoami(), 401, "M_UNKNOWN_TOKEN");
        await refused(person.login(), 403, ["M_FORBIDDEN", "M_USER_DEACTIVATED"]);
    });

    test("a message between devices arrives once", async () => {
        const got = [];
        bob.on("toDeviceEvent", (event) => event.getType() === "org.homeroom.ping" && got.push(event.getContent()));
        const content = new Map([[bob.getUserId(), new Map([[bob.getDeviceId(), { n: 1 }]])]]);
        await alice.sendToDevice("org.homeroom.ping", content, newName("t"));
        await until(bob, "the ping", () => got.length > 0);
        await seen(bob, roomId, await say(alice, roomId, "a fence"));
        assert.deepEqual(got, [{ n: 1 }]);
    });
});

describe("coming back", () => {
    /** A device of Bob's that stopped syncing, and what it left on its disk. */
    async function stopped() {
        const first = await bobPerson.login({ store: new RestartableStore() });
        await startClient(first);
        return { first, login: first.login_ };
    }

    /** Starts that device again from its disk: the first /sync continues from the stored token. */
    async function resumed({ first, login }) {
        const again = bobPerson.resume(login, { store: new RestartableStore(first.store.onDisk()) });
        const states = [];
        again.on("sync", (state, _, data) => states.push([state, data?.fromCache ?? false]));
        await startClient(again);
        await until(again, "news from the server", () => states.some(([state]) => state === SyncState.Syncing));
        assert.deepEqual(states[0], [SyncState.Prepared, true], "it starts from what it had stored");
        return again;
    }

    test("a client continues from its stored token with nothing lost and nothing twice", async () => {
        const room = await roomOf(alice, [bob]);
        const before = await say(alice, room, "before");
        const device = await stopped();
        await seen(device.first, room, before);
        device.first.stopClient();
        const while_ = [await say(alice, room, "while away"), await say(alice, room, "still away")];
        await alice.setRoomName(room, "Renamed while away");
        const other = await roomOf(alice, [bob], { name: "New while away" });
        const again = await resumed(device);
        await seen(again, room, while_[1]);
        const bodies = again.getRoom(room).getLiveTimeline().getEvents()
            .filter((event) => event.getType() === "m.room.message").map((event) => event.getId());
        assert.deepEqual(bodies, [before, ...while_]);
        assert.equal(again.getRoom(room).name, "Renamed while away");
        assert.equal(again.getRoom(other).getMyMembership(), "join");
        again.stopClient();
    });

    test("after a long absence the gap is marked, and scrolling back fills it", async () => {
        const room = await roomOf(alice, [bob]);
        const device = await stopped();
        const sent = [await say(alice, room, "the last before")];
        await seen(device.first, room, sent[0]);
        device.first.stopClient();
        for (let n = 0; n < 60; n++) sent.push(await say(alice, room, `missed ${n}`));
        await alice.sendStateEvent(room, "m.room.topic", { topic: "in the gap" });
        for (let n = 0; n < 30; n++) sent.push(await say(alice, room, `missed too ${n}`));
        const again = await resumed(device);
        await seen(again, room, sent.at(-1));
        // The SDK keeps what it knew before the gap in a timeline of its own, and joins the two when they meet.
        const messages = () => {
            const events = [];
            for (let each = again.getRoom(room).getLiveTimeline(); each; each = each.getNeighbouringTimeline("b")) {
                events.unshift(...each.getEvents());
            }
            return events.filter((event) => event.getType() === "m.room.message").map((event) => sent.indexOf(event.getId()));
        };
        assert.ok(messages().length < sent.length, "a gap, not everything at once");
        assert.equal(again.getRoom(room).currentState.getStateEvents("m.room.topic", "").getContent().topic, "in the gap");
        for (let page = 0; page < 20 && again.getRoom(room).oldState.paginationToken; page++) {
            await again.scrollback(again.getRoom(room), 20);
        }
        assert.deepEqual(messages(), [...sent.keys()]);
        again.stopClient();
    });
});

describe("encryption", () => {
    test("Rust crypto starts: its keys are taken and found", async () => {
        const secure = await alicePerson.login();
        await secure.initRustCrypto({ useIndexedDB: false });
        await startClient(secure);
        // The keys go up some time after the first sync; their arrival ends a later one.
        const find = async () => {
            const found = await bob.downloadKeysForUsers([alice.getUserId()]);
            return found.device_keys[alice.getUserId()]?.[secure.getDeviceId()]?.keys[`curve25519:${secure.getDeviceId()}`];
        };
        let key = await find();
        for (let tries = 0; !key && tries < 20; tries++) {
            await new Promise((next) => secure.once(ClientEvent.Sync, next));
            key = await find();
        }
        assert.ok(key);
        secure.stopClient();
    });

    test("an encrypted message is read by the other", { todo: "completed by the issue on encryption" }, async () => {
        const [one, two] = [await alicePerson.login(), await bobPerson.login()];
        for (const client of [one, two]) {
            await client.initRustCrypto({ useIndexedDB: false });
            await startClient(client);
        }
        const encryption = { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } };
        const room = await roomOf(one, [two], { initial_state: [encryption] });
        const eventId = await say(one, room, "between us");
        const event = await seen(two, room, eventId);
        await until(two, "the clear text", () => event.getClearContent()?.body === "between us");
        assert.equal(event.getWireType(), "m.room.encrypted");
        one.stopClient();
        two.stopClient();
    });
});
