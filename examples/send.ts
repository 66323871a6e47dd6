import { AF_INET, SOCK_DGRAM, socket } from "datagram";

const s = socket(AF_INET, SOCK_DGRAM);
await s.sendto("hello", ["127.0.0.1", 9000]);
await s.close();
