/** The program that runs this code. */
export interface Runtime {
  readonly name: "Node.js" | "Bun" | "Deno";
  readonly version: string;
}

/** Bun and Deno report a version of Node too: the one that their `node:` modules follow. */
const { bun, deno, node } = process.versions;

/** The runtime of this process. */
export const runtime: Runtime =
  bun !== undefined
    ? { name: "Bun", version: bun }
    : deno !== undefined
      ? { name: "Deno", version: deno }
      : { name: "Node.js", version: node };
