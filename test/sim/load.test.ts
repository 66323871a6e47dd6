import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type * as callbackDns from "node:dns";
import type * as promisedDns from "node:dns/promises";
import module from "node:module";
import type * as nodeOs from "node:os";
import { type NetworkInterfaceInfo, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type * as built from "../../src/index.js";
import { type Host, Network } from "../../src/sim/index.js";

/** Packages as npm installs them, in a folder of their own. */
const packages: Record<string, string> = {
  "echo/package.json": `{ "name": "echo", "main": "lib/index" }`,
  "echo/lib/index.js": `#!/usr/bin/env node
    "use strict";
    const { setTimeout } = require("timers"); // a name that is global too
    const dgram = require("node:dgram");
    const { name } = require("../package.json");
    exports.name = name;
    exports.state = require("state");
    exports.listen = (port) => {
      const server = dgram.createSocket("udp4");
      server.on("message", (data, from) => server.send(data, from.port, from.address));
      server.bind(port);
    };
    exports.ask = (text, port, host) => new Promise((resolve, reject) => {
      const client = dgram.createSocket("udp4");
      let tries = 0, timer;
      const again = () => {
        if (++tries > 20) return reject(new Error("no answer"));
        client.send(text, port, host);
        timer = setTimeout(again, 250);
      };
      client.on("message", (data) => { clearTimeout(timer); client.close(); resolve(data.toString()); });
      again();
    });
    exports.repeat = (run) => setInterval(run, 100);
    exports.import = () => import ("modern");
  `,
  "state/index.js": `exports.count = 0; exports.self = require("echo"); exports.dgram = require("datagram/dgram");`,
  "broken/index.js": `throw new RangeError("not today");`,
  "addon/index.js": `module.exports = require("./addon.node");`,
  "addon/addon.node": "",
  "modern/package.json": `{ "name": "modern", "type": "module", "exports": { "import": "./index.js" } }`,
  "modern/index.js": `
    import { createSocket } from "node:dgram";
    import { createRequire, Module } from "node:module";
    import os, { hostname } from "os";
    import echo, { name } from "echo";
    import { other } from "./other.js";
    export const state = echo.state;
    export { createSocket, name, other };
    export const names = [os.hostname(), hostname(), createRequire(import.meta.url)("os").hostname(),
      Module.createRequire(import.meta.url)("os").hostname()];
  `,
  "modern/other.js": `export const other = {};`,
  "wrapper/index.js": `module.exports = require("../modern/index.js");`,
  "constructor/index.js": `exports.hosts = [require("module"), require("module").Module]
    .map(({ createRequire }) => createRequire(__filename)("os").hostname());`,
  "syntax/index.js": `export const answer = 42;`,
};

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "datagram-load-"));
  for (const [path, text] of Object.entries(packages)) {
    const file = join(folder, "node_modules", path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Echo {
  name: string;
  state: { count: number; self: object; dgram: object };
  listen(port: number): void;
  ask(text: string, port: number, host: string): Promise<string>;
  repeat(run: () => void): void;
  import(): Promise<Modern>;
}
interface Modern {
  createSocket: unknown;
  name: string;
  names: string[];
  other: object;
  state: Echo["state"];
}

function two(seed = 1, lossRatio = 0): { network: Network; a: Host; b: Host } {
  const network = new Network({ seed });
  const a = network.host("a", { addresses: ["10.0.0.1", "fd00::1"] });
  const b = network.host("b", { address: "10.0.0.2/16" });
  network.link(a, b, { latencyMs: 20, lossRatio });
  return { network, a, b };
}

const load = <T = Echo>(host: Host, name = "echo", shared?: string[]): Promise<T> =>
  host.load<T>(name, { from: join(folder, "index.js"), shared });

const hasHooks = "registerHooks" in module;

test("two hosts have their own copies of a package, and these exchange datagrams", async () => {
  const { network, a, b } = two();
  await network.run(async () => {
    const [client, server] = [await load(a), await load(b)];
    expect(client).not.toBe(server);
    expect(client.state).not.toBe(server.state);
    expect(await load(a)).toBe(client);
    expect(client.state.self).toBe(client);
    expect(client.name).toBe("echo");
    server.listen(7);
    expect(await client.ask("hello", 7, "b")).toBe("hello");
  });
  expect(network.trace.packets.map(({ link }) => link)).toEqual(["a→b", "b→a"]);
});

test("one seed gives one trace, and retries of the package take virtual time", async () => {
  const hashes = new Set<string>();
  for (let run = 0; run < 3; run++) {
    const { network, a, b } = two(5, 0.3);
    await network.run(async () => {
      (await load(b)).listen(7);
      const client = await load(a);
      for (let count = 0; count < 10; count++) expect(await client.ask(`${count}`, 7, "b")).toBe(`${count}`);
    });
    expect(network.trace.packets.some(({ fate }) => fate === "lost")).toBe(true);
    hashes.add(network.trace.hash);
  }
  expect(hashes.size).toBe(1);
});

test("os.hostname() and os.networkInterfaces() are those of the host", async () => {
  const { network, a, b } = two();
  await network.run(async () => {
    const os = await a.load<typeof nodeOs>("node:os");
    expect(os.hostname()).toBe("a");
    expect(os.EOL).toBe("\n");
    const found: NodeJS.Dict<NetworkInterfaceInfo[]> = os.networkInterfaces();
    expect(found.lo?.map(({ cidr, internal }) => [cidr, internal])).toEqual([
      ["127.0.0.1/8", true],
      ["::1/128", true],
    ]);
    expect(found.eth0).toEqual([
      {
        address: "10.0.0.1",
        netmask: "255.255.255.0",
        family: "IPv4",
        mac: "02:02:0a:00:00:01",
        internal: false,
        cidr: "10.0.0.1/24",
      },
      {
        address: "fd00::1",
        netmask: "ffff:ffff:ffff:ffff::",
        family: "IPv6",
        mac: "02:02:0a:00:00:01",
        internal: false,
        cidr: "fd00::1/64",
        scopeid: 0,
      },
    ]);
    const other = (await b.load<typeof nodeOs>("os")).networkInterfaces();
    expect(other.lo).toHaveLength(1);
    expect(other.eth0?.[0]?.netmask).toBe("255.255.0.0");
  });
});

describe("node:dns", () => {
  test("look-ups know the names of the network", async () => {
    const { network, a } = two();
    await network.run(async () => {
      const dns = await a.load<typeof promisedDns>("node:dns/promises");
      expect(await dns.lookup("b")).toEqual({ address: "10.0.0.2", family: 4 });
      expect(await dns.lookup("a", { all: true })).toEqual([
        { address: "10.0.0.1", family: 4 },
        { address: "fd00::1", family: 6 },
      ]);
      expect(await dns.lookup("a", 6)).toEqual({ address: "fd00::1", family: 6 });
      expect(await dns.lookup("192.0.2.1")).toEqual({ address: "192.0.2.1", family: 4 });
      expect(await dns.resolve4("b", { ttl: true })).toEqual([{ address: "10.0.0.2", ttl: 0 }]);
      expect(await dns.resolve("a", "AAAA")).toEqual(["fd00::1"]);
      expect(await dns.reverse("10.0.0.2")).toEqual(["b"]);
      expect(await new dns.Resolver().resolve4("b")).toEqual(["10.0.0.2"]);
    });
  });

  test("unknown names and types of records fail as in Node.js, and the machine is not asked", async () => {
    const { network, a } = two();
    await network.run(async () => {
      const dns = await a.load<typeof promisedDns>("dns/promises");
      await expect(dns.lookup("example.com")).rejects.toMatchObject({
        message: "getaddrinfo ENOTFOUND example.com",
        code: "ENOTFOUND",
        syscall: "getaddrinfo",
        hostname: "example.com",
      });
      await expect(dns.resolve4("example.com")).rejects.toThrow("queryA ENOTFOUND example.com");
      await expect(dns.resolve6("b")).rejects.toMatchObject({ code: "ENODATA", syscall: "queryAaaa" });
      await expect(dns.resolveTxt("b")).rejects.toMatchObject({ code: "ENODATA", syscall: "queryTxt" });
      await expect(dns.reverse("10.0.0.9")).rejects.toMatchObject({ code: "ENOTFOUND" });
    });
  });

  test("the calls with callbacks answer later", async () => {
    const { network, a } = two();
    await network.run(async () => {
      const dns = await a.load<typeof callbackDns>("dns");
      for (const call of [dns.lookup, dns.resolve4, dns.lookupService] as ((...given: unknown[]) => void)[])
        expect(() => call("b", 53)).toThrow(
          expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }) as Error,
        );
      const order: unknown[] = [];
      await new Promise<void>((resolve) => {
        dns.lookup("b", (...results) => order.push(...results));
        dns.lookup("b", { all: true }, (_error, found) => order.push(found));
        dns.resolve4("nobody", (error) => {
          order.push(error?.code);
          resolve();
        });
        order.push("first");
      });
      expect(order).toEqual([
        "first",
        null,
        "10.0.0.2",
        4,
        [{ address: "10.0.0.2", family: 4 }],
        "ENOTFOUND",
      ]);
      expect(dns.NODATA).toBe("ENODATA");
    });
  });

  test("util.promisify() returns objects, as with Node.js", async () => {
    const { network, a } = two();
    await network.run(async () => {
      const dns = await a.load<typeof callbackDns>("dns");
      expect(await promisify(dns.lookup)("b", 4)).toEqual({ address: "10.0.0.2", family: 4 });
      expect(await promisify(dns.lookupService)("10.0.0.2", 53)).toEqual({ hostname: "b", service: "53" });
    });
  });
});

test("a crash ends the timers of the host, and the next load makes a new copy", async () => {
  const { network, a, b } = two();
  await network.run(async () => {
    const [first, other] = [await load(a), await load(b)];
    let [ticks, others] = [0, 0];
    first.repeat(() => ticks++);
    other.repeat(() => others++);
    first.state.count = 1;
    await network.eventually(() => ticks === 3);
    a.crash();
    await expect(load(a)).rejects.toMatchObject({ code: "ENETDOWN" });
    await network.eventually(() => others === 10);
    expect(ticks).toBe(3);
    a.restart();
    expect((await load(a)).state.count).toBe(0);
  });
});

test("a copy ends with its run, and outside of a run nothing can be loaded", async () => {
  const { network, a } = two();
  const first = await network.run(() => load(a));
  await expect(load(a)).rejects.toMatchObject({
    code: "ERR_SIM_LOAD",
    message: "host.load: only possible within network.run()",
  });
  expect(await network.run(() => load(a))).not.toBe(first);
});

test("a native addon is refused, and the message says how to share its package", async () => {
  const { network, a } = two();
  await network.run(async () => {
    await expect(load(a, "addon")).rejects.toMatchObject({
      code: "ERR_SIM_LOAD",
      message: expect.stringContaining(`{ shared: ["addon"] } loads addon once for all hosts`) as string,
    });
    const outside = join(mkdtempSync(join(tmpdir(), "datagram-")), "own.node");
    writeFileSync(outside, "");
    await expect(load(a, outside)).rejects.toMatchObject({
      code: "ERR_SIM_LOAD",
      message: expect.stringMatching(/is a native addon, which would use the real network$/) as string,
    });
  });
});

test("shared packages are loaded once for all hosts", async () => {
  const { network, a, b } = two();
  await network.run(async () => {
    expect(await load(a, "syntax/../echo/package.json", ["echo"])).toBe(
      await load(b, "echo/package.json", ["echo"]),
    );
  });
});

test("errors of packages and of the resolution pass", async () => {
  const { network, a } = two();
  await network.run(async () => {
    await expect(load(a, "broken")).rejects.toThrow(new RangeError("not today"));
    await expect(load(a, "nothing")).rejects.toMatchObject({ code: "MODULE_NOT_FOUND" });
    await expect(a.load(1 as never)).rejects.toThrow("specifier must be a string or a URL");
    await expect(a.load("echo", { from: 1 as never })).rejects.toThrow("from must be a path or a URL");
    await expect(a.load("echo", { shared: "echo" as never })).rejects.toThrow("shared must be an array");
    await expect(a.load("echo", { share: [] } as never)).rejects.toThrow("share");
  });
});

test("createRequire() makes a require() of the host, also in a package with the name of a method", async () => {
  const { network, a } = two();
  await network.run(async () => {
    expect(await load(a, "constructor")).toEqual({ hosts: ["a", "a"] });
  });
});

test("a file is loaded by its URL", async () => {
  const { network, a } = two();
  await network.run(async () => {
    const url = pathToFileURL(join(folder, "node_modules/echo/lib/index.js"));
    expect(await a.load(url)).toBe(await load(a));
  });
});

test.skipIf(hasHooks)("an ES module needs a newer Node.js, and the error says so", async () => {
  const { network, a } = two();
  await network.run(async () => {
    for (const name of ["modern", "wrapper", "syntax"])
      await expect(load(a, name)).rejects.toMatchObject({
        code: "ERR_SIM_LOAD",
        message: expect.stringContaining("is an ES module, and this needs Node.js 22.15 or later") as string,
      });
  });
});

const builtFile = new URL("../../dist/index.js", import.meta.url);

test.runIf(hasHooks && existsSync(builtFile))(
  "a copy of this package uses the sockets of the host",
  async () => {
    const { network, a, b } = two();
    await network.run(async () => {
      const datagram = await a.load<typeof built>(builtFile);
      const receiver = b.socket();
      await receiver.bind(["10.0.0.2", 7]);
      const sender = datagram.socket();
      await sender.sendto("hello", ["b", 7]);
      const [data, source] = await receiver.recvfrom(100);
      expect([data.toString(), source.host]).toEqual(["hello", "10.0.0.1"]);
    });
  },
);

test.runIf(hasHooks)(
  "ES modules have the modules of the host too, and each host its own copies",
  async () => {
    const { network, a, b } = two();
    await network.run(async () => {
      const [first, second] = [await load<Modern>(a, "modern"), await load<Modern>(b, "modern")];
      expect(first.names).toEqual(["a", "a", "a", "a"]);
      expect(second.names).toEqual(["b", "b", "b", "b"]);
      expect(first.other).not.toBe(second.other);
      expect(first.name).toBe("echo");
      const echo = await load(a);
      expect(first.state).toBe(echo.state);
      expect(first.createSocket).toBe((echo.state.dgram as Modern).createSocket);
      expect(await load(a, "wrapper")).toBe(first);
      expect(await echo.import()).toBe(first);
      expect(await load(a, "syntax")).toMatchObject({ answer: 42 });
    });
  },
);
