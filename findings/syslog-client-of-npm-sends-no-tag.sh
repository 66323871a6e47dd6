#!/bin/sh
# Common belief: an RFC 3164 message of a logging library names the program in its tag ("node[123]: text"), so that rsyslog can
# filter and name files by program, and keeps the text as it was given.
# What happens: by default the package syslog-client sends no tag, and ignores appName. So rsyslog takes the first word of each text for
# the program's name and removes it from the text: "sensor: 21 degrees" is the text "21 degrees" of a program "sensor", and "started"
# is an empty text. The sender gets no error. With rfc3164: false both are right.
# A text can also start with a space (" started") to keep its first word; the tag is then empty.
# Seen with syslog-client 1.1.1 (buildFormattedMessage in index.js; the README promises appName for RFC 5424 alone, and RFC 3164 is the
# default), rsyslog 8.2302.0 of Debian (tools/pmrfc3164.c: the tag ends at a space or a colon; RFC 3164, section 5.3).
# Needs npm and Node.js 18 or later. Debian packages: rsyslog, python3. Loopback alone.
set -eu
folder=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . syslog-client@1.1.1
port=$(python3 -c 'import socket; s = socket.socket(2, 2); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >rsyslog.conf <<END
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="$port")
template(name="parts" type="string" string="program=[%programname%] text=[%msg%]\n")
*.* action(type="omfile" file="$folder/log" template="parts")
END
cat >client.cjs <<'END'
const syslog = require("syslog-client");
const port = Number(process.argv[2]);
const log = (client, text) => new Promise((done, fail) => client.log(text, {}, (error) => (error ? fail(error) : done())));
const shared = { port, transport: syslog.Transport.Udp, appName: "camera", syslogHostname: "host" };
(async () => {
  for (const options of [{}, { rfc3164: false }]) {
    const client = syslog.createClient("127.0.0.1", { ...shared, ...options });
    for (const text of ["sensor: 21 degrees", "picture sent", "started"]) await log(client, text);
    client.close();
  }
})();
END
rsyslogd -v | sed -n 1p
rsyslogd -n -f rsyslog.conf -i "$folder/pid" &
server=$!
listening=$(printf ':%04X ' "$port")
for _ in $(seq 100); do grep -q "$listening" /proc/net/udp && break; sleep 0.1; done
grep -q "$listening" /proc/net/udp || { echo "rsyslogd does not start within 10 s" >&2; exit 1; }
node client.cjs "$port"
for _ in $(seq 100); do [ "$(grep -c program= log 2>/dev/null)" = 6 ] && break; sleep 0.1; done
cat log
cat >expected <<'END'
program=[sensor] text=[ 21 degrees]
program=[picture] text=[ sent]
program=[started] text=[]
program=[camera] text=[sensor: 21 degrees]
program=[camera] text=[picture sent]
program=[camera] text=[started]
END
cmp log expected
