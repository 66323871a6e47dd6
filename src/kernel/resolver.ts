import dns from "node:dns";

import { Address, type Endpoint, type Family } from "../core/address/address.js";
import { AF_INET, AF_INET6 } from "../core/constants.js";
import { OSError } from "../core/errors/errors.js";
import { realClock } from "./clock.js";

/** Names that are remembered; the one asked for longest ago makes room. */
const mostNames = 256;
/** How long an answer is believed, in milliseconds: `getaddrinfo(3)` does not say how long it holds. */
const freshMs = 10_000;
/** How long a failure is believed, so that a loop of sends does not ask at each. */
const failedMs = 1_000;

interface Answer {
  readonly endpoints: Promise<readonly Endpoint[]>;
  /** On the clock; `Infinity` while the resolver is being asked. */
  staleAt: number;
}

const answers = new Map<string, Answer>();

/**
 * The addresses of a name by `getaddrinfo(3)`, so with `/etc/hosts` and the system's settings. Whoever asks for the
 * same name meanwhile, or within the next 10 s, shares one answer.
 *
 * @throws (rejects) `OSError` `ENOTFOUND` or `EAI_AGAIN` naming the host.
 */
export function resolve(host: string, family: Family): Promise<readonly Endpoint[]> {
  const key = `${family} ${host}`;
  const known = answers.get(key);
  answers.delete(key);
  const answer = known && realClock.now() < known.staleAt ? known : ask(host, family);
  answers.set(key, answer);
  if (answers.size > mostNames) answers.delete(answers.keys().next().value as string);
  return answer.endpoints;
}

/** Forgets what is known of a name: whoever asks next asks the system. */
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
      dns.lookup(host, { family: number, all: true }, (error, list) =>
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
