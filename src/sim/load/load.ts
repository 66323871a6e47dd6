/**
 * Packages on a host: what was written for Node.js runs as if the host were its machine.
 *
 * `program.ts` is what one host has loaded in one run. `common-js.ts` and `es-modules.ts` load the two kinds of modules.
 * `builtins.ts` makes the modules of Node.js that are of the host, from `host-system.ts`: `host-names.ts` is its `node:dns`,
 * `host-interfaces.ts` what `os.networkInterfaces()` returns, and `host-timers.ts` its timers. `packages.ts` knows to which
 * package a file belongs.
 */

import { isAbsolute, join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

import { refuseUnknown } from "../../core/errors/fields.js";
import { wrongType } from "../../core/errors/errors.js";
import type { HostSystem } from "./host-system.js";
import { Program } from "./program.js";

/** Options of `host.load()`. */
export interface LoadOptions {
  /**
   * The file, or its URL as `import.meta.url` has it, from which the specifier is resolved. @default a file of the working
   * directory
   */
  readonly from?: string | URL | undefined;
  /**
   * Names of packages that all hosts share with the test: Node.js loads them, once, with the real network. Needed for packages
   * with native addons.
   */
  readonly shared?: readonly string[] | undefined;
}

/** Loads packages for one host. */
export class HostPrograms {
  readonly #system: HostSystem;
  #program: Program | undefined;

  constructor(system: HostSystem) {
    this.#system = system;
  }

  /**
   * Loads a module with everything that it imports.
   *
   * @throws (rejects) `TypeError` for invalid arguments, and what `host.load()` documents.
   */
  async load(specifier: unknown, options: unknown = {}): Promise<unknown> {
    if (typeof options !== "object" || options === null) throw wrongType("options", "an object", options);
    refuseUnknown(options, ["from", "shared"], "options: a field");
    const { from = join(process.cwd(), "load"), shared = [] } = options as LoadOptions;
    if (!(typeof specifier === "string" || specifier instanceof URL))
      throw wrongType("specifier", "a string or a URL", specifier);
    if (!(typeof from === "string" || from instanceof URL)) throw wrongType("from", "a path or a URL", from);
    if (!Array.isArray(shared) || !shared.every((each) => typeof each === "string"))
      throw wrongType("shared", "an array of names of packages", shared);
    this.#program ??= new Program(this.#system);
    const base = typeof from === "string" && isAbsolute(from) ? pathToFileURL(from) : new URL(from);
    return this.#program.load(specifier, base, shared);
  }

  /** Ends what was loaded, as the end of a process does: its timers do nothing any more, and the next `load` makes new copies. */
  end(): void {
    this.#program?.end();
    this.#program = undefined;
  }
}
