import type { BlockWriter } from "../../wire/pcapng.js";

/** Bytes of the start of a section, at most. */
export const sectionBytes = 512;

const comment =
  "Recorded above the socket: payloads, addresses, times and losses are real. IP and UDP headers are made up from them.";

/** Starts a file, or a section of it, whose packets have made up headers. */
export function writeSectionHeader(writer: BlockWriter): void {
  writer.sectionHeader({ application: "datagram", comment });
}
