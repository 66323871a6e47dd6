/** The page of a relay in Chromium: both sides, and what the relay did. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { socket } from "datagram";
import { proxy } from "datagram/proxy";
import { watch } from "datagram/watch";
import { answering, noBrowser, openPage, patience, rowWith, startBrowser } from "./browser.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

describe.skipIf(noBrowser !== undefined)(
  `the page of a relay${noBrowser === undefined ? "" : ` (${noBrowser})`}`,
  () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await startBrowser();
    });
    afterAll(() => browser.close());

    test("both sides have a table, and a card says what the relay dropped and by which rule", async (t) => {
      const target = await answering(t);
      const rules = [{ action: "drop", direction: "up", numbers: "1-4" }] as const;
      const relay = await proxy({ target: target.getsockname(), rules, link: { up: { latencyMs: 3 } } });
      const watched = await watch(relay);
      t.onTestFinished(async () => {
        await watched.close();
        await relay.close();
      });
      const { page, problems } = await openPage(t, browser, watched.url);
      await using sender = socket();
      for (let number = 0; number < 10; number++) await sender.sendto(`<b>${number}</b>`, relay.address);
      const address = `127.0.0.1:${sender.getsockname().port}`;
      const cell = (table: string, text: string): Promise<void> =>
        rowWith(page, table, address).locator(".cell-datagrams").getByText(text, { exact: true }).waitFor();
      await cell("peers-0", "10");
      await cell("peers-1", "6");
      await page.getByRole("heading", { name: `Before the faults: ${relay.address}` }).waitFor();
      await page.getByRole("heading", { name: `After the faults: ${relay.target}` }).waitFor();
      const card = page.getByRole("region", { name: "The relay" });
      const row = card.getByRole("row").filter({ hasText: address });
      await row.getByText("4 rule drop up numbers=1-4").waitFor();
      await row.getByText("3.0 ms, max 3.0").waitFor();
      // The relay is read again and again, and an earlier reading can have the delays without all datagrams.
      const cells = async (): Promise<string[]> =>
        (await row.getByRole("cell").allTextContents()).slice(0, 3);
      await expect.poll(cells, patience).toEqual(["to the targets", "10", "6"]);
      const losses = page.getByRole("region", { name: "Losses" });
      await losses
        .getByText(/by its settings: rule drop up numbers=1-4/)
        .first()
        .waitFor();
      expect(await losses.locator(".advice").count()).toBe(0);
      // A datagram is on both sides, so there is no sum of them.
      const rates = page.getByRole("region", { name: "Rate" });
      const sides = await rates.locator(".legend-item").allTextContents();
      const amount = String.raw`\d[\d,.]*/s \d[\d,.]* k?B/s`;
      expect(sides).toEqual([
        expect.stringMatching(new RegExp(`^Before the faults: ${relay.address} ${amount}$`)),
        expect.stringMatching(new RegExp(`^After the faults: ${relay.target} ${amount}$`)),
      ]);
      expect(await rates.locator(".figure").count()).toBe(2);
      await rates.getByText(/peers, on both sides$/).waitFor();
      // Only one side, by the key of the sources.
      await page.keyboard.press("s");
      await rowWith(page, "peers-all", address).waitFor();
      expect(await rates.locator(".figure").count()).toBe(1);
      await page.keyboard.press("s");
      await page.keyboard.press("s");
      for (const [colorScheme, width] of [
        ["light", 1366],
        ["dark", 1366],
        ["light", 360],
        ["dark", 360],
      ] as const) {
        const viewport = { width, height: 800 };
        const { page: other } = await openPage(t, browser, watched.url, { colorScheme, viewport });
        await other.getByRole("region", { name: "The relay" }).waitFor();
        await other.evaluate(axe);
        const found = await other.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>(
          "axe.run()",
        );
        expect(found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
        expect(await other.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
      }
      expect(problems).toEqual([]);
    });
  },
);
