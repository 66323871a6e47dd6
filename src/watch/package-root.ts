import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The folder of this package. Modules are joined to few files, so the path of a module is not known. */
export const packageRoot: string = dirname(createRequire(import.meta.url).resolve("datagram/package.json"));

/** The version of this package. */
export function packageVersion(): string {
  const text = readFileSync(join(packageRoot, "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
