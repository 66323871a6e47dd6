import { AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY } from "datagram";
import { Network } from "datagram/sim";
import { expect, test } from "vitest";

// semantics: name-ipv4-only
test("an IPv6 socket reaches a simulated host with an IPv4 address only as ::ffff:", async () => {
  const network = new Network();
  const desk = network.host("desk", { addresses: ["10.0.0.1", "fd00::1"] });
  const camera = network.host("camera", { address: "10.0.0.2" });
  network.link(desk, camera);
  await network.run(async () => {
    const [s, receiver] = [desk.socket(AF_INET6), camera.socket()];
    await receiver.bind(["", 9000]);
    await s.sendto("hello", ["camera", 9000]);
    expect((await receiver.recv(64)).toString()).toBe("hello");
    await s.connect(["camera", 9000]);
    expect(s.getpeername().host).toBe("::ffff:10.0.0.2");
    const alone = desk.socket(AF_INET6);
    alone.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, true);
    await expect(alone.sendto("x", ["camera", 9000])).rejects.toMatchObject({ code: "ENOTFOUND" });
  });
});
