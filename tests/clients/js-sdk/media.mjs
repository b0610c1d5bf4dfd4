// Pictures and files: upload, message, authenticated download, thumbnails, through matrix-js-sdk.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { BASE_URL, Person, png, roomOf, seen, stopAll, until } from "./harness.mjs";

let alice, bob, roomId;

before(async () => {
    alice = await (await Person.of("alice", "HOMEROOM_ALICE")).start();
    bob = await (await Person.of("bob", "HOMEROOM_BOB")).start();
    roomId = await roomOf(alice, [bob]);
});
after(stopAll);

/** Fetches media as `client`, by the authenticated endpoints; with a size it asks for a thumbnail. */
async function download(client, mxc, size, method) {
    const url = client.mxcUrlToHttp(mxc, size, size, size && (method ?? "scale"), false, true, true);
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${client.getAccessToken()}` } });
    return { status: answer.status, headers: answer.headers, body: Buffer.from(await answer.arrayBuffer()) };
}

const upload = async (bytes, name, type) => (await alice.uploadContent(bytes, { name, type })).content_uri;

test("a picture is sent, downloaded byte for byte, and has thumbnails", async () => {
    const picture = png(640, 400);
    const url = await upload(picture, "zoo.png", "image/png");
    const info = { w: 640, h: 400, mimetype: "image/png", size: picture.length };
    const { event_id: eventId } = await alice.sendImageMessage(roomId, url, info, "zoo.png");
    const event = await seen(bob, roomId, eventId);
    assert.equal(event.getContent().msgtype, "m.image");
    const whole = await download(bob, event.getContent().url);
    assert.equal(whole.status, 200);
    assert.ok(whole.body.equals(picture));
    assert.equal(whole.headers.get("content-type"), "image/png");
    assert.match(whole.headers.get("content-disposition"), /^inline; filename="?zoo\.png"?/);
    assert.equal(whole.headers.get("cross-origin-resource-policy"), "cross-origin");
    assert.equal(whole.headers.get("access-control-allow-origin"), "*");
    for (const method of ["crop", "scale"]) {
        const small = await download(bob, url, 96, method);
        assert.equal(small.status, 200);
        const type = small.headers.get("content-type");
        assert.match(type, /^image\/(png|jpeg|webp)$/);
        if (type === "image/png") {
            const width = small.body.readUInt32BE(16);
            const height = small.body.readUInt32BE(20);
            assert.ok(width < 640 && height < 400, `a thumbnail is smaller than its picture: ${width}x${height}`);
            if (method === "scale") assert.ok(Math.abs(width / height - 640 / 400) < 0.05, "scaling keeps the shape");
        }
    }
});

test("a file keeps its name, also one that is not ASCII", async () => {
    const bytes = randomBytes(200_000);
    const url = await upload(bytes, "Übung 7.pdf", "application/pdf");
    const content = { msgtype: "m.file", body: "Übung 7.pdf", url, info: { size: bytes.length, mimetype: "application/pdf" } };
    const { event_id: eventId } = await alice.sendMessage(roomId, content);
    const event = await seen(bob, roomId, eventId);
    const answer = await download(bob, event.getContent().url);
    assert.ok(answer.body.equals(bytes));
    assert.equal(answer.headers.get("content-type"), "application/pdf");
    assert.match(answer.headers.get("content-disposition"), /filename\*=utf-8''%C3%9Cbung%207\.pdf/i);
});

test("a page with scripts is never shown inline, and is sandboxed", async () => {
    const url = await upload(Buffer.from("<script>alert(1)</script>"), "page.html", "text/html");
    const answer = await download(bob, url);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-disposition"), /^attachment/);
    assert.match(answer.headers.get("content-security-policy"), /sandbox/);
});

test("media needs a token, and what does not exist is not found", async () => {
    const url = await upload(Buffer.from("for members"), "note.txt", "text/plain");
    const address = bob.mxcUrlToHttp(url, undefined, undefined, undefined, false, true, true);
    assert.match(address, /\/_matrix\/client\/v1\/media\/download\//);
    const stranger = await fetch(address);
    assert.equal(stranger.status, 401);
    assert.equal((await stranger.json()).errcode, "M_MISSING_TOKEN");
    const missing = await download(bob, `mxc://${bob.getDomain()}/nothinghere`);
    assert.equal(missing.status, 404);
    assert.equal(JSON.parse(missing.body).errcode, "M_NOT_FOUND");
    const anonymous = await fetch(`${BASE_URL}/_matrix/media/v3/upload`, { method: "POST", body: "x" });
    assert.equal(anonymous.status, 401);
});

test("the upload limit is said, and held", async () => {
    const limit = (await alice.getMediaConfig(true))["m.upload.size"];
    assert.ok(Number.isInteger(limit) && limit > 0);
    if (limit > 256 * 1024 * 1024) return;
    await assert.rejects(
        alice.uploadContent(Buffer.alloc(limit + 1), { name: "big.bin", type: "application/octet-stream" }),
        // A server may answer and close before it has read everything; the client then sees a broken connection.
        (error) => error.errcode === "M_TOO_LARGE" || error.name === "ConnectionError",
    );
});

test("a picture as avatar reaches those who share a room", async () => {
    const url = await upload(png(64, 64), "me.png", "image/png");
    await alice.setAvatarUrl(url);
    await until(bob, "the new picture", () => bob.getRoom(roomId).getMember(alice.getUserId()).getMxcAvatarUrl() === url);
    assert.equal((await bob.getProfileInfo(alice.getUserId())).avatar_url, url);
});
