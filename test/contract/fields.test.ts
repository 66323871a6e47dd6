import { AF_INET, SOCK_DGRAM, socket } from "datagram";
import { probePathMtu } from "datagram/message";
import { expect } from "vitest";

import { contract, soon, texts } from "./world.js";

/** The error that names an unknown field, the known fields, and the one that was probably meant. */
const unknown = (field: string, meant?: string): Error =>
  expect.objectContaining({
    name: "RangeError",
    code: "ERR_OUT_OF_RANGE",
    message: expect.stringMatching(
      new RegExp(
        `a field must be one of .*, not "${field}"${meant === undefined ? "" : `: did you mean ${meant}\\?`}$`,
      ),
    ) as string,
  }) as Error;

const refused = (call: Promise<unknown>, field: string, meant?: string): Promise<void> =>
  expect(call).rejects.toEqual(unknown(field, meant));

// semantics: unknown-option
contract("socket() refuses an unknown option, and names the one that was probably meant", () => {
  for (const [field, meant] of [
    ["recieveBuffer", "receiveBuffer"],
    ["recvBuffer", "receiveBuffer"],
    ["receivebuffer", "receiveBuffer"],
    ["dontFragments", "dontFragment"],
    ["reuseAddr", undefined],
    ["toString", undefined],
    ["__proto__x", undefined],
    ["x".repeat(10_000), undefined],
  ] as const) {
    const options = { receiveBuffer: 65_536, [field]: 1 } as never;
    const shown = field.length > 40 ? `${field.slice(0, 40)}…` : field;
    expect(() => socket(AF_INET, SOCK_DGRAM, options), field).toThrow(unknown(shown, meant));
  }
  expect(() => socket(AF_INET, SOCK_DGRAM, { strickt: undefined } as never)).toThrow(
    unknown("strickt", "strict"),
  );
});

// semantics: unknown-option
contract("an inherited option applies, and an inherited unknown option is ignored", () => {
  const inherited = Object.create({ sendQueue: 0, other: 1 }) as object;
  const s = socket(AF_INET, SOCK_DGRAM, inherited);
  expect(s.closed).toBe(false);
  void s.close();
});

// semantics: unknown-option
contract("receive calls refuse an unknown option, and no datagram is lost", async ({ bound }) => {
  const s = await bound();
  await s.sendto("kept", s.getsockname());
  const late = { timeout: 5 } as never;
  await refused(s.recvfrom(64, late), "timeout", "timeoutMs");
  await refused(s.recv(64, late), "timeout", "timeoutMs");
  await refused(s.recvMany(2, late), "timeout", "timeoutMs");
  await refused(s.recvmsg(late), "timeout", "timeoutMs");
  await refused(s.recvmsg({ bufSize: 5 } as never), "bufSize", "bufsize");
  await refused(s.recvfrom(64, { bufsize: 5 } as never), "bufsize");
  expect((await s.recvmsg({ ...soon, bufsize: 2 })).data.toString()).toBe("ke");
});

// semantics: unknown-option
contract("sendmsg and sendMany refuse an unknown field before anything is sent", async ({ bound }) => {
  const s = await bound();
  const address = s.getsockname();
  await refused(s.sendmsg({ data: "x", address, intreface: "lo" } as never), "intreface", "interface");
  await refused(s.sendmsg({ data: "x", adress: address } as never), "adress", "address");
  const items = [{ data: "a", address }, "b", { data: "c", address, ttI: 3 }];
  const error = await s.sendMany(items as never).catch((reason: unknown) => reason);
  expect(error).toEqual(unknown("ttI", "ttl"));
  expect(error).toMatchObject({ index: 2, sent: 0 });
  await s.sendMany([{ data: "first", address, tos: undefined, source: undefined }]);
  expect(await texts(s, 1)).toEqual(["first"]);
});

// semantics: unknown-option
contract("probePathMtu refuses an unknown option", async ({ bound }) => {
  const s = await bound();
  const call = probePathMtu(s, s.getsockname(), { onprobe: () => undefined } as never);
  await refused(call, "onprobe", "onProbe");
});
