import { type SocketOptions, socketFields } from "../core/socket/arguments.js";
import { SOCK_DGRAM } from "../core/constants.js";
import { notSupported } from "../core/driver/driver-errors.js";
import type { Stack } from "../core/driver/driver.js";
import { OSError, wrongType } from "../core/errors/errors.js";
import { refuseUnknown } from "../core/errors/fields.js";
import { openSocket } from "../core/socket/opening.js";
import type { Socket } from "../core/socket/socket.js";
import { kernelStack } from "./choice.js";

/** The options of `socketsFromSystemd`: the names of the sockets, and the options of `socket()` for each of them. */
export interface SystemdOptions extends Omit<SocketOptions, "fd"> {
  /** Names of the sockets to adopt (`FileDescriptorName=`). Other sockets are not changed. @default all */
  readonly names?: readonly string[] | undefined;
}

/** A socket that systemd passed. */
export interface SystemdSocket {
  /** `FileDescriptorName=` of its unit, by default the name of the unit; `"unknown"` if the supervisor gave no name. */
  readonly name: string;
  /** The number of the descriptor. */
  readonly fd: number;
  /** The socket that has adopted the descriptor. It is bound. */
  readonly socket: Socket;
}

/** The first descriptor that a supervisor passes: `SD_LISTEN_FDS_START`. */
const first = 3;
/** The maximum number of passed descriptors. A larger `LISTEN_FDS` is an error. */
const maxDescriptors = 65_536;
const variables = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] as const;
const optionFields = ["names", ...socketFields.filter((name) => name !== "fd")];
const syscall = "socketsFromSystemd";

/**
 * Returns the datagram sockets that systemd or a similar supervisor passed to this process (`sd_listen_fds(3)`). The sockets
 * are bound, and datagrams that arrived before the process started wait in them. The environment variables are removed, so
 * a second call and child processes find no sockets.
 *
 * @returns the sockets in the order in which they were passed; an empty array if the supervisor passed none to this process.
 * @throws `OSError` `EINVAL` if the variables are invalid, if a descriptor is not a UDP socket (then name the UDP sockets in
 *   `names`), or if a name in `names` was not passed; `EBADF`, `ENOTSOCK`, `EBUSY`, `ENOTSUP` as `socket()` with `fd`;
 *   `TypeError`, `RangeError` for bad options.
 */
export function socketsFromSystemd(options: SystemdOptions = {}): SystemdSocket[] {
  if (typeof options !== "object" || (options as unknown) === null)
    throw wrongType("options", "an object", options);
  refuseUnknown(options, optionFields, "options: a field");
  const { names: wanted, ...rest } = options;
  if (wanted !== undefined && !(Array.isArray(wanted) && wanted.every((name) => typeof name === "string")))
    throw wrongType("names", "an array of strings", wanted);
  const passed = readEnvironment();
  const missing =
    passed.length > 0 ? wanted?.find((name) => !passed.some((each) => each.name === name)) : undefined;
  if (missing !== undefined) {
    const others = passed.map(({ name }) => name).join(", ");
    throw invalid(`no socket ${JSON.stringify(missing)} was passed, but ${others}`);
  }
  const stack = kernelStack();
  // All of them are checked before the first one is adopted.
  const taken = passed
    .filter(({ name }) => wanted === undefined || wanted.includes(name))
    .map(({ name, fd }) => ({ name, fd, family: familyOf(stack, fd, name) }));
  return taken.map(({ name, fd, family }) => {
    const socket = openSocket(() => stack, family, SOCK_DGRAM, { ...rest, fd });
    return { name, fd, socket };
  });
}

/** Reads the passed descriptors from the environment, and removes the variables. */
function readEnvironment(): { name: string; fd: number }[] {
  const [pid, count, names] = variables.map((name) => process.env[name]);
  for (const name of variables) Reflect.deleteProperty(process.env, name);
  if (pid === undefined || count === undefined) return [];
  if (positive("LISTEN_PID", pid) !== process.pid) return [];
  const passed = count === "0" ? 0 : positive("LISTEN_FDS", count);
  if (passed > maxDescriptors) throw invalid(`LISTEN_FDS is ${count}, above ${maxDescriptors}`);
  const named = names?.split(":");
  if (named && named.length !== passed && !(passed === 0 && names === "")) {
    throw invalid(`LISTEN_FDNAMES has ${named.length} names for ${passed} descriptors`);
  }
  return Array.from({ length: passed }, (_, index) => ({
    name: named?.[index] ?? "unknown",
    fd: first + index,
  }));
}

function positive(variable: string, text: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
  throw invalid(`${variable} must be a whole number above 0, not ${JSON.stringify(text.slice(0, 40))}`);
}

function familyOf(stack: Stack, fd: number, name: string): number {
  try {
    if (!stack.familyOf) throw notSupported(syscall, stack.capabilities.descriptors);
    return stack.familyOf(fd);
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    const text = `the socket ${JSON.stringify(name)} that systemd passed cannot be adopted: ${error.message}. Name those that can in names`;
    throw new OSError(error.code, { syscall, text, cause: error });
  }
}

function invalid(text: string): OSError {
  return new OSError("EINVAL", { syscall, text });
}
