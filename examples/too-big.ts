import { AF_INET, OSError, SOCK_DGRAM, socket } from "datagram";

const [host = "127.0.0.1", port = 9000] = process.argv.slice(2);
const to = [host, Number(port)] as const;
const frame = Buffer.alloc(4000);

// The datagram travels in fragments: if one is lost, the datagram is lost. They are counted.
await using s = socket(AF_INET, SOCK_DGRAM);
console.log(`path MTU ${s.pathMtu(to)}, so that ${s.maxPayload(to)} bytes of payload go in one packet`);
await s.sendto(frame, to);
console.log(`sent in fragments: ${s.stats().fragmented}`);

// With dontFragment, it is not sent at all.
await using whole = socket(AF_INET, SOCK_DGRAM, { dontFragment: true });
try {
  await whole.sendto(frame, to);
} catch (error) {
  if (!(error instanceof OSError)) throw error;
  console.log(`${error.code}, the limit is ${error.limit}`);
}
