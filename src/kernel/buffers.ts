import { readFileSync } from "node:fs";

import type { BufferSize } from "../core/ledger/ledger.js";

/** The settings of the kernel that limit the size of a socket's buffers (socket(7)). */
const settings = { receive: "net.core.rmem_max", send: "net.core.wmem_max" } as const;

/** A buffer of a socket: for unread datagrams, or for datagrams to send. */
export type BufferName = keyof typeof settings;

/** Returns the kernel's setting that limits a buffer, and its value; `null` if the value cannot be read. */
export function bufferLimit(name: BufferName): { setting: string; settingBytes: number | null } {
  const setting = settings[name];
  try {
    const text = readFileSync(`/proc/sys/${setting.replaceAll(".", "/")}`, "utf8");
    return { setting, settingBytes: Number(text) };
  } catch {
    // Only Linux has this file, and some containers hide it.
    return { setting, settingBytes: null };
  }
}

/**
 * Returns the requested size and the size of a buffer, and the command that allows more if the kernel's setting is the limit.
 *
 * @param readBytes the size that `getsockopt` returned.
 */
export function bufferSize(name: BufferName, askedBytes: number, readBytes: number): BufferSize {
  // On Linux, `getsockopt` returns the double of the size (socket(7)).
  const givenBytes = process.platform === "linux" ? readBytes / 2 : readBytes;
  const { settingBytes } = givenBytes < askedBytes ? bufferLimit(name) : { settingBytes: null };
  // A setting that allows the size already does not help: the socket was opened before, or another rule limits it.
  if (settingBytes === null || settingBytes >= askedBytes) return { askedBytes, givenBytes };
  return { askedBytes, givenBytes, advice: `sudo sysctl -w ${settings[name]}=${askedBytes}` };
}
