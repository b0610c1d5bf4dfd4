// What the js-sdk suites share: accounts, started clients, waits driven by the client's own events, pictures.
//
// Environment:
//   HOMEROOM_URL    where the server listens, such as http://127.0.0.1:8008 (required)
//   HOMEROOM_ALICE  "name:password" of an account that exists; without it one is registered
//   HOMEROOM_BOB    the same for the second person
//   CLIENT_LOG      set to see what the SDK logs
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { crc32, deflateSync } from "node:zlib";
import * as sdk from "matrix-js-sdk";

export const BASE_URL = process.env.HOMEROOM_URL?.replace(/\/$/, "");
assert.ok(BASE_URL, "HOMEROOM_URL names the server to drive");

/** How long a client may take to see a thing; a healthy server needs a few milliseconds. */
export const WAIT_MS = 10_000;

const quiet = {
    trace() {},
    debug() {},
    info() {},
    warn() {},
    error() {},
    getChild: () => quiet,
};
// Beside the logger given to each client the SDK has its own, which writes to the console whatever its level.
if (!process.env.CLIENT_LOG) for (const name of ["trace", "debug", "info", "log", "warn", "error"]) console[name] = () => {};

/** Everything a client emits when what it shows may have changed. */
const CHANGES = [
    sdk.ClientEvent.Sync,
    sdk.ClientEvent.AccountData,
    sdk.ClientEvent.ToDeviceEvent,
    sdk.RoomEvent.Timeline,
    sdk.RoomEvent.Receipt,
    sdk.RoomEvent.MyMembership,
    sdk.RoomEvent.LocalEchoUpdated,
    sdk.RoomEvent.Redaction,
    sdk.RoomMemberEvent.Typing,
    sdk.RoomStateEvent.Events,
    sdk.ThreadEvent.New,
    sdk.ThreadEvent.Update,
    sdk.UserEvent.Presence,
    sdk.MatrixEventEvent.Decrypted,
];

/**
 * Waits until `probe` is truthy and gives what it returned. It is asked now and after each change the client
 * reports, so nothing here sleeps; an edit or a reaction is aggregated a moment after its event, hence the extra turn.
 */
export function until(client, what, probe, timeoutMs = WAIT_MS) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
            ask();
            end(reject, new Error(`not within ${timeoutMs} ms: ${what}`));
        }, timeoutMs);
        const ask = () => {
            try {
                const seen = probe();
                if (seen) end(resolve, seen);
            } catch (error) {
                end(reject, error);
            }
        };
        const changed = () => {
            ask();
            setImmediate(ask);
        };
        const end = (settle, value) => {
            clearTimeout(timer);
            for (const name of CHANGES) client.off(name, changed);
            settle(value);
        };
        for (const name of CHANGES) client.on(name, changed);
        ask();
    });
}

/** Asserts that `promise` is refused with this status and errcode, and gives the error. */
export async function refused(promise, status, errcode) {
    let answer;
    try {
        answer = await promise;
    } catch (error) {
        assert.equal(error.httpStatus, status, `${error}`);
        const wanted = [errcode].flat();
        assert.ok(wanted.includes(error.errcode), `${error.errcode} is not ${wanted.join(" or ")}`);
        return error;
    }
    assert.fail(`wanted ${status} ${errcode}, got ${JSON.stringify(answer)}`);
}

export function newName(stem) {
    return `${stem}-${randomBytes(5).toString("hex")}`;
}

/** One person: a registered account that may have several devices. */
export class Person {
    constructor(name, password) {
        this.name = name;
        this.password = password;
    }

    /** The account that `variable` names, or a new one through open registration. */
    static async of(stem, variable) {
        const given = variable && process.env[variable];
        if (given) {
            const colon = given.indexOf(":");
            return new Person(given.slice(0, colon), given.slice(colon + 1));
        }
        const person = new Person(newName(stem), randomBytes(12).toString("hex"));
        const client = sdk.createClient({ baseUrl: BASE_URL, logger: quiet });
        const body = { username: person.name, password: person.password, inhibit_login: true };
        const first = await client.registerRequest(body).then(
            () => assert.fail("registration must ask for a stage of user-interactive auth first"),
            (error) => error,
        );
        assert.equal(first.httpStatus, 401, `${first}`);
        assert.ok(
            first.data.flows.some((flow) => flow.stages.every((stage) => stage === "m.login.dummy")),
            `open registration offers m.login.dummy alone: ${JSON.stringify(first.data)}`,
        );
        const auth = { type: "m.login.dummy", session: first.data.session };
        const done = await client.registerRequest({ ...body, auth });
        person.userId = done.user_id;
        return person;
    }

    /** A new device, signed in with the password but not yet syncing. */
    async login(options = {}) {
        const door = sdk.createClient({ baseUrl: BASE_URL, logger: quiet });
        const login = await door.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: this.name },
            password: this.password,
            initial_device_display_name: "homeroom client tests",
            ...options.login,
        });
        this.userId = login.user_id;
        const client = this.resume(login, options);
        client.login_ = login;
        return client;
    }

    /** A client over a session that exists already. */
    resume(login, { store } = {}) {
        return sdk.createClient({
            baseUrl: BASE_URL,
            accessToken: login.access_token,
            userId: login.user_id,
            deviceId: login.device_id,
            store: store ?? new sdk.MemoryStore(),
            logger: process.env.CLIENT_LOG ? undefined : quiet,
            timelineSupport: true,
        });
    }

    /** A new device that syncs: after this the first sync has been processed. */
    async start(options = {}) {
        const client = await this.login(options);
        await startClient(client, options.start);
        return client;
    }
}

/** Starts the sync loop as Element does (lazy members, threads) and waits for the first answer. */
export async function startClient(client, options = {}) {
    running.add(client);
    await client.startClient({ lazyLoadMembers: true, threadSupport: true, initialSyncLimit: 20, ...options });
    await until(client, "the first sync", () => client.isInitialSyncComplete());
}

const running = new Set();

/** Ends every sync loop, so that the process can end. */
export function stopAll() {
    for (const client of running) client.stopClient();
    running.clear();
}

/** A store that remembers the sync stream as the browser's does, so that a client can be started again from it. */
export class RestartableStore extends sdk.MemoryStore {
    accumulator = new sdk.SyncAccumulator({ maxTimelineEntries: 50 });

    constructor(saved) {
        super();
        this.saved = saved;
    }

    async setSyncData(answer) {
        this.accumulator.accumulate(answer);
    }

    async getSavedSync() {
        return this.saved ?? null;
    }

    async getSavedSyncToken() {
        return this.saved?.nextBatch ?? null;
    }

    /** What a browser would find on its disk. */
    onDisk() {
        return structuredClone(this.accumulator.getJSON(true));
    }
}

/** One plain `/sync`, beside what the SDK makes of it. */
export function rawSync(client, query = {}) {
    return client.http.authedRequest("GET", "/sync", { timeout: "0", ...query });
}

/** Creates a room as `owner`, invites and joins the others, and waits until all see each other. */
export async function roomOf(owner, others, options = {}) {
    const { room_id: roomId } = await owner.createRoom({
        preset: "private_chat",
        name: "Class 7b",
        invite: others.map((other) => other.getUserId()),
        ...options,
    });
    for (const other of others) {
        await until(other, "the invitation", () => other.getRoom(roomId)?.getMyMembership() === "invite");
        await other.joinRoom(roomId);
    }
    for (const client of [owner, ...others]) {
        await until(client, "everybody joined", () => {
            const room = client.getRoom(roomId);
            return room?.getMyMembership() === "join" && room.getJoinedMemberCount() === others.length + 1;
        });
    }
    return roomId;
}

/** Waits until `client` has this event in the room and gives it. */
export function seen(client, roomId, eventId) {
    return until(client, `event ${eventId}`, () => client.getRoom(roomId)?.findEventById(eventId));
}

/** A PNG of the given size, with a gradient so that it is not one flat colour. */
export function png(width, height) {
    const rows = Buffer.alloc((width * 3 + 1) * height);
    for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
            const at = y * (width * 3 + 1) + 1 + x * 3;
            rows[at] = (x * 255) / width;
            rows[at + 1] = (y * 255) / height;
            rows[at + 2] = 128;
        }
    }
    const chunk = (type, data) => {
        const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
        const framed = Buffer.alloc(body.length + 8);
        framed.writeUInt32BE(data.length, 0);
        body.copy(framed, 4);
        framed.writeUInt32BE(crc32(body), body.length + 4);
        return framed;
    };
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header.set([8, 2, 0, 0, 0], 8);
    return Buffer.concat([
        Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
        chunk("IHDR", header),
        chunk("IDAT", deflateSync(rows)),
        chunk("IEND", Buffer.alloc(0)),
    ]);
}
