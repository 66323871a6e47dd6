import { AF_INET } from "datagram";
import { expect } from "vitest";

import { contract, failure, families, soon, texts } from "./world.js";

for (const [ip, family] of families) {
  const any = family === AF_INET ? "0.0.0.0" : "::";

  // semantics: name-before-bind
  contract(
    `getsockname() of an unbound socket is the address of every interface, with port 0, over ${ip}`,
    ({ socket }) => {
      const { host, port, family: of } = socket(family).getsockname();
      expect([host, port, of]).toEqual([any, 0, family]);
    },
  );

  // semantics: first-send-binds
  contract(
    `the first sendto over ${ip} binds an ephemeral port, which the socket keeps`,
    async ({ bound, socket }) => {
      const [receiver, sender] = [await bound(family), socket(family)];
      await sender.sendto("1", receiver.getsockname());
      const { host, port } = sender.getsockname();
      await sender.sendto("2", receiver.getsockname());
      const ports = [await receiver.recvfrom(8, soon), await receiver.recvfrom(8, soon)].map(
        ([, { port }]) => port,
      );
      expect(host).toBe(any);
      expect(port).toBeGreaterThan(0);
      expect(ports).toEqual([port, port]);
      expect(sender.getsockname().port).toBe(port);
    },
  );

  // semantics: bind-port-zero
  contract(`bind to port 0 over ${ip} chooses a free port`, async ({ bound, localhost }) => {
    const [one, other] = [(await bound(family)).getsockname(), (await bound(family)).getsockname()];
    expect([one.host, other.host]).toEqual([localhost(family), localhost(family)]);
    expect(Math.min(one.port, other.port)).toBeGreaterThan(0);
    expect(one.port).not.toBe(other.port);
  });

  // semantics: bind-every-interface
  contract(`bind to host "" over ${ip} is every interface`, async ({ bound, localhost, socket }) => {
    const [receiver, sender] = [socket(family), await bound(family)];
    await receiver.bind(["", 0]);
    const { host, port } = receiver.getsockname();
    expect(host).toBe(any);
    await sender.sendto("hello", [localhost(family), port]);
    expect(await texts(receiver, 1)).toEqual(["hello"]);
  });

  // semantics: port-taken
  contract(
    `bind to a used port over ${ip} is EADDRINUSE, and the error names the address`,
    async ({ bound, socket }) => {
      const { host, port } = (await bound(family)).getsockname();
      const error = await failure(socket(family).bind([host, port]));
      expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "bind", address: host, port });
      expect(error.message).toContain(host);
      expect(error.message).toContain(String(port));
      expect(error.message).toContain("SO_REUSEPORT");
      expect(error.message).toContain("SO_REUSEADDR lets several sockets receive one group");
    },
  );

  // semantics: address-elsewhere
  contract(
    `bind to an address that this host does not have, over ${ip}, is EADDRNOTAVAIL, and the error names it`,
    async (world) => {
      const address = world.elsewhere(family);
      const error = await failure(world.socket(family).bind([address, 9000]));
      expect(error).toMatchObject({ code: "EADDRNOTAVAIL", syscall: "bind", address, port: 9000 });
      expect(error.message).toContain(address);
    },
  );
}

// semantics: receive-before-bind
contract("recvfrom on an unbound socket waits, and the first send binds it", async ({ bound, socket }) => {
  const [server, client] = [await bound(), socket()];
  const answer = client.recvfrom(64, soon);
  await client.sendto("ping", server.getsockname());
  const request = await server.recvmsg(soon);
  await request.reply("pong");
  const [data, source] = await answer;
  expect(data.toString()).toBe("pong");
  expect(source.equals(server.getsockname())).toBe(true);
});

// semantics: bind-twice
contract("bind twice is EINVAL, and the first address stays", async ({ bound, localhost }) => {
  const twice = await bound();
  const first = twice.getsockname();
  await expect(failure(twice.bind([localhost(), 0]))).resolves.toMatchObject({
    code: "EINVAL",
    syscall: "bind",
  });
  expect(twice.getsockname().equals(first)).toBe(true);
});

// semantics: bind-twice
contract("bind after the first send is EINVAL", async ({ localhost, nobody, socket }) => {
  const sender = socket();
  await sender.sendto("hello", await nobody());
  await expect(failure(sender.bind([localhost(), 0]))).resolves.toMatchObject({ code: "EINVAL" });
});

// semantics: port-taken
contract("a socket whose bind failed can be bound elsewhere", async ({ bound, localhost, socket }) => {
  const [taken, later] = [await bound(), socket()];
  await failure(later.bind(taken.getsockname()));
  expect(later.getsockname().port).toBe(0);
  await later.bind([localhost(), 0]);
  await taken.sendto("hello", later.getsockname());
  expect(await texts(later, 1)).toEqual(["hello"]);
});

// semantics: close-frees-port
contract("close() frees the port", async ({ bound, socket }) => {
  const first = await bound();
  const address = first.getsockname();
  await first.close();
  const second = socket();
  await second.bind(address);
  expect(second.getsockname().equals(address)).toBe(true);
});
