/** docs/fields.md says which driver has which field and option. Each cell is compared with what the driver does. */

import { readFileSync } from "node:fs";

import * as datagram from "datagram";
import {
  AF_INET,
  AF_INET6,
  type Feature,
  IPPROTO_IP,
  IPPROTO_IPV6,
  OSError,
  SOL_SOCKET,
  type Socket,
} from "datagram";
import { expect } from "vitest";

import { type World, contract, soon } from "./world.js";

const document = readFileSync(new URL("../../docs/fields.md", import.meta.url), "utf8");
/** The drivers of the columns, in their order. */
const columns = ["native", "dgram", "sim"];
/** The cells of this driver, by the name in the first column. Other texts tell what a feature depends on. */
const checked = /^(yes|no|no effect|`undefined`|`[A-Z]+`)$/;

/** The rows of one table, below its heading. */
function rowsOf(heading: string, driver: string): Map<string, string> {
  const table = document.split(/^## /m).find((section) => section.startsWith(`${heading}\n`)) ?? "";
  const rows = [...table.matchAll(/^\| `(\w+)` +\| (.*) \|$/gm)];
  return new Map(
    rows.map(([, name = "", cells = ""]) => [name, cells.split("|")[columns.indexOf(driver)]?.trim() ?? ""]),
  );
}

/** Compares a table with what was found, except cells that name a condition. */
function compare(heading: string, driver: string, found: ReadonlyMap<string, string>): void {
  const rows = rowsOf(heading, driver);
  expect([...rows.keys()].sort()).toEqual([...found.keys()].sort());
  const plain = (cells: ReadonlyMap<string, string>): unknown =>
    Object.fromEntries([...cells].filter(([name]) => checked.test(rows.get(name) ?? "")));
  expect(plain(found)).toEqual(plain(rows));
}

const presence = (value: unknown): string => (value === undefined ? "`undefined`" : "yes");

/** `yes`, or the code of the error. */
async function outcome(call: () => unknown): Promise<string> {
  try {
    await call();
    return "yes";
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    return `\`${error.code}\``;
  }
}

/** A datagram that a socket sent to itself, over a socket that has counted it. */
async function exchange({ bound }: World): Promise<{ s: Socket; message: datagram.Datagram }> {
  const s = await bound();
  await s.sendto("hello", s.getsockname());
  return { s, message: await s.recvmsg(soon) };
}

// semantics: fields-table
contract("the table of received fields is right", async (world) => {
  const { s, message } = await exchange(world);
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(message)).concat(Object.keys(message));
  const fields = names.filter(
    (name) => !["constructor", "reply", "toString"].includes(name),
  ) as (keyof typeof message)[];
  compare("A received datagram", s.driver, new Map(fields.map((name) => [name, presence(message[name])])));
});

// semantics: fields-table
contract("the table of fields of a datagram to send is right", async (world) => {
  const s = await world.bound();
  const to = s.getsockname();
  const fields = { source: to.host, interface: world.loopback, ttl: 5, tos: 4, ecn: 1, probe: true };
  const found = new Map([
    ["data", "yes"],
    ["address", "yes"],
  ]);
  for (const [name, value] of Object.entries(fields))
    found.set(name, await outcome(() => s.sendmsg({ data: "hello", address: to, [name]: value })));
  compare("A datagram to send", s.driver, found);
});

// semantics: fields-table
contract("the table of options of a socket is right", async ({ socket }) => {
  const { capabilities, driver } = socket();
  const has = (feature: Feature, otherwise: string): string =>
    capabilities[feature].available ? "yes" : otherwise;
  const opened = {
    receiveBuffer: 65_536,
    sendBuffer: 65_536,
    sendQueue: 65_536,
    strict: true,
    dontFragment: true,
  };
  const found = new Map([
    ["metadata", has("packetInfo", "no effect")],
    ["busyPoll", has("busyPoll", "no effect")],
    ["fd", has("descriptors", "`ENOTSUP`")],
  ]);
  for (const [name, value] of Object.entries(opened))
    found.set(name, await outcome(() => socket(AF_INET, { [name]: value }).bind(["", 0])));
  compare("The options of socket()", driver, found);
});

// semantics: fields-table
contract("the table of counts is right", async (world) => {
  const { s } = await exchange(world);
  const found = Object.entries(s.stats()).map(([name, value]) => [name, presence(value)] as const);
  compare("The counts of a socket", s.driver, new Map(found));
});

// semantics: fields-table
contract("the table of features is right", ({ socket }) => {
  const { capabilities, driver } = socket();
  const found = Object.entries(capabilities).map(
    ([name, { available }]) => [name, available ? "yes" : "no"] as const,
  );
  compare("The features", driver, new Map<string, string>(found as [Feature, string][]));
});

// semantics: fields-table
contract("the table of socket options is right", async ({ loopback, socket }) => {
  const names = Object.keys(datagram).filter((name) => /^(SO|IP|IPV6)_(?!PMTUDISC)/.test(name));
  const found = new Map<string, string>();
  for (const name of names) {
    const level = name.startsWith("SO_") ? SOL_SOCKET : name.startsWith("IP_") ? IPPROTO_IP : IPPROTO_IPV6;
    const option = datagram[name as keyof typeof datagram] as number;
    const value = /_IF$|DEVICE$/.test(name) ? loopback : 1;
    const s = socket(name.startsWith("IPV6_") ? AF_INET6 : AF_INET);
    let code = await outcome(() => s.setsockopt(level, option, value));
    // The option can only be read.
    if (code === "`ENOPROTOOPT`") code = await outcome(() => s.getsockopt(level, option));
    // Any other error says that the driver has the option, such as EPERM without a privilege.
    found.set(name, code === "`ENOTSUP`" ? code : "yes");
  }
  compare("Options by name", socket().driver, found);
});
