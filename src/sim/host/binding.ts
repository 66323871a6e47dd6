import { type Endpoint, type Family, anyAddress, isWildcard } from "../../core/address/address.js";
import {
  bindsToAllText,
  boundElsewhereText,
  lacksAddressText,
  noInterfaceText,
  scopeConflictText,
  wideScope,
  withoutWideScope,
} from "../../core/address/scopes.js";
import { sharedAddress } from "../../core/address/cache.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import { AF_INET } from "../../core/constants.js";
import { OSError } from "../../core/errors/errors.js";
import { forSocket, isGroup, isLoopback, limitedBroadcast, onTheWire } from "../node/addresses.js";
import type { Fabric } from "../node/fabric.js";
import type { Interface } from "../node/node.js";
import type { Packet } from "../packet/packet.js";
import type { Ip, Way } from "./ip.js";
import type { SimOptions } from "./options.js";
import type { Bound, BoundSocket } from "./ports.js";

/** What a binding is made of. */
export interface BindingParts {
  readonly fabric: Fabric;
  readonly ip: Ip;
  readonly family: Family;
  readonly options: SimOptions;
}

/** How datagrams leave for a destination. */
export interface Route {
  readonly to: Endpoint;
  readonly way: Way;
  readonly source: string;
  /** Of the network, whose changes make it void. */
  readonly generation: number;
}

/** Why a datagram does not leave. */
export interface Refusal {
  readonly code: string;
  readonly text?: string;
}

/** Where one socket is bound and connected: which datagrams it gets, and by what way and from where its own leave. */
export class Binding implements Bound {
  readonly options: SimOptions;
  /** 0 until it is bound. */
  port = 0;
  readonly #socket: BoundSocket;
  readonly #fabric: Fabric;
  readonly #ip: Ip;
  readonly #family: Family;
  /** As it was bound, in the spelling of its family; then as a connect chose it. */
  #boundTo: Endpoint;
  #local: Endpoint;
  #peer: Endpoint | null = null;
  #peerGiven: Endpoint | undefined;
  /** The peer as it is in packets. */
  #peerHost = "";
  /** Of the last datagram that named nothing but a destination. */
  #route: Route | undefined;

  constructor(socket: BoundSocket, { fabric, ip, family, options }: BindingParts) {
    this.options = options;
    this.#socket = socket;
    this.#fabric = fabric;
    this.#ip = ip;
    this.#family = family;
    this.#boundTo = this.#local = anyAddress(family);
  }

  /** The address that the socket has, as it tells it. */
  get local(): Endpoint {
    return this.#local;
  }

  /** Whom it is connected to. */
  get peer(): Endpoint | null {
    return this.#peer;
  }

  /** Whether a datagram goes to the connected peer, however that is written; also where there is none. */
  isForPeer(to: Endpoint | null): boolean {
    return !to || !this.#peer || to.equals(this.#peer) || this.#peerGiven?.equals(to) === true;
  }

  /** The endpoint of a host as it is in packets: the peer itself where that is meant. */
  known(host: string, port: number): Endpoint {
    if (this.#peer?.port === port && this.#peerHost === host) return this.#peer;
    return sharedAddress(forSocket(host, this.#family), port) as Endpoint;
  }

  /** @throws `OSError` of bind(2): `EINVAL`, `ENODEV`, `EADDRNOTAVAIL`, `EADDRINUSE`. */
  bind(at: Endpoint): void {
    const about = { syscall: "bind", address: at.host, port: at.port };
    if (this.port !== 0) throw new OSError("EINVAL", about);
    const host = onTheWire(at.host);
    if (at.scope !== undefined && !this.#ip.interface(at.scope))
      throw new OSError("ENODEV", { ...about, text: noInterfaceText(at.scope) });
    if (!this.#mayBind(host)) throw new OSError("EADDRNOTAVAIL", about);
    this.#checkScope(at, host);
    if (at.port > 0 || !this.options.bindAddressNoPort) this.#take(host, at.port, about);
    this.#boundTo = this.#local = withoutWideScope(at).withPort(this.port) as Endpoint;
    this.#route = undefined;
  }

  /** @throws `OSError` of connect(2): `EACCES`, `ENETUNREACH`, `EHOSTUNREACH`, `ENODEV`; `EADDRINUSE` of bind(2). */
  connect(to: Endpoint | null): void {
    this.#route = undefined;
    if (this.#peer) {
      this.#peer = null;
      this.#peerHost = "";
      this.#local = this.#boundTo;
    }
    if (!to) return;
    const about = { syscall: "connect", address: to.host, port: to.port };
    const way = this.wayTo(to);
    if (typeof way === "string") throw new OSError(way, { ...about, ...this.#whyNot(way, to, undefined) });
    if (way.kind === "broadcast" && !this.options.broadcast) throw new OSError("EACCES", about);
    this.#bindAtNeed();
    const host = forSocket(way.destination, this.#family);
    const scope = to.scope === undefined || isLoopback(way.destination) ? "" : `%${to.scope}`;
    this.#peer = sharedAddress(host + scope, to.port) as Endpoint;
    this.#peerHost = way.destination;
    this.#peerGiven = to;
    if (isWildcard(this.#boundTo.host)) {
      this.#local = sharedAddress(forSocket(way.source, this.#family), this.port) as Endpoint;
    }
  }

  /** Gives the port back, once the socket is closed. */
  release(): void {
    if (this.port !== 0) this.#ip.ports.remove(this.#socket, this.port);
  }

  /** An option was set: it may change the way of the next datagram. */
  forgetRoute(): void {
    this.#route = undefined;
  }

  /** How a datagram leaves; binds the socket where it is not bound yet. */
  routeTo(to: Endpoint, how: Ancillary | undefined): Route | Refusal {
    const { generation } = this.#fabric;
    const last = this.#route;
    if (how === undefined && last?.to === to && last.generation === generation) return last;
    const way = this.wayTo(to, how);
    if (typeof way === "string") return { code: way, ...this.#whyNot(way, to, how) };
    if (way.kind === "broadcast" && !this.options.broadcast) return { code: "EACCES" };
    const source = how?.source ? onTheWire(how.source.host) : this.#sourceOf(way);
    if (how?.source && !this.#ip.isOwn(source)) {
      const code = way.version === 4 ? "ENETUNREACH" : "EINVAL";
      return { code, text: `${how.source.host} may be no address of this host` };
    }
    if (way.by !== this.#ip.lo && isLoopback(source)) return { code: "EINVAL" };
    try {
      this.#bindAtNeed();
    } catch (error) {
      return { code: (error as OSError).code };
    }
    const route = { to, way, source, generation };
    if (how === undefined) this.#route = route;
    return route;
  }

  /** The way to a destination by the interface that was chosen for it; the code of an error where there is none. */
  wayTo(to: Endpoint, how?: Ancillary): Way | string {
    const host = onTheWire(to.host);
    const { device, v6only } = this.options;
    // udpv6_sendmsg, net/ipv6/udp.c.
    if (v6only && !host.includes(":")) return "ENETUNREACH";
    const { multicastInterface, unicastInterface } = this.options.over(host.includes(":") ? 6 : 4);
    const bound = device === "" ? undefined : device;
    const group = isGroup(host) && host !== limitedBroadcast;
    const by = how?.interface ?? to.scope ?? bound ?? (group ? multicastInterface : unicastInterface);
    if (by === undefined || isWildcard(by)) return this.#ip.way(host);
    const found = this.#ip.interface(by);
    if (!found) return "ENODEV";
    for (const other of [to.scope, bound]) {
      if (other === undefined || other === by) continue;
      const same = this.#ip.interface(other);
      if (same !== found) return same ? "EINVAL" : "ENODEV";
    }
    return this.#ip.way(host, found);
  }

  score({ version, source, destination }: Packet, sourcePort: number, at: Interface): number {
    const { device } = this.options;
    if (device !== "" && device !== at.name) return -1;
    // Of a connected socket, the address that the connect chose, as Linux has it (`__ip4_datagram_connect`, net/ipv4/datagram.c).
    const own = onTheWire(this.#local.host);
    if (!this.hears(version)) return -1;
    if (!isWildcard(own) && own !== destination) return -1;
    const any = isWildcard(this.#boundTo.host);
    if (!this.#peer) return any ? 0 : 1;
    if (this.#peer.port !== sourcePort || this.#peerHost !== source) return -1;
    return any ? 2 : 3;
  }

  hears(version: 4 | 6, host: string = onTheWire(this.#boundTo.host)): boolean {
    if (this.#family === AF_INET) return version === 4;
    if (version === 6) return host.includes(":");
    return host === "::" ? !this.options.v6only : !host.includes(":");
  }

  sharesWith(other: Bound, host: string): boolean {
    const own = onTheWire(this.#boundTo.host);
    const bothHear = (this.hears(4) && other.hears(4, host)) || (this.hears(6) && other.hears(6, host));
    if (!bothHear || (own !== host && !isWildcard(own) && !isWildcard(host))) return true;
    return (
      (this.options.reuseAddress && other.options.reuseAddress) ||
      (this.options.reusePort && other.options.reusePort)
    );
  }

  sentFrom({ version, source, destination, content }: Packet): boolean {
    if (!this.hears(version)) return false;
    const bound = onTheWire(this.#boundTo.host);
    if (!isWildcard(bound) && bound !== source && !this.#ip.isOwn(source)) return false;
    const port = content.protocol === "udp" ? content.destinationPort : 0;
    return !this.#peer || (this.#peerHost === destination && this.#peer.port === port) || !isWildcard(bound);
  }

  /** Why datagrams cannot leave by what names an interface, where two of them differ. */
  #whyNot(code: string, to: Endpoint, how: Ancillary | undefined): { text?: string } {
    if (code === "ENODEV") return { text: noInterfaceText(how?.interface ?? to.scope ?? "") };
    if (code !== "EINVAL") return {};
    const named = how?.interface === undefined ? undefined : `interface is ${how.interface}`;
    if (to.scope !== undefined && named !== undefined) return { text: scopeConflictText(to, named) };
    return { text: boundElsewhereText(how?.interface ?? to.scope ?? "") };
  }

  /** @throws `OSError` where the scope of an address to bind to is of another interface, or of none (bind(2) reads no such). */
  #checkScope(at: Endpoint, host: string): void {
    const scope = wideScope(at);
    if (scope === undefined) return;
    const about = { syscall: "bind", address: at.host, port: at.port };
    if (isWildcard(host) || isGroup(host))
      throw new OSError("EINVAL", { ...about, text: bindsToAllText(host) });
    if (this.#ip.interface(host) === this.#ip.interface(scope)) return;
    throw new OSError("EADDRNOTAVAIL", { ...about, text: lacksAddressText(scope) });
  }

  #sourceOf(way: Way): string {
    const bound = onTheWire(this.#local.host);
    const own = isWildcard(bound) || isGroup(bound) || this.#ip.isBroadcast(bound) ? way.source : bound;
    // A connected socket that sends elsewhere does so from where the way there begins.
    return this.#peer && isWildcard(this.#boundTo.host) && way.destination !== this.#peerHost
      ? way.source
      : own;
  }

  #mayBind(host: string): boolean {
    return (
      this.options.freebind ||
      isWildcard(host) ||
      this.#ip.isOwn(host) ||
      isGroup(host) ||
      this.#ip.isBroadcast(host)
    );
  }

  #bindAtNeed(): void {
    if (this.port !== 0) return;
    this.#take(this.#boundTo.host, 0, { syscall: "bind" });
    this.#boundTo = this.#local = this.#boundTo.withPort(this.port) as Endpoint;
  }

  #take(host: string, asked: number, about: { syscall: string }): void {
    const { ports } = this.#ip;
    const port = asked === 0 ? ports.free() : asked;
    if (port === undefined || !ports.allows(this.#socket, host, port)) throw new OSError("EADDRINUSE", about);
    this.port = port;
    ports.add(this.#socket, port);
  }
}
