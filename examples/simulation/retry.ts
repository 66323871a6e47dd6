import type { Socket } from "datagram";

/** The page's sender. It tries again until it has the answer to this request. */
export async function request(s: Socket, text: string, to: readonly [string, number]): Promise<string> {
  // All tries of a request have one id, since an answer to any of them is right. Each request has another id.
  const id = s.random().toString(16).padStart(8, "0");
  for (let tries = 0; tries < 12; tries++) {
    await s.sendto(`${id} ${text}`, to);
    const patience = AbortSignal.timeout(250 * 2 ** Math.min(tries, 3));
    try {
      for (;;) {
        const [reply] = await s.recvfrom(64, { signal: patience });
        const [, answered, answer] = /^ack: (\w+) (.*)$/.exec(reply.toString()) ?? [];
        if (answered === id && answer !== undefined) return `ack: ${answer}`;
      }
    } catch (error) {
      if (error !== patience.reason) throw error;
    }
  }
  throw new Error(`no answer to ${text}, asked 12 times`);
}
