/** Recordings, uploads, playback, sources and the demonstration in Chromium, with real files and datagrams. */

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import type { Browser, Page } from "playwright-core";
import { type TestContext, afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";

import { socket } from "datagram";
import { watch } from "datagram/watch";
import { Program, bin } from "../../cli/program.js";
import { capture, icmpErrors, startMs } from "../capture-file.js";
import {
  answering,
  noBrowser,
  openPage,
  patience,
  rowWith,
  startBrowser,
  startWatch,
  violations,
} from "./browser.js";

const run = promisify(execFile);
const hasTshark = existsSync("/usr/bin/tshark");
const hasFfmpeg = existsSync("/usr/bin/ffmpeg");

describe.skipIf(noBrowser !== undefined)(
  `recordings and sources of the live page${noBrowser === undefined ? "" : ` (${noBrowser})`}`,
  () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await startBrowser();
    });
    afterAll(() => browser.close());

    test.skipIf(!hasTshark)(
      "a recording that the page makes and downloads is read by tshark, datagram by datagram",
      async (t) => {
        const { port, url } = await startWatch(t);
        const { page, problems } = await openPage(t, browser, url);
        const file = await recordHello(t, page, port);
        const fields = ["-T", "fields", "-e", "udp.dstport", "-e", "udp.checksum.status", "-e", "data.data"];
        const { stdout } = await run("tshark", ["-r", file, "-o", "udp.check_checksum:TRUE", ...fields]);
        const lines = stdout.trim().split("\n");
        expect(lines.map((line) => line.split("\t")[2])).toEqual(
          ["ask 1", "answer to ask 1"].map((text) => Buffer.from(text).toString("hex")),
        );
        expect(lines[0]).toMatch(new RegExp(`^${port}\\t1\\t`));
        expect(problems).toEqual([]);
      },
    );

    test("after a move in a file, the bytes per second are those of the datagrams, and a peer that sent nothing has no sizes", async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "watch-test-"));
      t.onTestFinished(() => rmSync(folder, { recursive: true }));
      const file = join(folder, "icmp.pcapng");
      // 20 datagrams of 11 or 12 bytes each second.
      writeFileSync(file, Buffer.concat([capture(200, { intervalMs: 50 }), icmpErrors([startMs + 9940])]));
      const watched = await watch(file);
      t.onTestFinished(() => watched.close());
      const { page, problems } = await openPage(t, browser, watched.url);
      await page.getByRole("slider", { name: "Position" }).press("End");
      const title = page.getByRole("region", { name: "Rate" });
      await title.getByText("20/s", { exact: true }).waitFor();
      await title.getByText(/^2[2-4]\d B\/s$/).waitFor();
      const silent = rowWith(page, "peers-all", "10.0.9.9:7000");
      expect(await silent.locator(".cell-sizes").textContent()).toBe("–");
      expect(problems).toEqual([]);
    });

    test("a file of the user is uploaded and replayed to a peer, with its progress", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      const file = await recordHello(t, page, port);
      await using peer = socket();
      await peer.bind(["127.0.0.1", 0]);
      await page
        .getByLabel("A capture file to replay")
        .setInputFiles({ name: "mine.pcapng", mimeType: "", buffer: readFileSync(file) });
      await page.getByText("mine.pcapng can be replayed.").waitFor();
      const row = page.getByRole("listitem").filter({ hasText: "mine.pcapng" });
      expect(await row.getByRole("link", { name: "Download" }).count()).toBe(0);
      await row.getByRole("button", { name: "Replay" }).click();
      const to = `127.0.0.1:${peer.getsockname().port}`;
      await row.getByLabel("To").fill(to);
      await row.getByLabel("Speed").selectOption("16");
      expect(await violations(page)).toEqual([]);
      await row.getByRole("button", { name: "Send it" }).click();
      await row.getByText(`datagrams sent to ${to}: done`).waitFor();
      const got = [String(await peer.recv(100)), String(await peer.recv(100))];
      expect(got).toEqual(["ask 1", "answer to ask 1"]);
      await page
        .getByLabel("A capture file to replay")
        .setInputFiles({ name: "junk.pcap", mimeType: "", buffer: Buffer.from("no capture file") });
      const junk = page.getByRole("listitem").filter({ hasText: "junk.pcap" });
      await junk.getByRole("button", { name: "Replay" }).click();
      await junk.getByLabel("To").fill(to);
      await junk.getByRole("button", { name: "Send it" }).click();
      await junk.getByText("EPROTONOSUPPORT").waitFor();
      expect(problems).toEqual([]);
    });

    test.each([["light"], ["dark"]] as const)(
      "a watched file has a bar to move in its time and to pause, by mouse and by keyboard: %s",
      async (colorScheme) => {
        const t = { onTestFinished };
        const folder = mkdtempSync(join(tmpdir(), "watch-test-"));
        t.onTestFinished(() => rmSync(folder, { recursive: true }));
        const file = join(folder, "minute.pcapng");
        writeFileSync(file, capture(61, { intervalMs: 1000 }));
        const watched = await watch(file);
        t.onTestFinished(() => watched.close());
        const { page, problems } = await openPage(t, browser, watched.url, { colorScheme });
        const bar = page.getByRole("region", { name: "Time in the file" });
        await bar.getByRole("button", { name: "Pause" }).click();
        await bar.getByRole("button", { name: "Play" }).waitFor();
        const slider = bar.getByRole("slider", { name: "Position" });
        await slider.focus();
        await page.keyboard.press("Home");
        await shows(page, 1);
        await page.keyboard.press("End");
        await shows(page, 61);
        expect(await slider.getAttribute("aria-valuetext")).toMatch(/60 s of 60 s$/);
        // Not with the slider: the keys of the page.
        await page.getByRole("tab", { name: "Peers" }).focus();
        await page.keyboard.press("[");
        await page.keyboard.press("[");
        await shows(page, 51);
        await page.keyboard.press("]");
        await shows(page, 56);
        expect(await violations(page)).toEqual([]);
        await bar.getByLabel("Speed").selectOption("64");
        await shows(page, 61);
        await page.getByRole("tab", { name: "Datagrams" }).click();
        await rowWith(page, "datagrams", "datagram 60").waitFor();
        await page.getByRole("tab", { name: "Peers" }).focus();
        await page.keyboard.press("1");
        await slider.focus();
        await page.keyboard.press("Home");
        await page.getByRole("tab", { name: "Datagrams" }).click();
        // After a move the list begins again.
        await rowWith(page, "datagrams", "datagram 60").waitFor({ state: "detached" });
        const send = page.getByRole("tab", { name: "Send" });
        expect(await send.getAttribute("aria-disabled")).toBe("true");
        expect(await send.getAttribute("title")).toContain("Nothing can be sent from here");
        await page.getByRole("tab", { name: "Recordings" }).click();
        expect(await page.getByRole("button", { name: "Start a recording" }).isDisabled()).toBe(true);
        expect(await violations(page)).toEqual([]);
        expect(problems).toEqual([]);
      },
    );

    test("several sources have a row to choose one, and their datagrams are in the order of time", async (t) => {
      const sockets = [await answering(t), await answering(t)];
      const watched = await watch(sockets);
      t.onTestFinished(() => watched.close());
      const { page, problems } = await openPage(t, browser, watched.url);
      await using sender = socket();
      const [first = 0, second = 0] = sockets.map((each) => each.getsockname().port);
      for (let each = 0; each < 40; each++)
        await sender.sendto(`number ${each}`, ["127.0.0.1", each % 2 === 0 ? first : second]);
      await page.keyboard.press("2");
      await rowWith(page, "datagrams", "number 39").waitFor();
      const times = await page.locator("#datagrams .list-body .cell-time").allTextContents();
      expect(times).toEqual([...times].sort());
      await page.keyboard.press("1");
      await expect.poll(() => page.locator("#peers-all .of-source").count(), patience).toBe(2);
      const sources = page.getByRole("group", { name: "Sources" });
      await sources.getByRole("button", { name: `127.0.0.1:${second}` }).click();
      await expect.poll(() => page.locator("#peers-all .list-body .list-row").count(), patience).toBe(1);
      await page.keyboard.press("2");
      await expect
        .poll(() => page.locator("#datagrams .list-body .cell-to").allTextContents(), patience)
        .toEqual(Array<string>(20).fill(`127.0.0.1:${second}`));
      // The key goes on to the next one, which is all of them.
      await page.keyboard.press("s");
      expect(await sources.getByRole("button", { name: "all" }).getAttribute("aria-pressed")).toBe("true");
      expect(await violations(page)).toEqual([]);
      expect(problems).toEqual([]);
    });

    test("the demonstration is marked as simulated, with pictures, losses and datagrams", async (t) => {
      const program = new Program(t, process.execPath, [bin, "watch", "--demo", "--page", "0"]);
      const url = /http:\S+/.exec(await program.line("stderr"))?.[0] ?? "";
      const { page, problems } = await openPage(t, browser, url);
      await page.locator(".source-title").getByText("simulated", { exact: true }).waitFor();
      await expect.poll(() => page.locator(".tile-simulated").count(), patience).toBe(3);
      for (const way of ["one datagram each", "as messages", "RTP"])
        await page.getByText(`256×192, ${way}`).waitFor();
      const losses = page.getByRole("region", { name: "Losses", exact: true });
      await losses
        .getByText(/did not arrive/)
        .first()
        .waitFor();
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press("2");
      await rowWith(page, "datagrams", "rtp").first().waitFor();
      expect((await program.stop()).code).toBe(0);
      expect(problems).toEqual([]);
    });

    test.skipIf(!hasFfmpeg)("JPEG over RTP of ffmpeg is a moving picture", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      const source = ["-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10"];
      const jpeg = ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-huffman", "default", "-q:v", "5"];
      const rtp = ["-f", "rtp", `rtp://127.0.0.1:${port}?pkt_size=1400`];
      const ffmpeg = new Program(t, "ffmpeg", ["-loglevel", "error", ...source, ...jpeg, ...rtp]);
      await page.getByText("320×240, RTP").waitFor();
      const pixels = (): Promise<string> =>
        page.evaluate(`document.querySelector(".tile canvas").toDataURL()`);
      const first = await pixels();
      await expect.poll(pixels, patience).not.toBe(first);
      await ffmpeg.stop("SIGKILL");
      expect(problems).toEqual([]);
    });

    test("a single picture is shown though its peer sends no other", async (t) => {
      const { port, url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      const picture = await page.evaluate<string>(`(() => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [80, 60];
        canvas.getContext("2d").fillRect(8, 8, 20, 20);
        return canvas.toDataURL("image/jpeg").split(",")[1];
      })()`);
      await using sender = socket();
      await sender.sendto(Buffer.from(picture, "base64"), ["127.0.0.1", port]);
      await page.getByText("80×60, one datagram each").waitFor();
      expect(problems).toEqual([]);
    });

    test("at 1,280 pixels no column of the peers and the datagrams is cut", async (t) => {
      const sockets = [await answering(t), await answering(t)];
      const watched = await watch(sockets);
      t.onTestFinished(() => watched.close());
      const viewport = { width: 1280, height: 760 };
      const { page } = await openPage(t, browser, watched.url, { viewport });
      await using sender = socket();
      for (const size of [1400, 9999])
        await sender.sendto(Buffer.alloc(size), ["127.0.0.1", sockets[0]?.getsockname().port ?? 0]);
      await rowWith(page, "peers-all", "▲").waitFor();
      expect(await cut(page)).toEqual([]);
      await page.keyboard.press("2");
      await rowWith(page, "datagrams", "9,999").click();
      await page.getByRole("tab", { name: "Hex" }).waitFor();
      expect(await cut(page)).toEqual([]);
    });
  },
);

/** Records one datagram and its answer with the page, and downloads the recording. Returns its path. */
async function recordHello(t: TestContext, page: Page, port: number): Promise<string> {
  await page.keyboard.press("4");
  await page.keyboard.press("r");
  await page.getByRole("button", { name: "End the recording" }).waitFor();
  await using sender = socket();
  await sender.sendto("ask 1", ["127.0.0.1", port]);
  expect(String(await sender.recv(100))).toBe("answer to ask 1");
  await page.getByText(/: 2 datagrams/).waitFor();
  await page.keyboard.press("r");
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download" }).click();
  const folder = mkdtempSync(join(tmpdir(), "watch-test-"));
  t.onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "downloaded.pcapng");
  await (await download).saveAs(path);
  return path;
}

/** Waits until the page shows a peer with a number of datagrams. */
async function shows(page: Page, datagrams: number): Promise<void> {
  await page
    .locator("#peers-all .list-body .cell-datagrams")
    .getByText(String(datagrams), { exact: true })
    .waitFor();
}

/** The columns that need scrolling, and the cells with a text that is cut. Payloads may be longer than their cell. */
function cut(page: Page): Promise<readonly string[]> {
  return page.evaluate<string[]>(`[
    ...[...document.querySelectorAll(".list")].filter((list) => list.scrollWidth > list.clientWidth),
    ...[...document.querySelectorAll(".list .cell:not(.cell-preview)")].filter((cell) => cell.scrollWidth > cell.clientWidth),
  ].map((each) => each.className + " " + each.textContent.slice(0, 60) + ": " + each.scrollWidth + " of " + each.clientWidth)`);
}
