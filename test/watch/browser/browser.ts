/** One Chromium, and the live page in it. */

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { type Browser, type BrowserContextOptions, type Locator, type Page, chromium } from "playwright-core";

import type { TestContext } from "vitest";

import { type Socket, socket } from "datagram";
import { type Watch, watch } from "datagram/watch";
import { requireAll } from "../../process/programs.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const executablePath = "/usr/bin/chromium";
/** For values that are asked for again and again, with `expect.poll`. Locators wait as long. */
export const patience = { timeout: 30_000 };

/** Why the tests of the page are skipped. Never a reason if every test is required. */
export const noBrowser: string | undefined =
  requireAll || existsSync(executablePath)
    ? undefined
    : `skipped: ${executablePath} is not there, apt-get install chromium installs it`;

export async function startBrowser(): Promise<Browser> {
  const quiet = ["no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"];
  const switches = ["headless", "no-sandbox", "disable-gpu", "disable-quic", ...quiet];
  return chromium.launch({ executablePath, args: switches.map((each) => `--${each}`) });
}

/** Where to say what ends with a test: its context, or the functions of vitest. */
export type Cleanup = Pick<TestContext, "onTestFinished">;

/** The page in a browser, and what went wrong in it. */
export interface OpenPage {
  readonly page: Page;
  /** Errors of scripts, messages of the console that are errors, and requests to other servers. */
  readonly problems: readonly string[];
}

/**
 * The pages that tests have left, by the options of their context. To make a page takes 0.8 s of CPU time, and to load another
 * address 0.2 s, since Chromium starts a process for each new page.
 */
const pages = new WeakMap<Browser, Map<string, Page[]>>();

/** Opens the page of a server. It is left after the test, and a later test with the same options may use it again. */
export async function openPage(
  t: Cleanup,
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<OpenPage> {
  const ofBrowser = pages.get(browser) ?? new Map<string, Page[]>();
  pages.set(browser, ofBrowser);
  const key = JSON.stringify(options);
  const left = ofBrowser.get(key) ?? [];
  ofBrowser.set(key, left);
  const page = left.pop() ?? (await browser.newPage({ viewport: { width: 1366, height: 800 }, ...options }));
  t.onTestFinished(async () => {
    await leave(page);
    left.push(page);
  });
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    // The browser reports a server that is not there: the test of that counts on it.
    const isConnection = /ERR_CONNECTION|WebSocket connection/.test(message.text());
    if (message.type() === "error" && !isConnection) problems.push(message.text());
  });
  page.on("request", (request) => {
    if (!/^blob:|^data:/.test(request.url()) && new URL(request.url()).host !== new URL(url).host)
      problems.push(`request to ${request.url()}`);
  });
  await page.goto(url);
  await page.getByRole("status").filter({ hasText: "● connected" }).waitFor();
  return { page, problems };
}

/** Leaves a page as a new one is: nothing of the test stays in it. */
async function leave(page: Page): Promise<void> {
  for (const event of ["pageerror", "console", "request"]) page.removeAllListeners(event);
  // The server of a later test may have the same port.
  await page.evaluate("localStorage.clear(), sessionStorage.clear()");
  await page.mouse.move(0, 0);
  await page.goto("about:blank");
}

/** A socket that answers each datagram that begins with "ask", and the page that shows it. */
export interface Watched {
  readonly receiver: Socket;
  readonly port: number;
  readonly watched: Watch;
  readonly url: string;
}

/** Starts a page. It ends after the test. */
export async function startWatch(t: Cleanup, options: { readonly port?: number } = {}): Promise<Watched> {
  const receiver = await answering(t);
  const watched = await watch(receiver, options);
  t.onTestFinished(() => watched.close());
  return { receiver, port: receiver.getsockname().port, watched, url: watched.url };
}

/** A bound socket that answers each datagram that begins with "ask". It is closed after the test. */
export async function answering(t: Cleanup): Promise<Socket> {
  const receiver = socket();
  await receiver.bind(["127.0.0.1", 0]);
  const reading = (async () => {
    for await (const { data, source } of receiver)
      if (data.subarray(0, 3).toString() === "ask")
        await receiver.sendto(`answer to ${data.toString()}`, source);
  })();
  t.onTestFinished(async () => {
    await receiver.close();
    await reading;
  });
  return receiver;
}

/** Sends a payload every 20 ms until the function that it returns is called, or until the test ends. */
export function sendOften(t: Cleanup, sender: Socket, payload: string | Buffer, port: number): () => void {
  // The socket may be closed before the test has ended.
  const timer = setInterval(() => {
    sender.sendto(payload, ["127.0.0.1", port]).catch(() => clearInterval(timer));
  }, 20);
  const stop = (): void => clearInterval(timer);
  t.onTestFinished(stop);
  return stop;
}

/** A row of a list with a text. */
export function rowWith(page: Page, list: string, text: string): Locator {
  return page.locator(`#${list} [role=rowgroup] [role=row]`).filter({ hasText: text });
}

/** A JPEG picture of 64 by 48 pixels. */
export async function jpegPicture(page: Page): Promise<Buffer> {
  // A text, because the types of the tests are those of Node.js.
  const address = await page.evaluate<string>(`(() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 48];
    canvas.getContext("2d").fillRect(8, 8, 20, 20);
    return canvas.toDataURL("image/jpeg");
  })()`);
  return Buffer.from(address.slice(address.indexOf(",") + 1), "base64");
}

/** The rules that axe-core finds broken, with the elements. */
export async function violations(page: Page): Promise<readonly string[]> {
  if ((await page.evaluate("typeof axe")) === "undefined") await page.evaluate(axe);
  return page.evaluate<string[]>(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => id + ": " + html.slice(0, 200) + " " + failureSummary)))`);
}
