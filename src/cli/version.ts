import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** The version of this package. Deno reads no file without `--allow-read`: then it is unknown, with Deno's reason. */
export const version: string = readVersion();

function readVersion(): string {
  try {
    const text = readFileSync(createRequire(import.meta.url).resolve("datagram/package.json"), "utf8");
    return (JSON.parse(text) as { version: string }).version;
  } catch (error) {
    return `unknown (${(error as Error).message})`;
  }
}
