import { Buffer } from "node:buffer";

import { Address } from "../../index.js";
import {
  type Detail,
  type List,
  type PageMessage,
  type Pictures,
  type Record as RecordMessage,
  type Replay,
  type Seek,
  type Send,
  limits,
} from "../protocol.js";

/** The largest payload of a datagram: over IPv6. */
const maxPayload = 65_527;

/** A message of the page that is wrong. */
export class WrongMessage extends Error {
  readonly request: number | undefined;

  constructor(error: string, request?: number) {
    super(error);
    this.request = request;
  }
}

type Fields = Readonly<Record<string, unknown>>;

const readers: Readonly<Record<PageMessage["type"], (fields: Fields) => PageMessage>> = {
  list: readList,
  detail: (fields): Detail => ({ type: "detail", id: uint32(fields, "id") }),
  pictures: readPictures,
  send: readSend,
  record: (fields): RecordMessage => ({ type: "record", on: flag(fields, "on") }),
  replay: (fields): Replay => ({
    type: "replay",
    file: uint32(fields, "file"),
    source: uint32(fields, "source"),
    to: address(text(fields, "to", 300)),
    speed: number(fields, "speed", 0, 1000),
    stop: flag(fields, "stop"),
  }),
  seek: (fields): Seek => ({
    type: "seek",
    positionMs: number(fields, "positionMs", 0, Number.MAX_SAFE_INTEGER),
    speed: number(fields, "speed", 0, 1000),
  }),
};

/** Reads a message of the page, and trusts nothing in it. @throws `WrongMessage`. */
export function readPageMessage(json: string): PageMessage {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new WrongMessage("The message is not JSON.");
  }
  if (typeof value !== "object" || value === null) throw new WrongMessage("The message is not an object.");
  const fields = value as Fields;
  const { type, request } = fields;
  if (typeof type !== "string" || !Object.hasOwn(readers, type))
    throw new WrongMessage("The message has an unknown type.");
  try {
    return readers[type as PageMessage["type"]](fields);
  } catch (error) {
    if (!(error instanceof WrongMessage)) throw error;
    throw new WrongMessage(error.message, isUint32(request) ? request : undefined);
  }
}

/** The bytes of the payload of a `send`. */
export function payloadOf(payload: Send["payload"]): Buffer {
  if ("text" in payload) return Buffer.from(payload.text);
  return "hex" in payload ? Buffer.from(payload.hex, "hex") : Buffer.from(payload.base64, "base64");
}

function readList(fields: Fields): List {
  const { direction } = fields;
  if (direction !== undefined && direction !== "in" && direction !== "out") throw wrong("direction");
  return {
    type: "list",
    request: uint32(fields, "request"),
    live: flag(fields, "live"),
    text: text(fields, "text", limits.filterCharacters),
    peer: optional(fields, "peer"),
    source: optional(fields, "source"),
    direction,
    minSize: optional(fields, "minSize"),
    maxSize: optional(fields, "maxSize"),
  };
}

function readPictures({ peers }: Fields): Pictures {
  if (!Array.isArray(peers) || peers.length > limits.pictures || !peers.every(isUint32)) throw wrong("peers");
  return { type: "pictures", peers };
}

function readSend(fields: Fields): Send {
  const { to, payload } = fields;
  if (!Array.isArray(to) || to.length === 0) throw new WrongMessage("Name an address to send to.");
  if (to.length > limits.sendAddresses)
    throw new WrongMessage(`At most ${limits.sendAddresses} addresses are possible.`);
  if (typeof payload !== "object" || payload === null) throw wrong("payload");
  return {
    type: "send",
    request: uint32(fields, "request"),
    source: uint32(fields, "source"),
    to: to.map((each: unknown) => {
      if (typeof each !== "string" || each.length > 300) throw wrong("to");
      return address(each);
    }),
    payload: readPayload(payload as Fields),
    awaitMs: number(fields, "awaitMs", 0, limits.awaitMs),
  };
}

function readPayload(fields: Fields): Send["payload"] {
  const [name, ...more] = Object.keys(fields);
  const value = name === undefined ? undefined : fields[name];
  if (more.length > 0 || typeof value !== "string") throw wrong("payload");
  let payload: Send["payload"];
  if (name === "text") payload = { text: value };
  else if (name === "hex") {
    const hex = value.replace(/\s+/g, "");
    if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) throw new WrongMessage("The payload is not pairs of hex digits.");
    payload = { hex };
  } else if (name === "base64" && /^[A-Za-z0-9+/]*={0,2}$/.test(value)) payload = { base64: value };
  else throw wrong("payload");
  const { length } = payloadOf(payload);
  if (length > maxPayload)
    throw new WrongMessage(`The payload has ${length} bytes, and a datagram at most ${maxPayload}.`);
  return payload;
}

/** Checks that a text is an address with a port, such as `10.0.0.7:9000`. */
function address(value: string): string {
  try {
    const { host, port } = Address.parse(value);
    if (host !== "" && port !== 0) return value;
  } catch {
    // The error below says what is wrong.
  }
  throw new WrongMessage(
    `${JSON.stringify(value)} is not an address such as 10.0.0.7:9000 or [fe80::1%eth0]:9000.`,
  );
}

function text(fields: Fields, name: string, max: number): string {
  const value = fields[name];
  if (typeof value !== "string" || value.length > max) throw wrong(name);
  return value;
}

function flag(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value !== "boolean") throw wrong(name);
  return value;
}

function number(fields: Fields, name: string, min: number, max: number): number {
  const value = fields[name];
  if (typeof value !== "number" || !(value >= min && value <= max)) throw wrong(name);
  return value;
}

function uint32(fields: Fields, name: string): number {
  const value = fields[name];
  if (!isUint32(value)) throw wrong(name);
  return value;
}

function optional(fields: Fields, name: string): number | undefined {
  return fields[name] === undefined || fields[name] === null ? undefined : uint32(fields, name);
}

function isUint32(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

function wrong(name: string): WrongMessage {
  return new WrongMessage(`The message has a wrong value of "${name}".`);
}
