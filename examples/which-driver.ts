import { socket } from "datagram";

const s = socket();
console.log(`driver ${s.driver}`);
for (const [feature, capability] of Object.entries(s.capabilities)) {
  if (!capability.available) console.log(`no ${feature}: ${capability.reason}`);
}
await s.close();
