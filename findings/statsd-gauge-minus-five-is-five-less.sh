#!/bin/sh
# Common belief: gauge("temperature", -5) of a StatsD client sets the gauge to -5, as gauge("temperature", 21) set it to 21, and a
# timing of half a millisecond is counted.
# What happens with two clients of npm and the server of collectd: both send "temperature:-5|g", in which the sign means "5 less"
# (StatsD, docs/metric_types.md, Gauges), so that the gauge says 16. Nobody reports an error. statsd-client even has gaugeDelta() beside
# gauge(), and both send the same for a negative number. A gauge is negative only if 0 was sent before it.
# collectd reads a timing as whole milliseconds: 0.5 becomes 0, which is no latency, and the count of the timings is 0.
# Seen with statsd-client 0.4.7 (gauge in lib/statsd-client.js), node-statsd 0.1.1 (gauge in lib/statsd.js), collectd 5.12.0 of Debian
# (statsd_handle_gauge and statsd_handle_timer in src/statsd.c; latency_counter_add in src/utils/latency/latency.c).
# Needs npm and Node.js 18 or later. Debian packages: collectd-core, python3. Loopback alone.
set -eu
folder=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . statsd-client@0.4.7 node-statsd@0.1.1
port=$(python3 -c 'import socket; s = socket.socket(2, 2); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >collectd.conf <<END
BaseDir "$folder"
PIDFile "$folder/pid"
Hostname "host"
Interval 1
LoadPlugin statsd
LoadPlugin csv
<Plugin statsd>
  Host "127.0.0.1"
  Port "$port"
  TimerCount true
</Plugin>
<Plugin csv>
  DataDir "stdout"
</Plugin>
END
cat >client.cjs <<'END'
const port = Number(process.argv[2]);
const clients = {
  statsd_client: new (require("statsd-client"))({ host: "127.0.0.1", port }),
  node_statsd: new (require("node-statsd"))({ host: "127.0.0.1", port }),
};
for (const [name, client] of Object.entries(clients)) {
  client.gauge(`${name}.gauge`, 21);
  client.gauge(`${name}.gauge`, -5);
  client.gauge(`${name}.zeroed`, 0);
  client.gauge(`${name}.zeroed`, -5);
  client.timing(`${name}.half`, 0.5);
  client.timing(`${name}.whole`, 1);
}
setTimeout(() => process.exit(), 1500);
END
collectd -h | sed -n 's/^\(collectd [0-9]*\.[0-9]*\.[0-9]*\).*/\1/p'
collectd -f -C collectd.conf >values 2>/dev/null &
server=$!
listening=$(printf ':%04X ' "$port")
for _ in $(seq 100); do grep -q "$listening" /proc/net/udp && break; sleep 0.1; done
grep -q "$listening" /proc/net/udp || { echo "collectd does not start within 10 s" >&2; exit 1; }
node client.cjs "$port"
sleep 3
kill $server
wait $server || true

# The largest value that collectd wrote of a metric: a count is that of one interval, and 0 in the next one.
value() { sed -n "s/^PUTVAL host\/statsd\/gauge-$1 .*:\(.*\)/\1/p" values | sort -g | tail -n 1; }
for name in statsd_client node_statsd; do
  for metric in gauge zeroed half-count whole-count; do echo "$name.$metric: $(value "$name.$metric")"; done
done | tee result
cat >expected <<'END'
statsd_client.gauge: 16.000000
statsd_client.zeroed: -5.000000
statsd_client.half-count: 0.000000
statsd_client.whole-count: 1.000000
node_statsd.gauge: 16.000000
node_statsd.zeroed: -5.000000
node_statsd.half-count: 0.000000
node_statsd.whole-count: 1.000000
END
cmp result expected
