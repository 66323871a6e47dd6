import { AF_INET, SOCK_DGRAM, socket } from "datagram";

// A busy receiver, with room for a few datagrams.
await using receiver = socket(AF_INET, SOCK_DGRAM, { receiveBuffer: 16_384 });
receiver.on("dropped", ({ cause, datagrams }) =>
  console.log(`dropped: ${datagrams} at least, cause: ${cause}`),
);
await receiver.bind(["127.0.0.1", 0]);

await using sender = socket(AF_INET, SOCK_DGRAM);
for (let count = 0; count < 100; count++) await sender.sendto("frame", receiver.getsockname());

// Now it reads: the first datagrams had room, and the datagram after the gap has the number of lost ones.
const early = await receiver.recvMany(100);
await sender.sendto("late", receiver.getsockname());
const late = await receiver.recvmsg();
console.log(
  `got ${early.length} of 100, then ${late.data.toString()}, which came after ${late.lostBefore} lost ones`,
);

const { received, droppedKernel = NaN } = receiver.stats();
console.log(`received and dropped are all that was sent: ${received.datagrams + droppedKernel === 101}`);
