import { AF_INET, AF_INET6, Address, SOCK_DGRAM, SOL_SOCKET, SO_REUSEADDR, socket } from "datagram";

const [host = "239.7.7.7", port = "9420", at = "eth1"] = process.argv.slice(2);
const group = new Address(host, Number(port));
const family = host.includes(":") ? AF_INET6 : AF_INET;

await using s = socket(family, SOCK_DGRAM);
// Several programs may receive one group on one port.
s.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
// Bound to the group itself: datagrams to other groups, or to this host's own address, do not arrive here.
await s.bind(group);
s.addMembership(group.host, at);
console.log(`hears ${String(group)} on ${at}`);

for await (const { data, source, interface: by, ttl } of s) {
  console.log(`${source.host} by ${by}, TTL ${ttl}: ${data.toString()}`);
}
