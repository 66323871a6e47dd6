import { AF_INET, SOCK_DGRAM, TruncatedError, socket } from "datagram";

await using sender = socket(AF_INET, SOCK_DGRAM);

// As everywhere, the call returns the first bytes, and the rest is lost. Here you can see it.
await using receiver = socket(AF_INET, SOCK_DGRAM);
await receiver.bind(["127.0.0.1", 0]);
await sender.sendto("temperature 21.5", receiver.getsockname());
const { data, size, truncated } = await receiver.recvmsg({ bufsize: 14 });
console.log(`${data.toString()}: ${data.length} of ${size} bytes, truncated: ${truncated}`);
console.log("counted:", receiver.stats().truncated);

// On a strict socket this is an error. The error has the datagram.
await using strict = socket(AF_INET, SOCK_DGRAM, { strict: true });
await strict.bind(["127.0.0.1", 0]);
await sender.sendto("temperature 21.5", strict.getsockname());
try {
  await strict.recvfrom(14);
} catch (error) {
  if (!(error instanceof TruncatedError)) throw error;
  console.log(`${error.code}: ${error.datagram.data.toString()} is cut`);
}
