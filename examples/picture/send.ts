import { readFile } from "node:fs/promises";

import { AF_INET, SOCK_DGRAM, socket } from "datagram";
import { messages } from "datagram/message";

const [file = "photo.jpg", host = "127.0.0.1", port = "9000"] = process.argv.slice(2);
await using s = socket(AF_INET, SOCK_DGRAM);
const receipt = await messages(s).send(await readFile(file), [host, Number(port)]);
console.log(`sent in ${receipt.chunks} chunks, ${receipt.repaired} sent again`);
