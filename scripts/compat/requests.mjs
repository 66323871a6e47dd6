import { called, event, tenTimes } from "./tools.mjs";

/** Packages with a client that waits for an answer. */
export const requests = [
  {
    name: "coap",
    version: "1.5.0",
    what: "10 confirmable GET",
    async exchange({ client, server, at, say }) {
      const [a, b] = [await client("coap"), await server("coap")];
      const listening = b.createServer((request, response) => response.end(`to ${request.url}`));
      await new Promise((resolve) => listening.listen(15683, resolve));
      await tenTimes(say, "answered", async (index) => {
        const request = a.request({ host: at, port: 15683, pathname: `/${index}` });
        const answer = event(request, "response");
        request.end();
        say((await answer).payload.toString());
      });
    },
  },
  {
    name: "net-snmp",
    version: "3.29.2",
    what: "10 GET from its agent",
    async exchange({ client, server, at, say }) {
      const [a, b] = [await client("net-snmp"), await server("net-snmp")];
      startSnmpAgent(b, 10161);
      const session = a.createSession(at, "public", { port: 10161, timeout: 1000, retries: 5 });
      await tenTimes(say, "answered", async () => {
        const [found] = await called((done) => session.get(["1.3.6.1.2.1.1.1.0"], done));
        say(found.value.toString());
      });
    },
  },
  {
    name: "snmp-native",
    version: "1.2.0",
    also: { "net-snmp": "3.29.2" },
    what: "10 GET from the agent of net-snmp",
    async exchange({ client, server, at, say }) {
      const [a, b] = [await client("snmp-native"), await server("net-snmp")];
      startSnmpAgent(b, 11161);
      const session = new a.Session({
        host: at,
        port: 11161,
        community: "public",
        timeouts: [500, 1000, 2000, 4000],
      });
      await tenTimes(say, "answered", async () => {
        const [found] = await called((done) => session.get({ oid: [1, 3, 6, 1, 2, 1, 1, 1, 0] }, done));
        say(found.value);
      });
    },
  },
  {
    name: "dns2",
    version: "3.0.0",
    what: "10 queries to its UDP server",
    async exchange({ client, server, at, say }) {
      const [a, b] = [await client("dns2"), await server("dns2")];
      const listening = b.createUDPServer((request, send) => {
        const response = b.Packet.createResponseFromRequest(request);
        const [{ name }] = request.questions;
        response.answers.push({
          name,
          type: b.Packet.TYPE.A,
          class: b.Packet.CLASS.IN,
          ttl: 60,
          address: "192.0.2.7",
        });
        send(response);
      });
      await listening.listen(10053);
      const resolve = a.UDPClient({ dns: at, port: 10053, timeout: 3000 });
      await tenTimes(say, "answered", async (index) => {
        say((await resolve(`host${index}.example`)).answers[0].address);
      });
    },
  },
  {
    name: "dns-socket",
    version: "4.2.2",
    what: "10 queries between two sockets",
    async exchange({ client, server, at, say }) {
      const [a, b] = [(await client("dns-socket"))(), (await server("dns-socket"))()];
      b.on("query", (query, port, host) => {
        const [{ name }] = query.questions;
        b.response(query, { answers: [{ type: "A", name, data: "192.0.2.7" }] }, port, host);
      });
      await new Promise((resolve) => b.bind(11053, resolve));
      await tenTimes(say, "answered", async (index) => {
        const query = { questions: [{ type: "A", name: `host${index}.example` }] };
        const response = await called((done) => a.query(query, 11053, at, done));
        say(response.answers[0].data);
      });
    },
  },
  {
    name: "stun",
    version: "2.1.0",
    what: "10 binding requests to its server",
    async exchange({ client, server, at, from, say }) {
      const [a, b] = [await client("stun"), await server("stun")];
      const listening = b.createServer({ type: "udp4" });
      listening.on("bindingRequest", (request, { address, port }) => {
        const response = b.createMessage(b.constants.STUN_BINDING_RESPONSE, request.transactionId);
        response.addXorAddress(address, port);
        listening.send(response, port, address);
      });
      listening.listen(13478, "0.0.0.0");
      await tenTimes(say, "answered", async () => {
        const response = await a.request(`stun://${at}:13478`);
        say(`my address is right: ${response.getXorAddress().address === from}`);
      });
    },
  },
  {
    name: "ntp-client",
    version: "0.5.3",
    what: "10 requests to a server of 10 lines",
    async exchange({ client, server, at, say }) {
      const a = await client("ntp-client");
      await timeServer(server, 10123);
      await tenTimes(say, "answered", async () => {
        say((await called((done) => a.getNetworkTime(at, 10123, done))).toISOString());
      });
    },
  },
  {
    name: "ntp-time",
    version: "2.1.1",
    what: "10 requests to a server of 10 lines",
    async exchange({ client, server, at, say }) {
      const { Client } = await client("ntp-time");
      await timeServer(server, 11123);
      const ntp = new Client(at, 11123, { timeout: 3000 });
      await tenTimes(say, "answered", async () => {
        say(new Date((await ntp.syncTime()).transmitTimestamp).toISOString());
      });
    },
  },
  {
    name: "sntp",
    version: "3.0.2",
    what: "10 requests to a server of 10 lines",
    async exchange({ client, server, at, say }) {
      const a = await client("sntp");
      await timeServer(server, 12123);
      await tenTimes(say, "answered", async () => {
        const { transmitTimestamp } = await a.time({ host: at, port: 12123, timeout: 3000 });
        say(new Date(Math.round(transmitTimestamp)).toISOString());
      });
    },
  },
  {
    name: "tftp",
    version: "0.1.2",
    what: "a file of 20,000 bytes from its server",
    async exchange({ client, server, at, say }) {
      const [a, b] = [await client("tftp"), await server("tftp")];
      const bytes = Buffer.alloc(20_000, "0123456789");
      const listening = b.createServer({ host: "0.0.0.0", port: 10069 }, (_request, response) => {
        response.setSize(bytes.length);
        response.end(bytes);
      });
      listening.on("error", () => undefined);
      listening.listen();
      await event(listening, "listening");
      const stream = a.createClient({ host: at, port: 10069 }).createGetStream("file");
      let received = Buffer.alloc(0);
      stream.on("data", (chunk) => (received = Buffer.concat([received, chunk])));
      await event(stream, "end");
      say(`${received.length} bytes, equal: ${received.equals(bytes)}`);
    },
  },
  {
    name: "k-rpc-socket",
    version: "1.11.1",
    what: "10 queries between two sockets",
    async exchange({ client, server, at, say }) {
      const [a, b] = [(await client("k-rpc-socket"))(), (await server("k-rpc-socket"))()];
      b.on("query", (query, peer) => b.response(peer, query, { echo: query.a }));
      await new Promise((resolve) => b.bind(10881, resolve));
      await tenTimes(say, "answered", async (index) => {
        const [response] = await called((done) =>
          a.query({ host: at, port: 10881 }, { q: "echo", a: { text: `hello ${index}` } }, done),
        );
        say(response.r.echo.text.toString());
      });
    },
  },
  {
    name: "bittorrent-dht",
    version: "10.0.7",
    what: "announce and lookup of two nodes",
    async exchange({ client, server, at, say }) {
      const [A, B] = [await client("bittorrent-dht"), await server("bittorrent-dht")];
      const b = new B({ bootstrap: false });
      await new Promise((resolve) => b.listen(16881, resolve));
      const a = new A({ bootstrap: [`${at}:16881`] });
      await new Promise((resolve) => a.listen(26881, resolve));
      await event(a, "ready");
      const topic = "0123456789abcdef0123456789abcdef01234567";
      await called((done) => a.announce(topic, 7000, done));
      const found = event(b, "peer");
      b.lookup(topic);
      say(`found port ${(await found).port}`);
    },
  },
  {
    name: "bittorrent-tracker",
    version: "9.19.0",
    what: "start, update and stop at its UDP tracker",
    async exchange({ client, server, at, say }) {
      const [{ Client }, { Server }] = [
        await client("bittorrent-tracker"),
        await server("bittorrent-tracker"),
      ];
      const tracker = new Server({ udp: true, http: false, ws: false, stats: false });
      await new Promise((resolve) => tracker.listen(16969, resolve));
      const peer = new Client({
        infoHash: Buffer.alloc(20, 1),
        peerId: Buffer.alloc(20, 2),
        announce: [`udp://${at}:16969`],
        port: 7000,
      });
      for (const call of ["start", "update", "stop"]) {
        const update = new Promise((resolve, reject) => {
          peer.once("update", resolve);
          peer.once("warning", reject);
          peer.once("error", reject);
        });
        peer[call]();
        const { complete, incomplete } = await update;
        say(`${call}: ${complete} complete, ${incomplete} incomplete`);
        peer.removeAllListeners();
      }
    },
  },
  {
    name: "bacstack",
    version: "0.0.1-beta.14",
    what: "10 reads of a property",
    async exchange({ client, server, at, from, say }) {
      const [A, B] = [await client("bacstack"), await server("bacstack")];
      // Both use one port, so they need different addresses on loopback too.
      const device = new B({ port: 57808, interface: at });
      device.on("readProperty", ({ address, invokeId, request }) => {
        device.readPropertyResponse(address, invokeId, request.objectId, request.property, [
          { type: 4, value: 21.5 },
        ]);
      });
      const a = new A({ port: 57808, interface: from === at ? "127.0.0.2" : from, apduTimeout: 3000 });
      await tenTimes(say, "answered", async () => {
        const read = await called((done) => a.readProperty(at, { type: 0, instance: 1 }, 85, done));
        say(String(read.values[0].value));
      });
    },
  },
  {
    name: "radius",
    version: "1.1.4",
    what: "10 Access-Requests, sent again each second",
    async exchange({ client, server, at, say }) {
      const [a, b] = [await client("radius"), await server("radius")];
      const [socket, listening] = [
        (await client("node:dgram")).createSocket("udp4"),
        (await server("node:dgram")).createSocket("udp4"),
      ];
      const secret = "s3cret";
      listening.on("message", (data, from) => {
        const packet = b.decode({ packet: data, secret });
        const code = packet.attributes["User-Password"] === "open" ? "Access-Accept" : "Access-Reject";
        listening.send(b.encode_response({ packet, code, secret }), from.port, from.address);
      });
      await new Promise((resolve) => listening.bind(11812, resolve));
      await tenTimes(say, "answered", async (identifier) => {
        const attributes = [
          ["User-Name", "lamp"],
          ["User-Password", identifier % 2 ? "open" : "shut"],
        ];
        const request = a.encode({ code: "Access-Request", secret, identifier, attributes });
        const send = () => socket.send(request, 11812, at);
        const again = setInterval(send, 1000);
        send();
        const answer = await event(socket, "message");
        clearInterval(again);
        say(a.decode({ packet: answer, secret }).code);
      });
    },
  },
];

/** Answers requests for the time (RFC 5905) with a fixed time. */
async function timeServer(server, port) {
  const socket = (await server("node:dgram")).createSocket("udp4");
  socket.on("message", (request, from) => {
    const answer = Buffer.alloc(48);
    answer.writeUInt8(0x24, 0);
    answer.writeUInt8(1, 1);
    answer.write("LOCL", 12);
    const seconds = 2_208_988_800 + Date.UTC(2026, 0, 1) / 1000;
    request.copy(answer, 24, 40, 48);
    for (const at of [16, 32, 40]) answer.writeUInt32BE(seconds, at);
    socket.send(answer, from.port, from.address);
  });
  await new Promise((resolve) => socket.bind(port, resolve));
}

/** Starts an agent of net-snmp that answers GET of `sysDescr`. */
function startSnmpAgent({ createAgent, MibProviderType, ObjectType, MaxAccess }, port) {
  const mib = createAgent({ port, disableAuthorization: true }, () => undefined).getMib();
  mib.registerProvider({
    name: "sysDescr",
    type: MibProviderType.Scalar,
    oid: "1.3.6.1.2.1.1.1",
    scalarType: ObjectType.OctetString,
    maxAccess: MaxAccess["read-only"],
  });
  mib.setScalarValue("sysDescr", "a lamp");
}
