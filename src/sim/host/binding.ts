import { type Endpoint, type Family, anyAddress, isWildcard } from "../../core/address/address.js";
import {
  bindsToAllText,
  boundElsewhereText,
  lacksAddressText,
  noInterfaceText,
  scopeConflictText,
  ignoredScope,
  withoutIgnoredScope,
} from "../../core/address/scopes.js";
import { sharedAddress } from "../../core/address/shared-addresses.js";
import type { Ancillary } from "../../core/driver/ancillary.js";
import { AF_INET } from "../../core/constants.js";
import { OSError } from "../../core/errors/errors.js";
import { isOfOneLink, parseLiteral } from "../../core/ip.js";
import { forSocket, isGroup, isLoopback, limitedBroadcast, onTheWire } from "../node/addresses.js";
import type { NetworkContext } from "../node/context.js";
import type { Interface } from "../node/node.js";
import type { Packet } from "../packet/packet.js";
import type { Ip } from "./ip.js";
import type { SimOptions } from "./options.js";
import type { BoundSocket, SocketBinding } from "./ports.js";
import type { Route } from "./routing.js";

/** What a binding is made with. */
export interface BindingConfig {
  readonly context: NetworkContext;
  readonly ip: Ip;
  readonly family: Family;
  readonly options: SimOptions;
}

/** The route of the datagrams of a socket to a destination, and their source address. */
export interface SocketRoute {
  readonly to: Endpoint;
  readonly route: Route;
  readonly source: string;
  /** Generation of the network that the route is valid for. */
  readonly generation: number;
}

/** The error of a datagram that cannot be sent. */
export interface Refusal {
  readonly code: string;
  readonly text?: string;
}

/** Where one socket is bound and connected. Decides which datagrams it receives, and the route and source of those it sends. */
export class Binding implements SocketBinding {
  readonly options: SimOptions;
  /** 0 until it is bound. */
  port = 0;
  readonly #socket: BoundSocket;
  readonly #context: NetworkContext;
  readonly #ip: Ip;
  readonly #family: Family;
  /** The bound address, as the family of the socket writes it; and the local address, which a connect may choose. */
  #boundTo: Endpoint;
  #local: Endpoint;
  #peer: Endpoint | null = null;
  #peerGiven: Endpoint | undefined;
  /** The host of the peer as it is written in packets. */
  #peerHost = "";
  /** The route of the last datagram without ancillary data. */
  #lastRoute: SocketRoute | undefined;

  constructor(socket: BoundSocket, { context, ip, family, options }: BindingConfig) {
    this.options = options;
    this.#socket = socket;
    this.#context = context;
    this.#ip = ip;
    this.#family = family;
    this.#boundTo = this.#local = anyAddress(family);
  }

  /** The local address, as `getsockname()` returns it. */
  get local(): Endpoint {
    return this.#local;
  }

  /** The connected peer. */
  get peer(): Endpoint | null {
    return this.#peer;
  }

  /** Whether a destination is the connected peer, in either notation; also `true` without a destination or a peer. */
  isForPeer(to: Endpoint | null): boolean {
    return !to || !this.#peer || to.equals(this.#peer) || this.#peerGiven?.equals(to) === true;
  }

  /** The endpoint of a host as it is written in packets. For the peer, it is the same object as `peer`. */
  endpointOf(host: string, port: number): Endpoint {
    if (this.#peer?.port === port && this.#peerHost === host) return this.#peer;
    return sharedAddress(forSocket(host, this.#family), port) as Endpoint;
  }

  /** @throws `OSError` of bind(2): `EINVAL`, `ENODEV`, `EADDRNOTAVAIL`, `EADDRINUSE`. */
  bind(at: Endpoint): void {
    const about = { syscall: "bind", address: at.host, port: at.port };
    if (this.port !== 0) throw new OSError("EINVAL", about);
    const host = onTheWire(at.host);
    if (at.scope !== undefined && !this.#ip.routing.interface(at.scope))
      throw new OSError("ENODEV", { ...about, text: noInterfaceText(at.scope) });
    if (!this.#mayBind(host)) throw new OSError("EADDRNOTAVAIL", about);
    this.#checkScope(at, host);
    if (at.port > 0 || !this.options.bindAddressNoPort) this.#take(host, at.port, about);
    this.#boundTo = this.#local = withoutIgnoredScope(at).withPort(this.port) as Endpoint;
    this.#lastRoute = undefined;
  }

  /** @throws `OSError` of connect(2): `EACCES`, `ENETUNREACH`, `EHOSTUNREACH`, `ENODEV`; `EADDRINUSE` of bind(2). */
  connect(to: Endpoint | null): void {
    this.#lastRoute = undefined;
    if (this.#peer) {
      this.#peer = null;
      this.#peerHost = "";
      this.#local = this.#boundTo;
    }
    if (!to) return;
    const about = { syscall: "connect", address: to.host, port: to.port };
    if (this.#lacksScope(to)) throw new OSError("EINVAL", about);
    const route = this.findRoute(to);
    if (typeof route === "string")
      throw new OSError(route, { ...about, ...this.#errorText(route, to, undefined) });
    if (route.kind === "broadcast" && !this.options.broadcast) throw new OSError("EACCES", about);
    this.#bindIfUnbound();
    const host = forSocket(route.destination, this.#family);
    const scope = to.scope === undefined || isLoopback(route.destination) ? "" : `%${to.scope}`;
    this.#peer = sharedAddress(host + scope, to.port) as Endpoint;
    this.#peerHost = route.destination;
    this.#peerGiven = to;
    if (isWildcard(this.#boundTo.host)) {
      this.#local = sharedAddress(forSocket(route.source, this.#family), this.port) as Endpoint;
    }
  }

  /** Whether nothing names the interface for an address of one link (`__ip6_datagram_connect`, net/ipv6/datagram.c). */
  #lacksScope({ host, scope }: Endpoint): boolean {
    const { bytes } = parseLiteral(host) ?? {};
    if (!bytes || !isOfOneLink(bytes) || scope !== undefined || this.options.device !== "") return false;
    const { multicastInterface: by } = this.options.forVersion(6);
    return !isGroup(host) || by === undefined || isWildcard(by);
  }

  /** Frees the port, because the socket is closed. */
  release(): void {
    if (this.port !== 0) this.#ip.ports.remove(this.#socket, this.port);
  }

  /** Forgets the last route: an option was set that may change it. */
  forgetRoute(): void {
    this.#lastRoute = undefined;
  }

  /** The route and source of a datagram. Binds the socket if it is not bound yet. */
  socketRoute(to: Endpoint, ancillary: Ancillary | undefined): SocketRoute | Refusal {
    const { generation } = this.#context;
    const last = this.#lastRoute;
    if (ancillary === undefined && last?.to === to && last.generation === generation) return last;
    const route = this.findRoute(to, ancillary);
    if (typeof route === "string") return { code: route, ...this.#errorText(route, to, ancillary) };
    if (route.kind === "broadcast" && !this.options.broadcast) return { code: "EACCES" };
    const source = ancillary?.source ? onTheWire(ancillary.source.host) : this.#sourceOf(route);
    if (ancillary?.source && !this.#ip.routing.isOwn(source)) {
      const code = route.version === 4 ? "ENETUNREACH" : "EINVAL";
      return { code, text: `${ancillary.source.host} is perhaps not an address of this host` };
    }
    if (route.outgoing !== this.#ip.routing.lo && isLoopback(source)) return { code: "EINVAL" };
    try {
      this.#bindIfUnbound();
    } catch (error) {
      return { code: (error as OSError).code };
    }
    const found = { to, route, source, generation };
    if (ancillary === undefined) this.#lastRoute = found;
    return found;
  }

  /** The route to a destination by the interface that was chosen for it; the code of an error if there is none. */
  findRoute(to: Endpoint, ancillary?: Ancillary): Route | string {
    const host = onTheWire(to.host);
    const { device, v6only } = this.options;
    // As `udpv6_sendmsg`, net/ipv6/udp.c.
    if (v6only && !host.includes(":")) return "ENETUNREACH";
    const { multicastInterface, unicastInterface } = this.options.forVersion(host.includes(":") ? 6 : 4);
    const bound = device === "" ? undefined : device;
    const group = isGroup(host) && host !== limitedBroadcast;
    const by = ancillary?.interface ?? to.scope ?? bound ?? (group ? multicastInterface : unicastInterface);
    if (by === undefined || isWildcard(by)) return this.#ip.routing.route(host);
    const found = this.#ip.routing.interface(by);
    if (!found) return "ENODEV";
    for (const other of [to.scope, bound]) {
      if (other === undefined || other === by) continue;
      const same = this.#ip.routing.interface(other);
      if (same !== found) return same ? "EINVAL" : "ENODEV";
    }
    return this.#ip.routing.route(host, found);
  }

  score({ version, source, destination }: Packet, sourcePort: number, at: Interface): number {
    const { device } = this.options;
    if (device !== "" && device !== at.name) return -1;
    // For a connected socket, this is the address that the connect chose, as on Linux (`__ip4_datagram_connect`, net/ipv4/datagram.c).
    const own = onTheWire(this.#local.host);
    if (!this.acceptsVersion(version)) return -1;
    if (!isWildcard(own) && own !== destination) return -1;
    const any = isWildcard(this.#boundTo.host);
    if (!this.#peer) return any ? 0 : 1;
    if (this.#peer.port !== sourcePort || this.#peerHost !== source) return -1;
    return any ? 2 : 3;
  }

  acceptsVersion(version: 4 | 6, host: string = onTheWire(this.#boundTo.host)): boolean {
    if (this.#family === AF_INET) return version === 4;
    if (version === 6) return host.includes(":");
    return host === "::" ? !this.options.v6only : !host.includes(":");
  }

  sharesWith(other: SocketBinding, host: string): boolean {
    const own = onTheWire(this.#boundTo.host);
    const bothHear =
      (this.acceptsVersion(4) && other.acceptsVersion(4, host)) ||
      (this.acceptsVersion(6) && other.acceptsVersion(6, host));
    if (!bothHear || (own !== host && !isWildcard(own) && !isWildcard(host))) return true;
    return (
      (this.options.reuseAddress && other.options.reuseAddress) ||
      (this.options.reusePort && other.options.reusePort)
    );
  }

  mayHaveSent({ version, source, destination, content }: Packet): boolean {
    if (!this.acceptsVersion(version)) return false;
    const bound = onTheWire(this.#boundTo.host);
    if (!isWildcard(bound) && bound !== source && !this.#ip.routing.isOwn(source)) return false;
    const port = content.protocol === "udp" ? content.destinationPort : 0;
    return !this.#peer || (this.#peerHost === destination && this.#peer.port === port) || !isWildcard(bound);
  }

  /** The text of an error about interfaces: one that does not exist, or two that contradict each other. */
  #errorText(code: string, to: Endpoint, ancillary: Ancillary | undefined): { text?: string } {
    if (code === "ENODEV") return { text: noInterfaceText(ancillary?.interface ?? to.scope ?? "") };
    if (code !== "EINVAL") return {};
    const named = ancillary?.interface === undefined ? undefined : `interface is ${ancillary.interface}`;
    if (to.scope !== undefined && named !== undefined) return { text: scopeConflictText(to, named) };
    return { text: boundElsewhereText(ancillary?.interface ?? to.scope ?? "") };
  }

  /** @throws `OSError` if an address to bind has a scope of another interface, or if its kind has no scope (bind(2) ignores it). */
  #checkScope(at: Endpoint, host: string): void {
    const scope = ignoredScope(at);
    if (scope === undefined) return;
    const about = { syscall: "bind", address: at.host, port: at.port };
    if (isWildcard(host) || isGroup(host))
      throw new OSError("EINVAL", { ...about, text: bindsToAllText(host) });
    if (this.#ip.routing.interface(host) === this.#ip.routing.interface(scope)) return;
    throw new OSError("EADDRNOTAVAIL", { ...about, text: lacksAddressText(scope) });
  }

  #sourceOf(route: Route): string {
    const bound = onTheWire(this.#local.host);
    const own =
      isWildcard(bound) || isGroup(bound) || this.#ip.routing.isBroadcast(bound) ? route.source : bound;
    // A connected socket that sends to another destination uses the source address of the route there.
    return this.#peer && isWildcard(this.#boundTo.host) && route.destination !== this.#peerHost
      ? route.source
      : own;
  }

  #mayBind(host: string): boolean {
    return (
      this.options.freebind ||
      isWildcard(host) ||
      this.#ip.routing.isOwn(host) ||
      isGroup(host) ||
      this.#ip.routing.isBroadcast(host)
    );
  }

  #bindIfUnbound(): void {
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
