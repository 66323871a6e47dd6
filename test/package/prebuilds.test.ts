/** The addons of `npm run build:addons` run with old C libraries, and with musl. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { home, requireAll } from "../process/programs.js";
import { type Library, readLibrary } from "./elf.js";

/** For each CPU its `e_machine`, and the newest version of glibc that its addon may need. */
const cpus = {
  x64: { machine: 62, floor: "2.17" },
  arm64: { machine: 183, floor: "2.17" },
  arm: { machine: 40, floor: "2.28" },
} as const;

/** Functions of the C library that an addon may call. musl has each of them, with the same arguments. */
const allowed = new Set([
  ...["__cxa_finalize", "__errno_location", "clock_gettime", "raise", "syscall"],
  ...["calloc", "free", "malloc", "realloc"],
  ...["memcmp", "memcpy", "memmove", "memset", "strcmp", "strcspn", "strlen", "strncmp", "strspn"],
  ...["fclose", "fgets", "fopen"],
  ...["pthread_mutex_lock", "pthread_mutex_unlock"],
  ...[
    "bind",
    "close",
    "connect",
    "fcntl",
    "getauxval",
    "getpeername",
    "getsockname",
    "getsockopt",
    "setsockopt",
    "socket",
  ],
  ...["if_indextoname", "if_nametoindex", "recvmmsg", "recvmsg", "sendmsg"],
]);

/** musl, as Debian's package `musl` installs it. */
const musl = `/lib/ld-musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1`;

for (const [arch, { machine, floor }] of Object.entries(cpus)) {
  const file = join(home, `prebuilds/linux-${arch}/datagram.node`);
  const missing = !requireAll && !existsSync(file);
  const name = `the addon for linux-${arch}`;
  describe.skipIf(missing)(missing ? `${name} (skipped: npm run build:addons builds it)` : name, () => {
    test("is for this CPU, and has only the exports that Node.js looks for", () => {
      const { machine: found, exports } = readLibrary(readFileSync(file));
      expect(found).toBe(machine);
      expect([...exports].sort()).toEqual(["napi_register_module_v1", "node_api_module_get_api_version_v1"]);
    });

    test("needs no library except that of C, and no function of it that musl lacks", () => {
      const library = readLibrary(readFileSync(file));
      expect(library.needed).toEqual(["libc.so.6"]);
      expect(namesOfC(library).filter((each) => !allowed.has(each))).toEqual([]);
    });

    test(`runs with glibc ${floor}`, () => {
      const versions = readLibrary(readFileSync(file)).imports.flatMap(({ version }) => version ?? []);
      expect(versions).not.toEqual([]);
      const tooNew = versions.filter(
        (each) => !each.startsWith("GLIBC_") || compare(each.slice(6), floor) > 0,
      );
      expect(tooNew).toEqual([]);
    });

    test("takes everything else from Node.js", () => {
      const others = readLibrary(readFileSync(file)).imports.filter(
        ({ version, weak }) => version === undefined && !weak,
      );
      expect(others.map((each) => each.name).filter((each) => !/^(napi|uv)_/.test(each))).toEqual([]);
    });
  });
}

const noMusl = !requireAll && !existsSync(musl);

test.skipIf(noMusl)(
  `musl has every function that an addon may call${noMusl ? " (skipped: no musl)" : ""}`,
  () => {
    const { exports } = readLibrary(readFileSync(musl));
    expect([...allowed].filter((each) => !exports.includes(each))).toEqual([]);
  },
);

/** The names that a library needs from the C library. */
function namesOfC({ imports }: Library): string[] {
  return imports.filter(({ version }) => version !== undefined).map(({ name }) => name);
}

/** Compares two versions such as `2.9` and `2.28`. */
function compare(one: string, other: string): number {
  const [a, b] = [one, other].map((each) => each.split(".").map(Number));
  for (let at = 0; at < Math.max(a!.length, b!.length); at++) {
    const difference = (a![at] ?? 0) - (b![at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
