import { type AddressLike, type Socket, TimeoutError } from "datagram";

/** Asks a peer, and asks again if no answer comes. */
export async function ask(s: Socket, text: string, to: AddressLike, tries = 5): Promise<string> {
  for (let left = tries; ; left--) {
    await s.sendto(text, to);
    try {
      return (await s.recvmsg({ timeoutMs: 500 })).data.toString();
    } catch (error) {
      if (!(error instanceof TimeoutError) || left === 1) throw error;
    }
  }
}

/** Answers every datagram, until the socket is closed. */
export async function answer(s: Socket): Promise<void> {
  for await (const datagram of s) await datagram.reply(["ack: ", datagram.data]);
}
