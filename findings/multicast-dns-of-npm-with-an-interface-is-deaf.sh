#!/bin/sh
# Common belief: the option interface of the package multicast-dns (and of bonjour-service, which uses it) chooses the interface on which
# the package asks and answers.
# What happens on Linux: it also binds the socket to the address of the interface, and such a socket receives no multicast datagram.
# So the package sends queries and announcements, and hears neither an answer nor a query, without an error. A service that
# bonjour-service publishes this way is found only by who listens when it is announced.
# With the option bind: "0.0.0.0" beside interface, it hears everything.
# Seen with multicast-dns 7.2.5 (bonjour-service 1.4.4 passes its options on), Node.js 20.20.2. Source: index.js calls
# socket.bind(port, opts.bind || opts.interface) (issue 53 of mafintosh/multicast-dns, open since 2018); in Linux
# __udp_is_mcast_sock (net/ipv4/udp.c) passes a datagram only to sockets that are bound to its group or to any address.
# Needs root, npm and Node.js 18 or later. Debian package: iproute2. Works in network namespaces of its own.
set -eu
if [ "${1:-}" != inside ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" multicast-dns@7.2.5
  unshare --net "$0" inside "$folder"
  exit
fi
cd "$2"
ip link set lo up
ip link add wire type veth peer name end
ip link set wire up
ip link set end up
ip address add 10.0.0.1/24 dev wire
ip route add 224.0.0.0/4 dev wire
cat >hear.cjs <<'END'
const mdns = require("multicast-dns");
const once = (emitter, event) => new Promise((done) => emitter.once(event, done));

/** Whether an instance with these options hears queries that an instance without options sends and hears. */
const hears = async (options) => {
  const [asking, tested] = [mdns(), mdns(options)];
  await Promise.all([once(asking, "ready"), once(tested, "ready")]);
  let heard = 0;
  tested.on("query", () => heard++);
  for (let sent = 0; sent < 3; sent++) {
    const own = once(asking, "query");
    asking.query("_camera._udp.local", "PTR");
    await own;
    await new Promise((done) => setTimeout(done, 300));
  }
  asking.destroy();
  tested.destroy();
  return heard;
};
(async () => {
  const results = [];
  for (const options of [{}, { interface: "10.0.0.1" }, { interface: "10.0.0.1", bind: "0.0.0.0" }]) {
    results.push(await hears(options));
    console.log(`options ${JSON.stringify(options)}: ${results.at(-1)} of 3 queries heard`);
  }
  process.exit(String(results) === "3,0,3" ? 0 : 1);
})();
END
node hear.cjs
