import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_RCVBUF, socket } from "datagram";
import type { Codec, DecodedMessage, Decoder, DecoderLimits, DecoderLoss } from "datagram/message";
import fc from "fast-check";

const run = promisify(execFile);

/** Why a program cannot be used here; `undefined` if it can. */
function missing(program: string, argument: string): string | undefined {
  if (process.env.DATAGRAM_REQUIRE_ALL === "1") return undefined;
  try {
    execFileSync(program, [argument], { stdio: "ignore" });
    return undefined;
  } catch {
    return `${program} is not installed`;
  }
}

export const withoutFfmpeg: string | undefined = missing("ffmpeg", "-version");
export const withoutCjpeg: string | undefined = missing("cjpeg", "-version");
export const withoutPython: string | undefined = missing("python3", "--version");

/** Runs a program, and returns the datagrams that it sends to the port that replaces PORT in its arguments. */
async function capture(program: string, args: readonly string[]): Promise<Buffer[]> {
  const s = socket(AF_INET, SOCK_DGRAM);
  try {
    await s.bind(["127.0.0.1", 0]);
    s.setsockopt(SOL_SOCKET, SO_RCVBUF, 4 << 20);
    const { port } = s.getsockname();
    const last = Buffer.from("the program has ended");
    const datagrams: Buffer[] = [];
    const reading = (async () => {
      for await (const { data } of s) {
        if (data.equals(last)) return;
        datagrams.push(data);
      }
    })();
    await run(
      program,
      args.map((argument) => argument.replaceAll("PORT", String(port))),
    );
    const end = socket(AF_INET, SOCK_DGRAM);
    await end.sendto(last, ["127.0.0.1", port]);
    await end.close();
    await reading;
    return datagrams;
  } finally {
    await s.close();
  }
}

/** Pictures of ffmpeg's test source, as the options of one ffmpeg command say. */
export async function captureVideo(frames: number, ...output: readonly string[]): Promise<Buffer[]> {
  return capture("ffmpeg", ["-v", "error", ...testSource(frames), ...output]);
}

/** The same pictures as files. */
export async function videoFiles(frames: number, ...encoding: readonly string[]): Promise<Buffer[]> {
  const args = ["-v", "error", ...testSource(frames), ...encoding, "-f", "image2pipe", "-"];
  const { stdout } = await run("ffmpeg", args, { encoding: "buffer", maxBuffer: 1 << 26 });
  return jpegsOf(stdout);
}

function testSource(frames: number): string[] {
  return ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=10", "-frames:v", String(frames), "-bitexact"];
}

/** Divides a sequence of JPEG files without thumbnails. */
function jpegsOf(bytes: Buffer): Buffer[] {
  const files = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf("ffd9", at, "hex") + 2;
    files.push(bytes.subarray(at, end));
    at = end;
  }
  return files;
}

/** The pixels of a picture, as ffmpeg decodes it. It fails if ffmpeg finds an error. */
export async function pixelsOf(picture: Buffer): Promise<Buffer> {
  return withFile(picture, async (file) => {
    const args = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", file];
    const { stdout } = await run("ffmpeg", [...args, "-f", "rawvideo", "-"], {
      encoding: "buffer",
      maxBuffer: 1 << 26,
    });
    return stdout;
  });
}

/** Runs a program on bytes as its standard input, and returns its standard output. */
export function runOn(program: string, args: readonly string[], input: Buffer): Buffer {
  return execFileSync(program, args, { input, maxBuffer: 1 << 26 });
}

/** Runs a Python script with `argv[1:]`, and returns the datagrams that it sends to PORT. */
export async function capturePython(script: string, ...args: string[]): Promise<Buffer[]> {
  return capture("python3", ["-S", "-c", script, ...args]);
}

export async function withFile<T>(content: Buffer, use: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "codecs-"));
  try {
    const path = join(folder, "picture.jpg");
    writeFileSync(path, content);
    return await use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A decoder, and its results. */
export interface Decoding {
  readonly decoder: Decoder;
  readonly messages: DecodedMessage[];
  readonly losses: DecoderLoss[];
  ignored: number;
}

const defaultLimits: DecoderLimits = { maxSourceBytes: 2 << 20, idleMs: 2000 };

export function decoding(codec: Codec, limits: Partial<DecoderLimits> = {}): Decoding {
  const results: Omit<Decoding, "decoder"> = { messages: [], losses: [], ignored: 0 };
  const decoder = codec.decoder(
    {
      message: (message) => results.messages.push(message),
      lost: (loss) => results.losses.push(loss),
      ignored: () => results.ignored++,
    },
    { ...defaultLimits, ...limits },
  );
  return Object.assign(results, { decoder });
}

/** Passes datagrams to a decoder, 1 ms apart. */
export function decode(
  codec: Codec,
  datagrams: Iterable<Uint8Array>,
  limits?: Partial<DecoderLimits>,
): Decoding {
  const result = decoding(codec, limits);
  let nowMs = 0;
  for (const datagram of datagrams) result.decoder.push(datagram, nowMs++);
  return result;
}

/** Divides bytes into slices. */
export function slicesOf(bytes: Buffer, sliceBytes: number): Buffer[] {
  const slices = [];
  for (let at = 0; at < bytes.length; at += sliceBytes) slices.push(bytes.subarray(at, at + sliceBytes));
  return slices;
}

/** Compressed data of a JPEG picture: FF is always FF 00 or a restart marker. */
const compressed = fc
  .array(fc.oneof(fc.nat(254), fc.constant(0xff00), fc.constant(0xffd3)), { minLength: 1, maxLength: 3000 })
  .map((values) => Buffer.from(values.flatMap((value) => (value > 255 ? [0xff, value & 0xff] : [value]))));

const thumbnail = Buffer.from("ffd8ffdb000401aaffd9", "hex");

/** Bytes with the structure of a JPEG picture: segments, one of them perhaps with a thumbnail, then compressed data. */
export const jpegs: fc.Arbitrary<Buffer> = fc
  .tuple(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 }), fc.boolean(), compressed)
  .map(([segments, hasThumbnail, data]) => jpegOf(hasThumbnail ? [...segments, thumbnail] : segments, data));

/** A small file with the structure of a JPEG picture. */
export const smallJpeg: Buffer = jpegOf(
  [Buffer.alloc(300, "metadata")],
  Buffer.alloc(2000, "compressed data"),
);

function jpegOf(segments: readonly Uint8Array[], data: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from("ffd8", "hex"),
    ...segments.flatMap((content) => [segmentHead(0xe1, content.length), content]),
    segmentHead(0xda, 6),
    Buffer.from("010100003f00", "hex"),
    data,
    Buffer.from("ffd9", "hex"),
  ]);
}

function segmentHead(marker: number, length: number): Buffer {
  return Buffer.of(0xff, marker, (length + 2) >>> 8, (length + 2) & 0xff);
}

/** Any datagrams, with beginnings that formats look for. */
export const hostile: fc.Arbitrary<Uint8Array[]> = fc.array(
  fc
    .tuple(
      fc.constantFrom(
        "",
        "ffd8",
        "ffd8ffe1ffff",
        "1e0f",
        "801a",
        "809a",
        "00000010ffd8",
        "ffffffffffd8",
        "7b",
        "1f8b",
      ),
      fc.uint8Array({ maxLength: 120 }),
    )
    .map(([start, rest]) => Buffer.concat([Buffer.from(start, "hex"), rest])),
  { maxLength: 200 },
);
