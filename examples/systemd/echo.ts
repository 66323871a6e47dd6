/** Answers each datagram with the same payload, on the sockets that systemd passes. */
import { type Socket, socketsFromSystemd } from "datagram";

async function serve(socket: Socket): Promise<void> {
  for await (const datagram of socket) await datagram.reply(datagram.data);
}

const passed = socketsFromSystemd();
if (passed.length === 0) throw new Error("systemd passed no socket: start datagram-echo.socket");
for (const { name, socket } of passed) console.log(`${name} at ${socket.getsockname()}`);
// systemd keeps the sockets: datagrams that arrive before the next start wait in them.
process.once("SIGTERM", () => passed.forEach(({ socket }) => void socket.close()));
await Promise.all(passed.map(({ socket }) => serve(socket)));
