/** Both ends of a stream of udx-native, which has its own congestion control and repairs losses, as messages do. */
import type { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";

/** What is used here of udx-native 1.21.3, which has no types. */
interface Udx {
  createSocket(): UdxSocket;
  createStream(id: number, options?: { firewall: Firewall }): UdxStream;
}
type Firewall = (socket: UdxSocket, port: number, host: string) => boolean;
interface UdxSocket {
  bind(port: number, host: string): void;
  address(): { readonly port: number };
  setRecvBufferSize(bytes: number): void;
  setSendBufferSize(bytes: number): void;
}
interface UdxStream extends EventEmitter {
  connect(socket: UdxSocket, remoteId: number, port: number, host: string): void;
  /** @returns whether more may be written before the event "drain". */
  write(data: Uint8Array): boolean;
}

/** Its socket buffers, as those of this package. With the kernel's default it sends thousands of packets again. */
const bufferBytes = 4 << 20;
const senderId = 1;
const receiverId = 2;

/** Receives the stream of `sendUdx`. @returns the port. */
export function receiveUdx(folder: string, host: string, count: (bytes: number) => void): number {
  const { udx, socket } = open(folder, host);
  const stream = udx.createStream(receiverId, {
    // The first packet tells where the sender is. `false` accepts it.
    firewall: (from, port, address) => {
      stream.connect(from, senderId, port, address);
      return false;
    },
  });
  stream.on("data", ({ length }: Uint8Array) => count(length));
  return socket.address().port;
}

/** Writes `data` again and again, whenever the stream has room. */
export async function sendUdx(folder: string, host: string, port: number, data: Uint8Array): Promise<never> {
  const { udx, socket } = open(folder, host);
  const stream = udx.createStream(senderId);
  stream.connect(socket, receiverId, port, host);
  for (;;) if (!stream.write(data)) await new Promise((done) => stream.once("drain", done));
}

function open(folder: string, host: string): { udx: Udx; socket: UdxSocket } {
  const Constructor = createRequire(join(folder, "package.json"))("udx-native") as new () => Udx;
  const udx = new Constructor();
  const socket = udx.createSocket();
  socket.bind(0, host);
  socket.setRecvBufferSize(bufferBytes);
  socket.setSendBufferSize(bufferBytes);
  return { udx, socket };
}
