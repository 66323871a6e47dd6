/** Situations that run over the kernel and in memory. Each is one function, and its calls must have the same results. */

import {
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_HOPS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  IP_MULTICAST_ALL,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_TOS,
  IP_TTL,
  SOL_SOCKET,
  SO_BROADCAST,
  SO_REUSEADDR,
  SO_REUSEPORT,
} from "datagram";

import { type Actor, type World, addresses, mappingMs } from "./world.js";

type Play = (world: World) => Promise<void>;

const { desk, camera, lamp } = addresses;
/** A port without a socket. */
const closed = 9;
/** How long a fragment waits in memory, in milliseconds. The kernel of `lamp` is set to one second. */
const longWaitMs = 90_000;

/** The situations by name. Each has ports of its own, since all of them run on the same hosts. */
export const situations: Readonly<Record<string, Play>> = {
  "a datagram gets an answer": async (w) => {
    const s = await w.bound("desk", [desk.address, 5000]);
    const r = await w.bound("camera", ["0.0.0.0", 5000]);
    await s.sendto("hello", [camera.address, 5000]);
    await r.reply("hello yourself");
    await s.recvmsg();
    await counts(s, r);
  },

  "a datagram gets an answer over IPv6": async (w) => {
    const s = await w.bound("desk", ["::", 5001]);
    const r = await w.bound("camera", ["::", 5001]);
    await s.sendto("hello", [camera.address6, 5001]);
    await r.reply("hello yourself");
    await s.recvmsg();
    await counts(s, r);
  },

  "a zero-length datagram arrives, and a longer one is cut": async (w) => {
    const s = await w.socket("desk");
    const r = await w.bound("lamp", ["0.0.0.0", 5002]);
    await s.sendto("", [lamp.address, 5002]);
    await s.sendto("temperature 21.5", [lamp.address, 5002]);
    await s.sendto("next", [lamp.address, 5002]);
    await r.recvmsg();
    await r.recvfrom(11);
    await r.recvfrom(64);
    await counts(s, r);
  },

  "the longest datagram is sent, and one byte more is refused": async (w) => {
    const s = await w.socket("desk");
    const r = await w.bound("lamp", ["0.0.0.0", 5003]);
    await s.sendto({ bytes: 65_507 }, [lamp.address, 5003]);
    await s.sendto({ bytes: 65_508 }, [lamp.address, 5003]);
    await r.recvmsg();
    await counts(s, r);
  },

  "the longest datagram is sent over IPv6, and one byte more is refused": async (w) => {
    const s = await w.socket("desk", 6);
    const r = await w.bound("lamp", ["::", 5004]);
    await s.sendto({ bytes: 65_527 }, [lamp.address6, 5004]);
    await s.sendto({ bytes: 65_528 }, [lamp.address6, 5004]);
    await r.recvmsg();
    await counts(s, r);
  },

  "an unbound socket waits, and its first send binds it": async (w) => {
    const s = await w.socket("desk");
    const r = await w.bound("lamp", ["0.0.0.0", 5005]);
    await s.getsockname();
    const waiting = s.recvfrom(64);
    await s.sendto("where am I?", [lamp.address, 5005]);
    await r.reply("there");
    await waiting;
    await counts(s, r);
  },

  "binding twice, to a taken port, or to an address of another host fails": async (w) => {
    const s = await w.bound("lamp", ["0.0.0.0", 5006]);
    await s.bind(["0.0.0.0", 5006]);
    const other = await w.socket("lamp");
    await other.bind([lamp.address, 5006]);
    await other.bind([camera.address, 5006]);
    await other.bind(["0.0.0.0", 5106]);
    await other.getsockname();
    await counts(s, other);
  },

  "a port is free again after its socket is closed": async (w) => {
    const s = await w.bound("lamp", ["0.0.0.0", 5007]);
    await s.close();
    const again = await w.bound("lamp", ["0.0.0.0", 5007]);
    const sender = await w.socket("desk");
    await sender.sendto("anybody?", [lamp.address, 5007]);
    await again.recvmsg();
    await counts(again, sender);
  },

  "SO_REUSEADDR on a taken port: the last bound socket gets the datagrams": async (w) => {
    const sockets = [await w.socket("lamp"), await w.socket("lamp")];
    for (const s of sockets) {
      await s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
      await s.bind(["0.0.0.0", 5008]);
    }
    const without = await w.socket("lamp");
    await without.bind(["0.0.0.0", 5008]);
    const sender = await w.socket("desk");
    await sender.sendto("who has it?", [lamp.address, 5008]);
    await sockets[1]!.recvmsg();
    await counts(...sockets, without, sender);
  },

  "SO_REUSEPORT shares a port, but not with a socket without the option": async (w) => {
    const sockets = [await w.socket("lamp"), await w.socket("lamp")];
    for (const s of sockets) {
      await s.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);
      await s.bind(["0.0.0.0", 5009]);
    }
    const without = await w.socket("lamp");
    await without.bind(["0.0.0.0", 5009]);
    await counts(...sockets, without);
  },

  "a closed port is an event of an unconnected socket": async (w) => {
    const s = await w.socket("desk");
    await s.sendto("anybody?", [camera.address, closed]);
    await s.event("unreachable");
    const r = await w.bound("camera", ["0.0.0.0", 5010]);
    await s.sendto("somebody", [camera.address, 5010]);
    await r.recvmsg();
    await counts(s, r);
  },

  "a closed port is an event over IPv6 too": async (w) => {
    const s = await w.socket("desk", 6);
    await s.sendto("anybody?", [camera.address6, closed]);
    await s.event("unreachable");
    await counts(s);
  },

  "a closed port fails the next send of a connected socket": async (w) => {
    const s = await w.socket("desk");
    await s.connect([camera.address, closed]);
    await s.send("anybody?");
    await s.event("unreachable");
    await s.send("nobody?");
    await s.send("nobody.");
    await s.event("unreachable");
    await counts(s);
  },

  "a closed port fails the receive of a connected socket": async (w) => {
    const s = await w.socket("desk", 6);
    await s.connect([camera.address6, closed]);
    await s.send("anybody?");
    await s.recvmsg();
    await s.recvmsg({ timeoutMs: 0 });
    await counts(s);
  },

  "the metadata of a datagram to a host's own address names the interface": async (w) => {
    const r = await w.bound("desk", ["::", 5032]);
    const [four, six] = [await w.socket("desk"), await w.socket("desk", 6)];
    for (const host of ["127.0.0.1", desk.address, desk.by]) {
      await four.sendto(host, [host, 5032]);
      await r.recvmsg();
    }
    for (const host of ["::1", desk.address6, desk.by6]) {
      await six.sendto(host, [host, 5032]);
      await r.recvmsg();
    }
    await counts(r, four, six);
  },

  "a router without a route sends an ICMP error": async (w) => {
    const s = await w.socket("desk");
    await s.sendto("anybody?", ["203.0.113.9", closed]);
    await s.event("unreachable");
    const six = await w.socket("desk", 6);
    await six.sendto("anybody?", ["2001:db8::9", closed]);
    await six.event("unreachable");
    await counts(s, six);
  },

  "TTL and hop limit expire at a router": async (w) => {
    const s = await w.socket("desk");
    await s.sendmsg({ data: "too far", address: [camera.address, 5011], ttl: 1 });
    await s.event("unreachable");
    const six = await w.socket("desk", 6);
    await six.sendmsg({ data: "too far", address: [camera.address6, 5011], ttl: 1 });
    await six.event("unreachable");
    await counts(s, six);
  },

  "TTL and TOS arrive as they were set": async (w) => {
    const s = await w.socket("desk");
    await s.setsockopt(IPPROTO_IP, IP_TTL, 7);
    await s.setsockopt(IPPROTO_IP, IP_TOS, 0xb8);
    const six = await w.socket("desk", 6);
    await six.setsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
    const r = await w.bound("camera", ["::", 5012]);
    await s.sendto("over IPv4", [camera.address, 5012]);
    await r.recvmsg();
    await six.sendto("over IPv6", [camera.address6, 5012]);
    await r.recvmsg();
    await counts(s, six, r);
  },

  "with dontFragment the first datagram is lost at the narrow link, and the next is refused": async (w) => {
    const s = await w.socket("desk", 4, { dontFragment: true });
    await s.pathMtu([camera.address, 5013]);
    await s.sendto({ bytes: 1400 }, [camera.address, 5013]);
    await s.event("pathMtu");
    await s.sendto({ bytes: 1400 }, [camera.address, 5013]);
    await s.maxPayload([camera.address, 5013]);
    await counts(s);
  },

  "without dontFragment datagrams travel in fragments after the narrow link is known": async (w) => {
    const s = await w.socket("desk", 6);
    const r = await w.bound("camera", ["::", 5014]);
    await s.sendto({ bytes: 1400 }, [camera.address6, 5014]);
    await s.event("pathMtu");
    await s.sendto({ bytes: 1401 }, [camera.address6, 5014]);
    await r.recvmsg();
    await counts(s, r);
  },

  "if a fragment is lost, its datagram is lost": async (w) => {
    const s = await w.socket("desk");
    const r = await w.bound("lamp", ["0.0.0.0", 5015]);
    const heal = w.ground.lose("lamp", "later fragments");
    await s.sendto({ bytes: 3000 }, [lamp.address, 5015]);
    await s.sendto("small", [lamp.address, 5015]);
    await r.recvmsg();
    heal();
    await s.sendto({ bytes: 3001 }, [lamp.address, 5015]);
    await r.recvmsg();
    await counts(s, r);
  },

  "if the last fragments never arrive, the sender is told over IPv6, and over IPv4 no socket is told": async (
    w,
  ) => {
    const four = await w.socket("desk");
    await four.connect([lamp.address, 5016]);
    const six = await w.socket("desk", 6);
    const heal = w.ground.lose("lamp", "last fragments");
    await four.send({ bytes: 3000 });
    await six.sendto({ bytes: 3000 }, [lamp.address6, 5016]);
    await six.event("unreachable", longWaitMs);
    heal();
    await four.recvmsg({ timeoutMs: 0 });
    await counts(four, six);
  },

  "if the first fragment never arrives, no sender is told": async (w) => {
    const six = await w.socket("desk", 6);
    const heal = w.ground.lose("lamp", "first fragments");
    await six.sendto({ bytes: 3000 }, [lamp.address6, 5116]);
    heal();
    // An event arrives for the datagram that was sent later.
    const healLast = w.ground.lose("lamp", "last fragments");
    await six.sendto({ bytes: 3000 }, [lamp.address6, 5216]);
    await six.event("unreachable", longWaitMs);
    healLast();
    await counts(six);
  },

  "broadcast fails without the option, and works with it": async (w) => {
    const r = await w.bound("lamp", ["0.0.0.0", 5017]);
    const s = await w.socket("desk");
    await s.sendto("all", ["10.77.2.255", 5017]);
    await s.setsockopt(SOL_SOCKET, SO_BROADCAST, 1);
    await s.sendto("all", ["10.77.2.255", 5017]);
    await r.recvmsg();
    await counts(s, r);
  },

  "sockets that joined a group receive multicast, and no others do": async (w) => {
    const [joined, other] = [
      await w.bound("lamp", ["0.0.0.0", 5018]),
      await w.bound("lamp", ["0.0.0.0", 5118]),
    ];
    await joined.addMembership("239.77.0.18", "eth0");
    await joined.addMembership("239.77.0.18", "eth0");
    const s = await w.socket("desk");
    await s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, "eth1");
    await s.sendto("you", ["239.77.0.18", 5018]);
    await joined.recvmsg();
    await joined.dropMembership("239.77.0.18", "eth0");
    await joined.dropMembership("239.77.0.18", "eth0");
    await s.sendto("nobody", ["239.77.0.18", 5018]);
    await s.sendto("marker", [lamp.address, 5018]);
    await joined.recvmsg();
    await counts(joined, other, s);
  },

  "sockets that joined a group receive multicast over IPv6": async (w) => {
    const r = await w.bound("lamp", ["::", 5019]);
    await r.addMembership("ff05::77:19", "eth0");
    const s = await w.socket("desk", 6);
    await s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3);
    await s.sendto("you", ["ff05::77:19%eth1", 5019]);
    await r.recvmsg();
    await counts(r, s);
  },

  "multicast returns to the sender's host, unless an option switches that off": async (w) => {
    const r = await w.bound("desk", ["0.0.0.0", 5020]);
    await r.addMembership("239.77.0.20", "eth1");
    const s = await w.socket("desk");
    await s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, "eth1");
    await s.sendto("with", ["239.77.0.20", 5020]);
    await r.recvmsg();
    await s.setsockopt(IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    await s.sendto("without", ["239.77.0.20", 5020]);
    await s.sendto("marker", [desk.address, 5020]);
    await r.recvmsg();
    await counts(r, s);
  },

  "IP_MULTICAST_ALL: the group of another socket is received, or not": async (w) => {
    const [member, all, own] = [
      await w.socket("lamp"),
      await w.socket("lamp"),
      await w.socket("lamp"),
    ] as const;
    await all.setsockopt(IPPROTO_IP, IP_MULTICAST_ALL, 1);
    await own.setsockopt(IPPROTO_IP, IP_MULTICAST_ALL, 0);
    for (const each of [member, all, own]) {
      await each.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1);
      await each.bind(["0.0.0.0", 5021]);
    }
    await member.addMembership("239.77.0.21", "eth0");
    const s = await w.socket("desk");
    await s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, "eth1");
    await s.sendto("to members", ["239.77.0.21", 5021]);
    await member.recvmsg();
    await all.recvmsg();
    await own.recvmsg({ timeoutMs: 0 });
    await counts(member, all, own, s);
  },

  "a connected socket receives from its peer only, except datagrams from before": async (w) => {
    const r = await w.bound("desk", ["0.0.0.0", 5022]);
    const [peer, other] = [
      await w.bound("lamp", ["0.0.0.0", 5022]),
      await w.bound("lamp", ["0.0.0.0", 5122]),
    ];
    await other.sendto("before", [desk.by, 5022]);
    await w.ground.pass(5);
    await r.connect([lamp.address, 5022]);
    await r.getpeername();
    await other.sendto("after", [desk.by, 5022]);
    await peer.sendto("peer", [desk.by, 5022]);
    await r.recvmsg();
    await r.recvmsg();
    await r.recvmsg({ timeoutMs: 0 });
    await counts(r, peer, other);
  },

  "a connected socket sends to another address, and dissolves its connection": async (w) => {
    const s = await w.bound("desk", ["0.0.0.0", 5023]);
    await s.send("to whom?");
    await s.connect([lamp.address, closed]);
    const r = await w.bound("lamp", ["0.0.0.0", 5023]);
    await s.sendto("elsewhere", [lamp.address, 5023]);
    await r.recvmsg();
    await s.connect(null);
    await s.getpeername();
    await r.sendto("anybody", [desk.by, 5023]);
    await s.recvmsg();
    await counts(s, r);
  },

  "a dual-stack socket receives over IPv4, and answers": async (w) => {
    const r = await w.bound("lamp", ["::", 5024]);
    const s = await w.bound("desk", ["0.0.0.0", 5024]);
    await s.sendto("over IPv4", [lamp.address, 5024]);
    await r.reply("mapped");
    await s.recvmsg();
    await r.sendto("anybody?", [`::ffff:${desk.by}`, closed]);
    await r.event("unreachable");
    await counts(r, s);
  },

  "a socket with IPV6_V6ONLY has no mapped peers, and the port is free for IPv4": async (w) => {
    const six = await w.socket("lamp", 6);
    await six.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1);
    await six.bind(["::", 5025]);
    await six.sendto("mapped", [`::ffff:${desk.by}`, 5025]);
    await six.connect([`::ffff:${desk.by}`, 5025]);
    const four = await w.bound("lamp", ["0.0.0.0", 5025]);
    const s = await w.socket("desk");
    await s.sendto("over IPv4", [lamp.address, 5025]);
    await four.recvmsg();
    await counts(six, four, s);
  },

  "a dual-stack socket has the port over IPv4 too": async (w) => {
    const six = await w.bound("lamp", ["::", 5026]);
    const four = await w.socket("lamp");
    await four.bind(["0.0.0.0", 5026]);
    await counts(six, four);
  },

  "a firewall drops arriving datagrams, and the sender gets no error": async (w) => {
    const s = await w.socket("desk");
    const r = await w.bound("lamp", ["0.0.0.0", 5027]);
    const heal = w.ground.lose("lamp", { port: 5027 });
    await s.sendto("dropped", [lamp.address, 5027]);
    heal();
    await s.sendto("passed", [lamp.address, 5027]);
    await r.recvmsg();
    await counts(s, r);
  },

  "a firewall drops ICMP, and a sender to a closed port gets no error": async (w) => {
    const s = await w.socket("lamp");
    const r = await w.bound("desk", ["0.0.0.0", 5028]);
    const heal = w.ground.lose("lamp", "icmp");
    await s.sendto("anybody?", [desk.by, closed]);
    await s.sendto("marker", [desk.by, 5028]);
    await r.reply("here");
    await s.recvmsg();
    heal();
    await counts(s, r);
  },

  "after a host crashes there is no answer, and after its restart the port is closed": async (w) => {
    const s = await w.socket("desk");
    const r = await w.bound("lamp", ["0.0.0.0", 5029]);
    await s.sendto("before", [lamp.address, 5029]);
    await r.recvmsg();
    await w.ground.crash("lamp");
    await s.sendto("meanwhile", [lamp.address, 5029]);
    await w.ground.pass(5);
    w.ground.restart("lamp");
    await s.sendto("after", [lamp.address, 5029]);
    await s.event("unreachable");
    const again = await w.bound("lamp", ["0.0.0.0", 5029]);
    await s.sendto("again", [lamp.address, 5029]);
    await again.recvmsg();
    await counts(s, again);
  },

  "a NAT lets the answer in, and ICMP errors about sent datagrams": async (w) => {
    const s = await w.socket("inner");
    const r = await w.bound("camera", ["0.0.0.0", 5030]);
    await s.sendto("out", [camera.address, 5030]);
    await r.reply("in");
    await s.recvmsg();
    await s.sendto("anybody?", [camera.address, closed]);
    await s.event("unreachable");
    await counts(s, r);
  },

  "a NAT forgets a mapping, and a late answer is lost without an error": async (w) => {
    // The system chose the port. A NAT of Linux keeps the port if it can, and a simulated NAT draws another.
    const s = await w.socket("inner");
    const r = await w.bound("camera", ["0.0.0.0", 5031]);
    await s.sendto("here I am", [camera.address, 5031]);
    await r.reply("at once");
    await s.recvmsg();
    await w.ground.pass(1.5 * mappingMs);
    await r.sendto("late", [addresses.router.address, 5031]);
    await s.recvmsg({ timeoutMs: 50 });
    await s.sendto("still here", [camera.address, 5031]);
    await r.reply("again");
    await s.recvmsg();
    await counts(s, r);
  },
};

/** The counts of each socket, and the number of its events that no call has returned. Then closes the sockets. */
async function counts(...sockets: readonly Actor[]): Promise<void> {
  for (const s of sockets) {
    await s.counts();
    await s.close();
  }
}
