/** The device's side: frames under CPython, and the language and the heap under MicroPython's WebAssembly port. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { withoutPython } from "../codecs/tools.js";

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const source = readFileSync(path("../../../micropython/datagram.py"), "utf8");

test("datagram.py reads and refuses all frames of docs/wire-vectors.json", ({ skip }) => {
  if (withoutPython !== undefined) skip(withoutPython);
  const vectors = readFileSync(path("../../../docs/wire-vectors.json"));
  const output = execFileSync("python3", ["-S", path("vectors.py")], { input: vectors, encoding: "utf8" });
  expect(output).toMatch(/^\d+ vectors\n$/);
});

test("package.json, which mip installs from, names the module beside it and the version of the package", () => {
  const read = (name: string): unknown => JSON.parse(readFileSync(path(name), "utf8"));
  const { version } = read("../../../package.json") as { version: string };
  const files = [["datagram.py", "datagram.py"]];
  expect(read("../../../micropython/package.json")).toEqual({ urls: files, deps: [], version });
});

/** A socket in memory: two ends, the second of which is served whenever the first one waits. */
const pair = `
import gc, datagram
class Stub:
    def __init__(self): self.came, self.other, self.idle, self.drop = [], None, None, 0
    def settimeout(self, seconds): pass
    def sendto(self, data, to):
        if self.drop and len(data) > 100:
            self.drop -= 1
            return len(data)
        self.other.came.append(bytes(data))
        return len(data)
    def recvfrom(self, size):
        if not self.came and self.idle: self.idle()
        if not self.came: raise OSError(110)
        return self.came.pop(0), "other"
a, b = Stub(), Stub()
a.other, b.other = b, a
A, B = datagram.Messages(a), datagram.Messages(b)
def step():
    while b.came: B._read(1)
a.idle = step
`;

const port = "@micropython/micropython-webassembly-pyscript/micropython.mjs";
const { loadMicroPython } = (await import(port).catch((error: unknown) => {
  if (process.env.DATAGRAM_REQUIRE_ALL === "1") throw error;
  return {};
})) as { loadMicroPython?: (options: object) => Promise<MicroPython> };

/** Starts MicroPython with datagram.py, or the given compiled module, in its path. */
async function micropython(
  skip: (why: string) => never,
  compiled?: Uint8Array,
): Promise<{ run(code: string): string }> {
  if (loadMicroPython === undefined) return skip(`${port} is not installed: npm ci`);
  let output = "";
  const options = {
    heapsize: 128 * 1024,
    linebuffer: true,
    stdout: (line: string) => (output += `${line}\n`),
  };
  const python = await loadMicroPython(options);
  if (compiled === undefined) python.FS.writeFile("/datagram.py", source);
  else python.FS.writeFile("/datagram.mpy", compiled);
  python.runPython("import sys; sys.path.append('/')");
  return {
    run: (code) => {
      output = "";
      python.runPython(code);
      return output.trim();
    },
  };
}

interface MicroPython {
  readonly FS: { writeFile(path: string, content: string | Uint8Array): void };
  runPython(code: string): void;
}

test("under MicroPython, messages and requests arrive, also if datagrams are lost", async ({ skip }) => {
  const python = await micropython(skip);
  python.run(pair);
  expect(
    python.run(`
import sys
print(sys.implementation[0])
data = bytes(range(256)) * 40
A.send(data, "other", channel=3)
print(B.recv(10) == (data, "other", 3, None))
a.drop = 3
A.send(data, "other")
print(B.recv(10)[0] == data)
A.send(memoryview(data)[:5000], "other", fleeting=True, deadline=100)
step()
print(B.recv(10)[0] == data[:5000])
asked = [0]
def serve():
    while b.came:
        asked[0] += b.came[0][1] & 15 == datagram.REQUEST
        B._read(1)
    if B.inbox and asked[0] > 1:  # as if the first reply had been lost
        message = B.recv(1)
        first, pong = datagram.REPLY | datagram.NOW, memoryview(b"pong")
        B._chunk(first, 0, 0, message[3], 0, pong, datagram.crc32(pong), "other")
a.idle = serve
print(A.request(b"ping", "other"))
a.idle = step
b.came.append(b"\\x0d\\x07 not a frame")
B._read(1)
print(B.recv(10))
`),
  ).toBe(["micropython", "True", "True", "True", "b'pong'", "None"].join("\n"));
});

test("under MicroPython, a third message that arrives takes the place of the oldest", async ({ skip }) => {
  const python = await micropython(skip);
  python.run(pair);
  expect(
    python.run(`
def chunk(id, index): A._chunk(datagram.DATA, 0, 0, id, index, memoryview(bytes(2000)), datagram.crc32(bytes(2000)), "other")
for id, index in ((1, 0), (2, 0), (3, 0), (1, 1), (3, 1)): chunk(id, index)
step()
print([key[1] for key in B.partials], [id for id in (1, 2, 3) if (("other", id, datagram.crc32(bytes(2000))) in B.done)])
`),
  ).toBe("[1] [3]");
});

test("under MicroPython, a message in more chunks than 64 bytes each need is dropped", async ({ skip }) => {
  const python = await micropython(skip);
  python.run(pair);
  expect(
    python.run(`
A.size, data = 1, memoryview(bytes(513))
A._chunk(datagram.DATA, 0, 0, 1, 0, data, datagram.crc32(data), "other")
step()
print(len(B.partials), len(a.came))
A.size = 64
A.send(bytes(32768), "other")
print(len(B.recv(10)[0]))
`),
  ).toBe("0 0\n32768");
});

test("under MicroPython, a message of 32,768 bytes takes at most 54 KB of heap while it arrives", async ({
  skip,
}) => {
  const python = await micropython(skip);
  python.run(pair);
  python.run("A.size, data = 64, memoryview(bytes(32768))");
  python.run("gc.collect()");
  const before = Number(python.run("print(gc.mem_alloc())"));
  python.run(`
for index in range(511):
    A._chunk(datagram.DATA, 0, 0, 1, index, data, 1, "other")
    step()
    a.came.clear()
`);
  python.run("gc.collect()");
  const bytes = Number(python.run("print(gc.mem_alloc())")) - before;
  expect(bytes).toBeGreaterThan(32_768);
  expect(bytes).toBeLessThan(55_000);
});

test("under MicroPython, a report that comes twice says nothing about the next message", async ({ skip }) => {
  const python = await micropython(skip);
  python.run(pair);
  expect(
    python.run(`
A.send(b"one", "other")
again = datagram.seal(datagram.pack(datagram.HEAD + "HHHH", 13, datagram.REPORT, 0, 0, A.id, 1, 1200, 3, datagram.crc32(b"one"), 1, 3, 0, 0))
a.came.append(again)
A._read(1)
a.drop = 1
A.send(bytes(1000), "other")
print(B.recv(1)[0], len(B.recv(1)[0]))
`),
  ).toBe("b'one' 1000");
});

test("under MicroPython, the heap does not grow from message to message", async ({ skip }) => {
  const python = await micropython(skip);
  python.run(pair);
  const sizes: number[] = [];
  // The port collects garbage only between two runs.
  for (let turn = 0; turn < 40; turn++) {
    python.run('for each in range(5): A.send(bytes(4000), "other"); B.recv(1)');
    python.run("gc.collect()");
    sizes.push(Number(python.run("print(gc.mem_alloc())")));
  }
  // The ids of the last 64 messages are remembered, so it is full after the thirteenth turn.
  const [before = 0, after = Infinity] = [sizes[20], sizes.at(-1)];
  expect(before).toBeGreaterThan(0);
  expect(after - before).toBeLessThan(1024);
});

/** The bytes of heap that the import of the module takes. */
function heapOfImport(python: { run(code: string): string }): number {
  python.run("import gc; gc.collect()");
  const before = Number(python.run("print(gc.mem_alloc())"));
  python.run("import datagram");
  python.run("gc.collect()");
  return Number(python.run("print(gc.mem_alloc())")) - before;
}

test("under MicroPython, the module takes less than 40 KB of heap from source", async ({ skip }) => {
  const bytes = heapOfImport(await micropython(skip));
  expect(bytes).toBeGreaterThan(1000);
  expect(bytes).toBeLessThan(40_000);
});

test("the compiled module works under MicroPython, and takes less heap", async ({ skip, onTestFinished }) => {
  const fromSource = heapOfImport(await micropython(skip));
  const folder = mkdtempSync(join(tmpdir(), "datagram-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  execFileSync(process.execPath, [path("../../../scripts/micropython.mjs"), join(folder, "datagram.mpy")]);
  // The port runs one interpreter at a time.
  const compiled = await micropython(skip, readFileSync(join(folder, "datagram.mpy")));
  expect(heapOfImport(compiled)).toBeLessThan(fromSource);
  compiled.run(pair);
  expect(compiled.run('A.send(bytes(9000), "other"); print(B.recv(10)[0] == bytes(9000))')).toBe("True");
});
