import { readFileSync } from "node:fs";
import Module, { createRequire, isBuiltin } from "node:module";
import { dirname, extname } from "node:path";
import { fileURLToPath } from "node:url";
import vm from "node:vm";

import { loadError, moduleType, packageOf } from "./packages.js";

/** What `require` needs besides files. */
export interface CommonJsConfig {
  /** The module of Node.js that the host has in place of the one of the process. */
  readonly builtin: (request: string) => unknown;
  /** Whether Node.js loads a file for all hosts. */
  readonly isShared: (file: string) => boolean;
  /** Global functions that the modules see in place of those of the process. */
  readonly globals: Readonly<Record<string, unknown>>;
  readonly requireEsModule: (file: string) => unknown;
  /** The name of a script whose `import()` loads modules of the program; `undefined` if nothing can. */
  readonly scriptName: (file: string) => string | undefined;
}

type Wrapper = (...globals: unknown[]) => (...scope: unknown[]) => void;

/** The CommonJS modules of one program. Node.js finds the files, and each is run once here, with the modules of the host. */
export class CommonJs {
  readonly #config: CommonJsConfig;
  readonly #cache = Object.create(null) as Record<string, Module | undefined>;
  readonly #wrapperParts: readonly [string, string];

  constructor(config: CommonJsConfig) {
    this.#config = config;
    // A function of its own for the globals, since a module may declare the same names. On one line, so that lines stay the same.
    const names = Object.keys(config.globals).join(", ");
    this.#wrapperParts = [
      `(function (${names}) { return function (exports, require, module, __filename, __dirname) {`,
      "\n}; })",
    ];
  }

  /** The exports of a file. @throws `Error` `ERR_SIM_LOAD` for a native addon; what the module throws. */
  require(file: string): unknown {
    if (this.#config.isShared(file)) return createRequire(file)(file) as unknown;
    const known = this.#cache[file];
    if (known) return known.exports;
    if (extname(file) === ".node") {
      const owner = packageOf(file);
      // Only a package has a name that `shared` takes.
      const help = owner === "" ? "" : `: { shared: ["${owner}"] } loads ${owner} once for all hosts`;
      throw loadError(file, `is a native addon, which would use the real network${help}`);
    }
    if (this.isEsModule(file)) return this.#config.requireEsModule(file);
    const made = new Module(file);
    made.filename = file;
    const require = (made.require = this.requireFrom(file));
    this.#cache[file] = made;
    try {
      this.#run(made, file, require);
    } catch (error) {
      this.#cache[file] = undefined;
      throw error;
    }
    made.loaded = true;
    return made.exports;
  }

  isEsModule(file: string): boolean {
    const extension = extname(file);
    return extension === ".mjs" || (extension === ".js" && moduleType(file) === "module");
  }

  /** The `require` of a file. */
  requireFrom(file: string | URL): NodeJS.Require {
    const path = file instanceof URL || file.startsWith("file:") ? fileURLToPath(file) : file;
    const own = createRequire(path);
    const load = (request: string): unknown => {
      const builtin = this.#config.builtin(request);
      if (builtin !== undefined) return builtin;
      return isBuiltin(request) ? own(request) : this.require(own.resolve(request));
    };
    // oxlint-disable-next-line typescript/no-deprecated -- programs still read it
    const { resolve, extensions } = own;
    return Object.assign(load, { resolve, extensions, cache: this.#cache, main: undefined });
  }

  #run(made: Module, file: string, require: NodeJS.Require): void {
    const text = readFileSync(file, "utf8").replace(/^\uFEFF/, "");
    if (extname(file) === ".json") {
      made.exports = JSON.parse(text) as unknown;
      return;
    }
    const code = text.replace(/^#!/, "//");
    const [before, after] = this.#wrapperParts;
    const importing = /\bimport\s*\(/.test(code) ? this.#config.scriptName(file) : undefined;
    let script: vm.Script;
    try {
      script = new vm.Script(before + code + after, {
        filename: importing ?? file,
        columnOffset: -before.length,
        ...(importing === undefined
          ? {}
          : { importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER }),
      });
    } catch (error) {
      // A package without a `type` may have ES modules in `.js` files.
      if (!(error instanceof SyntaxError && /^\s*(import|export)\b/m.test(code))) throw error;
      made.exports = this.#config.requireEsModule(file);
      return;
    }
    const wrapper = script.runInThisContext() as Wrapper;
    const run = wrapper(...Object.values(this.#config.globals));
    Reflect.apply(run, made.exports, [made.exports, require, made, file, dirname(file)]);
  }
}
