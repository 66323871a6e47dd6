import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";

import { socket } from "datagram";
import { type Messages, messages } from "datagram/message";
import { type TestContext, describe, expect, test } from "vitest";

import { FileStore } from "../../src/cli/file-store.js";
import { extensionOf } from "../../src/cli/file-kind.js";
import { lossText } from "../../src/cli/message-losses.js";
import { Address } from "../../src/index.js";
import { newFrame, sealFrame, writeFrame } from "../../src/wire/message-frame.js";
import { lineWith, objects } from "./listening.js";
import { Program, bin, datagram, everyTestRequired, hex, python, pythonSend } from "./program.js";

const picture = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), Buffer.alloc(49_997, 7)]);
const micropython = fileURLToPath(new URL("../../micropython", import.meta.url));

function folder(test: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "datagram-"));
  test.onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** The arguments of `unshare` for a program that may mount disks, which nobody else sees. */
const inMounts = ["--map-root-user", "--mount"];

/** Starts `datagram receive` on free ports, and returns them. */
async function receive(test: TestContext, args: readonly string[], at: readonly string[] = ["0"]) {
  const program = datagram(test, ["receive", ...at, ...args]);
  const ports: number[] = [];
  while (ports.length < at.length) {
    const [, port] = /^listening on .*:(\d+)$/.exec(await program.line("stderr")) ?? [];
    if (port !== undefined) ports.push(Number(port));
  }
  return Object.assign(program, { ports, port: ports[0]! });
}

function sender(test: TestContext): Messages {
  const s = socket();
  test.onTestFinished(() => s.close());
  return messages(s);
}

describe("files", () => {
  test("the program of docs/recipes/picture.md sends a file, which arrives whole", async (t) => {
    const at = folder(t);
    writeFileSync(join(at, "photo.jpg"), picture);
    const receiver = await receive(t, ["--into", at, "--count", "1"]);
    const sent = await new Program(t, process.execPath, [
      fileURLToPath(new URL("../../build/examples/picture/send.js", import.meta.url)),
      join(at, "photo.jpg"),
      "127.0.0.1",
      String(receiver.port),
    ]).ended;
    expect(sent.stdout).toMatch(/^sent in \d+ chunks, \d+ sent again\n$/);
    const [path = ""] = (await receiver.line()).split(" 50000 bytes");
    expect(readFileSync(path)).toEqual(picture);
  });

  test("each message is a whole file with a name of our own, and a line with its path", async (t) => {
    const into = join(folder(t), "made", "here");
    const receiver = await receive(t, ["--into", into]);
    const m = sender(t);
    await m.send(picture, ["127.0.0.1", receiver.port]);
    await m.send('{"a":1}', ["127.0.0.1", receiver.port]);
    await m.send("", ["127.0.0.1", receiver.port]);
    const lines = [await receiver.line(), await receiver.line(), await receiver.line()];
    const names = readdirSync(into).sort();
    const form = String.raw`\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z_127\.0\.0\.1-\d+_`;
    expect(names.map((name) => name.replace(new RegExp(`^${form}`), ""))).toEqual([
      "1.jpg",
      "2.json",
      "3.bin",
    ]);
    expect(lines).toEqual(names.map((name, at) => `${join(into, name)} ${[50_000, 7, 0][at]} bytes`));
    expect(readFileSync(join(into, names[0]!)).equals(picture)).toBe(true);
    const { code, stderr } = await receiver.stop();
    expect(code).toBe(0);
    expect(stderr).toContain("3 files, 50007 bytes from 1 peer\n  messages lost: 0\n");
  });

  test("--json, several ports, --count, and a device with datagram.py that sends", async (t) => {
    const into = folder(t);
    const receiver = await receive(t, ["--into", into, "--json", "--count", "2"], ["0", "0"]);
    const device = `
sys.path.insert(0, sys.argv[1])
import datagram
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
datagram.Messages(sock).send(bytes(5000), ("127.0.0.1", int(sys.argv[2])))`;
    expect(await python(t, device, [micropython, receiver.ports[1]!]).ended).toMatchObject({
      code: 0,
      stderr: "",
    });
    await sender(t).send("text\n", ["127.0.0.1", receiver.ports[0]!], { channel: 3 });
    const { code, stdout } = await receiver.ended;
    expect(code).toBe(0);
    const [first, second] = objects(stdout);
    expect(first).toMatchObject({
      size: 5000,
      chunks: 5,
      verified: true,
      channel: 0,
      local: { port: receiver.ports[1] },
    });
    expect(first?.file).toMatch(/_1\.bin$/);
    expect(second).toMatchObject({ size: 5, channel: 3, local: { port: receiver.ports[0] } });
    expect(readFileSync(second?.file as string, "utf8")).toBe("text\n");
  });

  test("--codec writes what devices send", async (t) => {
    const into = folder(t);
    const receiver = await receive(t, ["--into", into, "--codec", "short-ends", "--count", "1"]);
    await pythonSend(t, receiver.port, [Buffer.alloc(1460, "a"), "b"]);
    expect(await receiver.ended).toMatchObject({ code: 0 });
    const [name] = readdirSync(into);
    expect(name).toMatch(/_1\.txt$/);
    expect(readFileSync(join(into, name!), "utf8")).toBe(`${"a".repeat(1460)}b`);
  });

  test("--picture-size is the size of a picture whose packet has none", async (t) => {
    const into = folder(t);
    const args = ["--into", into, "--codec", "rtp-jpeg", "--picture-size", "2592x1944", "--count", "1"];
    const receiver = await receive(t, args);
    const rtp = "809a00000000000000000001"; // RFC 3550, with the marker and payload type 26
    const jpeg = "0000000001320000"; // RFC 2435, type 1, Q 50, width and height 0
    await pythonSend(t, receiver.port, [Buffer.from(`${rtp}${jpeg}64617461`, "hex")]);
    expect(await receiver.ended).toMatchObject({ code: 0 });
    const [name] = readdirSync(into);
    expect(name).toMatch(/_1\.jpg$/);
    const picture = readFileSync(join(into, name!));
    const frame = picture.indexOf("ffc0", 0, "hex");
    expect([picture.readUInt16BE(frame + 5), picture.readUInt16BE(frame + 7)]).toEqual([1944, 2592]);
  });

  test("a picture without a size is lost, and a warning names --picture-size", async (t) => {
    const receiver = await receive(t, ["--into", folder(t), "--codec", "rtp-jpeg"]);
    const packet = "809a00000000000000000001000000000132000064617461";
    await pythonSend(t, receiver.port, [Buffer.from(packet, "hex")]);
    await lineWith(receiver, "warning: RTP has no sizes above 2040 pixels");
    expect((await receiver.stop()).stderr).toContain("messages lost: 1 (invalid 1)");
  });

  test("no file is overwritten: a name that is taken gets another number", async (t) => {
    const into = folder(t);
    const source = new Address("fe80::1%eth0", 5) as never;
    const time = new Date(Date.UTC(2026, 10, 27, 18, 47, 36, 248));
    const taken = join(into, "2026-11-27T18-47-36.248Z_fe80--1-5_1.txt");
    writeFileSync(taken, "mine");
    const store = await FileStore.open(into, 1 << 20);
    const path = await store.write({ data: Buffer.from("new"), source, time });
    expect(path).toBe(taken.replace("_1.", "_2."));
    expect(readFileSync(taken, "utf8")).toBe("mine");
    expect(readdirSync(into)).toHaveLength(2);
  });

  test.for([
    ["ffd8ffe000", "jpg"],
    ["89504e470d0a1a0a00", "png"],
    [hex("GIF89a"), "gif"],
    [hex("RIFF1234WEBPVP8"), "webp"],
    [hex(' {"a": [1]}\n'), "json"],
    [hex("{not json"), "txt"],
    [hex("grüß\tdich\r\n"), "txt"],
    [hex("<script>"), "txt"],
    [hex("#!/bin/sh\n"), "txt"],
    [hex("\u001b[2J\u0007"), "bin"],
    ["00ff", "bin"],
    ["", "bin"],
  ] as const)("the content %s is a .%s", ([content, extension]) => {
    expect(extensionOf(Buffer.from(content, "hex"))).toBe(extension);
  });
});

describe("limits", () => {
  test("--limit ends the command with exit code 1, and small files count as 4096 bytes", async (t) => {
    const into = folder(t);
    const receiver = await receive(t, ["--into", into, "--limit", "8k"]);
    const m = sender(t);
    for (const text of ["one", "two", "three"]) await m.send(text, ["127.0.0.1", receiver.port]);
    const { code, stderr } = await receiver.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /datagram receive: a message of 5 bytes from 127\.0\.0\.1:\d+ is dropped: with it, the files would pass the limit of 8 KiB: --limit sets another\n$/,
    );
    expect(readdirSync(into)).toHaveLength(2);
  });

  test("a second SIGTERM in the middle of a file ends the command, and leaves no part of it", (t) => {
    const at = folder(t);
    const built = new URL("../../build/src/cli/", import.meta.url).href;
    const script = `
      import { once } from "node:events";
      import { FileStore } from "${built}file-store.js";
      import { stopSignal } from "${built}terminal.js";
      const store = await FileStore.open(process.argv[1], 1 << 30);
      const stop = stopSignal();
      // Listeners to signals do not keep the process alive.
      const alive = setInterval(() => {}, 1000);
      process.kill(process.pid, "SIGTERM");
      await once(stop, "abort");
      clearInterval(alive);
      const source = { host: "127.0.0.1", port: 9 };
      const written = store.write({ data: Buffer.alloc(1 << 28), source, time: new Date() });
      process.kill(process.pid, "SIGTERM");
      await written;`;
    const args = ["--input-type=module", "-e", script, at];
    const { signal, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect({ signal, stderr }).toEqual({ signal: "SIGTERM", stderr: "" });
    expect(readdirSync(at)).toEqual([]);
  });

  test("a full disk is told in words, and leaves no part of a file", async (t) => {
    const mayMount =
      spawnSync("unshare", [...inMounts, "mount", "-t", "tmpfs", "none", tmpdir()]).status === 0;
    if (!mayMount && !everyTestRequired) t.skip("no small disk can be mounted here (unshare -rm)");
    const into = folder(t);
    const mounted =
      'mount -t tmpfs -o size=64k none "$1" || exit 1; "$2" "$3" receive 0 --into "$1"; code=$?; ls -A "$1" | wc -l; exit $code';
    const receiver = new Program(t, "unshare", [
      ...inMounts,
      "sh",
      "-c",
      mounted,
      "sh",
      into,
      process.execPath,
      bin,
    ]);
    const [, port] = /:(\d+)$/.exec(await receiver.line("stderr"))!;
    const m = sender(t);
    await m.send(picture, ["127.0.0.1", Number(port)]);
    await m.send(picture, ["127.0.0.1", Number(port)]);
    const { code, stdout, stderr } = await receiver.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /datagram receive: cannot write a message of 50000 bytes from .* to ".*": the disk is full\n$/,
    );
    expect(stdout).toMatch(/\n1\n$/);
  });

  test("Ctrl-C while messages come leaves whole files only", async (t) => {
    const into = folder(t);
    const receiver = await receive(t, ["--into", into]);
    const m = sender(t);
    const large = Buffer.alloc(1_000_000, 1);
    const sending = [1, 2, 3, 4].map(() =>
      m.send(large, ["127.0.0.1", receiver.port]).catch(() => undefined),
    );
    await receiver.line();
    const { code, stdout } = await receiver.stop();
    await m.close();
    await Promise.all(sending);
    expect(code).toBe(0);
    const names = readdirSync(into);
    expect(names.map((name) => readFileSync(join(into, name)).equals(large))).toEqual(names.map(() => true));
    expect(stdout.trimEnd().split("\n")).toHaveLength(names.length);
  });

  test("--timeout is exit code 3 if nothing came, and a folder is needed", async (t) => {
    const into = folder(t);
    expect(await datagram(t, ["receive", "0", "--into", into, "--timeout", "50ms"]).ended).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/datagram receive: no message came in 50 ms\n$/) as string,
    });
    const taken = join(into, "file");
    writeFileSync(taken, "");
    expect((await datagram(t, ["receive", "0", "--into", taken]).ended).stderr).toBe(
      `datagram receive: cannot write to the folder ${JSON.stringify(taken)}: it is a file\n`,
    );
  });

  test.for([
    ["below a file", "file/made", "a part of the path is not a folder"],
    ["below a link that leads nowhere", "dangling/made", "there is no such file"],
    ["at a link that leads nowhere", "dangling", "there is no such file"],
  ] as const)("a folder that cannot be made, %s, is an error", async ([, path, reason], t) => {
    const parent = folder(t);
    writeFileSync(join(parent, "file"), "");
    symlinkSync(join(parent, "nowhere"), join(parent, "dangling"));
    await expect(FileStore.open(join(parent, path), 1)).rejects.toThrow(
      `cannot write to the folder ${JSON.stringify(join(parent, path))}: ${reason}`,
    );
  });
});

describe("losses", () => {
  test("a message that is not whole is reported with its missing chunks, and foreign datagrams too", async (t) => {
    const receiver = await receive(t, ["--into", folder(t)]);
    // A fleeting chunk, of which the receiver awaits the others for 10 ms.
    const frame = Buffer.alloc(20 + 10 + 4);
    const header = { ...newFrame(), kind: 1, flags: 0x20, attempt: 1, id: 9, index: 1, size: 10, length: 45 };
    writeFrame(header, frame);
    sealFrame(frame, crc32);
    await pythonSend(t, receiver.port, [frame, "plain"]);
    const loss =
      /lost a message of 45 bytes from 127\.0\.0\.1:\d+: 4 of 5 chunks are missing \(0, 2-4\): it took longer than the deadline of its sender/;
    const foreign = `warning: datagrams come to 127.0.0.1:${receiver.port} that are no messages`;
    let told = "";
    while (!loss.test(told) || !told.includes(foreign)) told += `${await receiver.line("stderr")}\n`;
    const { stderr } = await receiver.stop();
    expect(stderr).toContain(
      "0 files, 0 bytes from 0 peers\n  messages lost: 1 (late 1)\n  datagrams of another format: 1\n",
    );
  });

  test("the text of a loss names a few runs of chunks", () => {
    const missing = [0, 1, 3, 5, 7, 9, 11, 13];
    const source = new Address("10.0.0.7", 5) as never;
    const loss = {
      source,
      channel: 0,
      id: 1,
      length: 99,
      chunks: 20,
      received: 12,
      missing,
      cause: "idle",
    } as const;
    expect(lossText(loss)).toBe(
      "lost a message of 99 bytes from 10.0.0.7:5: 8 of 20 chunks are missing (0-1, 3, 5, 7, 9, 11, …): nothing more came",
    );
    expect(lossText({ source, cause: "gap", received: 3, missing: undefined })).toBe(
      "lost a message from 10.0.0.7:5: 3 datagrams arrived, an unknown number are missing: later datagrams arrived",
    );
  });
});
