import dgram from "node:dgram";
import { once } from "node:events";

import { type Socket, TimeoutError, socket } from "datagram";

/** One way to send and receive UDP, behind the few calls that the workloads make. */
export interface Contender {
  /** A socket bound to a free port of 127.0.0.1. */
  open(): Promise<Peer>;
}

export interface Peer {
  readonly port: number;
  /** Sends one datagram; settles when the system has it. */
  send(payload: Buffer, port: number): Promise<unknown>;
  /** The next datagram. */
  receive(): Promise<Buffer>;
  /** Sends every datagram back until `close`. */
  echo(): void;
  /** Counts the datagrams that come from now on, until there were `total` or a second passed without one. */
  count(total: number): Promise<number>;
  close(): Promise<void>;
}

const host = "127.0.0.1";
const quietMs = 1000;

/** This package, on the driver that `DATAGRAM_DRIVER` names. */
export const ours: Contender = {
  async open() {
    const s = socket();
    await s.bind([host, 0]);
    return {
      port: s.getsockname().port,
      send: (payload, port) => s.sendto(payload, [host, port]),
      receive: async () => (await s.recvfrom(65_535))[0],
      echo: () => void echo(s),
      async count(total) {
        s.settimeout(quietMs / 1000);
        let count = 0;
        try {
          for await (const { data } of s) if (data.length > 0 && ++count === total) break;
        } catch (error) {
          // Quiet: what is missing shows in the count.
          if (!(error instanceof TimeoutError)) throw error;
        }
        return count;
      },
      close: () => s.close(),
    };
  },
};

/** `node:dgram` as its documentation uses it. */
export const nodeDgram: Contender = {
  async open() {
    const s = dgram.createSocket({ type: "udp4", recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
    s.bind(0, host);
    await once(s, "listening");
    return {
      port: s.address().port,
      send: (payload, port) =>
        new Promise((resolve, reject) => {
          s.send(payload, port, host, (error, bytes) => (error ? reject(error) : resolve(bytes)));
        }),
      receive: () => new Promise((resolve) => s.once("message", resolve)),
      echo: () => s.on("message", (data, { address, port }) => s.send(data, port, address)),
      count: (total) =>
        new Promise((resolve) => {
          let count = 0;
          const end = (): void => {
            s.off("message", onMessage);
            clearTimeout(quiet);
            resolve(count);
          };
          const onMessage = (): void => {
            if (++count === total) end();
            else quiet.refresh();
          };
          const quiet = setTimeout(end, quietMs);
          s.on("message", onMessage);
        }),
      close: () => new Promise((resolve) => s.close(() => resolve())),
    };
  },
};

async function echo(s: Socket): Promise<void> {
  for await (const datagram of s) await datagram.reply(datagram.data);
}
