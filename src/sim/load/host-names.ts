import { createRequire } from "node:module";
import process from "node:process";
import { promisify } from "node:util";

import type { Family } from "../../core/address/address.js";
import { AF_INET, AF_INET6 } from "../../core/constants.js";
import type { Stack } from "../../core/driver/driver.js";
import { wrongType } from "../../core/errors/errors.js";
import { parseLiteral } from "../../core/ip.js";

/** Who has which name in the network. */
export interface HostNames {
  readonly resolve: Stack["resolve"];
  /** The name of the node that has an address. */
  readonly nameOf: (address: string) => string | undefined;
}

/** The modules `node:dns` and `node:dns/promises` of a host. */
export interface HostDns {
  readonly dns: object;
  readonly promises: object;
}

type Callback = (error: Error | null, ...results: unknown[]) => void;
type PromiseCall = (...given: unknown[]) => Promise<unknown>;

interface LookupOptions {
  readonly family?: number | string | undefined;
  readonly all?: boolean | undefined;
}

interface LookupAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Types of records that no name of the network has. */
const emptyTypes = ["Caa", "Cname", "Mx", "Naptr", "Ns", "Ptr", "Soa", "Srv", "Tlsa", "Txt"];

/** `EAI_NONAME`, as libuv numbers it. */
const notFoundErrno = -3008;

/**
 * Makes the look-ups of a host: names are the names of the hosts of the network, and `localhost`. The machine is never asked.
 *
 * @param later calls a callback in a later turn of the event loop, in virtual time.
 */
export function hostDns(names: HostNames, later: (run: () => void) => void): HostDns {
  const turn = (): Promise<void> =>
    new Promise((resolve) => {
      later(resolve);
    });
  const find = async (name: string, family: Family): Promise<LookupAddress[]> => {
    const literal = parseLiteral(name);
    if (literal)
      return (literal.bytes.length === 4) === (family === AF_INET)
        ? [{ address: name, family: family === AF_INET ? 4 : 6 }]
        : [];
    try {
      const found = await names.resolve(name, family);
      return found.map(({ host }) => ({ address: host, family: family === AF_INET ? 4 : 6 }));
    } catch {
      return [];
    }
  };
  const findBoth = async (name: string): Promise<LookupAddress[]> => [
    ...(await find(name, AF_INET)),
    ...(await find(name, AF_INET6)),
  ];

  const lookupAll = async (name: unknown, options: LookupOptions): Promise<LookupAddress[]> => {
    if (typeof name !== "string") throw wrongType("hostname", "a string", name);
    await turn();
    const version = Number(String(options.family ?? 0).replace("IPv", ""));
    const found = version === 0 ? await findBoth(name) : await find(name, version === 4 ? AF_INET : AF_INET6);
    if (found.length > 0) return found;
    // An IP address of the other family is returned as it is.
    const literal = parseLiteral(name);
    if (literal) return [{ address: name, family: literal.bytes.length === 4 ? 4 : 6 }];
    throw dnsError("getaddrinfo", "ENOTFOUND", name, notFoundErrno);
  };
  const readLookup = (options: unknown): LookupOptions =>
    typeof options === "object" && options !== null
      ? options
      : { family: options as LookupOptions["family"] };

  const records = async (syscall: string, name: unknown, family?: Family): Promise<string[]> => {
    if (typeof name !== "string") throw wrongType("name", "a string", name);
    await turn();
    const all = await findBoth(name);
    if (all.length === 0) throw dnsError(syscall, "ENOTFOUND", name);
    const wanted = all.filter((each) => each.family === (family === AF_INET ? 4 : 6));
    if (family === undefined || wanted.length === 0) throw dnsError(syscall, "ENODATA", name);
    return wanted.map(({ address }) => address);
  };
  const addressRecords = (family: Family): PromiseCall => {
    const syscall = family === AF_INET ? "queryA" : "queryAaaa";
    return async (name, options) => {
      const found = await records(syscall, name, family);
      if ((options as { ttl?: boolean } | undefined)?.ttl !== true) return found;
      return found.map((address) => ({ address, ttl: 0 }));
    };
  };
  const byType: Record<string, PromiseCall> = { A: addressRecords(AF_INET), AAAA: addressRecords(AF_INET6) };
  const resolving: Record<string, PromiseCall> = {
    resolve4: byType.A as PromiseCall,
    resolve6: byType.AAAA as PromiseCall,
    resolveAny: async (name) => {
      await records("queryAny", name, undefined).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== "ENODATA") throw error;
      });
      return (await findBoth(name as string)).map(({ address, family }) => ({
        address,
        ttl: 0,
        type: family === 4 ? "A" : "AAAA",
      }));
    },
    reverse: async (address) => {
      await turn();
      const name = names.nameOf(String(address));
      if (name === undefined) throw dnsError("getHostByAddr", "ENOTFOUND", String(address));
      return [name];
    },
  };
  for (const type of emptyTypes) {
    const none: PromiseCall = (name) => records(`query${type}`, name);
    resolving[`resolve${type}`] = byType[type.toUpperCase()] = none;
  }
  resolving.resolve = async (name, type = "A") => {
    const call = type === "ANY" ? resolving.resolveAny : byType[String(type)];
    if (!call) throw wrongType("rrtype", "a type of records", type);
    return call(name);
  };
  const lookupService: PromiseCall = async (address, port) => {
    await turn();
    const hostname = names.nameOf(String(address)) ?? String(address);
    return { hostname, service: String(port) };
  };
  const settings = {
    getServers: () => [],
    setServers: () => undefined,
    getDefaultResultOrder: () => "verbatim",
    setDefaultResultOrder: () => undefined,
  };
  const withCallbacks = Object.fromEntries(
    Object.entries(resolving).map(([name, call]) => [name, calledBack(call)]),
  );
  const promises = {
    ...constantsOf("node:dns/promises"),
    ...resolving,
    ...settings,
    Resolver: resolverClass(resolving, settings),
    lookup: async (name: unknown, options?: unknown) => {
      const read = readLookup(options);
      const found = await lookupAll(name, read);
      return read.all === true ? found : found[0];
    },
    lookupService,
  };
  // With more than one result, `promisify` of Node.js returns an object.
  const promisified = <T extends object>(call: T, value: PromiseCall): T =>
    Object.defineProperty(call, promisify.custom, { value });
  const dns = {
    ...constantsOf("node:dns"),
    ...withCallbacks,
    ...settings,
    Resolver: resolverClass(withCallbacks, settings),
    promises,
    lookup: promisified((name: unknown, ...rest: unknown[]) => {
      const options = readLookup(rest.length > 1 ? rest[0] : undefined);
      const ask = (): Promise<LookupAddress[]> => lookupAll(name, options);
      tell(ask, rest.at(-1), (found) =>
        options.all === true
          ? [found]
          : [(found[0] as LookupAddress).address, (found[0] as LookupAddress).family],
      );
    }, promises.lookup),
    lookupService: promisified((address: unknown, port: unknown, done: unknown) => {
      const ask = (): Promise<object> => lookupService(address, port) as Promise<object>;
      tell(ask, done, (found) => Object.values(found) as unknown[]);
    }, lookupService),
  };
  return { dns, promises };
}

/** A call with a callback, of one with a promise. */
function calledBack(call: PromiseCall): (...given: unknown[]) => void {
  return (...given) => {
    tell(
      () => call(...given.slice(0, -1)),
      given.at(-1),
      (result) => [result],
    );
  };
}

/** Calls a callback with a result, from a tick, as Node.js does: an error that it throws is an uncaught exception. */
function tell<T>(ask: () => Promise<T>, done: unknown, results: (value: T) => unknown[]): void {
  if (typeof done !== "function") throw wrongType("callback", "a function", done);
  const callback = done as Callback;
  ask().then(
    (value) => {
      process.nextTick(callback, null, ...results(value));
    },
    (error: unknown) => {
      process.nextTick(callback, error);
    },
  );
}

function resolverClass(calls: object, settings: object): unknown {
  class Resolver {
    cancel(): void {
      // Nothing waits on the network.
    }
    setLocalAddress(): void {
      // Nothing is sent.
    }
  }
  Object.assign(Resolver.prototype, calls, settings);
  return Resolver;
}

/** The constants of a module: `NODATA`, `ADDRCONFIG`. Its functions ask the machine. */
function constantsOf(module: string): object {
  const all = createRequire(import.meta.url)(module) as object;
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => typeof value === "string" || typeof value === "number"),
  );
}

function dnsError(syscall: string, code: string, hostname: string, errno?: number): Error {
  const error = new Error(`${syscall} ${code} ${hostname}`);
  return Object.assign(error, { errno, code, syscall, hostname });
}
