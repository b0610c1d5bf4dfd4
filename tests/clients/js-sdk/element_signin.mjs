// The requests Element Web makes from its sign-in page to the room list, one after the other, without its SDK in
// between: each answer must be right, or an error in JSON that Element takes for "this server does not do that".
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { before, test } from "node:test";
import { BASE_URL, Person } from "./harness.mjs";

/** The origin Element is served from: a browser lets it read only what CORS allows. */
const ORIGIN = "https://app.element.example";

let person, session, userPath;

/** One request as the browser sends it; every answer, whatever it says, must be readable across origins. */
async function ask(method, path, { body, token = session?.access_token, query } = {}) {
    const url = new URL(BASE_URL + path);
    for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value);
    const headers = { Origin: ORIGIN, Accept: "application/json" };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const answer = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    const asked = `${method} ${path}`;
    assert.equal(answer.headers.get("access-control-allow-origin"), "*", `${asked}: CORS`);
    assert.match(answer.headers.get("content-type") ?? "", /^application\/json/, `${asked}: ${answer.status} ${text}`);
    return { asked, status: answer.status, json: JSON.parse(text) };
}

function ok(answer) {
    assert.equal(answer.status, 200, `${answer.asked}: ${JSON.stringify(answer.json)}`);
    return answer.json;
}

/** Accepts 200, or one of the refusals Element tolerates here, written "404 M_NOT_FOUND". */
function okOr(answer, ...refusals) {
    if (answer.status === 200) return answer.json;
    const got = `${answer.status} ${answer.json.errcode}`;
    assert.ok(refusals.includes(got), `${answer.asked}: ${got} is not ${refusals.join(" or ")}`);
    assert.equal(typeof answer.json.error, "string");
    return undefined;
}

const UNKNOWN = ["404 M_UNRECOGNIZED", "404 M_NOT_FOUND"];

before(async () => {
    person = await Person.of("element", "HOMEROOM_ALICE");
});

test("discovery: the server is found and is a Matrix server", async () => {
    const wellKnown = await fetch(`${BASE_URL}/.well-known/matrix/client`);
    assert.equal(wellKnown.headers.get("access-control-allow-origin"), "*");
    assert.ok([200, 404].includes(wellKnown.status));
    if (wellKnown.status === 200) {
        assert.match((await wellKnown.json())["m.homeserver"].base_url, /^https?:\/\//);
    }
    const versions = ok(await ask("GET", "/_matrix/client/versions"));
    assert.ok(versions.versions.includes("v1.1"), "Element refuses a server that does not speak v1.1");
    assert.equal(typeof (versions.unstable_features ?? {}), "object");
});

test("preflight: the browser may send what Element sends", async () => {
    for (const [path, method] of [
        ["/_matrix/client/v3/login", "POST"],
        ["/_matrix/client/v3/sync", "GET"],
        ["/_matrix/client/v3/rooms/!a:b/send/m.room.message/1", "PUT"],
        ["/_matrix/client/v1/media/download/a/b", "GET"],
        ["/_matrix/client/v3/nothing/here", "DELETE"],
    ]) {
        const answer = await fetch(BASE_URL + path, {
            method: "OPTIONS",
            headers: {
                Origin: ORIGIN,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        });
        assert.ok([200, 204].includes(answer.status), `${path}: ${answer.status}`);
        assert.equal(answer.headers.get("access-control-allow-origin"), "*");
        assert.match(answer.headers.get("access-control-allow-methods"), new RegExp(method));
        assert.match(answer.headers.get("access-control-allow-headers"), /authorization/i);
        assert.match(answer.headers.get("access-control-allow-headers"), /content-type/i);
    }
});

test("the sign-in page: flows, registration, delegated sign-in", async () => {
    okOr(await ask("GET", "/_matrix/client/v1/auth_metadata"), ...UNKNOWN);
    okOr(await ask("GET", "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata"), ...UNKNOWN);
    const flows = ok(await ask("GET", "/_matrix/client/v3/login")).flows.map((flow) => flow.type);
    assert.ok(flows.includes("m.login.password"));
    const register = await ask("POST", "/_matrix/client/v3/register", { body: {} });
    if (register.status === 401) {
        assert.ok(register.json.session && register.json.flows.length > 0 && register.json.params);
    } else {
        okOr(register, "403 M_FORBIDDEN");
    }
    const guest = { body: {}, query: { kind: "guest" } };
    okOr(await ask("POST", "/_matrix/client/v3/register", guest), "403 M_GUEST_ACCESS_FORBIDDEN", "403 M_FORBIDDEN", "401 M_UNAUTHORIZED");
});

test("a wrong password is said so, and the right one signs in", async () => {
    const attempt = (password) => ask("POST", "/_matrix/client/v3/login", {
        body: {
            type: "m.login.password",
            identifier: { type: "m.id.user", user: person.name },
            password,
            initial_device_display_name: "app.element.example: Chrome on Linux",
        },
    });
    const wrong = await attempt("not this one");
    assert.deepEqual([wrong.status, wrong.json.errcode], [403, "M_FORBIDDEN"]);
    session = ok(await attempt(person.password));
    assert.ok(session.access_token && session.device_id);
    userPath = `/_matrix/client/v3/user/${encodeURIComponent(session.user_id)}`;
    const me = ok(await ask("GET", "/_matrix/client/v3/account/whoami"));
    assert.deepEqual([me.user_id, me.device_id], [session.user_id, session.device_id]);
});

test("without or with a wrong token the answers are 401", async () => {
    const path = "/_matrix/client/v3/account/whoami";
    const none = await ask("GET", path, { token: "" });
    assert.deepEqual([none.status, none.json.errcode], [401, "M_MISSING_TOKEN"]);
    const wrong = await ask("GET", path, { token: "syt_nonsense" });
    assert.deepEqual([wrong.status, wrong.json.errcode], [401, "M_UNKNOWN_TOKEN"]);
});

test("what the server can do", async () => {
    ok(await ask("GET", "/_matrix/client/versions"));
    const { capabilities } = ok(await ask("GET", "/_matrix/client/v3/capabilities"));
    assert.ok(capabilities["m.room_versions"].default in capabilities["m.room_versions"].available);
    assert.ok(ok(await ask("GET", "/_matrix/client/v1/media/config"))["m.upload.size"] > 0);
    okOr(await ask("GET", "/_matrix/client/v3/voip/turnServer"), ...UNKNOWN);
    okOr(await ask("GET", "/_matrix/client/v3/thirdparty/protocols"), ...UNKNOWN);
    okOr(await ask("GET", "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports"), ...UNKNOWN);
    okOr(await ask("GET", `/_synapse/admin/v1/users/${encodeURIComponent(session.user_id)}/admin`), ...UNKNOWN, "403 M_FORBIDDEN");
});

test("device keys: upload, query, cross-signing, backup, dehydrated device", async () => {
    const { user_id: userId, device_id: deviceId } = session;
    const unpadded = (bytes) => Buffer.from(bytes).toString("base64").replace(/=+$/, "");
    const pair = generateKeyPairSync("ed25519");
    const key = unpadded(Buffer.from(pair.publicKey.export({ format: "jwk" }).x, "base64url"));
    // Canonical JSON: the keys of these objects stand in order already.
    const signed = (object) => ({
        ...object,
        signatures: { [userId]: { [`ed25519:${deviceId}`]: unpadded(sign(null, JSON.stringify(object), pair.privateKey)) } },
    });
    const deviceKeys = signed({
        algorithms: ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        device_id: deviceId,
        keys: { [`curve25519:${deviceId}`]: key, [`ed25519:${deviceId}`]: key },
        user_id: userId,
    });
    const oneTime = { "signed_curve25519:AAAA": signed({ key }) };
    const uploaded = ok(await ask("POST", "/_matrix/client/v3/keys/upload", {
        body: { device_keys: deviceKeys, one_time_keys: oneTime },
    }));
    assert.equal(uploaded.one_time_key_counts.signed_curve25519, 1);
    const found = ok(await ask("POST", "/_matrix/client/v3/keys/query", { body: { device_keys: { [userId]: [] }, timeout: 10000 } }));
    assert.equal(found.device_keys[userId][deviceId].keys[`curve25519:${deviceId}`], key);
    assert.equal(found.device_keys[userId][deviceId].unsigned.device_display_name, "app.element.example: Chrome on Linux");
    okOr(await ask("GET", "/_matrix/client/v3/room_keys/version"), "404 M_NOT_FOUND");
    const dehydrated = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";
    okOr(await ask("GET", dehydrated), ...UNKNOWN);
    const empty = await ask("POST", "/_matrix/client/v3/keys/device_signing/upload", { body: {} });
    assert.ok(empty.status < 500 && (empty.status === 200 || empty.json.errcode || empty.json.flows), JSON.stringify(empty.json));
    const devices = ok(await ask("GET", "/_matrix/client/v3/devices")).devices;
    assert.ok(devices.some((each) => each.device_id === deviceId));
});

test("settings: push rules, account data, profile, pushers, threepids", async () => {
    const rules = ok(await ask("GET", "/_matrix/client/v3/pushrules/")).global;
    for (const kind of ["override", "content", "room", "sender", "underride"]) assert.ok(Array.isArray(rules[kind]), kind);
    const ids = Object.values(rules).flat().map((rule) => rule.rule_id);
    for (const id of [".m.rule.master", ".m.rule.is_user_mention", ".m.rule.is_room_mention", ".m.rule.message"]) {
        assert.ok(ids.includes(id), id);
    }
    for (const type of ["m.direct", "im.vector.setting.breadcrumbs", "m.secret_storage.default_key", "m.cross_signing.master"]) {
        okOr(await ask("GET", `${userPath}/account_data/${type}`), "404 M_NOT_FOUND");
    }
    const local = `${userPath}/account_data/org.matrix.msc3890.local_notification_settings.${session.device_id}`;
    ok(await ask("PUT", local, { body: { is_silenced: false } }));
    assert.deepEqual(ok(await ask("GET", local)), { is_silenced: false });
    const profile = `/_matrix/client/v3/profile/${encodeURIComponent(session.user_id)}`;
    okOr(await ask("GET", profile), "404 M_NOT_FOUND");
    okOr(await ask("GET", `${profile}/displayname`), "404 M_NOT_FOUND");
    okOr(await ask("GET", `${profile}/avatar_url`), "404 M_NOT_FOUND");
    okOr(await ask("GET", `${profile}/m.tz`), ...UNKNOWN);
    assert.ok(Array.isArray(ok(await ask("GET", "/_matrix/client/v3/pushers")).pushers));
    const threepids = okOr(await ask("GET", "/_matrix/client/v3/account/3pid"), ...UNKNOWN);
    if (threepids) assert.deepEqual(threepids.threepids, []);
});

test("the first sync, as Element asks for it", async () => {
    const definition = { room: { state: { lazy_load_members: true }, timeline: { limit: 20, unread_thread_notifications: true } } };
    const { filter_id: filter } = ok(await ask("POST", `${userPath}/filter`, { body: definition }));
    const kept = ok(await ask("GET", `${userPath}/filter/${encodeURIComponent(filter)}`));
    assert.equal(kept.room.timeline.limit, 20);
    const room = ok(await ask("POST", "/_matrix/client/v3/createRoom", { body: { preset: "private_chat", name: "First" } })).room_id;
    const query = { filter, timeout: "0", set_presence: "online", "org.matrix.msc4222.use_state_after": "true" };
    const first = ok(await ask("GET", "/_matrix/client/v3/sync", { query }));
    assert.ok(first.next_batch);
    const joined = first.rooms.join[room];
    const state = (joined["org.matrix.msc4222.state_after"] ?? joined.state).events;
    const timeline = joined.timeline.events;
    const name = [...state, ...timeline].find((event) => event.type === "m.room.name");
    assert.equal(name.content.name, "First");
    if (joined["org.matrix.msc4222.state_after"]) {
        assert.equal(joined.state, undefined, "one of the two, not both");
        for (const type of ["m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.name"]) {
            assert.ok(state.some((event) => event.type === type), `${type} is in the state after the timeline`);
        }
    }
    assert.ok(state.concat(timeline).some((event) => event.type === "m.room.member" && event.state_key === session.user_id));
    assert.ok(first.account_data.events.some((event) => event.type === "m.push_rules"));
    assert.equal(first.device_one_time_keys_count.signed_curve25519, 1);
    assert.ok(Array.isArray(first.device_unused_fallback_key_types));
    const sent = ok(await ask("PUT", `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message/m1`, {
        body: { msgtype: "m.text", body: "hello" },
    }));
    const next = ok(await ask("GET", "/_matrix/client/v3/sync", { query: { ...query, since: first.next_batch } }));
    const event = next.rooms.join[room].timeline.events.find((each) => each.event_id === sent.event_id);
    assert.equal(event.unsigned.transaction_id, "m1", "the sender's device recognises its own message");
    const members = ok(await ask("GET", `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/members`, {
        query: { not_membership: "leave", at: first.next_batch },
    }));
    assert.equal(members.chunk.length, 1);
    okOr(await ask("GET", `/_matrix/client/v1/rooms/${encodeURIComponent(room)}/threads`), ...UNKNOWN);
    okOr(await ask("GET", `/_matrix/client/v1/rooms/${encodeURIComponent(room)}/hierarchy`), ...UNKNOWN);
    okOr(await ask("GET", "/_matrix/client/v1/media/preview_url", { query: { url: "http://127.0.0.1/" } }),
        ...UNKNOWN, "403 M_FORBIDDEN", "502 M_UNKNOWN");
});

test("nonsense is refused in JSON", async () => {
    const unknown = await ask("GET", "/_matrix/client/v3/not/an/endpoint");
    assert.deepEqual([unknown.status, unknown.json.errcode], [404, "M_UNRECOGNIZED"]);
    const method = await ask("DELETE", "/_matrix/client/v3/login");
    assert.deepEqual([method.status, method.json.errcode], [405, "M_UNRECOGNIZED"]);
    const answer = await fetch(`${BASE_URL}/_matrix/client/v3/login`, { method: "POST", body: "{not json" });
    assert.equal(answer.status, 400);
    assert.equal((await answer.json()).errcode, "M_NOT_JSON");
});

test("signing out ends the session", async () => {
    ok(await ask("POST", "/_matrix/client/v3/logout", { body: {} }));
    const after = await ask("GET", "/_matrix/client/v3/account/whoami");
    assert.deepEqual([after.status, after.json.errcode], [401, "M_UNKNOWN_TOKEN"]);
});
