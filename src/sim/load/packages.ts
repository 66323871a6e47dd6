import { readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";

const modules = `${sep}node_modules${sep}`;

/** The name of the installed package that a file belongs to; empty for a file outside of `node_modules`. */
export function packageOf(file: string): string {
  const at = file.lastIndexOf(modules);
  if (at < 0) return "";
  const [first = "", second = ""] = file.slice(at + modules.length).split(sep);
  return first.startsWith("@") ? `${first}/${second}` : first;
}

/** The field `type` of the nearest `package.json`: `"module"` if its `.js` files are ES modules. */
export function moduleType(file: string): unknown {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    try {
      const found = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { type?: unknown };
      return found.type;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    if (folder.endsWith(`${sep}node_modules`) || folder === dirname(folder)) return undefined;
  }
}

/** The error of a module that cannot be loaded on a host. */
export function loadError(file: string, text: string): Error {
  return Object.assign(new Error(`host.load: ${file} ${text}`), { code: "ERR_SIM_LOAD" });
}
