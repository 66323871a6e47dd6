import {
  AF_INET,
  AF_INET6,
  Address,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IP_MULTICAST_IF,
  IP_MULTICAST_TTL,
  SOCK_DGRAM,
  socket,
} from "datagram";

const [host = "239.7.7.7", port = "9420", at = "eth0", text = "hello"] = process.argv.slice(2);
const group = new Address(host, Number(port));
const family = host.includes(":") ? AF_INET6 : AF_INET;

await using s = socket(family, SOCK_DGRAM);
if (family === AF_INET) {
  s.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, at);
  s.setsockopt(IPPROTO_IP, IP_MULTICAST_TTL, 8); // the default is 1: no router forwards that
} else {
  s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, at);
  s.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 8);
}
await s.sendto(text, group);
