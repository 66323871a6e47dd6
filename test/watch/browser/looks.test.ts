/** What can be seen of the live page without scrolling, and where its keys lead. */

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";

import { socket } from "datagram";
import { proxy } from "datagram/proxy";
import { watch } from "datagram/watch";
import {
  type OpenPage,
  answering,
  noBrowser,
  openPage,
  rowWith,
  startBrowser,
  startWatch,
  violations,
} from "./browser.js";

describe.skipIf(noBrowser !== undefined)(
  `the looks of the page${noBrowser === undefined ? "" : ` (${noBrowser})`}`,
  () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await startBrowser();
    });
    afterAll(() => browser.close());

    /** The page of a relay through which a client sent "hello". */
    async function relayPage(t: TestContext, width: number): Promise<OpenPage> {
      const target = await answering(t);
      const relay = await proxy({ target: target.getsockname() });
      const watched = await watch(relay);
      const sender = socket();
      t.onTestFinished(async () => {
        await sender.close();
        await watched.close();
        await relay.close();
      });
      const opened = await openPage(t, browser, watched.url, { viewport: { width, height: 800 } });
      await sender.sendto("hello", relay.address);
      await rowWith(opened.page, "peers-1", "127.0.0.1").first().waitFor();
      return opened;
    }

    test("both tables of a relay show each column at a width of 1,280 pixels", async (t) => {
      const { page, problems } = await relayPage(t, 1280);
      for (const table of ["peers-0", "peers-1"]) {
        expect(await hiddenWidth(page, table)).toBeLessThanOrEqual(0);
        expect(await page.locator(`#${table} .list-head .cell`).count()).toBe(11);
      }
      expect(problems).toEqual([]);
    });

    test("at the width of a phone, a peer has its state, rate and lost datagrams", async (t) => {
      const { page, problems } = await relayPage(t, 360);
      expect(await hiddenWidth(page, "peers-0")).toBeLessThanOrEqual(0);
      const titles = await page.locator("#peers-0 .list-head .cell").allTextContents();
      expect(titles.map((title) => title.trim())).toEqual(["State", "Peer", "Rate", "Lost"]);
      expect(problems).toEqual([]);
    });

    test("at the width of a phone, a table is as high as its rows, and what follows is right below", async (t) => {
      const { page, problems } = await relayPage(t, 360);
      for (const table of ["peers-0", "peers-1"]) {
        const [card, parts] = await page.evaluate<[number, number]>(
          `(({ children, parentElement: card }) => [card.clientHeight, [...children, card.firstElementChild]
            .reduce((sum, { offsetHeight }) => sum + offsetHeight, 0)])(document.getElementById("${table}"))`,
        );
        expect(parts).toBeGreaterThan(0);
        expect(Math.abs(card - parts), table).toBeLessThanOrEqual(2);
      }
      expect(problems).toEqual([]);
    });

    test("a datagram of a relay is marked with its side, and Send is dim and cannot be reached", async (t) => {
      const { page, problems } = await relayPage(t, 1280);
      const tab = page.getByRole("tab", { name: "Send" });
      expect(await tab.getAttribute("aria-disabled")).toBe("true");
      expect(await tab.getAttribute("title")).toContain("Nothing can be sent from here");
      await page.keyboard.press("2");
      await page.keyboard.press("3");
      const selected = (): Promise<string | null> => page.getByRole("tab", { selected: true }).textContent();
      expect(await selected()).toBe("Datagrams");
      await page.getByRole("tab", { name: "Datagrams" }).focus();
      await page.keyboard.press("ArrowRight");
      expect(await selected()).toBe("Recordings");
      await page.keyboard.press("ArrowLeft");
      expect(await selected()).toBe("Datagrams");
      await rowWith(page, "datagrams", "before").first().waitFor();
      await rowWith(page, "datagrams", "after").first().waitFor();
      expect(await violations(page)).toEqual([]);
      expect(problems).toEqual([]);
    });

    test("Esc leaves a field, and the next key is a shortcut", async (t) => {
      const { url } = await startWatch(t);
      const { page, problems } = await openPage(t, browser, url);
      await page.keyboard.press("3");
      await page.keyboard.type("4?");
      expect(await page.getByLabel("UTF-8 text").inputValue()).toBe("4?");
      await page.keyboard.press("Escape");
      await page.keyboard.press("4");
      expect(await page.getByRole("tab", { selected: true }).textContent()).toBe("Recordings");
      expect(problems).toEqual([]);
    });
  },
);

/** How many pixels of a list are beyond its right edge. */
function hiddenWidth(page: Page, list: string): Promise<number> {
  // A text, because the types of the tests are those of Node.js.
  return page.evaluate<number>(
    `(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.getElementById("${list}"))`,
  );
}
