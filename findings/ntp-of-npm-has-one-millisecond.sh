#!/bin/sh
# Common belief: a package for NTP tells the time to a few milliseconds, and fails if its server does not know the time.
# What happens with the package @destinationstransfers/ntp and chronyd: each answer has the same fraction of a second, 0.93 s, so it is
# up to a second wrong. The package reads the fraction where the seconds of the next field are. These change the fraction by a
# millisecond in 50 days.
# It, ntp-client and @hapi/sntp also take the time of a server that says that it has none: leap indicator 3 and stratum 0 (RFC 5905,
# figures 9 and 11), as chronyd does until it is synchronised, which is the case of a router or a device that has just started.
# @hapi/sntp tells the two fields beside the time, the others do not.
# Seen with @destinationstransfers/ntp 2.0.0 (intpart and fractpart in index.js), ntp-client 0.5.3, @hapi/sntp 4.0.0 (isValid in
# lib/index.js), chrony 4.3 of Debian, Node.js 20.20.2. Needs root, npm, Node.js 18 or later, and Debian's chrony, iproute2 and tshark.
# chronyd changes no clock (-x). Works in a network namespace of its own.
set -eu
if [ "${1:-}" != inside ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" @destinationstransfers/ntp@2.0.0 ntp-client@0.5.3 @hapi/sntp@4.0.0
  unshare --net "$0" inside "$folder"
  exit
fi
cd "$2"
ip link set lo up
server=
capture=
trap 'kill $server $capture 2>/dev/null || true' EXIT
cat >chrony.conf <<END
port 10123
bindaddress 127.0.0.1
allow 127.0.0.1
cmdport 0
bindcmdaddress /
pidfile $2/pid
END
cat >client.cjs <<'END'
const { setTimeout } = require("node:timers/promises");
const { promisify } = require("node:util");
const { getNetworkTime } = require("@destinationstransfers/ntp");
const client = require("ntp-client");
const sntp = require("@hapi/sntp");
const server = { host: "127.0.0.1", server: "127.0.0.1", port: 10123, timeout: 2000 };
(async () => {
  const fractions = new Set();
  let largestMs = 0;
  for (let count = 0; count < 10; count++) {
    const time = await getNetworkTime(server);
    fractions.add(time.getMilliseconds());
    largestMs = Math.max(largestMs, Math.abs(time - Date.now()));
    await setTimeout(130);
  }
  console.log(`@destinationstransfers/ntp: 10 times in 1.3 s, with the milliseconds ${[...fractions].join()}`);
  console.log(`  largest error above 200 ms: ${largestMs > 200}`);
  const time = await promisify(client.getNetworkTime)("127.0.0.1", 10123);
  console.log(`ntp-client: a time, error above 200 ms: ${Math.abs(time - Date.now()) > 200}`);
  const { t, stratum, leapIndicator } = await sntp.time(server);
  console.log(`@hapi/sntp: a time, error above 200 ms: ${Math.abs(t) > 200}, stratum ${stratum}, ${leapIndicator}`);
})();
END
chronyd --version
chronyd -x -d -u root -f chrony.conf >log 2>&1 &
server=$!
is_bound() { grep -q ':278B ' /proc/net/udp; } # port 10123
for _ in $(seq 100); do is_bound && break; sleep 0.1; done
is_bound || { echo "chronyd does not start within 10 s" >&2; exit 1; }
tshark -i lo -a duration:4 -w answers.pcapng udp port 10123 2>/dev/null >&2 &
capture=$!
sleep 2
node --no-deprecation client.cjs | tee result
wait $capture
answers=$(tshark -r answers.pcapng -d udp.port==10123,ntp -Y 'ntp.flags.mode == 4' -T fields -e ntp.flags.li -e ntp.stratum 2>/dev/null | sort -u)
echo "leap indicator and stratum of all answers: $answers"
[ "$answers" = "$(printf '3\t0')" ]
grep -Eq '^@destinationstransfers/ntp: 10 times in 1.3 s, with the milliseconds [0-9]+$' result
grep -q '^  largest error above 200 ms: true$' result
grep -q '^ntp-client: a time, error above 200 ms: false$' result
grep -q '^@hapi/sntp: a time, error above 200 ms: false, stratum death, alarm$' result
