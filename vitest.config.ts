import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

const face = fileURLToPath(new URL("src/index.ts", import.meta.url));
const datagram = { resolve: { alias: { datagram: face } }, esbuild: { target: "es2022" as const } };

/** The contract is one suite, run over every driver. */
const contract = (driver: "native" | "dgram") => ({
  ...datagram,
  test: {
    name: `contract over ${driver}`,
    include: ["test/contract/**/*.test.ts"],
    env: { DATAGRAM_DRIVER: driver },
  },
});

export default defineConfig({
  test: {
    testTimeout: 20_000,
    projects: [
      contract("native"),
      contract("dgram"),
      { ...datagram, test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        test: {
          name: "programs",
          include: ["test/{process,page,cli,package}/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
