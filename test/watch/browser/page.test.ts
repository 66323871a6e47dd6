/** The live page in Chromium, with real datagrams. One browser runs all cases. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";

import { socket } from "datagram";
import { watch } from "datagram/watch";
import {
  answering,
  jpegPicture,
  noBrowser,
  openPage,
  patience,
  rowWith,
  sendOften,
  startBrowser,
  startWatch,
  violations,
} from "./browser.js";

const phone = { width: 360, height: 740 };

describe.skipIf(noBrowser !== undefined)(
  `the live page${noBrowser === undefined ? "" : ` (${noBrowser})`}`,
  () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await startBrowser();
    });
    afterAll(() => browser.close());

    test("without a peer, the page shows the address, what to type on a device, and sends a datagram itself", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      const guide = page.getByRole("region", { name: "No datagram has come yet" });
      await guide.getByText(`127.0.0.1:${port}`).first().waitFor();
      expect(await guide.locator("pre").textContent()).toContain(
        `s.sendto(b"hello", ("127.0.0.1", ${port}))`,
      );
      await guide.getByRole("tab", { name: "Python", exact: true }).focus();
      const programs: (string | null)[] = [];
      for (let each = 0; each < 3; each++) {
        await page.keyboard.press("ArrowRight");
        programs.push(await guide.locator("pre").textContent());
      }
      expect(programs[0]).toContain("socket.getaddrinfo");
      expect(programs[1]).toBe(`npx datagram send 127.0.0.1:${port} hello`);
      expect(programs[2]).toContain("inet_pton(AF_INET");
      expect(await guide.getByText("Only this machine can reach it.").count()).toBe(1);
      await guide.getByRole("button", { name: "Send one from here" }).click();
      await rowWith(page, "peers-all", `127.0.0.1:${port}`).waitFor();
      expect(problems).toEqual([]);
    });

    test("peers in Python and in this package have a row each, with their counts and sizes", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      const python = await sendFromPython(port, ["b'hello'", "bytes(1500)", "b'12345678'"]);
      await using sender = socket();
      await sender.sendto("from TypeScript", ["127.0.0.1", port]);
      const row = rowWith(page, "peers-all", `127.0.0.1:${python}`);
      await row.locator(".cell-datagrams").getByText("3", { exact: true }).waitFor();
      expect(await row.locator(".cell-bytes").textContent()).toBe("1.51 kB");
      expect(await row.locator(".cell-sizes .size-text").textContent()).toBe("5–1,500");
      expect(await row.locator(".cell-sizes strong").getAttribute("aria-label")).toBe("1 above 1,400 bytes");
      const own = rowWith(page, "peers-all", `127.0.0.1:${sender.getsockname().port}`);
      await own.locator(".cell-datagrams").getByText("1", { exact: true }).waitFor();
      expect(await own.locator(".cell-sizes").textContent()).toBe("15");
      expect(problems).toEqual([]);
    });

    test("a peer that stops is marked with a word, and its sentence is in the losses", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      await using sender = socket();
      const row = rowWith(page, "peers-all", "127.0.0.1");
      const stop = sendOften(t, sender, "tick", port);
      await row.getByText("live").waitFor();
      // The server knows the interval of a peer after 2 seconds.
      await expect
        .poll(async () => Number((await row.locator(".cell-datagrams").textContent()) ?? 0), patience)
        .toBeGreaterThan(150);
      stop();
      await row.locator(".state-silent").getByText("silent").waitFor();
      const losses = page.getByRole("region", { name: "Losses", exact: true });
      await losses.getByText("sent regularly and has been silent").waitFor();
      expect(problems).toEqual([]);
    });

    test("a peer that sends JPEG has its picture, and broken pictures do no harm", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      const picture = await jpegPicture(page);
      await using sender = socket();
      const stop = sendOften(t, sender, picture, port);
      await page.getByText("64×48, one datagram each").waitFor();
      stop();
      const stopBroken = sendOften(t, sender, withoutTables(picture), port);
      await page.getByText("The last picture cannot be decoded.").waitFor();
      stopBroken();
      expect(problems).toEqual([]);
    });

    test("datagrams can be filtered, paused, and looked at as text, hex, JSON and image", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      await using sender = socket();
      await page.keyboard.press("2");
      await sender.sendto('{"b":[1,2]}', ["127.0.0.1", port]);
      await sender.sendto("plain", ["127.0.0.1", port]);
      await rowWith(page, "datagrams", "plain").waitFor();
      await page.keyboard.press("/");
      await page.keyboard.type('"B"');
      await rowWith(page, "datagrams", "plain").waitFor({ state: "detached" });
      await page.getByRole("grid").focus();
      await page.keyboard.press("ArrowUp");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Received, 11 bytes" }).waitFor();
      const payload = page.getByRole("tabpanel", { name: "JSON" });
      expect(await payload.locator("pre").textContent()).toBe('{\n  "b": [\n    1,\n    2\n  ]\n}');
      await page.getByRole("tab", { name: "Hex" }).click();
      expect(await page.locator("pre").textContent()).toContain("0000  7b 22 62 22 3a 5b 31 2c  32 5d 7d");
      await page.keyboard.press("Escape");
      await page.getByRole("searchbox").fill("");
      await rowWith(page, "datagrams", "plain").waitFor();
      await page.getByRole("button", { name: "Pause" }).click();
      await page.getByText("paused").waitFor();
      await sender.sendto("while paused", ["127.0.0.1", port]);
      await sender.sendto(await jpegPicture(page), ["127.0.0.1", port]);
      await page.keyboard.press("1");
      await rowWith(page, "peers-all", ".")
        .locator(".cell-datagrams")
        .getByText("4", { exact: true })
        .waitFor();
      await page.keyboard.press("2");
      expect(await rowWith(page, "datagrams", "while paused").count()).toBe(0);
      await page.getByRole("button", { name: "Resume" }).click();
      await rowWith(page, "datagrams", "while paused").waitFor();
      await rowWith(page, "datagrams", "jpeg").click();
      await page.getByRole("tabpanel", { name: "Image" }).locator("canvas[width='64']").waitFor();
      expect(problems).toEqual([]);
    });

    test("the list has rows in each frame that is painted, also when many datagrams come at once", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      await using sender = socket();
      await page.keyboard.press("2");
      await page.getByRole("grid").waitFor();
      // A message that is posted in a frame comes after its painting.
      await page.evaluate(`(() => {
        globalThis.blankFrames = 0;
        const { port1, port2 } = new MessageChannel();
        const wait = () => requestAnimationFrame(() => port2.postMessage(undefined));
        port1.onmessage = () => {
          const list = document.getElementById("datagrams");
          const { left, bottom } = list.getBoundingClientRect();
          const isFull = list.scrollHeight > list.clientHeight + 40;
          const atEnd = document.elementFromPoint(left + 30, bottom - 15);
          if (isFull && atEnd.closest(".list-body .list-row") === null) blankFrames++;
          wait();
        };
        wait();
      })()`);
      for (let burst = 1; burst <= 10; burst++) {
        await sender.sendMany(new Array<string>(60).fill(`burst ${burst}.`), ["127.0.0.1", port]);
        await rowWith(page, "datagrams", `burst ${burst}.`).first().waitFor();
      }
      expect(await page.evaluate("blankFrames")).toBe(0);
      expect(problems).toEqual([]);
    });

    test("hostile payloads are shown as what they are", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      const scripts = await page.locator("script").count();
      await page.keyboard.press("2");
      await page.getByRole("grid").waitFor();
      const markup = "<script>globalThis.isBroken = 1</script><img src=x onerror='globalThis.isBroken = 1'>";
      const payloads = [
        [Buffer.from(markup), markup],
        [Buffer.from([0x61, 0xff, 0xfe, 0x80]), "a\ufffd\ufffd\ufffd"],
        [Buffer.alloc(65_507, "x"), "x".repeat(65_507)],
        [Buffer.from("\0\0\x1b[31m\u202e"), "\\u{0}\\u{0}\\u{1b}[31m\\u{202e}"],
        [Buffer.from("[".repeat(30_000)), "[".repeat(30_000)],
      ] as const;
      await using sender = socket();
      for (const [payload] of payloads) await sender.sendto(payload, ["127.0.0.1", port]);
      await sender.sendto("", ["127.0.0.1", port]);
      for (const [payload, text] of payloads) {
        await page
          .locator("#datagrams .cell-size")
          .getByText(payload.length.toLocaleString("en"), { exact: true })
          .click();
        await page.getByRole("tab", { name: "Text" }).click();
        await expect
          .poll(() => page.getByRole("tabpanel", { name: "Text" }).locator("pre").textContent(), patience)
          .toBe(text);
        await page.getByRole("tab", { name: "Hex" }).click();
        await page.keyboard.press("Escape");
      }
      await rowWith(page, "datagrams", "(empty)").click();
      await page.getByText("The payload is empty.").waitFor();
      expect(await page.evaluate("globalThis.isBroken")).toBeUndefined();
      expect([await page.locator("script").count(), await page.locator("img").count()]).toEqual([scripts, 0]);
      expect(problems).toEqual([]);
    });

    test("an answer to several peers by keyboard alone, with the replies and their times", async (t) => {
      const { port, url } = await startWatch(t);
      const other = await answering(t);
      const { page, problems } = await openPage(t, browser, url);
      await other.sendto("hello", ["127.0.0.1", port]);
      await rowWith(page, "peers-all", "127.0.0.1").waitFor();
      await page.keyboard.press("a");
      await page.keyboard.type("ask 1");
      await page
        .getByLabel("To: one or more addresses")
        .fill(`127.0.0.1:${other.getsockname().port}, 127.0.0.1:${port}`);
      await page.keyboard.press("Control+Enter");
      await expect.poll(() => page.getByText(/reply after \d/).count(), patience).toBe(2);
      await page.getByRole("button", { name: "show it" }).first().click();
      await page.getByText("answer to ask 1", { exact: true }).first().waitFor();
      await page.getByRole("heading", { name: "Received, 15 bytes" }).waitFor();
      expect(problems).toEqual([]);
    });

    test("hex and a file are sent as bytes, and what cannot be sent says why", async (t) => {
      const { url } = await startWatch(t);
      await using peer = socket();
      await peer.bind(["127.0.0.1", 0]);
      const { page, problems } = await openPage(t, browser, url);
      await page.keyboard.press("3");
      await page.getByLabel("To: one or more addresses").fill(`127.0.0.1:${peer.getsockname().port}`);
      await page.getByLabel("hex").check();
      await page.getByLabel("Pairs of hex digits").fill("00 ff 0");
      const send = page.getByRole("button", { name: "Send Ctrl Enter" });
      await send.click();
      await page.getByText("The payload is not pairs of hex digits.").waitFor();
      await page.getByLabel("Pairs of hex digits").fill("00 ff 0d");
      await send.click();
      await page.getByText("3 bytes sent").waitFor();
      expect((await peer.recv(2048)).toString("hex")).toBe("00ff0d");
      await page.getByLabel("file", { exact: true }).check();
      await page
        .getByLabel("File of at most")
        .setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from([1, 2, 0]) });
      await page.getByText("a.bin, 3 B").waitFor();
      await send.click();
      await page.getByText("a.bin", { exact: true }).waitFor();
      expect((await peer.recv(2048)).toString("hex")).toBe("010200");
      await page.getByLabel("To: one or more addresses").fill("no address");
      await send.click();
      await page.getByText("is not an address").waitFor();
      expect(problems).toEqual([]);
    });

    test("after the server has been started again, the page connects and its list goes on", async (t) => {
      const receiver = await answering(t);
      const first = await watch(receiver);
      const { page, problems } = await openPage(t, browser, first.url);
      await using sender = socket();
      await page.keyboard.press("2");
      const { port } = receiver.getsockname();
      await sender.sendto("before", ["127.0.0.1", port]);
      await rowWith(page, "datagrams", "before").waitFor();
      await first.close();
      await page.getByText("▲ not connected").waitFor();
      const second = await watch(receiver, { port: first.address.port });
      t.onTestFinished(() => second.close());
      await page.getByText("● connected").waitFor();
      await sender.sendto("after", ["127.0.0.1", port]);
      await rowWith(page, "datagrams", "after").waitFor();
      expect(await rowWith(page, "datagrams", "before").count()).toBe(1);
      expect(problems).toEqual([]);
    });

    test("each part of the page is reached by keyboard", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      await using sender = socket();
      await sender.sendto("hello", ["127.0.0.1", port]);
      const own = `127.0.0.1:${sender.getsockname().port}`;
      await rowWith(page, "peers-all", own).waitFor();
      for (const [key, pane] of [
        ["2", "Datagrams"],
        ["3", "Send"],
        ["4", "Recordings"],
        ["1", "Peers"],
      ] as const) {
        await page.locator("body").press(key);
        if (key === "3") await page.locator("#send-text").blur();
        expect(await page.getByRole("tab", { selected: true }).first().textContent()).toBe(pane);
      }
      await page.keyboard.press("?");
      await page.getByRole("dialog", { name: "Keys" }).waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      const before = await page.locator("html").getAttribute("data-theme");
      await page.keyboard.press("t");
      expect(await page.locator("html").getAttribute("data-theme")).not.toBe(before);
      // Tab goes through the controls, and each that it reaches shows where it is.
      const reached = new Set<string>();
      for (let each = 0; each < 30; each++) {
        await page.keyboard.press("Tab");
        const [name, outline] = await page.evaluate<[string, string]>(`(() => {
        const { activeElement: at } = document;
        return [at.id || at.textContent, getComputedStyle(at).outlineStyle];
      })()`);
        if (name === "peers-all") break;
        expect([name, outline]).toEqual([name, "solid"]);
        reached.add(name);
      }
      expect([...reached]).toEqual(expect.arrayContaining(["pane-tab-peers", "?", "● Record"]));
      await page.keyboard.press("ArrowDown");
      await page.getByRole("region", { name: `Peer ${own}` }).waitFor();
      const active = await page.locator("#peers-all").getAttribute("aria-activedescendant");
      expect(await page.locator(`#${active}`).textContent()).toContain(own);
      await page.keyboard.press("Escape");
      await page.getByRole("region", { name: `Peer ${own}` }).waitFor({ state: "detached" });
      expect(problems).toEqual([]);
    });

    test.each([
      ["light", {}],
      ["dark", { colorScheme: "dark" }],
      ["at the width of a phone", { viewport: phone }],
    ] as const)("axe finds no violation in any pane: %s", async (_name, options) => {
      const t = { onTestFinished };
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url, options);
      expect(await violations(page)).toEqual([]);
      await using sender = socket();
      await sender.sendto('{"a":1}', ["127.0.0.1", port]);
      // The server sends the pictures that follow after the page has asked for them.
      const stop = sendOften(t, sender, await jpegPicture(page), port);
      await rowWith(page, "peers-all", "127.0.0.1").click();
      await page.getByRole("figure").scrollIntoViewIfNeeded();
      await page.getByText("64×48").waitFor();
      stop();
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press("2");
      await page.getByRole("grid").waitFor();
      await sender.sendto('{"a":2}', ["127.0.0.1", port]);
      await rowWith(page, "datagrams", '{"a":2}').click();
      await page.getByRole("tab", { name: "Hex" }).waitFor();
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press("Escape");
      await page.keyboard.press("4");
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press("?");
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press("Escape");
      await page.keyboard.press("3");
      await page.getByLabel("UTF-8 text").fill("ask");
      await page.getByLabel("To: one or more addresses").fill(`127.0.0.1:${port} 127.0.0.1:1`);
      await page.keyboard.press("Control+Enter");
      await page.getByText(/reply after/).waitFor();
      expect(await violations(page)).toEqual([]);
      const width = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
      expect(width).toBeLessThanOrEqual(0);
      expect(problems).toEqual([]);
    });
  },
);

/** Sends payloads, each a Python expression, from a socket of Python. Returns its port. */
async function sendFromPython(port: number, payloads: readonly string[]): Promise<number> {
  const program = `
from socket import *
s = socket(AF_INET, SOCK_DGRAM)
for payload in [${payloads.join(", ")}]:
    s.sendto(payload, ("127.0.0.1", ${port}))
print(s.getsockname()[1])`;
  const { stdout } = await promisify(execFile)("python3", ["-S", "-c", program]);
  return Number(stdout);
}

/** A JPEG picture without its tables, from the first scan on: it cannot be decoded. */
function withoutTables(picture: Buffer): Buffer {
  return Buffer.concat([
    picture.subarray(0, 20),
    picture.subarray(picture.indexOf(Buffer.from([0xff, 0xda]))),
  ]);
}
