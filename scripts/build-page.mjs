/**
 * Builds the live page of `datagram watch`: src/watch/web with Vite, to dist/watch/web. It does nothing if the page is newer
 * than each of its sources, since Vite takes longer to start than the rest of the build.
 */
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = join(root, "src/watch/web");
const output = join(root, "dist/watch/web");
/** Written last: a build that was interrupted is repeated. */
const licenses = join(output, "licenses.txt");
/** The packages that the page contains. Their licenses ask that their texts are kept. */
const packages = ["preact", "uplot"];

const manifests = packages.map((name) => join(root, "node_modules", name, "package.json"));
const sources = [page, ...readdirSync(page, { recursive: true }).map((name) => join(page, name))];
const newest = [
  ...sources,
  ...manifests,
  join(root, "src/watch/protocol.ts"),
  fileURLToPath(import.meta.url),
];
if (!existsSync(licenses) || newest.some((path) => changed(path) > changed(licenses))) await build();

async function build() {
  const vite = await import("vite");
  await vite.build({
    configFile: false,
    root: page,
    // The page can be below any path.
    base: "./",
    logLevel: "warn",
    build: {
      outDir: output,
      emptyOutDir: true,
      target: "es2022",
      // The server's Content-Security-Policy allows no inline code and no data: addresses.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
  });
  const texts = packages.map((name, index) => {
    const { version } = JSON.parse(readFileSync(manifests[index], "utf8"));
    return `${name} ${version}\n\n${readFileSync(join(root, "node_modules", name, "LICENSE"), "utf8")}`;
  });
  writeFileSync(licenses, `The page contains these packages.\n\n${texts.join("\n\n")}`);
}

/** When a file was changed, in milliseconds since 1970. */
function changed(path) {
  return statSync(path).mtimeMs;
}
