import { once } from "node:events";
import { type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { AF_INET, SOCK_DGRAM, socket } from "datagram";

import { pictures } from "./pictures.js";

const [udpPort = "9000", httpPort = "8080"] = process.argv.slice(2);
const s = socket(AF_INET, SOCK_DGRAM);
await s.bind(["0.0.0.0", Number(udpPort)]);

const browsers = new Set<ServerResponse>();
let latest: Buffer | undefined;

const server = createServer((request, response) => {
  if (request.url === "/") {
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end('<!doctype html><title>Camera</title><img src="pictures" alt="No picture yet">');
  } else if (request.url === "/pictures") {
    // The browser replaces each picture by the next one.
    response.setHeader("content-type", "multipart/x-mixed-replace; boundary=picture");
    response.write("--picture\r\n");
    if (latest !== undefined) show(latest, response);
    browsers.add(response);
    response.once("close", () => browsers.delete(response));
  } else {
    response.writeHead(404).end();
  }
});
server.listen(Number(httpPort), "127.0.0.1"); // only this machine reaches the page
await once(server, "listening");
console.log(`pictures come to ${s.getsockname()}`);
console.log(`open http://127.0.0.1:${(server.address() as AddressInfo).port}/`);

for await (latest of pictures(s)) {
  for (const browser of browsers) show(latest, browser);
}

function show(picture: Buffer, browser: ServerResponse): void {
  if (browser.writableNeedDrain) return; // a slow browser skips pictures
  browser.write(`content-type: image/jpeg\r\ncontent-length: ${picture.length}\r\n\r\n`);
  browser.write(picture);
  browser.write("\r\n--picture\r\n");
}
