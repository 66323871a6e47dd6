import { readFileSync } from "node:fs";

/** The version of this package. Deno reads no file without `--allow-read`: then it is unknown, with Deno's reason. */
export const version: string = readVersion();

function readVersion(): string {
  try {
    const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    return (JSON.parse(text) as { version: string }).version;
  } catch (error) {
    return `unknown (${(error as Error).message})`;
  }
}
