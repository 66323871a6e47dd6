import { inflateSync } from "node:zlib";

import { receiver } from "./tools.mjs";

/** What a plain receiver got, of lines that are numbered from 0 to 19. */
function sayWhatArrived(say, got, decode) {
  const lines = got.flatMap((data) => decode(data).toString().split("\n")).filter((line) => line !== "");
  say(`${lines.length} of 20 lines`);
  for (const line of lines) say(line.replace(/^.*?(\w+) (\d+)$/, "… $1 $2"));
}

/** A package that sends lines to a plain receiver. */
function sender(name, version, what, send, decode = (data) => data) {
  const port = 18_125 + name.length * 7 + name.charCodeAt(0);
  return {
    name,
    version,
    what,
    async exchange({ client, server, at, say, wait }) {
      const got = await receiver(server, port);
      const act = await send(await client(name), at, port);
      for (let index = 0; index < 20; index++) {
        act(index);
        await wait(20);
      }
      await wait(1500);
      sayWhatArrived(say, got, decode);
    },
  };
}

/** Packages that send, and never hear whether it arrived; and OSC, which is used in the same way. */
export const logs = [
  sender("syslog-client", "1.1.1", "20 lines of a log", (syslog, at, port) => {
    const client = syslog.createClient(at, { port, transport: syslog.Transport.Udp, syslogHostname: "host" });
    return (index) => client.log(`line ${index}`, { timestamp: new Date(0) });
  }),
  sender(
    "gelf-pro",
    "1.4.0",
    "20 messages of a log",
    (gelf, at, port) => {
      gelf.setConfig({ adapterName: "udp", adapterOptions: { host: at, port } });
      return (index) => gelf.info(`line ${index}`);
    },
    (data) => JSON.parse(inflateSync(data.subarray(12)).toString()).short_message,
  ),
  sender("hot-shots", "17.1.1", "20 counts", (StatsD, at, port) => {
    const client = new StatsD({ host: at, port, cacheDns: false });
    return (index) => client.increment(`count.${index}`);
  }),
  sender("node-statsd", "0.1.1", "20 counts", ({ StatsD }, at, port) => {
    const client = new StatsD({ host: at, port });
    return (index) => client.increment(`count.${index}`);
  }),
  sender("statsd-client", "0.4.7", "20 counts", (StatsD, at, port) => {
    const client = new StatsD({ host: at, port, maxBufferSize: 0 });
    return (index) => client.increment(`count.${index}`);
  }),
  sender("lynx", "0.2.0", "20 counts", (Lynx, at, port) => {
    const client = new Lynx(at, port);
    return (index) => client.increment(`count.${index}`);
  }),
  {
    name: "osc",
    version: "2.4.5",
    what: "20 messages between two ports",
    async exchange({ client, server, at, say, wait }) {
      const [a, b] = [await client("osc"), await server("osc")];
      const [sending, receiving] = [
        new a.UDPPort({ localAddress: "0.0.0.0", localPort: 17121, remoteAddress: at, remotePort: 17122 }),
        new b.UDPPort({ localAddress: "0.0.0.0", localPort: 17122 }),
      ];
      const got = [];
      receiving.on("message", ({ address, args }) => got.push(`${address} ${args[0]}`));
      for (const port of [receiving, sending])
        await new Promise((resolve) => port.on("ready", resolve).open());
      for (let index = 0; index < 20; index++) {
        sending.send({ address: "/level", args: [{ type: "i", value: index }] });
        await wait(20);
      }
      await wait(500);
      say(`${got.length} of 20 messages`);
      for (const each of got) say(each);
    },
  },
  {
    name: "node-osc",
    version: "11.7.1",
    what: "20 messages to its server",
    async exchange({ client, server, at, say, wait }) {
      const [{ Client }, { Server }] = [await client("node-osc"), await server("node-osc")];
      const got = [];
      const receiving = new Server(17333, "0.0.0.0");
      receiving.on("message", (message) => got.push(message.join(" ")));
      await new Promise((resolve) => receiving.on("listening", resolve));
      const sending = new Client(at, 17333);
      for (let index = 0; index < 20; index++) {
        sending.send("/level", index);
        await wait(20);
      }
      await wait(500);
      say(`${got.length} of 20 messages`);
      for (const each of got) say(each);
    },
  },
];
