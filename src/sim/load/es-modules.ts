import module, { createRequire } from "node:module";
import { isAbsolute } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import vm from "node:vm";

import { loadError } from "./packages.js";

/** What ES modules of a program need of it. */
export interface EsModulesConfig {
  /** The module of Node.js that the host has in place of the one of the process. */
  readonly builtin: (request: string) => unknown;
  readonly isShared: (file: string) => boolean;
  /** Loads a CommonJS module. */
  readonly require: (file: string) => unknown;
}

/**
 * The hooks of Node.js 22.15. The types of Node 20 lack them.
 *
 * @see https://nodejs.org/api/module.html#moduleregisterhooksoptions
 */
interface Hooks {
  resolve(specifier: string, context: ResolveContext, next: NextResolve): Resolved;
  load(url: string, context: LoadContext, next: NextLoad): object;
}
type NextResolve = (specifier: string, context: ResolveContext) => Resolved;
type NextLoad = (url: string, context: LoadContext) => object;
interface ResolveContext {
  readonly parentURL?: string | undefined;
}
interface LoadContext {
  readonly format?: string | null | undefined;
}
interface Resolved {
  readonly url: string;
  readonly format?: string | null | undefined;
  readonly shortCircuit?: boolean;
}
const { registerHooks } = module as unknown as { registerHooks?: (hooks: Hooks) => unknown };

/** The mark of a file's URL that belongs to a program: modules with different URLs are different modules. */
const mark = "datagram-host";
/** The scheme of the modules that the hooks make. */
const scheme = "datagram-host:";
const entryFolder = pathToFileURL(`/${mark}/`).href;
const key = Symbol.for("datagram.host.programs");

/**
 * The programs of all hosts by number, of this thread. The hooks are installed with it: once, also if a process has two copies
 * of this package.
 */
interface Registry {
  next: number;
  readonly programs: Map<string, EsModulesConfig>;
}

/**
 * `import()` as Node.js has it: test runners replace the one in this file. Made at the first use, because Node.js then warns that
 * the constant is experimental.
 */
let importModule: ((url: string) => Promise<unknown>) | undefined;

function nodeImport(url: string): Promise<unknown> {
  importModule ??= vm.runInThisContext("(url) => import(url)", {
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }) as (url: string) => Promise<unknown>;
  return importModule(url);
}

/** The ES modules of one program. Node.js loads them, and its hooks give each program modules of its own. */
export class EsModules {
  readonly #config: EsModulesConfig;
  #id: string | undefined;

  constructor(config: EsModulesConfig) {
    this.#config = config;
  }

  /** @returns the namespace. @throws (rejects) `Error` `ERR_SIM_LOAD` on a Node.js without hooks. */
  async import(request: string, from: URL): Promise<unknown> {
    const { space } = (await nodeImport(this.#entry(request, from.href))) as Entry;
    return space;
  }

  /** @returns the namespace, or what the module exports as `"module.exports"`, as `require()` does. */
  require(file: string): unknown {
    const { space } = createRequire(file)(this.#entry(file, pathToFileURL(file).href)) as Entry;
    return "module.exports" in space ? space["module.exports"] : space;
  }

  /** The name of a script whose `import()` loads modules of the program; `undefined` on a Node.js without hooks. */
  scriptName(file: string): string | undefined {
    return registerHooks && markedUrl(pathToFileURL(file).href, this.#program(file));
  }

  /** Nothing is loaded for the program any more. */
  end(): void {
    if (this.#id !== undefined) registry().programs.delete(this.#id);
  }

  #entry(request: string, from: string): string {
    const url = isAbsolute(request) ? pathToFileURL(request).href : request;
    return urlOf("entry", { program: this.#program(request), request: url, from });
  }

  /** The number of the program, which the hooks know it by. */
  #program(file: string): string {
    if (!registerHooks)
      throw loadError(
        file,
        `is an ES module, and this needs Node.js 22.15 or later: here is ${process.version}`,
      );
    if (this.#id === undefined) {
      const known = registry();
      this.#id = String(known.next++);
      known.programs.set(this.#id, this.#config);
    }
    return this.#id;
  }
}

/** What an entry exports: the namespace of the module that it is for. */
interface Entry {
  readonly space: Record<string, unknown>;
}

function registry(): Registry {
  const all = globalThis as { [key]?: Registry };
  if (!all[key]) {
    all[key] = { next: 1, programs: new Map() };
    registerHooks?.({ resolve, load });
  }
  return all[key];
}

function resolve(specifier: string, context: ResolveContext, next: NextResolve): Resolved {
  const entry = queryOf("entry", specifier);
  if (entry) return entryModule(entry);
  const first = queryOf("first", specifier);
  if (first)
    return resolveFor(
      first.program as string,
      first.request as string,
      { ...context, parentURL: first.from },
      next,
      true,
    );
  const id = programOf(context.parentURL);
  return id === undefined ? next(specifier, context) : resolveFor(id, specifier, context, next);
}

/** @param isEsModule whether a file of unknown format is known to be an ES module. */
function resolveFor(
  id: string,
  specifier: string,
  context: ResolveContext,
  next: NextResolve,
  isEsModule = false,
): Resolved {
  const program = programNumber(id);
  if (program.builtin(specifier) !== undefined) return madeModule({ program: id, builtin: specifier });
  const found = next(specifier, context);
  if (!found.url.startsWith("file:") || found.format === "json") return found;
  const file = fileURLToPath(found.url);
  if (program.isShared(file)) return found;
  // The format of a `.js` file is unknown if its package has no `type`.
  const format = found.format ?? (isEsModule ? "module" : "commonjs");
  if (format === "commonjs" || format === "addon") return madeModule({ program: id, file });
  return { ...found, url: markedUrl(found.url, id) };
}

function load(url: string, context: LoadContext, next: NextLoad): object {
  const made = queryOf("made", url);
  if (made) return { format: "module", source: sourceOf(made), shortCircuit: true };
  if (!url.startsWith(entryFolder)) return next(url, context);
  const query = Buffer.from(url.slice(entryFolder.length, -".mjs".length), "hex").toString();
  const source = `export * as space from ${JSON.stringify(`${scheme}first?${query}`)};`;
  return { format: "module", source, shortCircuit: true };
}

/** A module that imports what is to be loaded. `require()` needs the URL of a file, but no file is read. */
function entryModule(query: Query): Resolved {
  const name = Buffer.from(new URLSearchParams(query).toString()).toString("hex");
  return { url: `${entryFolder}${name}.mjs`, format: "module", shortCircuit: true };
}

/** A module that exports what the program has loaded in another way: a module of Node.js, or a CommonJS module. */
function madeModule(query: Query): Resolved {
  return { url: urlOf("made", query), format: "module", shortCircuit: true };
}

/** The code of such a module. What it exports is loaded now, because the code has the names. */
function sourceOf(query: Query): string {
  const { program = "", builtin, file = "" } = query;
  const found =
    builtin === undefined ? programNumber(program).require(file) : programNumber(program).builtin(builtin);
  const call =
    builtin === undefined ? `require(${JSON.stringify(file)})` : `builtin(${JSON.stringify(builtin)})`;
  const isObject = (typeof found === "object" && found !== null) || typeof found === "function";
  const names = isObject ? Object.keys(found).filter((name) => name !== "default") : [];
  return [
    `const made = globalThis[Symbol.for("${key.description ?? ""}")].programs.get("${program}").${call};`,
    "export default made;",
    ...names.flatMap((name, index) => [
      `const made${index} = made[${JSON.stringify(name)}];`,
      `export { made${index} as ${JSON.stringify(name)} };`,
    ]),
  ].join("\n");
}

type Query = Readonly<Record<string, string>>;

function urlOf(what: string, query: Query): string {
  return `${scheme}${what}?${new URLSearchParams(query).toString()}`;
}

function queryOf(what: string, url: string): Query | undefined {
  const start = `${scheme}${what}?`;
  return url.startsWith(start) ? Object.fromEntries(new URLSearchParams(url.slice(start.length))) : undefined;
}

function markedUrl(url: string, id: string): string {
  const marked = new URL(url);
  marked.searchParams.set(mark, id);
  return marked.href;
}

function programOf(url: string | undefined): string | undefined {
  if (url?.includes(mark) !== true || !url.startsWith("file:")) return undefined;
  return new URL(url).searchParams.get(mark) ?? undefined;
}

function programNumber(id: string): EsModulesConfig {
  const program = registry().programs.get(id);
  if (!program) throw new Error("host.load: the run in which this module was loaded is over");
  return program;
}
