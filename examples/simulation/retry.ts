import type { Socket } from "datagram";

/** The page's sender, which tries again until it has an answer to this very request. */
export async function request(s: Socket, text: string, to: readonly [string, number]): Promise<string> {
  // All tries have one id, since an answer to any of them will do; other requests have others.
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
