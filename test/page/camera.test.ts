/** The programs of the README and of the recipe "From camera to page", with pictures that Python sends. */

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type TestContext, expect, test } from "vitest";

import { Program, cleanEnding, home, overDrivers, prepared, withDriver } from "../process/programs.js";

const readme = readFileSync(`${home}README.md`, "utf8");
const recipe = readFileSync(`${home}docs/recipes/camera-to-page.md`, "utf8");
/** The programs that a document shows, each below a link to its file. */
const shown = (document: string): string[][] =>
  [...document.matchAll(/\[`examples\/(\S+)`\]\(\S+\)\)?:\n\n```\w+\n(.*?)```/gs)].map(
    ([, name = "", code = ""]) => [name, code],
  );

test("the shown programs equal those of examples/camera", () => {
  const programs = [...shown(readme), ...shown(recipe)];
  expect(programs.map(([name]) => name)).toEqual([
    "camera/send.py",
    "camera/receive.ts",
    "camera/pictures.ts",
    "camera/page.ts",
  ]);
  for (const [name, code] of programs) expect(readFileSync(`${home}examples/${name}`, "utf8")).toBe(code);
});

overDrivers((driver) => {
  test("whole pictures are written, and a picture that lacks a part is not", async (t) => {
    const { folder, files, contents } = await someFiles(t);
    const command = [
      ...prepared(`cd ${folder}`),
      process.execPath,
      `${home}build/examples/camera/receive.js`,
      "0",
    ];
    const receiver = new Program(t, command, withDriver(driver));
    const port = portIn(await receiver.line());
    await send(t, port, files[0]!);
    expect(await receiver.line()).toMatch(/^picture \d+: 36 datagrams$/);
    expect(await readFile(join(folder, "picture.jpg"))).toEqual(contents[0]);
    // The second picture is cut in the middle: its sender claims more parts than it sends. A part above the count does
    // not complete it, and what is longer than a part is ignored.
    const cut = [
      "import socket, struct",
      "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
      `s.connect(("127.0.0.1", ${port}))`,
      `for data in (b"stray", struct.pack("!IHH", 7, 0, 2) + b"half"): s.send(data)`,
      `for data in (struct.pack("!IHH", 7, 2, 2), struct.pack("!IHH", 8, 0, 1) + bytes(1401)): s.send(data)`,
    ].join("\n");
    expect(await new Program(t, ["python3", "-S", "-c", cut]).ended).toMatchObject(cleanEnding);
    await send(t, port, files[1]!);
    expect(await receiver.line()).toMatch(/^picture \d+: 2 datagrams$/);
    expect(await readFile(join(folder, "picture.jpg"))).toEqual(contents[1]);
  });

  test("a browser gets a page, and each picture that arrives", async (t) => {
    const { files, contents } = await someFiles(t);
    const program = new Program(
      t,
      [process.execPath, `${home}build/examples/camera/page.js`, "0", "0"],
      withDriver(driver),
    );
    const port = portIn(await program.line());
    const page = (await program.line()).replace("open ", "");
    expect(await (await fetch(page)).text()).toContain('<img src="pictures"');
    expect((await fetch(`${page}favicon.ico`)).status).toBe(404);

    const response = await fetch(`${page}pictures`, { signal: t.signal });
    expect(response.headers.get("content-type")).toBe("multipart/x-mixed-replace; boundary=picture");
    const reader = response.body!.getReader();
    let received = "";
    for (const [index, file] of files.entries()) {
      await send(t, port, file);
      const part = `--picture\r\ncontent-type: image/jpeg\r\ncontent-length: ${contents[index]!.length}\r\n\r\n`;
      const wanted = `${part}${contents[index]!.toString("latin1")}\r\n--picture\r\n`;
      while (!received.includes(wanted)) {
        const { value, done } = (await reader.read()) as { value?: Uint8Array; done: boolean };
        if (value === undefined || done) throw new Error("the page ended before the picture");
        received += Buffer.from(value).toString("latin1");
      }
    }
    await reader.cancel();
  });
});

/** Two files of random bytes, of 36 parts and of 2. */
async function someFiles(t: TestContext): Promise<{ folder: string; files: string[]; contents: Buffer[] }> {
  const folder = await mkdtemp(join(tmpdir(), "datagram-camera-"));
  t.onTestFinished(() => rm(folder, { recursive: true }));
  const contents = [randomBytes(50_000), randomBytes(1_401)];
  const files = contents.map((_, index) => join(folder, `${index}.bin`));
  await Promise.all(files.map((file, index) => writeFile(file, contents[index]!)));
  return { folder, files, contents };
}

async function send(t: TestContext, port: string, file: string): Promise<void> {
  const sender = new Program(t, ["python3", "-S", `${home}examples/camera/send.py`, "127.0.0.1", port, file]);
  expect(await sender.ended).toEqual({ ...cleanEnding, lines: [] });
}

const portIn = (line: string): string => /:(\d+)$/.exec(line)?.[1] ?? "";
