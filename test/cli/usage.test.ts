import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { commandsInOneProcess } from "./one-process.js";
import { Program, bin, listen, run } from "./program.js";

const escape = "\u001b";

const runHere = commandsInOneProcess();

describe("bad input is one line, and exit code 2", () => {
  test.for<[readonly string[], RegExp]>([
    [
      [],
      /give a command: listen, watch, send, receive, record, read, replay, gateway, request, serve, ping, mtu, proxy, run, doctor or completion/,
    ],
    [["help", "nothing"], /give a command/],
    [["lisen", "9000"], /unknown command 'lisen'.*listen/],
    [["--nonsense"], /unknown option '--nonsense'/],
    [["doctor", "extra"], /too many arguments/],
    [["run"], /missing required argument 'command'/],
    [["run", "--nonsense", "app.js"], /unknown option '--nonsense'/],
    [["run", "--driver", "sim", "app.js"], /'sim' is invalid.*native, dgram/],
    [["run", "--driver"], /'--driver <name>' argument missing/],

    [["listen"], /missing required argument/],
    [["listen", ""], /a port or host:port/],
    [["listen", "host"], /a port or host:port/],
    [["listen", "-1"], /a port or host:port/],
    [["listen", "1.5"], /a port or host:port/],
    [["listen", "0x50"], /a port or host:port/],
    [["listen", "udp://127.0.0.1:9000"], /a port or host:port/],
    [["listen", "::1:9000"], /\[::\]:9000/],
    [["listen", "[127.0.0.1]:9000"], /a port or host:port/],
    [["listen", "65536"], /0 to 65535, not "65536"/],
    [["listen", "127.0.0.1:65536"], /0 to 65535/],
    [["listen", "0", "extra"], /a port or host:port, .*, not "extra"$/m],
    [["listen", "0", "--reply", "ack:", "{}"], /not "{}": a --reply of several words needs quotes/],
    [["listen", "--reply", "ack:", "{}", "0"], /not "{}": a --reply of several words needs quotes/],
    [
      ["listen", "9000", "9001", "--reply", "x", "--source", ":5000"],
      /--source with a port .* one address only/,
    ],
    [["listen", "0", "--hex", "--json"], /'--hex' cannot be used with option '--json'/],
    [["listen", "0", "--raw", "--json"], /'--raw' cannot be used with option '--json'/],
    [["listen", "0", "--raw", "--hex"], /'--raw' cannot be used with option '--hex'/],
    [["listen", "0", "--count"], /'--count <n>' argument missing/],
    [["listen", "0", "--count", "0"], /--count takes a whole number from 1 to/],
    [["listen", "0", "--count", "-1"], /--count takes a whole number/],
    [["listen", "0", "--count", "1.5"], /--count takes a whole number/],
    [["listen", "0", "--count", "1e3"], /--count takes a whole number/],
    [["listen", "0", "--count", "9999999999999999999"], /--count takes a whole number/],
    [["listen", "0", "--timeout", "10x"], /2 or 2s \(seconds\), 500ms, 1m or 1h.*not "10x"/],
    [["listen", "0", "--timeout", "86401"], /from 1ms to 24h/],
    [["listen", "0", "--timeout", "0s"], /from 1ms to 24h/],
    [["listen", "0", "--timeout", "-1s"], /--timeout takes a time/],
    [["listen", "0", "--timeout", "1441m"], /from 1ms to 24h/],
    [["listen", "0", "--timeout", "2 s"], /--timeout takes a time/],
    [["listen", "0", "--timeout", "1d"], /--timeout takes a time/],
    [["listen", "0", "--timeout", "Infinitys"], /--timeout takes a time/],
    [["listen", "0", "--recvfrom", "65536"], /--recvfrom takes a whole number from 0 to 65535/],
    [["listen", "0", "--recvfrom", "x"], /--recvfrom takes a whole number/],
    [["listen", "0", "--buffer", "0"], /--buffer takes bytes, such as 65536, 64k or 4m/],
    [["listen", "0", "--buffer", "1g"], /--buffer takes bytes.*not "1g"/],
    [["listen", "0", "--buffer", "1024m"], /from 1 to 1023m/],
    [["listen", "0", "--buffer", "1.5k"], /--buffer takes bytes/],
    [["listen", "0", "--echo", "--reply", "x"], /cannot be used with/],

    [["send"], /missing required argument/],
    [["send", "hello"], /host:port or \[v6\]:port, not "hello"/],
    [["send", "9000", "hello"], /host:port or \[v6\]:port, not "9000"/],
    [["send", "127.0.0.1", "hello"], /host:port/],
    [["send", ":9000", "hello"], /needs a host/],
    [["send", "127.0.0.1:0", "hello"], /port 0 is not a destination/],
    [["send", "127.0.0.1:70000", "hello"], /0 to 65535/],
    [
      ["send", "127.0.0.1:9", "b", "hello"],
      /host:port or \[v6\]:port, not "b": .* quotes: datagram send 127\.0\.0\.1:9 "b hello"\n/,
    ],
    [
      ["send", "127.0.0.1:9", "[::1]:9", "it's", "$5", "now"],
      /quotes: datagram send 127\.0\.0\.1:9 \[::1\]:9 'it'\\''s \$5 now'\n/,
    ],
    [["send", "127.0.0.1:9"], /no data: .*standard input is empty; --empty sends an empty datagram/],
    [["send", "127.0.0.1:9", "-"], /no data: /],
    [["send", "127.0.0.1:9", "--file", "-"], /no data: /],
    [["send", "127.0.0.1:9", "--hex"], /no data: /],
    [["send", "127.0.0.1:9", "x", "--empty"], /not "x": with --empty every argument is a destination/],
    [["send", "127.0.0.1:9", "x", "--size", "3"], /not "x": with --size every argument is a destination/],
    [["send", "127.0.0.1:9", "--size", "x"], /--size takes bytes/],
    [["send", "127.0.0.1:9", "--size", "3", "--lines"], /'--size <bytes>' cannot be used with/],
    [["send", "127.0.0.1:9", "--empty", "--file", "x"], /'--empty' cannot be used with/],
    [["send", "127.0.0.1:9", "hello", "--file", "/dev/null"], /not "hello": with --file every argument/],
    [["send", "127.0.0.1:9", "--hex", "abc"], /pairs of hex digits/],
    [["send", "127.0.0.1:9", "--hex", "0xff"], /pairs of hex digits/],
    [["send", "127.0.0.1:9", "-x"], /unknown option '-x'/],
    [["send", "127.0.0.1:9", "x", "--repeat", "0"], /--repeat takes a whole number/],
    [["send", "127.0.0.1:9", "x", "--every", "100us"], /--every takes a time/],
    [["send", "127.0.0.1:9", "x", "--confirm", "10d"], /--confirm takes a time.*not "10d"/],
    [["send", "--confirm", "5x", "127.0.0.1:9", "x"], /--confirm takes a time/],
    [["send", "127.0.0.1:9", "x", "--confirm=soon"], /--confirm takes a time/],
    [["send", "127.0.0.1:9", "--lines", "--repeat", "2"], /cannot be used with/],

    [["send", "127.0.0.1:9", "x", "--parity", "2"], /--parity is an option of messages: give --message too/],
    [["send", "127.0.0.1:9", "--message", "--lines"], /'--message' cannot be used with option '--lines'/],
    [["send", "127.0.0.1:9", "127.0.0.1:8", "--message", "x"], /a message goes to one destination/],
    [
      ["send", "239.1.1.1:9", "--message", "x"],
      /a message is for one peer, and 239\.1\.1\.1:9 is a multicast/,
    ],
    [["send", "127.0.0.1:9", "--message", "x", "--timeout", "26s"], /from 100ms to 25s/],
    [
      ["send", "127.0.0.1:9", "--message", "x", "--channel", "256"],
      /--channel takes a whole number from 0 to 255/,
    ],

    [["receive"], /missing required argument/],
    [["receive", "0"], /give the folder for the files: --into <path>/],
    [
      ["receive", "0", "--into", "x", "--codec", "mp4"],
      /--codec <format>.*rtp-jpeg, jpeg-slices, short-ends, gelf/,
    ],
    [["receive", "0", "--into", "x", "--picture-size", "9x9"], /--picture-size needs --codec rtp-jpeg/],
    ...["2592", "0x9", "9x65536", "9x9x9"].map((size): [string[], RegExp] => [
      ["receive", "0", "--into", "x", "--codec", "rtp-jpeg", "--picture-size", size],
      /--picture-size takes a width and a height in pixels, such as 2592x1944, not "/,
    ]),
    [["receive", "0", "--into", "x", "--limit", "1t"], /--limit takes bytes, .* to 1048576g, not "1t"/],
    [["receive", "0", "--into", "x", "--max-size", "1g"], /--max-size takes bytes/],

    [["record"], /missing required argument/],
    [["record", "0"], /give the file: --output <path>/],
    [["record", "0", "-o", "x", "--max-files", "2"], /--max-files needs --rotate-size or --rotate-time/],
    [["record", "0", "-o", ""], /the name of the file is empty: give a path/],
    [["record", "9007", "127.0.0.1:9007", "-o", "x"], /127\.0\.0\.1:9007 is given twice/],
    [["listen", "0.0.0.0:9007", "9000", "0.0.0.0:9007"], /0\.0\.0\.0:9007 is given twice/],
    [["watch", "9007", "9007"], /127\.0\.0\.1:9007 is given twice: give each address once/],
    [["receive", "9007", "9007"], /127\.0\.0\.1:9007 is given twice/],
    [["gateway", "9007", "9007", "--stream", "x"], /127\.0\.0\.1:9007 is given twice/],
    [
      ["watch", "nosuchfile"],
      /watch takes ports, .*, or one capture file .*"nosuchfile": there is no such file/,
    ],
    [["watch", "package.json"], /watch takes ports, .*, or one capture file .*, not "package.json"$/m],
    [["watch", "a.pcapng", "b.pcapng"], /one capture file alone, and "a.pcapng" is not alone/],
    [["watch", "9000", "a.pcapng"], /one capture file alone, and "a.pcapng" is not alone/],
    [
      ["watch", "0", "--record", "nosuch/a.pcapng"],
      /--record takes a folder, and "nosuch\/a.pcapng" is a file/,
    ],
    [["watch", "0", "--record", "package.json"], /--record takes a folder, and "package.json" is a file/],
    [
      ["listen", "--from", "127.0.0.1", "--stream", "a"],
      /with --stream, --from must be a server, such as nats:\/\/127\.0\.0\.1, not "127\.0\.0\.1"/,
    ],
    [["listen", "0", "--overwrite"], /--overwrite is for a recording: give --record <path>/],
    [["record", "0", "-o", "-", "--rotate-size", "1m"], /standard output is one file/],
    [["listen", "0", "--record", "-"], /standard output has the datagrams/],
    [["record", "0", "-o", "x", "--limit", "10"], /--limit takes 64k or more, not 10/],
    [["record", "0", "-o", "x", "--rotate-time", "10ms"], /--rotate-time takes a time/],

    [["gateway"], /missing required argument/],
    [["gateway", "0"], /give the stream: --stream <name>, such as --stream cameras; or a folder: --into/],
    [
      ["gateway", "0", "--stream", "x", "--max-bytes", "1g"],
      /--max-bytes is for a new stream: give --create/,
    ],
    [["gateway", "0", "--into", "x", "--stream", "y"], /--stream is for a server, not for --into/],
    [["gateway", "0", "--into", "x", "--nats", "nats://h"], /--nats is for a server, not for --into/],
    [["gateway", "0", "--into", "x", "--create"], /--create is for a server, not for --into/],
    [["gateway", "0", "--into", "x", "--message"], /--message is for a server, not for --into/],
    [["gateway", "0", "--into", "x", "--workers", "2"], /--workers is for a server, not for --into/],
    [["gateway", "0", "--stream", "x", "--limit", "1g"], /--limit is for --into <folder>, not for --stream/],
    [
      ["gateway", "0", "--into", "x", "--limit", "1m", "--rotate-size", "1m"],
      /--limit must be at least twice rotate-size/,
    ],
    [["gateway", "0", "--stream", "a.b"], /--stream must be a name of letters, digits, - and _/],
    [["gateway", "0", "--stream", "x", "--prefix", "a.>"], /--prefix must be tokens/],
    [["gateway", "0", "--stream", "x", "--nats", "http://h"], /--nats must be a URL such as nats:/],

    [["request"], /missing required argument/],
    [["request", "127.0.0.1", "x"], /host:port/],
    [
      ["request", "127.0.0.1:9", "x", "y"],
      /too many arguments: .* quotes: datagram request 127\.0\.0\.1:9 "x y"\n/,
    ],
    [["request", "127.0.0.1:9"], /no data: .*standard input is empty; --empty/],
    [["request", "127.0.0.1:9", "x", "--size", "3"], /with --size there is no data, such as "x"/],
    [["request", "127.0.0.1:9", "--hex", "00", "--json"], /'--hex' cannot be used with option '--json'/],
    [["request", "127.0.0.1:9", "x", "--raw", "--all"], /'--raw' cannot be used with option '--all'/],
    [["request", "127.0.0.1:9", "x", "--timeout", "2sec"], /--timeout takes a time/],
    [["request", "127.0.0.1:9", "x", "--retries", "1001"], /--retries takes a whole number from 0 to 1000/],
    [["request", "127.0.0.1:9", "--hex", "0"], /pairs of hex digits/],

    [
      ["send", "127.0.0.1:9", "x", "--interface", "nope"],
      /no interface "nope": there are lo \(127\.0\.0\.1\)/,
    ],
    [["request", "127.0.0.1:9", "x", "--interface", "4000000000"], /no interface "4000000000": there are lo/],
    [
      ["listen", "0", "--interface", "192.0.2.1"],
      /no interface has the address "192\.0\.2\.1": there are lo/,
    ],
    [["listen", "0", "--interface"], /'--interface <which>' argument missing/],
    [["send", "[fe80::1%up9]:9", "x", "--interface", "lo"], /--interface lo contradicts \[fe80::1%up9\]:9/],
    [["listen", "[ff02::1%up9]:0", "--interface", "lo"], /--interface lo contradicts \[ff02::1%up9\]:0/],
    [["listen", "[ff02::1%up9]:0"], /no interface "up9": there are lo/],
    [
      ["listen", "0", "--join", "10.0.0.1"],
      /--join takes a multicast group.*"10\.0\.0\.1", which is not a multicast/,
    ],
    [["send", "127.0.0.1:9", "x", "--join", "fe80::1"], /--join takes a multicast group/],
    [["request", "127.0.0.1:9", "x", "--join", "239.1.1.1:9"], /--join takes .* without a port/],
    [["listen", "0", "--join", "all-hosts"], /--join takes a multicast group/],
    [
      ["listen", "127.0.0.1:0", "--join", "ff05::1", "--interface", "lo"],
      /127\.0\.0\.1:0 is IPv4.*\[::\]:0 to join ff05::1/,
    ],
    [["send", "127.0.0.1:9", "x", "--join", "ff05::1"], /--join ff05::1 is of another family/],
    [
      ["send", "127.0.0.1:9", "x", "--source", "5000"],
      /--source takes \[host\]\[:port\].*a port alone is :5000/,
    ],
    [["send", "127.0.0.1:9", "x", "--source", ""], /--source takes/],
    [["send", "127.0.0.1:9", "x", "--source", "127.0.0.1:70000"], /--source takes/],
    [["send", "127.0.0.1:9", "x", "--source", "239.1.1.1"], /--source takes an address of this machine/],
    [["send", "127.0.0.1:9", "x", "--source", "[::1]:5000"], /--source ::1 is of another family/],
    [["listen", "0", "--source", ":5000"], /--source is the address of answers: give --reply or --echo/],
    [["send", "127.0.0.1:9", "x", "--ttl", "0"], /--ttl takes a whole number from 1 to 255/],
    [["request", "127.0.0.1:9", "x", "--ttl", "256"], /--ttl takes a whole number from 1 to 255/],
    [["send", "127.0.0.1:9", "x", "--tos", "256"], /--tos takes 0 to 255.*not "256"/],
    [["send", "127.0.0.1:9", "x", "--tos", "0x1ff"], /--tos takes/],
    [["listen", "0", "--tos", "af44"], /--tos takes .* a DSCP name such as ef, cs1, af41/],
    [
      ["send", "127.0.0.1:9", "x", "--every-interface"],
      /--every-interface is for 255\.255\.255\.255 and multicast/,
    ],
    [["send", "[ff02::1%lo]:9", "x", "--every-interface"], /--every-interface contradicts \[ff02::1%lo\]:9/],
    [["send", "239.1.1.1:9", "x", "--every-interface", "--interface", "lo"], /cannot be used with/],
    [["request", "127.0.0.1:9", "x", "--count", "0"], /--count takes a whole number from 1 to/],

    [["serve"], /missing required argument/],
    [["serve", "0"], /give the program that answers, at the end: --exec <command>/],
    [["serve", "0", "--exec"], /'--exec <command...>' argument missing/],
    [["serve", "0", "--jobs", "0", "--exec", "cat"], /--jobs takes a whole number/],
    [["listen", "0", "--exec", "cat", "--version"], /unknown option '--exec'/],

    [["ping"], /missing required argument/],
    [["ping", "239.1.1.1:9"], /ping is for one peer: datagram request --all/],
    [["ping", "127.0.0.1:9", "--size", "39"], /--size takes a whole number from 40 to 65507/],
    [["ping", "127.0.0.1:9", "--size", "60", "--message"], /'--message' cannot be used with option '--size/],

    [["mtu"], /missing required argument/],
    [["mtu", "127.0.0.1"], /host:port/],
    [["mtu", "127.0.0.1:9", "x"], /too many arguments/],
    [["mtu", "127.0.0.1:9", "--timeout", "0"], /--timeout takes a time/],

    [["proxy"], /missing required argument/],
    [["proxy", "0"], /missing required argument/],
    [["proxy", "0", "9"], /host:port/],
    [["proxy", "0", "127.0.0.1:0"], /port 0 is not a destination/],
    [
      ["proxy", "0", "127.0.0.1:9", "--loss", "10"],
      /--loss takes a share in percent, such as 10%, or .* 1\/10.*not "10": a bare number/,
    ],
    [["proxy", "0", "127.0.0.1:9", "--delay", "50us"], /--delay takes a time.*from 0ms/],
    [["proxy", "0", "127.0.0.1:9", "--rate", "1mbps"], /--rate takes a rate, such as 1mbit/],
    [["proxy", "0", "127.0.0.1:9", "--mtu", "67"], /--mtu takes a whole number from 68 to 65536/],
    [["proxy", "[::1]:0", "127.0.0.1:9", "--mtu", "1279"], /up: --mtu must be 1280 or more over IPv6/],
    [["proxy", "0", "127.0.0.1:9", "--loss-burst", "3"], /--loss-burst .* needs --loss/],
    [
      ["proxy", "0", "127.0.0.1:9", "--loss-burst", "3", "--down-loss", "90%", "--loss", "1%"],
      /down: --loss must be at most 0\.75 with a --loss-burst of 3/,
    ],
    [["proxy", "0", "127.0.0.1:9", "--loss-burst-most", "3"], /--loss-burst-most .* needs --loss/],
    [["proxy", "0", "127.0.0.1:9", "--gilbert-elliott", "1%"], /--gilbert-elliott takes 2 to 4 shares/],
    [
      ["proxy", "0", "127.0.0.1:9", "--gilbert-elliott", "1%,5%", "--loss", "1%"],
      /--loss must be left out if --gilbert-elliott is given/,
    ],
    [["proxy", "0", "127.0.0.1:9", "--rule", "up"], /--rule "up" does not say what to do: drop,/],
    [["proxy", "0", "127.0.0.1:9", "127.0.0.1:9"], /targets\[1\] must be an address other than targets\[0\]/],
    [["proxy", "0", "127.0.0.1:9", "--answers", "some"], /--answers <whose>.*first, all/],
    [["proxy", "0", "127.0.0.1:9", "--profile", "dialup"], /--profile takes one of lan, .*not "dialup"/],
    [["proxy", "0", "127.0.0.1:9", "--seed", "-1"], /--seed takes a whole number from 0 to 4294967295/],

    [["send", `${escape}[31m`, "x"], /not "\\u001b\[31m"/],
    [["listen", "0", `--${escape}[2J`], /unknown option/],
    [["listen", "0", "--a\nb"], /unknown option/],
    [["send", "127.0.0.1:9", "--hex", "\u202e"], /pairs of hex digits/],
  ])("%j", async ([args, message]) => {
    const { code, stdout, stderr } = await runHere(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(
      /^datagram(?: listen| watch| send| receive| record| read| gateway| request| serve| ping| mtu| proxy| run| doctor| completion)?: [\x20-\x7e]+\n$/,
    );
    expect(stderr).toMatch(message);
  });
});

test("a process of its own ends in the same way", async (t) => {
  for (const args of [
    [],
    ["help", "nothing"],
    ["listen", "65536"],
    ["send", "127.0.0.1:9"],
    ["doctor", "--help"],
  ]) {
    const { signal, ...output } = await run(t, args);
    expect(signal).toBeNull();
    expect(output).toEqual(await runHere(args));
  }
});

test("a command that cannot bind says that alone, and not that it listens", async (t) => {
  const { port } = await listen(t);
  const folder = mkdtempSync(join(tmpdir(), "datagram-taken-"));
  t.onTestFinished(() => rmSync(folder, { recursive: true }));
  const into = join(folder, "into");
  for (const [command, ...rest] of [
    ["listen"],
    ["listen", "0"],
    ["listen", "--record", join(folder, "listen.pcapng")],
    ["record", "--output", join(folder, "record.pcapng")],
    ["watch"],
    ["receive", "--into", into],
    ["gateway", "--into", into],
    ["serve", "--exec", "cat"],
    ["proxy", "127.0.0.1:9"],
  ] as const) {
    const { code, stdout, stderr } = await runHere([command, String(port), ...rest]);
    expect([code, stdout], command).toEqual([1, ""]);
    expect(stderr, command).toMatch(
      new RegExp(
        `^datagram ${command}: cannot use 127\\.0\\.0\\.1:${port}: another socket has this address[^;]*\n$`,
      ),
    );
  }
});

test("a full disk is an error in one line", async (t) => {
  const { code, stderr } = await new Program(t, "sh", [
    "-c",
    '"$0" "$1" doctor >/dev/full',
    process.execPath,
    bin,
  ]).ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/^datagram doctor: cannot write standard output: the disk is full\n$/);
});
