/** Loaded into a profiled process: it writes the process's CPU time beside its profile. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.env.DATAGRAM_PROFILE_FOLDER;
if (folder === undefined) throw new Error("DATAGRAM_PROFILE_FOLDER is not set");
process.on("exit", () => {
  writeFileSync(join(folder, `${process.pid}.json`), JSON.stringify(process.cpuUsage()));
});
