import dgram from "node:dgram";
import { once } from "node:events";

import { socket } from "datagram";

/** One way to send and receive one datagram at a time, with the few calls that the workloads need. */
export interface Contender {
  /** Opens a socket bound to a free port of 127.0.0.1. */
  open(): Promise<TestSocket>;
}

export interface TestSocket {
  readonly port: number;
  /** Sends one datagram. Settles when the system has it. */
  send(payload: Buffer, port: number): Promise<unknown>;
  /** Counts the datagrams that arrive from now on, up to `total` or until an empty one arrives. */
  count(total: number): Promise<number>;
  close(): Promise<void>;
}

const host = "127.0.0.1";

/** This package, on the driver that `DATAGRAM_DRIVER` names. */
export const ours: Contender = {
  async open() {
    const s = socket();
    await s.bind([host, 0]);
    return {
      port: s.getsockname().port,
      send: (payload, port) => s.sendto(payload, [host, port]),
      async count(total) {
        for (let count = 0; ; count++) {
          if (count === total) return count;
          const [data] = await s.recvfrom(65_535);
          if (data.length === 0) return count;
        }
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
      count: (total) =>
        new Promise((resolve) => {
          let count = 0;
          const onMessage = (data: Buffer): void => {
            if (data.length > 0 && ++count < total) return;
            s.off("message", onMessage);
            resolve(count);
          };
          s.on("message", onMessage);
        }),
      close: () => new Promise((resolve) => s.close(() => resolve())),
    };
  },
};
