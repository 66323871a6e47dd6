/**
 * The floors of the house (CONTRIBUTING.md): what each room of src/ may import of the others, beside itself.
 * A room that is missing here may not import anything.
 */
const rooms = {
  core: [],
  wire: [],
  kernel: ["core"],
  sim: ["core", "wire"],
  message: ["core", "wire"],
  capture: ["core", "wire"],
  proxy: ["core", "kernel", "sim", "index.ts"],
  watch: ["core", "capture", "message"],
  cli: ["core", "wire", "kernel", "sim", "message", "capture", "proxy", "watch", "index.ts"],
  "index.ts": ["core", "kernel"],
};

/** What `core` may import of Node. */
const coreBuiltins = "^(node:)?(buffer|events|diagnostics_channel)$";

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
      to: { path: "^(node:)?(dgram|dns|dns/promises)$" },
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
      from: { orphan: true, pathNot: ["^src/index[.]ts$", "^src/cli/main[.]ts$"] },
      to: {},
    },
    {
      name: "dependencies-are-declared",
      comment: "What src/ imports is a dependency in package.json, or whoever installs the package lacks it.",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown", "unknown", "undetermined"] },
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

/** A pattern for the files of a room: a folder of src/, or a file there. */
function at(room) {
  return room.endsWith(".ts") ? `^src/${room.replace(".", "[.]")}$` : `^src/${room}/`;
}
