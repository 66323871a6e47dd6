import { type Host, Network } from "datagram/sim";
import { expect, test } from "vitest";

/** What the program uses of multicast-dns. */
interface Mdns {
  on(event: "query" | "response", listener: (packet: Packet) => void): void;
  query(name: string, type: "A"): void;
  respond(packet: { answers: readonly object[] }): void;
}
interface Packet {
  readonly questions: readonly { readonly name: string }[];
  readonly answers: readonly { readonly data: string }[];
}

/** What it uses of coap. */
interface Coap {
  createServer(listener: (request: object, response: { end(text: string): void }) => void): {
    listen(): void;
  };
  request(to: { host: string; pathname: string }): Request;
}
interface Request {
  on(event: "response", listener: (response: { payload: Buffer }) => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  end(): void;
}

/** A lamp that is found by mDNS, and tells its state by CoAP. */
async function runLamp(host: Host): Promise<void> {
  const mdns = (await host.load<() => Mdns>("multicast-dns"))();
  mdns.on("query", ({ questions }) => {
    if (questions[0]?.name !== "lamp.local") return;
    mdns.respond({ answers: [{ name: "lamp.local", type: "A", ttl: 60, data: host.address }] });
  });
  const coap = await host.load<Coap>("coap");
  coap.createServer((_request, response) => response.end("on")).listen();
}

/** Finds the lamp and asks it. coap sends a request again, but multicast-dns sends a question once. */
async function askLamp(host: Host, askAgain: boolean): Promise<string> {
  const mdns = (await host.load<() => Mdns>("multicast-dns"))();
  const address = await new Promise<string>((resolve) => {
    mdns.on("response", ({ answers }) => {
      clearInterval(again);
      resolve(answers[0]?.data ?? "");
    });
    const ask = (): void => mdns.query("lamp.local", "A");
    const again = askAgain ? setInterval(ask, 1000) : undefined;
    ask();
  });
  const coap = await host.load<Coap>("coap");
  return new Promise((resolve, reject) => {
    coap
      .request({ host: address, pathname: "/light" })
      .on("response", ({ payload }) => resolve(payload.toString()))
      .on("error", reject)
      .end();
  });
}

/** Runs both programs on two hosts. Their link loses a fifth of the packets. */
async function light(seed: number, askAgain: boolean): Promise<string> {
  const network = new Network({ seed, seedProgram: true });
  const desk = network.host("desk", { address: "10.0.0.1" });
  const lamp = network.host("lamp", { address: "10.0.0.2" });
  network.link(desk, lamp, { latencyMs: 20, lossRatio: 0.2 });
  const program = async (): Promise<string> => {
    await runLamp(lamp);
    return askLamp(desk, askAgain);
  };
  return network.run(program, { limitMs: 300_000 });
}

test("a program that asks once waits for ever if its question is lost", async () => {
  await expect(light(3, false)).rejects.toMatchObject({ code: "ERR_SIM_TIME_LIMIT" });
});

const seeds = Array.from({ length: 20 }, (_, index) => index + 1);

test.each(seeds)("a program that asks again has the answer: seed %i", async (seed) => {
  expect(await light(seed, true)).toBe("on");
});
