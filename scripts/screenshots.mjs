/**
 * Writes the pictures of docs/watch.md: each pane of the live page, light and dark, with simulated cameras and real datagrams.
 * `npm run screenshots`. It needs Chromium: apt-get install chromium.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { socket } from "../dist/index.js";

const folder = fileURLToPath(new URL("../docs/watch", import.meta.url));
const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const port = 9000;

mkdirSync(folder, { recursive: true });
const empty = await start([String(port)]);
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu"],
});
await eachTheme(empty.url, async (page, theme) => {
  await page.getByText("No datagram has come yet").waitFor();
  await save(page, `empty-${theme}`);
});
await empty.end();

const records = mkdtempSync(join(tmpdir(), "screenshots-"));
const full = await start([`0.0.0.0:${port}`, "--demo", "--echo", "--record", records]);
const devices = await startDevices();
// The chart shows the last minute.
await pause(25_000);
await eachTheme(full.url, async (page, theme) => {
  await page.getByRole("figure").first().waitFor();
  await page.waitForTimeout(2500);
  await save(page, `peers-${theme}`);
  await page.keyboard.press("2");
  await page.getByRole("searchbox").fill("temperature");
  await page.locator("#datagrams .cell-preview", { hasText: "temperature" }).nth(3).waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator("#datagrams .cell-preview", { hasText: "temperature" }).nth(3).click();
  await page.locator("#payload-panel pre").waitFor();
  await save(page, `datagrams-${theme}`);
  await page.keyboard.press("3");
  await page.getByLabel("UTF-8 text").fill('{"ask":"status"}');
  await page.getByLabel("To: one or more addresses").fill(`127.0.0.1:${port} 127.0.0.1:9`);
  await page.keyboard.press("Control+Enter");
  await page
    .getByText(/reply after/)
    .first()
    .waitFor();
  await page.getByText(/no reply came in time/).waitFor();
  await save(page, `send-${theme}`);
  await page.getByRole("tab", { name: "Recordings" }).click();
  await page.keyboard.press("r");
  await page.getByRole("button", { name: "End the recording" }).waitFor();
  await page.waitForTimeout(theme === "light" ? 20_000 : 3000);
  await page.keyboard.press("r");
  const file = page.getByRole("listitem").last();
  await file.getByRole("button", { name: "Replay" }).click();
  await file.getByLabel("To").fill(`127.0.0.1:${port}`);
  await file.getByLabel("Speed").selectOption("4");
  await file.getByRole("button", { name: "Send it" }).click();
  await file.getByText(/datagrams sent to/).waitFor();
  await save(page, `recordings-${theme}`);
  if (theme === "light") {
    await page.setViewportSize({ width: 360, height: 720 });
    await page.keyboard.press("1");
    await page.waitForTimeout(1000);
    await save(page, "phone");
  }
});
clearInterval(devices.timer);
await devices.end();
await full.end();
const file = await start([join(records, readdirSync(records).sort()[0])]);
await eachTheme(file.url, async (page, theme) => {
  const pauses = page.getByRole("button", { name: "Pause" });
  if (theme === "light") await pauses.click();
  await page.getByRole("slider", { name: "Position" }).focus();
  await page.keyboard.press("End");
  await page.keyboard.press("[");
  await page.locator("#peers-all .list-body .list-row").first().click();
  await page.waitForTimeout(1000);
  await save(page, `playback-${theme}`);
});
await file.end();
rmSync(records, { recursive: true });

const target = await start([String(port + 1), "--echo"]);
const faults = ["--loss", "10%", "--delay", "20ms", "--jitter", "15ms", "--duplicate", "2%"];
const proxied = [
  String(port),
  `127.0.0.1:${port + 1}`,
  ...faults,
  "--rule",
  "drop up text=motor numbers=5-25",
];
const relay = await start([...proxied, "--page", "0"], "proxy");
const clients = await startDevices();
await pause(25_000);
await eachTheme(relay.url, async (page, theme) => {
  await page.getByRole("region", { name: "The relay" }).waitFor();
  await page.waitForTimeout(2500);
  await save(page, `relay-${theme}`);
});
clearInterval(clients.timer);
await clients.end();
await relay.end();
await target.end();
await browser.close();

/** Runs the command, and waits for the address of the page. */
async function start(args, name = "watch") {
  const page = name === "watch" ? ["--page", "0"] : [];
  const child = spawn(process.execPath, [command, name, ...args, ...page], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((done) => child.once("exit", done));
  const url = await new Promise((done, fail) => {
    let text = "";
    const read = (part) => {
      text += part;
      const found = /http:\/\/\S+/.exec(text);
      if (found !== null) done(found[0]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", () => fail(new Error(text)));
  });
  return { url, end: () => (child.kill("SIGINT"), ended) };
}

/** Devices that send JSON often, large datagrams, and one that stops. */
async function startDevices() {
  const devices = [socket(), socket(), socket(), socket()];
  let ticks = 0;
  const timer = setInterval(() => {
    ticks++;
    const temperature = (20 + Math.sin(ticks / 30) * 3).toFixed(2);
    send(devices[0], JSON.stringify({ id: ticks, place: "kitchen", temperature: Number(temperature) }));
    if (ticks % 5 === 0) send(devices[1], Buffer.alloc(900 + ((ticks * 37) % 700), ticks));
    if (ticks % 20 === 0) send(devices[2], `log: ${ticks} samples, all well`);
    if (ticks < 150) send(devices[3], `motor ${ticks}`);
  }, 40);
  return { timer, end: () => Promise.all(devices.map((each) => each.close())) };
}

function send(device, payload) {
  // The command may have ended.
  device.sendto(payload, ["127.0.0.1", port]).catch(() => undefined);
}

/** Opens the page in light and in dark. */
async function eachTheme(url, look) {
  for (const theme of ["light", "dark"]) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 760 }, colorScheme: theme });
    const page = await context.newPage();
    await page.goto(url);
    await look(page, theme);
    await context.close();
  }
}

async function save(page, name) {
  await page.mouse.move(0, 0);
  await page.screenshot({ path: `${folder}/${name}.png` });
}
