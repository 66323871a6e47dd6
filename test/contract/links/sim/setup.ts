/** The simulated host on two links. Its neighbours do the same as test/contract/links/neighbour.py over the kernel. */

import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_IF,
  IPV6_V6ONLY,
  IP_MULTICAST_IF,
  type Family,
} from "datagram";
import { type Host, Network } from "datagram/sim";

import { theHostIs } from "../../sim/host.js";
import { runWithin } from "../../world.js";
import { heardGroups, linkLocalGroup, links, neighbourPort } from "../links.js";

runWithin(async (body) => {
  const network = new Network();
  const own = (family: Family): string[] => links.map((link) => link.own(family));
  const host = network.host("contract", { addresses: [...own(AF_INET), ...own(AF_INET6)] });
  const neighbours = links.map(({ neighbour }, index) => {
    const addresses = [neighbour(AF_INET).host, neighbour(AF_INET6).host];
    const made = network.host(`neighbour${index}`, { addresses });
    network.link(host, made);
    return made;
  });
  theHostIs(host);
  await network.run(async () => {
    for (const [index, neighbour] of neighbours.entries()) {
      await serve(neighbour, AF_INET, links[index]!.mark);
      await serve(neighbour, AF_INET6, links[index]!.mark);
    }
    await body();
  });
});

/** Answers in the background until the run ends. */
async function serve(host: Host, family: Family, mark: string): Promise<void> {
  const s = host.socket(family);
  if (family === AF_INET6) s.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, true);
  await s.bind(["", neighbourPort]);
  s.addMembership(heardGroups[family], "eth0");
  if (family === AF_INET6) {
    s.addMembership(linkLocalGroup, "eth0");
    s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, "eth0");
  } else {
    s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, "eth0");
  }
  void (async () => {
    for await (const { data, source } of s) {
      const [word, group = "", port, ...text] = data.toString().split(" ");
      if (word === "say") await s.sendto(text.join(" "), [group, Number(port)]);
      else await s.sendto([mark, data], source);
    }
  })();
}
