/**
 * Measures the live page in Chromium: 1,000 peers that change all the time, and one peer that sends every 4 ms.
 * `npm run bench:page -- --seconds 600`. It prints the frames a second, the longest time between two frames, and the memory of
 * the page, for each tenth of the time. It needs Chromium: apt-get install chromium.
 */
import { parseArgs } from "node:util";
import { Worker, isMainThread, workerData } from "node:worker_threads";

import { chromium } from "playwright-core";

import { socket } from "../dist/index.js";
import { watch } from "../dist/watch/index.js";

const peers = 1000;
/** How often all peers send. */
const roundMs = 200;
const fastMs = 4;

if (isMainThread) await measure();
else await sendAll(workerData);

async function measure() {
  const { values } = parseArgs({ options: { seconds: { type: "string", default: "60" } } });
  const seconds = Number(values.seconds);
  const receiver = socket();
  await receiver.bind(["127.0.0.1", 0]);
  const reading = (async () => {
    for await (const datagram of receiver) void datagram;
  })();
  const watched = await watch(receiver);
  const senders = new Worker(new URL(import.meta.url), { workerData: receiver.getsockname().port });
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"],
  });
  const page = await browser.newPage({ viewport: { width: 1366, height: 800 } });
  await page.goto(watched.url);
  await page.getByText(`${peers + 1} peers`.replace("1001", "1,001")).waitFor();
  const tools = await page.context().newCDPSession(page);
  await page.evaluate(
    `globalThis.frames_ = []; (function next(at) { frames_.push(at); requestAnimationFrame(next); })(performance.now())`,
  );
  const results = [];
  for (let part = 0; part < 10; part++) {
    await page.waitForTimeout((seconds / 10) * 1000);
    const times = await page.evaluate("frames_.splice(0, frames_.length - 1)");
    const steps = times.slice(1).map((at, index) => at - times[index]);
    await tools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await tools.send("Runtime.getHeapUsage");
    const result = {
      framesPerSecond: Math.round((steps.length / (times.at(-1) - times[0])) * 1000),
      longestMs: Math.round(Math.max(...steps)),
      over100Ms: steps.filter((step) => step > 100).length,
      heapMiB: Number((usedSize / 2 ** 20).toFixed(1)),
      rendererMiB: await rendererMiB(browser),
    };
    results.push(result);
    console.log(JSON.stringify(result));
  }
  const frames = results.map(({ framesPerSecond }) => framesPerSecond);
  console.log(
    `${seconds} s: at least ${Math.min(...frames)} frames a second, the longest time between two ` +
      `${Math.max(...results.map(({ longestMs }) => longestMs))} ms, at most ` +
      `${Math.max(...results.map(({ heapMiB }) => heapMiB))} MiB of heap and ` +
      `${Math.max(...results.map((each) => each.rendererMiB))} MiB of the page's process`,
  );
  await browser.close();
  await senders.terminate();
  await watched.close();
  await receiver.close();
  await reading;
}

/** The private memory of the page's process, in MiB. */
async function rendererMiB(browser) {
  const { readFileSync } = await import("node:fs");
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const sizes = processInfo
    .filter(({ type }) => type === "renderer")
    .map(({ id }) => /^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1] ?? "0");
  return Math.round(Math.max(...sizes.map(Number)) / 1024);
}

/** Runs in a thread of its own, so that the server has the time that it has for real peers. */
async function sendAll(port) {
  const to = ["127.0.0.1", port];
  const devices = Array.from({ length: peers }, () => socket());
  const fast = socket();
  let round = 0;
  setInterval(() => {
    // A tenth at a time.
    for (let index = round % 10; index < peers; index += 10)
      devices[index].sendto(`device ${index}, round ${round}`, to).catch(() => undefined);
    round++;
  }, roundMs / 10);
  setInterval(() => void fast.sendto("a datagram of the fast peer", to).catch(() => undefined), fastMs);
}
