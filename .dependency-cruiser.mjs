/**
 * The floors of the house (CONTRIBUTING.md): what each room of src/ may import of the others, beside itself.
 * A room that is missing here may not import anything.
 */
const rooms = {
  core: [],
  wire: [],
  kernel: ["core"],
  sim: ["core", "wire", "capture", "dgram/socket.ts", "dgram/types.ts"],
  message: ["core", "wire"],
  capture: ["core", "wire"],
  gateway: ["core", "wire", "kernel", "capture", "message", "index.ts"],
  watch: ["core", "wire", "kernel", "sim", "capture", "message", "proxy", "index.ts"],
  dgram: ["core", "kernel", "index.ts"],
  register: ["core", "kernel", "dgram", "index.ts"],
  proxy: ["core", "wire", "kernel", "sim", "capture", "index.ts"],
  cli: ["core", "wire", "kernel", "sim", "message", "capture", "proxy", "watch", "gateway", "index.ts"],
  "index.ts": ["core", "kernel"],
};

/**
 * The folders of src/core: what each may import of the others, beside itself and the files of src/core itself, which
 * every folder may import and which import each other alone.
 */
const coreFolders = {
  errors: [],
  address: ["errors"],
  ledger: ["errors", "address"],
  driver: ["errors", "address", "ledger"],
  send: ["errors", "address", "ledger", "driver"],
  receive: ["errors", "address", "ledger", "driver"],
  socket: ["errors", "address", "ledger", "driver", "send", "receive"],
};

/** What `core` may import of Node. */
const coreBuiltins = "^(node:)?(buffer|events|diagnostics_channel)$";

/** The live page, which `scripts/build-page.mjs` builds. */
const page = "^src/watch/web/";

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...Object.entries(rooms).map(([room, below]) => ({
      name: `floors-${room}`,
      comment: `src/${room} imports of src/ only ${[room, ...below].join(", ")}.`,
      severity: "error",
      from: { path: at(room) },
      to: { path: "^src/", pathNot: [room, ...below].map(at) },
    })),
    ...Object.entries(coreFolders).map(([folder, below]) => ({
      name: `core-${folder}`,
      comment: `src/core/${folder} imports of src/core/ only ${["its own files", ...below, folder].join(", ")}.`,
      severity: "error",
      from: { path: inCore(folder) },
      to: { path: "^src/core/", pathNot: ["^src/core/[^/]+$", ...[folder, ...below].map(inCore)] },
    })),
    {
      name: "core-files",
      comment: "The files of src/core itself are below its folders.",
      severity: "error",
      from: { path: "^src/core/[^/]+$" },
      to: { path: "^src/core/[^/]+/" },
    },
    {
      name: "core-folders-are-known",
      comment:
        "A new folder of src/core needs its row in .dependency-cruiser.mjs, which says what it may import.",
      severity: "error",
      from: { path: "^src/core/[^/]+/", pathNot: Object.keys(coreFolders).map(inCore) },
      to: {},
    },
    {
      name: "rooms-are-known",
      comment: "A new room of src/ needs its row in .dependency-cruiser.mjs, which says what it may import.",
      severity: "error",
      from: { path: "^src/", pathNot: Object.keys(rooms).map(at) },
      to: {},
    },
    {
      name: "core-knows-no-system",
      comment:
        "src/core runs on any driver: of Node it has Buffer, events and diagnostics_channel, and no package.",
      severity: "error",
      from: { path: at("core") },
      to: { pathNot: ["^src/", coreBuiltins] },
    },
    {
      name: "wire-imports-nothing",
      comment: "src/wire is pure functions over bytes: it imports neither Node nor packages.",
      severity: "error",
      from: { path: at("wire") },
      to: { pathNot: "^src/" },
    },
    {
      name: "system-calls-in-kernel",
      comment: "Real sockets and the resolver are behind the Driver and Stack of src/kernel.",
      severity: "error",
      from: { path: "^src/", pathNot: at("kernel") },
      to: { path: "^(node:)?(dgram|dns|dns/promises)$", dependencyTypesNot: ["type-only"] },
    },
    {
      name: "no-cycles",
      comment: "Modules that need each other are one module, or lack a third.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-orphans",
      comment: "A module that nobody imports and that imports nothing is left over.",
      severity: "error",
      from: { orphan: true, pathNot: ["^src/index[.]ts$", "^src/cli/main[.]ts$", `${page}main[.]tsx$`] },
      to: {},
    },
    {
      name: "dependencies-are-declared",
      comment: "What src/ imports is a dependency in package.json, or whoever installs the package lacks it.",
      severity: "error",
      from: { path: "^src/", pathNot: page },
      to: {
        dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown", "unknown", "undetermined"],
        // An optional one is also a development dependency, for the tests.
        dependencyTypesNot: ["npm-peer"],
      },
    },
    {
      name: "page-imports-what-it-contains",
      comment:
        "The live page runs in the browser: it imports its own files, the protocol, and the packages that are built into it.",
      severity: "error",
      from: { path: page },
      to: { pathNot: [page, "^src/watch/protocol[.]ts$", "^node_modules/(preact|uplot)/"] },
    },
    {
      name: "page-is-built-alone",
      comment: "The server sends the built page, and imports none of its files.",
      severity: "error",
      from: { path: "^src/", pathNot: page },
      to: { path: page },
    },
    {
      name: "imports-resolve",
      comment: "The import leads nowhere.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    // Types count too: a type from above is knowledge of what is above.
    tsPreCompilationDeps: true,
  },
};

/** A pattern for the files of a folder of src/core. */
function inCore(folder) {
  return `^src/core/${folder}/`;
}

/** A pattern for the files of a room: a folder of src/, or a file there. */
function at(room) {
  return room.endsWith(".ts") ? `^src/${room.replace(".", "[.]")}$` : `^src/${room}/`;
}
