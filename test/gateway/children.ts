import { readFileSync, readdirSync } from "node:fs";

/** The processes that a process has started and that run, on Linux. */
export function children(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        // proc_pid_stat(5): after the name in brackets come the state and the parent.
        const [state, pid] = readFileSync(`/proc/${name}/stat`, "latin1")
          .replace(/^.*\) /s, "")
          .split(" ");
        return Number(pid) === parent && state !== "Z";
      } catch {
        // It has ended meanwhile.
        return false;
      }
    })
    .map(Number);
}
