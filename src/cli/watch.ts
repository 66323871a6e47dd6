import { once } from "node:events";
import { type Stats, existsSync, statSync } from "node:fs";

import { type Command, Option } from "commander";

import { Address, OSError } from "../index.js";
import type { Watch } from "../watch/index.js";
import type { Model } from "../watch/model/model.js";
import type { watchSources as WatchSources } from "../watch/watch.js";
import type { WatchedSource } from "../watch/sources/source.js";
import { Failure, exitCodes, usage } from "./exit.js";
import { noticeFallback } from "./fallback.js";
import { type GuideOptions, openFreePort, showGuide } from "./listen-guide.js";
import { addListenOptions } from "./listen-options.js";
import { ListenSession, type SessionOptions } from "./listen-session.js";
import {
  type ListenAddress,
  type ListenTargetOptions,
  missingPort,
  parseListenAddress,
  refuseRepeated,
  showListenTarget,
} from "./listen-target.js";
import { Listener, type ListenerOptions } from "./listener.js";
import { listeningAddress, quote } from "./option-values.js";
import { listed } from "./route-options.js";
import { asSystemFailure } from "./system-errors.js";
import { cleanUpIfKilled, notice, stopSignal, wasStopped } from "./terminal.js";

/** The TCP port of the page, and the last one that is tried if others are taken. */
const [firstPagePort, lastPagePort] = [9080, 9179] as const;

const help = `
The page shows who sends, how much and how large, the picture of each peer that
sends JPEG, what was lost and why, and each datagram as text, hex or JSON. It
can answer datagrams. Open the address that the command prints in a browser.

Where to listen is as for datagram listen: 9000 is for this machine alone, and
0.0.0.0:9000 is on every interface.

The page is for this machine alone too. With --page 0.0.0.0:8000 others can open
it, with the token that is in the address. The token protects the page from
those who do not have the address; the connection is not encrypted. A tunnel
needs neither: ssh -L 9080:localhost:9080 the-machine

datagram proxy --watch shows a relay: each datagram before and after its faults.

Examples:
  datagram watch 9000
  datagram watch 0.0.0.0:9000 0.0.0.0:9001
  datagram watch 0.0.0.0:9000 --page 0.0.0.0:8000
  datagram watch 9000 --demo
  datagram watch today.pcapng
  datagram watch 239.7.7.7:9420 --interface eth0 --print`;

/** Where the page is, and its folder for recordings. */
interface PageOptions {
  readonly page?: Address | undefined;
  readonly token?: true;
  readonly record?: string;
}

interface WatchCommandOptions
  extends ListenTargetOptions, ListenerOptions, SessionOptions, PageOptions, GuideOptions {
  readonly print?: boolean;
  readonly demo?: boolean;
}

/** The option `--page`. */
export function pageOption(meaning: string): Option {
  const description = `${meaning} (default: ${firstPagePort} or the next free one)`;
  return new Option("--page <[host:]port>", description).argParser(listeningAddress);
}

/** Adds `datagram watch`. */
export function addWatch(program: Command): void {
  const command = program
    .command("watch")
    .summary("show datagrams live in a browser")
    .description("Listens, and shows in a browser who sends what, and what was lost.")
    .usage("[options] <[host:]port...> | <file>")
    .argument(
      "[where...]",
      "where to listen, or a capture file",
      listed((text: string) => text),
    )
    .addOption(pageOption("show the page at this TCP port"))
    .option("--token", "ask for a token on this machine too")
    .option("--record <folder>", "keep the recordings that the page starts in this folder")
    .option("--demo", "add cameras on a simulated network that loses datagrams")
    .option("--print", "print each datagram, as datagram listen does");
  addListenOptions(command).addHelpText("after", help).action(watchPorts);
}

async function watchPorts(words: readonly string[], options: WatchCommandOptions): Promise<void> {
  refuseFileForRecords(options.record);
  const [word = ""] = words;
  if (words.length === 1 && isFile(word)) {
    await watchFile(word, options);
    return;
  }
  const addresses = words.map(addressOf);
  refuseRepeated(addresses);
  if (addresses.length === 0 && !options.guide && !options.demo) throw missingPort();
  const listeners: Listener[] = [];
  const open = (address: ListenAddress): Promise<Listener> => Listener.open(address, options);
  try {
    for (const address of addresses) listeners.push(await open(address));
    if (addresses.length === 0 && options.guide)
      listeners.push(await openFreePort((port) => open(parseListenAddress(String(port)))));
    const { SocketSource } = await import("../watch/sources/socket-source.js");
    const { DemoSource } = await import("../watch/demo/demo-source.js");
    const openSources = (model: Model): WatchedSource[] => [
      ...listeners.map(({ socket }) => new SocketSource(socket, model)),
      ...(options.demo ? [new DemoSource(model)] : []),
    ];
    await using page = await openPage(openSources, options);
    await show(listeners, page, options);
  } finally {
    await Promise.all(listeners.map((listener) => listener.close()));
  }
}

/** Reads a word that is not the only file. */
function addressOf(word: string): ListenAddress {
  if (isFile(word))
    throw usage(`watch takes ports or one capture file alone, and ${quote(word)} is not alone`);
  try {
    return parseListenAddress(word);
  } catch (error) {
    if (!(error instanceof Failure) || !error.message.startsWith("listen takes")) throw error;
    const takes =
      "watch takes ports, such as 9000 or 0.0.0.0:9000, or one capture file (.pcapng, .pcap or .cap)";
    throw usage(`${takes}, not ${quote(word)}${existsSync(word) ? "" : ": there is no such file"}`);
  }
}

/** @throws `Failure` if the folder for recordings is a file, or has the name of one. */
function refuseFileForRecords(folder: string | undefined): void {
  if (folder === undefined) return;
  const stats = statsOf(folder);
  if (stats ? !stats.isDirectory() : isFile(folder))
    throw usage(`--record takes a folder, and ${quote(folder)} is a file`);
}

/** Returns `undefined` if there is no such file or folder. @throws `Failure` if the system does not say. */
function statsOf(folder: string): Stats | undefined {
  try {
    return statSync(folder, { throwIfNoEntry: false });
  } catch (error) {
    throw asSystemFailure(error, `record to ${quote(folder)}`);
  }
}

/** Whether a word names a capture file, and no port. */
function isFile(word: string): boolean {
  return /\.(?:pcap|pcapng|cap)$/i.test(word);
}

/** Plays a capture file until the command is stopped. */
async function watchFile(file: string, options: WatchCommandOptions): Promise<void> {
  const signal = stopSignal();
  const { fileSources } = await import("../watch/sources/file-source.js");
  const open = async (model: Model): Promise<readonly WatchedSource[]> => {
    try {
      return await fileSources(file, model);
    } catch (error) {
      throw asSystemFailure(error, `read ${JSON.stringify(file)}`);
    }
  };
  await using page = await openPage(open, options);
  notice(`the page is at ${page.url}`);
  if (!signal.aborted) await once(signal, "abort");
}

/** Prints where the page is, and reads until the end. */
async function show(
  listeners: readonly Listener[],
  page: Watch,
  options: WatchCommandOptions,
): Promise<void> {
  const signal = stopSignal();
  for (const { socket, target } of listeners) showListenTarget(socket, target);
  notice(`the page is at ${page.url}`);
  noticeFallback();
  showGuide(listeners, options);
  if (listeners.length === 0) {
    await once(signal, "abort");
    return;
  }
  const session = new ListenSession(listeners, { quiet: options.print !== true });
  try {
    await session.run(signal);
  } catch (error) {
    if (!wasStopped(error)) throw error;
  }
  await session.end();
}

/** Opens the page where `--page` says, or at the first free port. */
export async function openPage(
  open: Parameters<typeof WatchSources>[0],
  { page, token, record }: PageOptions,
): Promise<Watch> {
  const { watchSources } = await import("../watch/watch.js");
  const { finishRecordings } = await import("../capture/record/file-recording.js");
  const { removeTemporaryFolders } = await import("../watch/server/recordings.js");
  // Those that pages start.
  cleanUpIfKilled(finishRecordings);
  cleanUpIfKilled(removeTemporaryFolders);
  const host = page?.host ?? "127.0.0.1";
  for (let at: number = page?.port ?? firstPagePort; ; at++) {
    try {
      return await watchSources(open, { port: at, host, token, records: record });
    } catch (error) {
      const isTaken = error instanceof OSError && error.code === "EADDRINUSE";
      if (isTaken && page === undefined && at < lastPagePort) continue;
      if (!isTaken) throw error;
      const where = new Address(host, at);
      throw new Failure(exitCodes.error, `the TCP port ${where} is taken: choose another with --page`);
    }
  }
}
