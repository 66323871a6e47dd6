#!/bin/sh
# Common belief: a CoAP client and a CoAP server that both know block-wise transfer (RFC 7959) can exchange payloads of any size.
# What happens between libcoap's client and the server of the npm package coap: the server joins the blocks of one transfer by their
# token, and libcoap takes another token for each block, which is allowed (RFC 7959, section 3.4, the comment on tokens).
# - GET: the server calls its handler once for each block. If the content changes meanwhile, the client puts together blocks of
#   several contents, without an error: all have the same ETag, 0, which should differ (section 2.4).
# - PUT: the server throws the first blocks away, and answers the last one with 5.00. Nothing larger than one block arrives.
# The package's own client uses one token, so tests of one package alone notice nothing.
# Seen with coap 1.5.0 (_toCacheKey in dist/lib/server.js), coap-client of libcoap 4.3.1, Node.js 20.20.2. Needs npm and Node.js 18 or
# later. Debian package: libcoap3-bin. Loopback alone.
set -eu
folder=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . coap@1.5.0
cat >server.cjs <<'END'
const coap = require("coap");
let calls = 0;
coap
  .createServer((request, response) => {
    calls++;
    if (request.method === "GET") response.end(Buffer.alloc(3000, String(calls)));
    else response.end(`got ${request.payload.length} bytes`);
  })
  .listen(15683, "127.0.0.1", () => console.log("ready"));
setTimeout(() => process.exit(), 50_000);
END
cat >client.cjs <<'END'
const request = require("coap").request({ hostname: "127.0.0.1", port: 15683, pathname: "/" });
request.on("response", (response) => response.on("data", (data) => process.stdout.write(data)).on("end", () => process.exit()));
request.end();
END
node server.cjs >ready &
server=$!
for _ in $(seq 100); do grep -q ready ready && break; sleep 0.1; done
grep -q ready ready || { echo "the CoAP server does not start within 10 s" >&2; exit 1; }

# The parts of a payload that have one content, and their sizes.
parts() { fold -w 1 | uniq -c | awk '{ printf "%s%s bytes of content %s", separator, $1, $2; separator = ", " } END { print "" }'; }
node client.cjs | parts | tee own
coap-client-notls -B 20 -m get coap://127.0.0.1:15683/ | parts | tee libcoap
head -c 3000 /dev/zero >payload
coap-client-notls -B 20 -m put -f payload coap://127.0.0.1:15683/ >answer 2>&1 || true
tail -n 1 answer

grep -qx '3000 bytes of content 1' own
grep -qx '1024 bytes of content 2, 1024 bytes of content 3, 952 bytes of content 4' libcoap
grep -q '^5.00' answer
