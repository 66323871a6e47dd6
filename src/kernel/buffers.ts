import { readFileSync } from "node:fs";

import type { BufferSize } from "../core/ledger/ledger.js";

/** The kernel's settings that limit what a socket may ask for (socket(7)). */
const settings = { receive: "net.core.rmem_max", send: "net.core.wmem_max" } as const;

/** Which buffer of a socket: for what is unread, or on its way out. */
export type BufferName = keyof typeof settings;

/** The kernel's setting that limits a buffer, and its value; `null` where it cannot be read. */
export function bufferLimit(name: BufferName): { setting: string; settingBytes: number | null } {
  const setting = settings[name];
  try {
    const text = readFileSync(`/proc/sys/${setting.replaceAll(".", "/")}`, "utf8");
    return { setting, settingBytes: Number(text) };
  } catch {
    // Other systems have no such file, and some containers hide it.
    return { setting, settingBytes: null };
  }
}

/** Whether the setting of a buffer can be read, once that is known. */
const readableSettings: Partial<Record<BufferName, boolean>> = {};

function isSettingReadable(name: BufferName): boolean {
  return (readableSettings[name] ??= bufferLimit(name).settingBytes !== null);
}

/** What was asked for and given, with what would give more. `readBytes` is what the kernel says that the buffer has. */
export function bufferSize(name: BufferName, askedBytes: number, readBytes: number): BufferSize {
  // Linux gives back the double of what it gave (socket(7)).
  const givenBytes = process.platform === "linux" ? readBytes / 2 : readBytes;
  if (givenBytes >= askedBytes || !isSettingReadable(name)) return { askedBytes, givenBytes };
  return { askedBytes, givenBytes, advice: `sudo sysctl -w ${settings[name]}=${askedBytes}` };
}
