import { createRequire, isBuiltin } from "node:module";
import { fileURLToPath } from "node:url";

import { type Builtins, hostBuiltins } from "./builtins.js";
import { CommonJs } from "./common-js.js";
import { EsModules } from "./es-modules.js";
import type { HostSystem } from "./host-system.js";
import { type HostTimers, type Life, hostTimers } from "./host-timers.js";
import { packageOf } from "./packages.js";

/** The modules that one host has loaded in one run: each of them once. */
export class Program implements Life {
  readonly #timers: HostTimers;
  readonly #builtins: Builtins;
  readonly #shared = new Set<string>();
  readonly #commonJs: CommonJs;
  readonly #esModules: EsModules;
  #isOver = false;

  constructor(system: HostSystem) {
    this.#timers = hostTimers(this);
    this.#builtins = hostBuiltins(system, this.#timers, (file) => this.#commonJs.requireFrom(file));
    const loaders = {
      builtin: (request: string): unknown => this.#builtin(request),
      isShared: (file: string): boolean => this.#shared.has(packageOf(file)),
    };
    this.#commonJs = new CommonJs({
      ...loaders,
      globals: this.#timers.globals,
      requireEsModule: (file) => this.#esModules.require(file),
      scriptName: (file) => this.#esModules.scriptName(file),
    });
    this.#esModules = new EsModules({ ...loaders, require: (file) => this.#commonJs.require(file) });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Loads a module, as `require()` does, or as `import()` does if it is an ES module. */
  async load(specifier: string | URL, from: URL, shared: readonly string[]): Promise<unknown> {
    for (const each of shared) this.#shared.add(each);
    const request =
      specifier instanceof URL || specifier.startsWith("file:") ? fileURLToPath(specifier) : specifier;
    const builtin = this.#builtin(request);
    if (builtin !== undefined) return builtin;
    if (isBuiltin(request)) return createRequire(from)(request);
    let file: string;
    try {
      file = createRequire(from).resolve(request);
    } catch (error) {
      // A package that has ES modules alone.
      if ((error as NodeJS.ErrnoException).code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw error;
      return this.#esModules.import(request, from);
    }
    return this.#commonJs.isEsModule(file)
      ? this.#esModules.import(file, from)
      : this.#commonJs.require(file);
  }

  end(): void {
    this.#isOver = true;
    this.#esModules.end();
  }

  #builtin(request: string): unknown {
    const name = request.startsWith("node:") ? request.slice(5) : request;
    // A package may have the name of something that all objects have.
    return Object.hasOwn(this.#builtins, name) ? this.#builtins[name] : undefined;
  }
}
