/** The options and memberships of a socket, with the errors of `node:dgram`. */

import {
  AF_INET,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IPV6_UNICAST_HOPS,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_TTL,
  SOL_SOCKET,
  SO_BROADCAST,
  SO_RCVBUF,
  SO_SNDBUF,
} from "../core/constants.js";
import { parseLiteral } from "../core/ip.js";
import type { Socket as CoreSocket } from "../core/socket/socket.js";
import { maxBufferBytes } from "./arguments.js";
import { bufferSizeError, callError, codeFor, wrong } from "./errors.js";
import type { SocketState } from "./state.js";

/** An option as a level and a number, for IPv4 and for IPv6. */
type OptionPair = readonly [ipv4: number, ipv6: number];

export function setBroadcast(state: SocketState, on: boolean): void {
  change("setBroadcast", state.opened("setBroadcast"), (core) =>
    core.setsockopt(SOL_SOCKET, SO_BROADCAST, on),
  );
}

export function setTTL(state: SocketState, ttl: number): number {
  setOption(state, "setTTL", [IP_TTL, IPV6_UNICAST_HOPS], Math.trunc(ttl));
  return ttl;
}

export function setMulticastTTL(state: SocketState, ttl: number): number {
  setOption(state, "setMulticastTTL", [IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS], Math.trunc(ttl));
  return ttl;
}

export function setMulticastLoopback(state: SocketState, on: boolean): void {
  setOption(state, "setMulticastLoopback", [IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP], on);
}

/** @param address an IPv4 address of the interface, or an IPv6 address whose scope is the interface. */
export function setMulticastInterface(state: SocketState, address: string): void {
  const syscall = "setMulticastInterface";
  const literal = parseLiteral(address);
  if (!literal) throw callError("EINVAL", syscall);
  const core = state.opened(syscall);
  const isIPv4 = literal.bytes.length === 4;
  if (state.family === AF_INET) {
    if (!isIPv4) throw callError("ENOPROTOOPT", syscall);
    change(syscall, core, () => core.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, address), {
      ENODEV: "EADDRNOTAVAIL",
    });
    return;
  }
  const at = isIPv4 ? address : literal.zone;
  change(syscall, core, () => core.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, at), {
    ENODEV: "EADDRNOTAVAIL",
  });
}

export function addMembership(state: SocketState, group: unknown, at: unknown): void {
  const syscall = "addMembership";
  const checked = checkedGroup(syscall, group, at);
  change(syscall, state.boundForMembership(syscall), (core) => core.addMembership(...checked));
}

export function dropMembership(state: SocketState, group: unknown, at: unknown): void {
  const syscall = "dropMembership";
  const checked = checkedGroup(syscall, group, at);
  change(syscall, state.boundForMembership(syscall), (core) => core.dropMembership(...checked));
}

export function sourceMembership(
  state: SocketState,
  syscall: "addSourceSpecificMembership" | "dropSourceSpecificMembership",
  source: string,
  group: string,
  at: unknown,
): void {
  const checked = checkedGroup(syscall, group, at);
  if (!parseLiteral(source)) throw callError("EINVAL", syscall);
  change(syscall, state.boundForMembership(syscall), (core) => {
    if (syscall === "addSourceSpecificMembership") core.addSourceMembership(source, ...checked);
    else core.dropSourceMembership(source, ...checked);
  });
}

/** Sets the size of a buffer in bytes, or reads it if `size` is 0. */
export function bufferSize(state: SocketState, which: "recv" | "send", size: unknown): number {
  if (typeof size !== "number" || size !== size >>> 0) throw wrong.badBufferSize();
  const syscall = `uv_${which}_buffer_size`;
  state.assertOpen();
  if (!state.core) throw bufferSizeError("EBADF", "bad file descriptor", syscall);
  if (size > 0x7fff_ffff) throw bufferSizeError("EINVAL", "invalid argument", syscall);
  const option = which === "recv" ? SO_RCVBUF : SO_SNDBUF;
  try {
    if (size === 0) return state.core.getsockopt(SOL_SOCKET, option);
    state.core.setsockopt(SOL_SOCKET, option, Math.min(size, maxBufferBytes));
    return size;
  } catch (error) {
    throw bufferSizeError(codeFor(error), "the kernel refused", syscall, error);
  }
}

/** A group and its interface. The interface of `node:dgram` is an IP address, never a name. */
function checkedGroup(syscall: string, group: unknown, at: unknown): [group: string, at?: string] {
  if (typeof group !== "string" || !parseLiteral(group)) throw callError("EINVAL", syscall);
  if (at === undefined || at === null || at === "") return [group];
  const literal = typeof at === "string" ? parseLiteral(at) : undefined;
  if (!literal) throw callError("EINVAL", syscall);
  if (literal.bytes.length === 4) return [group, at as string];
  return literal.zone === "" ? [group] : [group, literal.zone];
}

function setOption(
  state: SocketState,
  syscall: string,
  [ipv4, ipv6]: OptionPair,
  value: number | boolean,
): void {
  const isIPv4 = state.family === AF_INET;
  change(syscall, state.opened(syscall), (core) =>
    core.setsockopt(isIPv4 ? IPPROTO_IP : IPPROTO_IPV6, isIPv4 ? ipv4 : ipv6, value),
  );
}

/** Runs a change of the core's socket. An error has the code that the kernel would return, or the one that `codes` has for it. */
function change(
  syscall: string,
  core: CoreSocket,
  act: (core: CoreSocket) => void,
  codes: Readonly<Record<string, string>> = {},
): void {
  try {
    act(core);
  } catch (error) {
    const code = codeFor(error);
    throw callError(codes[code] ?? code, syscall, error);
  }
}
