import type dns from "node:dns";
import { createRequire } from "node:module";

import { Address, type Endpoint, type Family } from "../core/address/address.js";
import { AF_INET, AF_INET6 } from "../core/constants.js";
import { OSError } from "../core/errors/errors.js";
import { realClock } from "./clock.js";

/** The maximum number of names in the cache. If it is full, the name whose last use is the oldest is removed. */
const maxNames = 256;
/** How long an answer is used, in milliseconds: `getaddrinfo(3)` does not return how long it is valid. */
const freshMs = 10_000;
/** How long a failure is used, in milliseconds, so that a loop of sends does not ask the resolver for each datagram. */
const failedMs = 1_000;

interface Answer {
  readonly endpoints: Promise<readonly Endpoint[]>;
  /** A time of `realClock.now()`; `Infinity` until the resolver has answered. */
  staleAt: number;
}

const answers = new Map<string, Answer>();

/** Loads `node:dns` when the first name is looked up, since programs that use literal addresses do without its memory. */
const loadDns = (): typeof dns => createRequire(import.meta.url)("node:dns") as typeof dns;

/**
 * Resolves a name by `getaddrinfo(3)`, which uses `/etc/hosts` and the system's settings. Calls for the same name share one
 * answer while the resolver is being asked and for 10 s after it.
 *
 * @throws (rejects) `OSError` `ENOTFOUND` or `EAI_AGAIN`, with the host in the error.
 */
export function resolve(host: string, family: Family): Promise<readonly Endpoint[]> {
  const key = `${family} ${host}`;
  const known = answers.get(key);
  answers.delete(key);
  const answer = known && realClock.now() < known.staleAt ? known : ask(host, family);
  answers.set(key, answer);
  if (answers.size > maxNames) answers.delete(answers.keys().next().value as string);
  return answer.endpoints;
}

/** Removes a name from the cache. The next call asks the system. */
export function forget(host: string): void {
  for (const family of [AF_INET, AF_INET6]) answers.delete(`${family} ${host}`);
}

function ask(host: string, family: Family): Answer {
  const endpoints = lookup(host, family);
  const answer: Answer = { endpoints, staleAt: Infinity };
  endpoints.then(
    () => (answer.staleAt = realClock.now() + freshMs),
    () => (answer.staleAt = realClock.now() + failedMs),
  );
  return answer;
}

async function lookup(host: string, family: Family): Promise<readonly Endpoint[]> {
  const number = family === AF_INET ? 4 : 6;
  try {
    const found = await new Promise<dns.LookupAddress[]>((resolve, reject) => {
      loadDns().lookup(host, { family: number, all: true }, (error, list) =>
        error ? reject(error) : resolve(list),
      );
    });
    if (found.length > 0) return found.map(({ address }) => new Address(address, 0) as Endpoint);
  } catch (error) {
    throw notFound(host, number, error);
  }
  throw notFound(host, number, undefined);
}

function notFound(host: string, number: number, cause: unknown): OSError {
  const again = (cause as { code?: unknown } | undefined)?.code === "EAI_AGAIN";
  return new OSError(again ? "EAI_AGAIN" : "ENOTFOUND", {
    syscall: "getaddrinfo",
    address: host,
    cause,
    text: again ? "the name server did not answer" : `this name has no IPv${number} address`,
  });
}
