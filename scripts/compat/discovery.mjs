import { event, receiver } from "./tools.mjs";

/** Packages that find others by multicast, and those that send to groups. */
export const discovery = [
  {
    name: "multicast-dns",
    version: "7.2.5",
    what: "queries for an A record, each second",
    async exchange({ client, server, say }) {
      const [a, b] = [(await client("multicast-dns"))(), (await server("multicast-dns"))()];
      b.on("query", ({ questions }) => {
        if (questions[0]?.name !== "lamp.local") return;
        b.respond({ answers: [{ name: "lamp.local", type: "A", ttl: 60, data: "192.0.2.7" }] });
      });
      await Promise.all([event(a, "ready"), event(b, "ready")]);
      const query = () => a.query("lamp.local", "A");
      const again = setInterval(query, 1000);
      query();
      const { answers } = await event(a, "response");
      clearInterval(again);
      say(answers[0].data);
    },
  },
  {
    name: "bonjour-service",
    version: "1.4.4",
    what: "publish a service, and find it",
    async exchange({ client, server, say }) {
      const [{ Bonjour: A }, { Bonjour: B }] = [
        await client("bonjour-service"),
        await server("bonjour-service"),
      ];
      const service = new B().publish({
        name: "lamp",
        type: "coap",
        protocol: "udp",
        port: 5683,
        probe: false,
      });
      await event(service, "up");
      const found = event(new A().find({ type: "coap", protocol: "udp" }), "up");
      const { name, port } = await found;
      say(`${name} ${port}`);
    },
  },
  {
    name: "dnssd",
    version: "0.4.1",
    what: "advertise a service, and find it",
    async exchange({ client, server, say }) {
      const [a, b] = [await client("dnssd"), await server("dnssd")];
      new b.Advertisement(b.udp("coap"), 5683, { name: "lamp" }).start();
      const browser = new a.Browser(a.udp("coap")).start();
      const { name, port } = await event(browser, "serviceUp");
      say(`${name} ${port}`);
    },
  },
  {
    name: "node-ssdp",
    version: "4.0.1",
    what: "searches, each second",
    async exchange({ client, server, say }) {
      const [{ Client }, { Server }] = [await client("node-ssdp"), await server("node-ssdp")];
      const listening = new Server({
        location: "http://192.0.2.7/lamp.xml",
        udn: "uuid:lamp",
        adInterval: 60_000,
      });
      listening.addUSN("urn:example:device:Lamp:1");
      await listening.start();
      const searching = new Client();
      const search = () => searching.search("urn:example:device:Lamp:1");
      const again = setInterval(search, 1000);
      const found = new Promise((resolve) => searching.on("response", (headers) => resolve(headers)));
      search();
      const { LOCATION } = await found;
      clearInterval(again);
      say(LOCATION);
    },
  },
  {
    name: "peer-ssdp",
    version: "0.0.5",
    what: "searches, each second",
    async exchange({ client, server, say }) {
      const [a, b] = [(await client("peer-ssdp")).createPeer(), (await server("peer-ssdp")).createPeer()];
      b.on("search", (headers, { address, port }) => {
        if (headers.ST !== "urn:example:device:Lamp:1") return;
        b.reply(
          { ST: headers.ST, USN: "uuid:lamp", LOCATION: "http://192.0.2.7/lamp.xml" },
          { address, port },
        );
      });
      b.start();
      await event(b, "ready");
      a.start();
      await event(a, "ready");
      const search = () => a.search({ ST: "urn:example:device:Lamp:1" });
      const again = setInterval(search, 1000);
      const found = new Promise((resolve) => a.on("found", (headers) => resolve(headers)));
      search();
      say((await found).LOCATION);
      clearInterval(again);
    },
  },
  {
    name: "sacn",
    version: "4.6.2",
    what: "20 packets of a universe, to its group",
    async exchange({ client, server, say, wait }) {
      const [{ Sender }, { Receiver }] = [await client("sacn"), await server("sacn")];
      const receiving = new Receiver({ universes: [1], reuseAddr: true });
      const levels = [];
      receiving.on("packet", ({ payload }) => levels.push(payload[1]));
      await wait(500);
      const sending = new Sender({ universe: 1, reuseAddr: true });
      for (let level = 1; level <= 20; level++) {
        await sending.send({ payload: { 1: level }, sourceName: "desk", priority: 100 });
        await wait(25);
      }
      await wait(500);
      say(
        `${levels.length} of 20 packets, in order: ${levels.every((level, index) => index === 0 || level > levels[index - 1])}`,
      );
    },
  },
  {
    name: "dmxnet",
    version: "0.9.0",
    what: "20 changes of a channel to its receiver",
    async exchange({ client, server, at, say, wait }) {
      const [a, b] = [await client("dmxnet"), await server("dmxnet")];
      const log = { level: "error" };
      const receiving = new b.dmxnet({ log, hosts: ["0.0.0.0"], listen: 16454 }).newReceiver({ universe: 0 });
      const levels = new Set();
      receiving.on("data", (data) => levels.add(data[0]));
      await wait(500);
      const sending = new a.dmxnet({ log, hosts: ["0.0.0.0"], listen: 26454 }).newSender({
        ip: at,
        port: 16454,
        universe: 0,
      });
      await wait(500);
      for (let level = 1; level <= 20; level++) {
        sending.setChannel(0, level);
        await wait(50);
      }
      await wait(1500);
      levels.delete(0);
      say(`${levels.size} of 20 levels`);
    },
  },
  {
    name: "artnet",
    version: "1.4.0",
    also: { dmxnet: "0.9.0" },
    what: "20 changes of a channel to the receiver of dmxnet",
    async exchange({ client, server, at, say, wait }) {
      const [create, b] = [await client("artnet"), await server("dmxnet")];
      const receiving = new b.dmxnet({
        log: { level: "error" },
        hosts: ["0.0.0.0"],
        listen: 17454,
      }).newReceiver({ universe: 0 });
      const levels = new Set();
      receiving.on("data", (data) => levels.add(data[0]));
      await wait(500);
      const sending = create({ host: at, port: 17454 });
      for (let level = 1; level <= 20; level++) {
        sending.set(1, level);
        await wait(50);
      }
      await wait(500);
      levels.delete(0);
      say(`${levels.size} of 20 levels`);
      sending.close();
    },
  },
  {
    name: "wake_on_lan",
    version: "1.0.0",
    what: "a magic packet, 20 times",
    async exchange({ client, server, at, say, wait }) {
      const a = await client("wake_on_lan");
      const got = await receiver(server, 10009);
      await new Promise((resolve, reject) => {
        const options = { address: at, port: 10009, num_packets: 20, interval: 50 };
        a.wake("20:DE:20:DE:20:DE", options, (error) => (error ? reject(error) : resolve()));
      });
      await wait(500);
      say(`${got.length} of 20 packets, of ${got[0]?.length} bytes`);
    },
  },
];
