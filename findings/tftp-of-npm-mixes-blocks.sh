#!/bin/sh
# Common belief: TFTP sends each block again until it is acknowledged (RFC 1350), so a file is complete and right, or the transfer fails.
# What happens: with the package tftp, the loss of one datagram of a download of 14 blocks is enough. If the first block is lost, the
# file ends without an error, has the right length, and its blocks are in a wrong order: 1 2 3 0 4. If the second block is lost, the
# transfer fails with "Timed out" after all tries. On loopback, which loses nothing, no test notices.
# The package asks for windows of four blocks (windowsize, RFC 7440) and gives blocks to the program as they come.
# Seen with tftp 0.1.2 (lib/protocol/reader.js), Node.js 20.20.2. Needs npm and Node.js 18 or later. Loopback alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . tftp@0.1.2
cat >download.cjs <<'END'
const dgram = require("node:dgram");
const tftp = require("tftp");

// Server and client are in this process. One DATA (opcode 3) is lost, the first with this number of the block.
const lost = Number(process.argv[2]);
const { send } = dgram.Socket.prototype;
let isLost = false;
dgram.Socket.prototype.send = function (...given) {
  const [data] = given;
  if (!isLost && Buffer.isBuffer(data) && data.readUInt16BE(0) === 3 && data.readUInt16BE(2) === lost) isLost = true;
  else Reflect.apply(send, this, given);
};

// Each byte is the number of its block.
const file = Buffer.from(Array.from({ length: 20_000 }, (_, at) => Math.floor(at / 1468)));
const ignore = () => undefined;
const server = tftp.createServer({ host: "127.0.0.1", port: 10069 }, (request, response) => {
  request.on("error", ignore);
  response.on("error", ignore);
  response.setSize(file.length);
  response.end(file);
});
server.on("error", ignore);
server.on("listening", () => {
  const client = tftp.createClient({ host: "127.0.0.1", port: 10069, timeout: 500 });
  const chunks = [];
  const end = (text) => {
    console.log(text);
    process.exit();
  };
  client
    .createGetStream("file")
    .on("data", (chunk) => chunks.push(chunk))
    .on("error", ({ message }) => end(message))
    .on("end", () => {
      const got = Buffer.concat(chunks);
      end(`${got.length} bytes, blocks ${[...new Set(got)].join(" ")}`);
    });
});
server.listen();
END
for lost in 0 1 2; do # the numbers of blocks in DATA begin at 1
  printf 'lost block: %s. ' "$lost"
  node --no-deprecation download.cjs "$lost" | tee "result.$lost"
done
grep -q '^20000 bytes, blocks 0 1 2 3 4 5 6 7 8 9 10 11 12 13$' result.0
grep -q '^20000 bytes, blocks 1 2 3 0 4 5 6 7 8 9 10 11 12 13$' result.1
grep -q '^Timed out$' result.2
