import { type Command, Option } from "commander";

import { type Codec, type PictureSize, gelf, jpegSlices, rtpJpeg, shortEnds } from "../message/index.js";
import { formatDuration } from "../sim/link/unit-texts.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { noticeFallback } from "./fallback.js";
import { FileStore } from "./file-store.js";
import {
  type ListenAddress,
  listenTarget,
  parseListenAddress,
  refuseRepeated,
  showListenTarget,
} from "./listen-target.js";
import { byteSize, diskSize, duration, pictureSize, wholeNumber } from "./option-values.js";
import { ReceiveSession, type ReceiveSessionOptions, openReceiver } from "./receive-session.js";
import { type RouteOptions, listed } from "./route-options.js";
import { interfaceFor } from "./interfaces.js";
import { stopSignal } from "./terminal.js";

const defaultLimit = { bytes: 2 ** 30, text: "1g" } as const;
const defaultMaxSize = { bytes: 64 << 20, text: "64m" } as const;

/** The formats of devices. The first one takes the size of the pictures. */
const codecs: Readonly<Record<string, (size?: PictureSize) => Codec>> = {
  "rtp-jpeg": (size) => rtpJpeg({ size }),
  "jpeg-slices": () => jpegSlices(),
  "short-ends": () => shortEnds(),
  gelf: () => gelf(),
};

const help = `
Where to receive, at one or several ports: 9000 for this machine alone, and
0.0.0.0:9000 or [::]:9000 on every interface. 239.7.7.7:9420 joins that
multicast group (with --codec), on --interface if it is given.

Each message becomes a file in the folder of --into, which is made if it is
missing. It has a name of its own, in which the sender chooses nothing:
  2026-11-27T18-47-36.248Z_192.168.1.20-48079_1.jpg
which is the time (UTC), the sender, a number, and an extension by the content:
jpg, png, gif, webp, json, txt or bin. No file is overwritten. A file is written
under a name with a dot before it, so a file with its final name is whole. The
path of each file is a line on standard output, with its size. With --json a
line is an object with time, file, source, local, size, chunks, repaired,
channel and verified.

Without --codec these are the messages of datagram send --message, of messages()
of datagram/message, and of micropython/datagram.py. With --codec they are what
devices send: RTP/JPEG of cameras, slices of JPEG files, slices of which a
shorter one is the last, and GELF. RTP has no sizes above 2040 pixels: give the
size of larger pictures with --picture-size.

The disk stays bounded: --limit is for all files of one run, and a file counts
as 4096 bytes or more. At the limit, or if the disk is full, the command ends
with exit code 1. --max-size bounds the memory for one message.

Messages that did not arrive whole are reported on standard error, with the
chunks that are missing, at most one line a second. Ctrl-C ends the command with
a summary. With --timeout the exit code is 3 if no message came, or fewer than
--count. After the last one of --count the command answers its sender for 1.5 s
more, which may not know yet that all has arrived.

UDP does not prove where a message came from. Anybody who reaches the port can
fill the folder up to the limit.

Examples:
  datagram receive 0.0.0.0:9000 --into pictures
  datagram receive 0.0.0.0:9000 --into pictures --codec rtp-jpeg
  datagram receive 9000 9001 --into inbox --limit 10g --json
  datagram receive 0.0.0.0:9000 --into inbox --count 1 --timeout 60s`;

interface ReceiveOptions extends ReceiveSessionOptions, Pick<RouteOptions, "interface"> {
  readonly into?: string;
  readonly limit?: number;
  readonly maxSize?: number;
  readonly buffer?: number;
}

/** Adds `datagram receive`. */
export function addReceive(program: Command): void {
  program
    .command("receive")
    .summary("write each message or picture to a file")
    .description("Writes each whole message, or each picture of a camera, to a file of its own.")
    .usage("[options] <[host:]port...> --into <path>")
    .argument("<[host:]port...>", "where to receive", listed(parseListenAddress))
    .option("--into <path>", "the folder for the files")
    .addOption(
      new Option("--codec <format>", "read what devices send, in this format").choices(Object.keys(codecs)),
    )
    .option(
      "--picture-size <size>",
      "the size of pictures of rtp-jpeg, such as 2592x1944, in place of the one in the packets",
      pictureSize("--picture-size"),
    )
    .option("--count <n>", "end after n files", wholeNumber("--count", 1))
    .option(
      "--limit <bytes>",
      `bytes of all files together, such as 500m or 10g (default: ${defaultLimit.text})`,
      diskSize("--limit"),
    )
    .option(
      "--max-size <bytes>",
      `bytes of the longest message (default: ${defaultMaxSize.text})`,
      byteSize("--max-size"),
    )
    .option("--timeout <time>", "end if no message comes for this time, such as 10s", duration("--timeout"))
    .option("--json", "print one JSON object for each file")
    .option("--buffer <bytes>", "request a receive buffer of this size (default: 4m)", byteSize("--buffer"))
    .option(
      "--interface <which>",
      "receive on this interface: its name, number or address",
      listed(interfaceFor("--interface")),
    )
    .addHelpText("after", help)
    .action(receive);
}

async function receive(addresses: readonly ListenAddress[], options: ReceiveOptions): Promise<void> {
  refuseRepeated(addresses);
  const { into, codec, limit = defaultLimit.bytes, maxSize = defaultMaxSize.bytes, buffer } = options;
  if (into === undefined)
    throw usage("give the folder for the files: --into <path>, such as --into pictures");
  const { pictureSize: size } = options;
  if (size !== undefined && codec !== "rtp-jpeg") throw usage("--picture-size needs --codec rtp-jpeg");
  const session = new ReceiveSession(await FileStore.open(into, limit), options);
  try {
    for (const address of addresses) {
      const target = await listenTarget(address, options);
      if (target.joins.length > 0 && codec === undefined)
        throw usage("a message is for one peer: a multicast group needs --codec");
      const make = codec === undefined ? undefined : codecs[codec];
      session.add(await openReceiver(target, { codec: make?.(size), maxSize, buffer }));
    }
    for (const { socket, target } of session.receivers) showListenTarget(socket, target);
    noticeFallback();
    await session.run(stopSignal());
  } finally {
    await session.close();
  }
  checkCount(session, options);
}

/** @throws `Failure` if too few messages came in time. */
function checkCount(session: ReceiveSession, { timeout, count: wanted }: ReceiveOptions): void {
  if (!session.timedOut || timeout === undefined) return;
  const time = formatDuration(timeout);
  if (session.files === 0) throw new Failure(exitCodes.noAnswer, `no message came in ${time}`);
  if (session.files >= (wanted ?? 0)) return;
  throw new Failure(
    exitCodes.noAnswer,
    `${session.files} of ${wanted} messages came, and no more in ${time}`,
  );
}
