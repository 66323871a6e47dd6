#!/bin/sh
# Common belief: `password: "$SECRET"` in the configuration of nats-server is the value of the environment variable, as it is in a shell
# and in a Docker Compose file, and a variable can hold any text.
# What happens: a quoted variable is plain text. The password is the text `$SECRET`, which everybody who sees the file
# knows, and the server starts without a warning. An unquoted one is read as a value of the configuration file: `a,b` is cut to `a`
# without a word, and the server does not start with `123` or `7e5`. With double quotes inside the variable all of them work.
# Seen with nats-server 2.9.10. Source: lookupVariable in conf/parse.go, which parses `pk=<value>` as a file of its own; nats-server
# issues 5320 (no variables inside strings) and 5189 (a password that begins as a number).
# Needs Node.js with npm, and the Debian package nats-server.
set -eu
PATH=$PATH:/usr/sbin
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefer-offline --prefix . @nats-io/transport-node@3.4.0
cat >try.mjs <<'JS'
import { readFileSync } from "node:fs";
import { connect } from "@nats-io/transport-node";

const [, , file, pass] = process.argv;
const [servers] = JSON.parse(readFileSync(file, "utf8")).nats;
const accepted = await connect({ servers, user: "user", pass, reconnect: false }).then(
  async (nats) => (await nats.close(), true),
  () => false,
);
console.log(`    the password ${pass}: ${accepted ? "accepted" : "refused"}`);
process.exitCode = accepted ? 0 : 1;
JS

# start CONFIGURED VALUE: starts a server whose password is written as CONFIGURED. False if it does not start.
start() {
  rm -f log ./*.ports
  echo "authorization { users = [ { user: user, password: $1 } ] }" >server.conf
  echo "password: $1, with SECRET=$2"
  SECRET=$2 nats-server -a 127.0.0.1 -p -1 -c server.conf --ports_file_dir "$folder" 2>log &
  server=$!
  for _ in $(seq 100); do
    if grep -qs "Server is ready" log && [ -n "$(ls ./*.ports 2>/dev/null)" ]; then return 0; fi
    kill -0 "$server" 2>/dev/null || { server=; echo "    does not start: $(head -n 1 log)"; return 1; }
    sleep 0.1
  done
  echo "nats-server is neither ready nor ended within 10 s" >&2
  exit 1
}
stop() {
  kill "$server"
  wait "$server" || true
  server=
}
takes() { node try.mjs "$(ls ./*.ports)" "$1"; }
refuses() { ! takes "$1"; }

nats-server --version
start '"$SECRET"' s3cret
takes '$SECRET'
refuses s3cret
stop
start '$SECRET' a,b
takes a
refuses a,b
stop
for number in 123 7e5; do
  if start '$SECRET' "$number"; then exit 1; fi
done
for text in s3cret a,b 123 7e5; do
  start '$SECRET' "\"$text\""
  takes "$text"
  stop
done
