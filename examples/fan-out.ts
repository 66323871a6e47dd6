import { AF_INET, Address, type AddressLike, SOCK_DGRAM, socket } from "datagram";

let targets: AddressLike[] = [
  ["192.168.1.20", 9000],
  ["192.168.1.21", 9000],
  ["192.168.1.22", 9000],
];
if (process.argv.length > 2) targets = process.argv.slice(2).map((target) => Address.parse(target));

await using s = socket(AF_INET, SOCK_DGRAM);
for (const addr of targets) {
  await s.sendto("hello", addr);
}
