import { type Endpoint, isWildcard, unmapped } from "../address/address.js";
import { INADDR_BROADCAST } from "../constants.js";
import type { Driver } from "../driver/driver.js";
import type { Warning } from "../ledger/reports.js";
import { isMulticast, parseLiteral } from "../ip.js";
import type { MembershipChange } from "../driver/membership.js";
import { type SourceFilter, changeFilter } from "../driver/source-filter.js";

/**
 * Warns if a socket can never receive datagrams that the program expects. The kernel drops these datagrams silently:
 * datagrams to a group that the socket joined, if the socket is connected or bound to another address; answers, if the
 * socket is connected to a group.
 */
export class MembershipWarnings {
  readonly #driver: Driver;
  readonly #warn: (warning: Warning) => void;
  /** The joined groups, by group and interface. */
  readonly #joined = new Map<string, { group: string; filter: SourceFilter }>();
  /** The warning about a peer that is a group. `undefined` after it was emitted. */
  #noAnswers: Warning | undefined;
  #connected = false;

  constructor(driver: Driver, warn: (warning: Warning) => void) {
    this.#driver = driver;
    this.#warn = warn;
  }

  /** A membership has changed. */
  changed({ call, group, source, interface: at }: MembershipChange): void {
    const host = group.host.replace(/%.*/, "");
    const key = `${host}%${at ?? group.scope ?? ""}`;
    const filter = changeFilter(call, this.#joined.get(key)?.filter, source?.host ?? "", Infinity);
    if (filter === undefined) this.#joined.delete(key);
    else if (typeof filter === "object") this.#joined.set(key, { group: host, filter });
    if (call === "addMembership" || call === "addSourceMembership") this.#check(host);
  }

  /** The socket was bound. */
  bound(): void {
    this.#checkAll();
  }

  /** The socket was connected, or its peer was removed (`null`). */
  connected(peer: Endpoint | null): void {
    this.#connected = peer !== null;
    this.#noAnswers = peer && isForMany(peer) ? noAnswers(peer) : undefined;
    this.#checkAll();
  }

  /** A receive call has started to wait. */
  waits(): void {
    if (!this.#noAnswers) return;
    this.#warn(this.#noAnswers);
    this.#noAnswers = undefined;
  }

  #checkAll(): void {
    for (const { group } of this.#joined.values()) if (this.#check(group)) return;
  }

  /** Warns if a group cannot be received. Returns whether it warned. */
  #check(group: string): boolean {
    const local = this.#local();
    if (local === undefined || isWildcard(local) || local === group) return false;
    this.#warn(this.#connected ? connectedElsewhere(group) : boundElsewhere(group, local));
    return true;
  }

  #local(): string | undefined {
    try {
      return unmapped(this.#driver.local()).host.replace(/%.*/, "");
    } catch {
      // If the local address is not known, the current call must not fail.
      return undefined;
    }
  }
}

function boundElsewhere(group: string, local: string): Warning {
  return {
    code: "JOINED_BUT_BOUND",
    message: `this socket is bound to ${local} and receives nothing that is sent to ${group}: bind it to "" or to ${group}`,
  };
}

function connectedElsewhere(group: string): Warning {
  const text = "this socket is connected, and receives from its peer only";
  const message = `${text}, nothing sent to ${group}: join the group on another socket`;
  return { code: "JOINED_BUT_CONNECTED", message };
}

function noAnswers({ host }: Endpoint): Warning {
  const text = `this socket is connected to ${host}, and does not receive answers, which come from unicast addresses`;
  return {
    code: "CONNECTED_TO_GROUP",
    message: `${text}: send with sendto() on a socket that is not connected`,
  };
}

/** Whether an address is a group or the broadcast address. Answers to it come from other addresses. */
function isForMany(address: Endpoint): boolean {
  const { host } = unmapped(address);
  const bytes = parseLiteral(host)?.bytes;
  return host === INADDR_BROADCAST || (bytes !== undefined && isMulticast(bytes));
}
