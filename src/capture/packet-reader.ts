import type { ByteWindow } from "./byte-window.js";
import { CaptureError } from "./capture-error.js";
import type { PacketReader } from "./link-packet.js";
import { PcapReader, pcapFormatOf } from "./pcap.js";
import { PcapngReader, sectionHeaderType } from "./pcapng.js";

/** Finds out the format of a file. @throws `CaptureError` if it is none that is known. */
export async function packetReader(window: ByteWindow): Promise<PacketReader> {
  if (!(await window.fill(4))) {
    if (window.available === 0) throw new CaptureError("ENODATA", { offset: 0, text: "the file is empty" });
    throw new CaptureError("ENODATA", { offset: 0, text: "the file is shorter than any capture file" });
  }
  const magic = window.view.getUint32(window.at, true);
  if (magic === sectionHeaderType) return new PcapngReader(window);
  const format = pcapFormatOf(magic);
  if (format) return new PcapReader(window, format);
  const isGzip = (magic & 0xffff) === 0x8b1f;
  const text = isGzip
    ? "the file is compressed: pass a stream that decompresses it"
    : "this is not a capture file of the formats pcap and pcapng";
  throw new CaptureError("EPROTONOSUPPORT", { offset: 0, text });
}
