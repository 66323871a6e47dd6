import { readFileSync, readdirSync } from "node:fs";
import { extname, join, sep } from "node:path";

import { packageRoot } from "../package-root.js";

/** A file of the page. */
export interface PageFile {
  readonly type: string;
  readonly bytes: Buffer;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".txt": "text/plain; charset=utf-8",
  ".woff2": "font/woff2",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
};

/**
 * Reads the files of the page, which the build wrote, by their paths such as `/index.html`. No request reads a file: a path that is
 * not in this map does not exist.
 *
 * @throws `Error` if the page is not there.
 */
export function readPageFiles(): ReadonlyMap<string, PageFile> {
  const root = join(packageRoot, "dist", "watch", "web");
  const files = new Map<string, PageFile>();
  for (const name of namesIn(root)) {
    const type = types[extname(name)];
    if (type === undefined) continue;
    files.set(`/${name.split(sep).join("/")}`, { type, bytes: readFileSync(join(root, name)) });
  }
  const index = files.get("/index.html");
  if (!index) throw new Error(`the page is missing in ${root}: build the package with npm run build`);
  files.set("/", index);
  return files;
}

function namesIn(root: string): string[] {
  try {
    return readdirSync(root, { recursive: true, encoding: "utf8" });
  } catch {
    // The error below says what to do.
    return [];
  }
}
