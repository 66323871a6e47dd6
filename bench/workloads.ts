/** The workloads and their contenders: data, except for the calls that run a case. */
import type { ProgramName } from "./programs.js";
import {
  type Bench,
  type End,
  type Figures,
  awaited,
  deliver,
  idleSockets,
  openClose,
  paces,
  receiveAtPace,
  roundTrip,
  sendAlone,
} from "./runs.js";

export interface Workload {
  readonly name: string;
  readonly title: string;
  readonly cases: readonly Case[];
  /** The figures that are compared. The first is the main one. */
  readonly figures: readonly Figure[];
  /** The cases that the others are compared with. */
  readonly references: readonly string[];
  /** Whether it needs sockets that nobody reads. */
  readonly parks: boolean;
}

/** A contender in a workload. */
export interface Case {
  readonly name: string;
  readonly needs: readonly ProgramName[];
  readonly run: (bench: Bench) => Promise<Figures>;
}

export interface Figure {
  readonly key: string;
  readonly unit: string;
  readonly lessIsBetter?: true;
}

const rate: readonly Figure[] = [{ key: "perSecond", unit: "datagrams/s" }];
const latency: readonly Figure[] = [
  { key: "p50", unit: "µs p50", lessIsBetter: true },
  { key: "p99", unit: "µs p99", lessIsBetter: true },
];

/** The names of the cases in the targets. */
export const names = {
  nodeDgram: "node:dgram",
  bun: "Bun sendMany",
  offload: "C, GSO and GRO",
  batches: "C, sendmmsg and recvmmsg",
  gso: "C, GSO",
  sendmmsg: "C, sendmmsg",
} as const;

const offload = { offload: 1 } as const;
const forAwait = (program: ProgramName): End => ({ program, settings: { by: "for-await" } });
const recvMany = (program: ProgramName): End => ({ program, settings: { by: "recvMany" } });
const batches = (program: ProgramName): End => ({ program, settings: { by: "batches" } });
const sendMany = (program: ProgramName): End => ({ program, settings: { by: "sendMany" } });
const sendto = (program: ProgramName): End => ({ program, settings: { by: "sendto" } });

function delivery(name: string, size: number, from: End, to: End, sockets = 1): Case {
  return {
    name,
    needs: [...new Set([from.program, to.program])],
    run: (bench) => deliver(bench, from, to, size, sockets),
  };
}

function sending(name: string, from: End, peers = 1): Case {
  return { name, needs: [from.program], run: (bench) => sendAlone(bench, from, 64, peers) };
}

const delivered = [64, 512, 1400].map((size): Workload => ({
  name: `deliver-${size}`,
  title: `delivered from one process to another, ${size.toLocaleString("en")} bytes`,
  figures: rate,
  references: [names.nodeDgram, names.bun, names.offload],
  parks: false,
  cases: [
    delivery("native, sendMany to for await", size, sendMany("native"), forAwait("native")),
    delivery("native, sendMany to recvMany", size, sendMany("native"), recvMany("native")),
    delivery("native, sendMany to batches()", size, sendMany("native"), batches("native")),
    delivery("dgram, sendMany to for await", size, sendMany("dgram"), forAwait("dgram")),
    delivery("dgram, sendMany to recvMany", size, sendMany("dgram"), recvMany("dgram")),
    delivery(names.nodeDgram, size, { program: "node:dgram" }, { program: "node:dgram" }),
    delivery(names.bun, size, { program: "bun" }, { program: "bun" }),
    delivery(names.offload, size, { program: "c", settings: offload }, { program: "c", settings: offload }),
    delivery(names.batches, size, { program: "c" }, { program: "c" }),
    delivery("CPython sendto and recvfrom_into", size, { program: "python" }, { program: "python" }),
  ],
}));

const single: readonly Workload[] = [
  {
    name: "deliver-promises",
    title: "delivered, 64 bytes, one sendto() promise per datagram, 1,024 in a tick, to for await",
    figures: rate,
    references: [names.nodeDgram],
    parks: false,
    cases: [
      delivery("native", 64, sendto("native"), forAwait("native")),
      delivery("dgram", 64, sendto("dgram"), forAwait("dgram")),
      delivery(names.nodeDgram, 64, { program: "node:dgram" }, { program: "node:dgram" }),
    ],
  },
  {
    name: "send",
    title: "sending alone, 64 bytes, in batches of 1,024, to one socket that nobody reads",
    figures: rate,
    references: [names.nodeDgram, names.bun, names.gso],
    parks: true,
    cases: [
      sending("native, sendMany", sendMany("native")),
      sending("native, sendto promises", sendto("native")),
      sending("dgram, sendMany", sendMany("dgram")),
      sending("dgram, sendto promises", sendto("dgram")),
      sending(names.nodeDgram, { program: "node:dgram" }),
      sending(names.bun, { program: "bun" }),
      sending(names.gso, { program: "c", settings: offload }),
      sending(names.sendmmsg, { program: "c" }),
      sending("CPython sendto", { program: "python" }),
    ],
  },
];

/** Batches of about 1,000 datagrams, or of 8,000: eight to each of 1,000 peers. */
const fanOut = [
  { name: "fan-out-1", peers: 1, batch: 1000, order: "turns", what: "to 1 peer" },
  { name: "fan-out-10", peers: 10, batch: 1000, order: "turns", what: "to 10 peers in turn" },
  { name: "fan-out-1000", peers: 1000, batch: 1000, order: "turns", what: "one to each of 1,000 peers" },
  {
    name: "fan-out-1000x8",
    peers: 1000,
    batch: 8000,
    order: "turns",
    what: "eight to each of 1,000 peers, in turns",
  },
  {
    name: "fan-out-1000x8-runs",
    peers: 1000,
    batch: 8000,
    order: "runs",
    what: "eight to each of 1,000 peers, in runs",
  },
].map(({ name, peers, batch, order, what }): Workload => {
  const to = (program: ProgramName, by = "datagrams"): End => ({ program, settings: { by, batch, order } });
  return {
    name,
    title: `sent ${what}, which nobody reads, 64 bytes, ${batch.toLocaleString("en")} a batch`,
    figures: rate,
    references: [names.nodeDgram, names.sendmmsg, names.gso],
    parks: true,
    cases: [
      sending("native, sendMany(datagrams)", to("native"), peers),
      sending("dgram, sendMany(datagrams)", to("dgram"), peers),
      sending(names.nodeDgram, to("node:dgram"), peers),
      sending(names.bun, to("bun"), peers),
      sending(names.sendmmsg, to("c"), peers),
      sending(names.gso, { program: "c", settings: { ...offload, batch } }, peers),
    ],
  };
});

const oneAtATime = [
  { name: "awaited-send", title: "sent one by one, each awaited" },
  { name: "awaited-receive", title: "received from a full buffer by recvfrom() in a loop, each awaited" },
  { name: "one-thread", title: "sent one by one, each awaited, and received in the same thread" },
].map(({ name, title }): Workload => ({
  name,
  title: `${title}, 64 bytes`,
  figures: rate,
  references: [names.nodeDgram],
  parks: false,
  cases: (["native", "dgram", "node:dgram"] as const).map((program) => ({
    name: program,
    needs: [program],
    run: (bench) => awaited(bench, name, program),
  })),
}));

const trips: Workload = {
  name: "round-trip",
  title: "a datagram of 64 bytes and its echo, one at a time, two processes on one CPU",
  figures: latency,
  references: ["C and C echo", "node:dgram both"],
  parks: false,
  cases: (
    [
      ["native and C echo", "native", "c"],
      ["C and C echo", "c", "c"],
      ["native both", "native", "native"],
      ["dgram both", "dgram", "dgram"],
      ["node:dgram both", "node:dgram", "node:dgram"],
    ] as const
  ).map(([name, client, echo]) => ({
    name,
    needs: [...new Set([client, echo])],
    run: (bench) => roundTrip(bench, client, echo),
  })),
};

/** A client that is held to one CPU never looks again and again (`busyPoll`). */
const tripsOnTwo: Workload = {
  name: "round-trip-two",
  title: "a datagram of 64 bytes and its echo, one at a time, the client on either of two CPUs",
  figures: latency,
  references: ["C and C echo", "node:dgram both"],
  parks: false,
  cases: (
    [
      ["native, busyPoll, and C echo", "native", "c", 100],
      ["native and C echo", "native", "c", 0],
      ["C and C echo", "c", "c", 0],
      ["native, busyPoll, both", "native", "native", 100],
      ["native both", "native", "native", 0],
      ["node:dgram both", "node:dgram", "node:dgram", 0],
    ] as const
  ).map(([name, client, echo, busyPoll]) => ({
    name,
    needs: [...new Set([client, echo])],
    run: (bench) => roundTrip(bench, client, echo, { clientCpu: "0,1", busyPoll }),
  })),
};

/** One program for `node:dgram`, as it is and with `--import datagram/register`. */
const programs = ["datagram/dgram", "node:dgram"] as const;
const callbacks = (program: ProgramName): End => ({ program, settings: { inFlight: 64 } });
const withRegister: readonly Workload[] = [
  {
    name: "dgram-callbacks",
    title: "delivered to message listeners, 64 bytes, 64 sends in flight, each callback sends the next",
    figures: [...rate, { key: "cpuUs", unit: "µs of CPU a datagram, both processes", lessIsBetter: true }],
    references: [names.nodeDgram],
    parks: false,
    cases: programs.map((program) => delivery(program, 64, callbacks(program), { program })),
  },
  {
    name: "dgram-receive",
    title:
      "CPU time of a receiver with a message listener, 64 bytes, from node:dgram with 64 sends in flight",
    figures: [{ key: "receiverCpuUs", unit: "µs of CPU a datagram", lessIsBetter: true }],
    references: [names.nodeDgram],
    parks: false,
    cases: programs.map((program) => delivery(program, 64, callbacks("node:dgram"), { program })),
  },
  {
    name: "dgram-round-trip",
    title: "a datagram of 64 bytes and its echo, both by message listeners, two processes on one CPU",
    figures: latency,
    references: [names.nodeDgram],
    parks: false,
    cases: programs.map((program) => ({
      name: program,
      needs: [program],
      run: (bench) => roundTrip(bench, program, program),
    })),
  },
];

/** The sender is the same for all, so that only the receiving is compared. */
const openSockets = [1, 100, 1000].map((sockets): Workload => {
  const from: End = { program: "c", settings: { batch: Math.max(1000, sockets * 8), order: "runs" } };
  return {
    name: `sockets-${sockets}`,
    title: `delivered to ${sockets.toLocaleString("en")} open socket${sockets > 1 ? "s" : ""} of one process, 64 bytes, from C sendmmsg`,
    figures: rate,
    references: [names.nodeDgram, "C, epoll and GRO"],
    parks: false,
    cases: [
      delivery("native, for await", 64, from, forAwait("native"), sockets),
      delivery("dgram, for await", 64, from, forAwait("dgram"), sockets),
      delivery(names.nodeDgram, 64, from, { program: "node:dgram" }, sockets),
      delivery("Bun", 64, from, { program: "bun" }, sockets),
      delivery("C, epoll and GRO", 64, from, { program: "c", settings: offload }, sockets),
    ],
  };
});

const everyday = [
  { name: "everyday-bursts", title: "5,000 a second, 25 at a time", pace: paces.bursts },
  { name: "everyday-even", title: "5,000 a second, one at a time", pace: paces.even },
  { name: "everyday-60000", title: "60,000 a second, 60 at a time", pace: paces.fast },
].map(({ name, title, pace }): Workload => {
  const receiving = (contender: string, to: End): Case => ({
    name: contender,
    needs: [...new Set<ProgramName>(["c", to.program])],
    run: (bench) => receiveAtPace(bench, to, 1400, pace),
  });
  return {
    name,
    title: `CPU time of a receiver of ${title}, 1,400 bytes, from C sendmmsg`,
    figures: [{ key: "cpuUs", unit: "µs of CPU a datagram", lessIsBetter: true }],
    references: [names.nodeDgram],
    parks: false,
    cases: [
      receiving("native, for await", forAwait("native")),
      receiving("native, batches()", batches("native")),
      receiving(names.nodeDgram, { program: "node:dgram" }),
      receiving("C recvmmsg, with metadata", { program: "c", settings: { metadata: 1 } }),
      receiving("CPython recvmsg, with metadata", { program: "python", settings: { by: "recvmsg" } }),
    ],
  };
});

const eachSocket = [
  {
    name: "open-close",
    title: "sockets opened, bound and closed, one after another",
    figure: { key: "usEach", unit: "µs a socket", lessIsBetter: true },
    run: openClose,
  },
  {
    name: "idle-sockets",
    title: "resident memory of an open, bound socket of 10,000 that nobody uses",
    figure: { key: "bytesEach", unit: "bytes a socket", lessIsBetter: true },
    run: idleSockets,
  },
] as const;

const openedSockets = eachSocket.map(({ name, title, figure, run }): Workload => ({
  name,
  title,
  figures: [figure],
  references: [names.nodeDgram],
  parks: false,
  cases: (
    [
      ["native", "native"],
      ["dgram", "dgram"],
      [names.nodeDgram, "node:dgram"],
      ["Bun", "bun"],
      ["CPython", "python"],
    ] as const
  ).map(([contender, program]) => ({
    name: contender,
    needs: [program],
    run: (bench) => run(bench, program),
  })),
}));

export const workloads: readonly Workload[] = [
  ...delivered,
  ...single,
  ...fanOut,
  ...oneAtATime,
  trips,
  tripsOnTwo,
  ...withRegister,
  ...openSockets,
  ...everyday,
  ...openedSockets,
];
