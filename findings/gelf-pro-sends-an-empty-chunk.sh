#!/bin/sh
# Common belief: a GELF message that fits a datagram is sent as it is, and each chunk of a larger one has some of its bytes.
# What happens with the package gelf-pro: each message is sent in chunks, even one of 9 bytes, with the 12 bytes of a chunk's header.
# If the compressed message is a multiple of 1,388 bytes long (1,368 over IPv6), one chunk more is sent, which has no bytes. A
# receiver that refuses datagrams without a payload never completes about one message in 1,388, and one without chunks reads
# nothing. A message of exactly 128 full chunks, the most that GELF allows, is refused with "MUST NOT consist of more than 128 chunks".
# Seen with gelf-pro 1.4.0: the loop "i <= buffer.length" of getArrayFromBuffer, and send (lib/adapter/udp.js); Node.js 20.20.2.
# Needs npm and Node.js 18 or later. Loopback alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . gelf-pro@1.4.0
cat >chunks.cjs <<'END'
const { createHash } = require("node:crypto");
const dgram = require("node:dgram");
const { deflateSync } = require("node:zlib");
const adapter = require("gelf-pro/lib/adapter/udp");

/** A message whose compressed form has this length, of letters that are the same in each run. */
const compressedTo = (length) => {
  const letters = Array.from({ length: 2 * length }, (_, at) => createHash("md5").update(String(at)).digest("base64")[0]).join("");
  for (let count = length; count < letters.length; count++) {
    const text = JSON.stringify({ short_message: letters.slice(0, count) });
    if (deflateSync(text).length === length) return text;
  }
  throw new Error(`no message is compressed to ${length} bytes`);
};

const receiver = dgram.createSocket("udp4");
let datagrams = [];
receiver.on("message", (data) => datagrams.push(`chunk ${data[10] + 1} of ${data[11]} with ${data.length - 12} bytes`));
receiver.bind(0, "127.0.0.1", async () => {
  const client = Object.create(adapter);
  client.options = { protocol: "udp4", host: "127.0.0.1", port: receiver.address().port };
  for (const [name, text] of [["small", '{"a":"b"}'], ["1387", compressedTo(1387)], ["1388", compressedTo(1388)]]) {
    datagrams = [];
    await new Promise((done, fail) => client.send(text, (error) => (error ? fail(error) : done())));
    await new Promise((done) => setTimeout(done, 500));
    console.log(`${name}: ${datagrams.join(", ")}`);
  }
  process.exit();
});
END
node chunks.cjs | tee result
grep -q '^small: chunk 1 of 1 with [0-9]* bytes$' result
grep -qx '1387: chunk 1 of 1 with 1387 bytes' result
grep -qx '1388: chunk 1 of 2 with 1388 bytes, chunk 2 of 2 with 0 bytes' result
