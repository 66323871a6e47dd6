/** The class of the sockets, a function as in `node:dgram`: old programs call it without `new`, and inherit from its prototype. */

import { channel } from "node:diagnostics_channel";
import type { RemoteInfo } from "node:dgram";
import { EventEmitter } from "node:events";
import type { AddressInfo } from "node:net";

import { type Endpoint, anyAddress } from "../core/address/address.js";
import { AF_INET } from "../core/constants.js";
import { OSError } from "../core/errors/errors.js";
import { waitingSends } from "../core/socket/callbacks.js";
import type { Socket as CoreSocket } from "../core/socket/socket.js";
import type { NodeHandle } from "../kernel/node-handles.js";
import {
  bindPort,
  checkOptions,
  familyOf,
  isLiteral,
  number,
  portNumber,
  sendArguments,
  text,
  truthy,
} from "./arguments.js";
import { callError, wrong } from "./errors.js";
import {
  addMembership,
  bufferSize,
  dropMembership,
  setBroadcast,
  setMulticastInterface,
  setMulticastLoopback,
  setMulticastTTL,
  setTTL,
  sourceMembership,
} from "./settings.js";
import { SocketState } from "./state.js";
import type { DgramModule, RealHost, Socket, SocketOptions } from "./types.js";

/** Where a socket has its state. */
const stateKey = Symbol("datagram state");

/** A socket as this file sees it. */
interface Stateful extends EventEmitter {
  type: string;
  [stateKey]: SocketState;
}

const socketChannel = channel("udp.socket");

/** Node calls a listener of "message" like this. */
type MessageListener = (message: Buffer, info: RemoteInfo) => void;

/**
 * Returns the core's socket of a socket, to read its `stats()`, to add a `tap` or to set an option that `node:dgram` does not
 * have. `undefined` until it is bound, and for a socket of another module.
 */
export function socketOf(socket: object): CoreSocket | undefined {
  return (socket as Partial<Stateful>)[stateKey]?.core;
}

/** Makes a module whose sockets are opened on `host`. Each module has a class of its own. */
export function makeModule(host: RealHost): DgramModule {
  function Socket(this: Stateful, type: unknown, listener?: unknown): void {
    EventEmitter.call(this);
    const options: Partial<SocketOptions> = typeof type === "object" && type !== null ? type : {};
    const kind = typeof type === "object" && type !== null ? options.type : type;
    checkOptions(options as SocketOptions);
    const family = familyOf(kind);
    this.type = kind as string;
    if (typeof listener === "function") this.on("message", listener as MessageListener);
    Object.defineProperty(this, stateKey, { value: new SocketState(host, this, family, options) });
    if (socketChannel.hasSubscribers) socketChannel.publish({ socket: this });
  }
  Object.setPrototypeOf(Socket, EventEmitter);
  Object.setPrototypeOf(Socket.prototype, EventEmitter.prototype as object);
  Object.defineProperties(Socket.prototype, Object.getOwnPropertyDescriptors(methods));
  const constructor = Socket as unknown as DgramModule["Socket"] & (new (...given: unknown[]) => Socket);
  return {
    createSocket: (type: unknown, listener?: unknown) => new constructor(type, listener),
    Socket: constructor,
  };
}

const methods = {
  bind(this: Stateful, ...given: unknown[]): Stateful {
    const state = this[stateKey];
    state.assertOpen();
    if (state.bound !== "no") throw wrong.alreadyBound();
    const handle = isHandle(given[0]) ? given[0] : undefined;
    if (handle && !state.takesHandles) {
      const instead =
        "must be a port or options: a host takes no handle of Node, and adopts a descriptor with the option fd";
      throw wrong.value("port", handle, instead);
    }
    const callback = given.at(-1);
    if (typeof callback === "function") onceListening(this, callback as () => void);
    if (handle) {
      state.bindHandle(handle);
      return this;
    }
    const [first, second] = given;
    const options =
      typeof first === "object" && first !== null ? (first as Readonly<Record<string, unknown>>) : undefined;
    const exclusive = truthy(options?.exclusive);
    if (options && Number.isInteger(options.fd) && (options.fd as number) > 0) {
      state.bindDescriptor(options.fd as number, exclusive);
      return this;
    }
    const port = options ? options.port : first;
    const address = options ? options.address : typeof second === "function" ? undefined : second;
    state.bind(hostToBind(this, address), bindPort(port ?? 0), exclusive);
    return this;
  },

  bindSync(this: Stateful, options: unknown = {}): AddressInfo {
    const state = this[stateKey];
    state.assertOpen();
    if (typeof options !== "object" || options === null)
      throw wrong.type("options", "of type object", options);
    if (state.bound !== "no") throw wrong.alreadyBound();
    const { port = 0, address } = options as { port?: unknown; address?: unknown };
    const at = portNumber(port, "options.port", true);
    const host = hostToBind(this, address);
    text(host, "options.address");
    if (!isLiteral(host))
      throw wrong.value("options.address", host, "must be an IP address, because bindSync resolves no name");
    state.bindSync(host, at);
    return addressInfo(state.opened("getsockname").getsockname());
  },

  connect(this: Stateful, port: unknown, address?: unknown, callback?: unknown): void {
    const state = this[stateKey];
    const to = portNumber(port, "Port", false);
    if (typeof address === "function") [callback, address] = [address, ""];
    if (address === undefined) address = "";
    text(address, "address");
    if (state.connected !== "no") throw wrong.connected();
    state.assertOpen();
    state.connected = "connecting";
    if (state.bound === "no") bindImplicitly(this);
    const host = address === "" ? state.loopback : address;
    const done = typeof callback === "function" ? (callback as () => void) : undefined;
    if (state.bound === "yes") state.connect(host, to, done);
    else state.whenBound(() => state.connect(host, to, done));
  },

  connectSync(this: Stateful, port: unknown, address?: unknown): void {
    const state = this[stateKey];
    state.assertOpen();
    const to = portNumber(port, "Port", false);
    if (state.connected !== "no") throw wrong.connected();
    const host = address === undefined || address === null || address === "" ? state.loopback : address;
    text(host, "address");
    if (!isLiteral(host))
      throw wrong.value("address", host, "must be an IP address, because connectSync resolves no name");
    if (state.bound === "no") state.bindSync(hostToBind(this, undefined), 0);
    else if (state.bound !== "yes") throw wrong.alreadyBound();
    state.connectSync(host, to);
  },

  disconnect(this: Stateful): void {
    const state = this[stateKey];
    if (state.connected !== "yes") throw wrong.notConnected();
    state.disconnect();
  },

  send(
    this: Stateful,
    data: unknown,
    offset?: unknown,
    length?: unknown,
    toPort?: unknown,
    to?: unknown,
    done?: unknown,
  ): void {
    const state = this[stateKey];
    const checked = sendArguments(state.connected === "yes", data, offset, length, toPort, to, done);
    state.assertOpen();
    if (state.bound === "no") bindImplicitly(this);
    // Also if the bind is done already, as with a `lookup` of the program that answers at once.
    if (state.bound === "yes") {
      state.send(checked);
      return;
    }
    // The payload is copied at the call, here too.
    const { port, address, callback } = checked;
    const payload = Uint8Array.from(checked.payload);
    state.whenBound(() => (this as unknown as Socket).send(payload, port, address, callback));
  },

  sendto(
    this: Stateful,
    payload: unknown,
    offset: unknown,
    length: unknown,
    port: unknown,
    address: unknown,
    callback?: unknown,
  ): void {
    number(offset, "offset");
    number(length, "length");
    number(port, "port");
    text(address, "address");
    methods.send.call(this, payload, offset, length, port, address, callback);
  },

  close(this: Stateful, callback?: unknown): Stateful {
    if (typeof callback === "function") this.on("close", callback as () => void);
    this[stateKey].close();
    return this;
  },

  async [Symbol.asyncDispose](this: Stateful): Promise<void> {
    if (this[stateKey].isClosed) return;
    await new Promise<void>((resolve) => (this as unknown as Socket).close(resolve));
  },

  address(this: Stateful): AddressInfo {
    return addressInfo(this[stateKey].opened("getsockname").getsockname());
  },

  remoteAddress(this: Stateful): AddressInfo {
    const state = this[stateKey];
    state.assertOpen();
    if (state.connected !== "yes") throw wrong.notConnected();
    try {
      return addressInfo(state.opened("getpeername").getpeername());
    } catch (error) {
      throw error instanceof OSError ? callError(error.code, "getpeername", error) : error;
    }
  },

  setBroadcast(this: Stateful, on: unknown): void {
    setBroadcast(this[stateKey], Boolean(on));
  },

  setTTL(this: Stateful, ttl: unknown): number {
    number(ttl, "ttl");
    return setTTL(this[stateKey], ttl);
  },

  setMulticastTTL(this: Stateful, ttl: unknown): number {
    number(ttl, "ttl");
    return setMulticastTTL(this[stateKey], ttl);
  },

  setMulticastLoopback(this: Stateful, on: unknown): unknown {
    setMulticastLoopback(this[stateKey], Boolean(on));
    return on;
  },

  setMulticastInterface(this: Stateful, address: unknown): void {
    this[stateKey].assertOpen();
    text(address, "interfaceAddress");
    setMulticastInterface(this[stateKey], address);
  },

  addMembership(this: Stateful, group: unknown, at?: unknown): void {
    this[stateKey].assertOpen();
    if (!truthy(group)) throw wrong.missing("multicastAddress");
    addMembership(this[stateKey], group, at);
  },

  dropMembership(this: Stateful, group: unknown, at?: unknown): void {
    this[stateKey].assertOpen();
    if (!truthy(group)) throw wrong.missing("multicastAddress");
    dropMembership(this[stateKey], group, at);
  },

  addSourceSpecificMembership(this: Stateful, source: unknown, group: unknown, at?: unknown): void {
    this[stateKey].assertOpen();
    text(source, "sourceAddress");
    text(group, "groupAddress");
    sourceMembership(this[stateKey], "addSourceSpecificMembership", source, group, at);
  },

  dropSourceSpecificMembership(this: Stateful, source: unknown, group: unknown, at?: unknown): void {
    this[stateKey].assertOpen();
    text(source, "sourceAddress");
    text(group, "groupAddress");
    sourceMembership(this[stateKey], "dropSourceSpecificMembership", source, group, at);
  },

  ref(this: Stateful): Stateful {
    this[stateKey].setReferenced(true);
    return this;
  },

  unref(this: Stateful): Stateful {
    this[stateKey].setReferenced(false);
    return this;
  },

  setRecvBufferSize(this: Stateful, size: unknown): void {
    bufferSize(this[stateKey], "recv", size);
  },

  setSendBufferSize(this: Stateful, size: unknown): void {
    bufferSize(this[stateKey], "send", size);
  },

  getRecvBufferSize(this: Stateful): number {
    return bufferSize(this[stateKey], "recv", 0);
  },

  getSendBufferSize(this: Stateful): number {
    return bufferSize(this[stateKey], "send", 0);
  },

  getSendQueueSize(this: Stateful): number {
    return waiting(this).bytes;
  },

  getSendQueueCount(this: Stateful): number {
    return waiting(this).datagrams;
  },
};

function waiting(socket: Stateful): { readonly datagrams: number; readonly bytes: number } {
  const state = socket[stateKey];
  state.assertOpen();
  return state.core ? waitingSends(state.core) : { datagrams: 0, bytes: 0 };
}

/** Calls `callback` at the next "listening", unless an "error" comes first. */
function onceListening(socket: EventEmitter, callback: () => void): void {
  const remove = (): void => {
    socket.removeListener(EventEmitter.errorMonitor, remove);
    socket.removeListener("listening", listening);
  };
  const listening = (): void => {
    remove();
    callback.call(socket);
  };
  socket.on(EventEmitter.errorMonitor, remove);
  socket.on("listening", listening);
}

/** Whether a value is a handle of a socket of Node, which `bind` of `node:dgram` takes over. It has no documentation. */
function isHandle(value: unknown): value is NodeHandle {
  return typeof value === "object" && value !== null && "recvStart" in value;
}

/** Binds a socket that sends or connects before it is bound, through its own `bind`, which the program may have replaced. */
function bindImplicitly(socket: Stateful): void {
  (socket as unknown as Socket).bind({ port: 0, exclusive: true });
}

function hostToBind(socket: Stateful, address: unknown): string {
  if (truthy(address)) return address as string;
  return anyAddress(socket[stateKey].family).host;
}

function addressInfo({ host, family, port }: Endpoint): AddressInfo {
  return { address: host, family: family === AF_INET ? "IPv4" : "IPv6", port };
}
