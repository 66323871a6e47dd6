import { socket } from "datagram";

import { receive, request } from "./program.js";

const camera = socket();
await camera.bind(["127.0.0.1", 0]);
const receiving = receive(camera);

const desk = socket();
for (let count = 1; count <= 20; count++) {
  await request(desk, `ping ${count}`, ["127.0.0.1", camera.getsockname().port]);
}
console.log("20 requests, 20 replies");

await Promise.all([desk.close(), camera.close(), receiving]);
