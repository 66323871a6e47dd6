import type { Socket } from "datagram";

/** The page's receiver, on a bound socket, until the socket is closed. */
export async function receive(s: Socket): Promise<void> {
  for await (const { data, source } of s) await s.sendto(["ack: ", data], source);
}

/** The page's sender. */
export async function request(s: Socket, text: string, to: readonly [string, number]): Promise<string> {
  s.settimeout(2.0); // 2 s reply window
  await s.sendto(text, to);
  const [reply] = await s.recvfrom(64);
  return reply.toString();
}
