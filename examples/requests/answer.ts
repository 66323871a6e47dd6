import { AF_INET, SOCK_DGRAM, socket } from "datagram";
import { serve } from "datagram/message";

const [host = "127.0.0.1", port = "9000"] = process.argv.slice(2);
const s = socket(AF_INET, SOCK_DGRAM);
await s.bind([host, Number(port)]);
await serve(s, ({ data }) => `ack: ${data.toString()}`).ended;
