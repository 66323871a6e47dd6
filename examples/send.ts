import { AF_INET, SOCK_DGRAM, socket } from "datagram";

const [host = "192.168.1.20", port = 9000] = process.argv.slice(2);

const s = socket(AF_INET, SOCK_DGRAM);
await s.sendto("hello", [host, Number(port)]);
await s.close();
